"""Requests and answers in the form of OpenAI's HTTP API."""

import base64
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chatcore.models.categories import OPENAI_NAMES
from chatcore.models.embedding import DIMENSIONS, MODEL_NAME, Vectors
from chatcore.models.moderation import NOT_COVERED, Verdict
from chatcore.models.refusals import BadRequest

CHAT_MODEL = "chatcore-tasks"
MODERATION_MODEL = "chatcore-moderation"
MODELS = (CHAT_MODEL, MODEL_NAME, MODERATION_MODEL)
MAX_INPUTS = 2_048
MAX_CHARACTERS = 100_000

Shape = TypeVar("Shape", bound="Request")
Line = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
Lines = Annotated[list[Line], Field(min_length=1, max_length=MAX_INPUTS)]


class Request(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class EmbeddingsRequest(Request):
    model: str
    input: Line | Lines
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Literal[384] | None = None

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class TextPart(Request):
    type: Literal["text"]
    text: Annotated[str, Field(max_length=MAX_CHARACTERS)]


class ModerationsRequest(Request):
    model: str = MODERATION_MODEL
    input: Line | Lines | Annotated[list[TextPart], Field(min_length=1, max_length=MAX_INPUTS)]

    @property
    def texts(self) -> list[str]:
        if isinstance(self.input, str):
            return [self.input]
        return [part if isinstance(part, str) else part.text for part in self.input]


class ChatMessage(Request):
    role: str
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(Request):
    include_usage: bool = False


class ChatRequest(Request):
    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1_000)]
    stream: bool = False
    stream_options: StreamOptions | None = None

    @property
    def last_user_message(self) -> str:
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text
        raise BadRequest("there is no message of the role `user`", param="messages")


def read_request(shape: type[Shape], body: bytes) -> Shape:
    """Raises BadRequest, which names the wrong fields and never quotes a value."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as wrong:
        fields = sorted({".".join(map(str, error["loc"])) or "(whole)" for error in wrong.errors()})
        raise BadRequest(f"the body has wrong fields: {', '.join(fields[:10])}", param=fields[0]) from None


def embeddings_answer(vectors: Sequence[Vectors], tokens: int, encoding: str) -> dict[str, Any]:
    def encoded(vector: Vectors) -> str | list[float]:
        exact = np.ascontiguousarray(vector, "<f4")
        return base64.b64encode(exact.tobytes()).decode() if encoding == "base64" else exact.tolist()

    assert all(vector.shape == (DIMENSIONS,) for vector in vectors)
    return {
        "object": "list",
        "model": MODEL_NAME,
        "data": [
            {"object": "embedding", "index": index, "embedding": encoded(vector)}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def moderations_answer(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What the models do not cover stands there as OpenAI's clients expect it, applied to no input at all."""
    return {"id": f"modr-{uuid.uuid4().hex}", "model": MODERATION_MODEL, "results": list(map(_moderated, verdicts))}


def _moderated(verdict: Verdict) -> dict[str, Any]:
    covered = {name: verdict.scores[name] for name in OPENAI_NAMES.values()}
    return {
        "flagged": verdict.flagged,
        "categories": {name: verdict.flags[name] for name in covered} | dict.fromkeys(NOT_COVERED, False),
        "category_scores": covered | dict.fromkeys(NOT_COVERED, 0.0),
        "category_applied_input_types": {name: ["text"] for name in covered} | {name: [] for name in NOT_COVERED},
        "chatcore": {"toxic": verdict.scores["toxic"], "any": verdict.scores["any"], "not_covered": list(NOT_COVERED)},
    }


def models_answer() -> dict[str, Any]:
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "chatcore"} for name in MODELS],
    }


def chat_answer(content: str, usage: dict[str, int]) -> dict[str, Any]:
    return {
        **_head("chat.completion"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": usage,
    }


def chat_chunks(pieces: Sequence[str], usage: dict[str, int] | None) -> Iterator[bytes]:
    """Server-sent events; `usage` in a last chunk of its own when it was asked for."""
    head = _head("chat.completion.chunk")

    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        return _event({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces:
        yield chunk({"content": piece})
    yield chunk({}, "stop")
    if usage is not None:
        yield _event({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def usage_of(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def _head(kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": CHAT_MODEL}


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"
