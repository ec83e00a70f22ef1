"""A provider as OpenAI's HTTP API was recorded, which answers well or goes wrong in one of many ways.

`fake.mode` says how, `fake.requests` what it was asked. Its good answers fit the functions of `baml_src` and are made
from the input alone, so that they are the same each time; `fake.answers[function]` replaces one.
"""

import asyncio
import base64
import hashlib
import json
import math
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Mode = Literal[
    "good", "429", "500", "401", "timeout", "garbage", "truncated", "drip", "huge", "wrong_schema", "refusal", "obeys",
    "cut_off", "not_json",
]  # fmt: skip
Input = dict[str, Any]
FAILURES: tuple[Mode, ...] = (
    "429", "500", "401", "timeout", "garbage", "truncated", "drip", "huge", "wrong_schema", "refusal", "cut_off",
    "not_json",
)  # fmt: skip
KEY = "sk-test-0123456789abcdef"
HUGE_BYTES = 100 * 1024 * 1024
DIMENSIONS = 1_536
CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One request: its path without `/v1`, its JSON body, the function of `baml_src` if it named one."""

    path: str
    body: dict[str, Any]
    task: str
    headers: dict[str, str]

    @property
    def text(self) -> str:
        """Everything that the model would read."""
        messages = self.body.get("messages")
        if messages is None:
            given = self.body.get("input", "")
            return given if isinstance(given, str) else "\n".join(given)
        return "\n".join(_text_of(message) for message in messages)

    @property
    def input(self) -> Input:
        """The JSON object between `<input>` and `</input>`."""
        _, _, rest = self.text.rpartition("<input>")
        return json.JSONDecoder().raw_decode(rest.lstrip())[0] if rest else {}


@dataclass
class FakeProvider:
    url: str = ""
    mode: Mode = "good"
    requests: list[Asked] = field(default_factory=list)
    answers: dict[str, Callable[[Input], Any]] = field(default_factory=dict)
    huge_bytes_sent: int = 0
    hanging: int = 0
    """Calls that wait for an answer which never comes, right now."""
    unwelcome: str = ""
    """A request with this in any of its texts is refused, as providers refuse what they cannot take."""
    prompt_tokens: int = 57
    completion_tokens: int = 21

    @property
    def chats(self) -> list[Asked]:
        return [asked for asked in self.requests if asked.path == "/chat/completions"]

    def app(self) -> web.Application:
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_post("/v1/{path:.*}", self._answer)
        app.router.add_get("/v1/models", self._models)
        return app

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model"}]})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(
            path="/" + request.match_info["path"],
            body=await request.json(),
            task=request.headers.get("x-chatcore-task", ""),
            headers=dict(request.headers),
        )
        self.requests.append(asked)
        if self.unwelcome and self.unwelcome in asked.text:
            return self._refused(400, "invalid_request_error")
        if failing := getattr(self, f"_mode_{self.mode}", None):
            return await failing(request, asked)
        return self._told(self._good(asked))

    def _good(self, asked: Asked) -> dict[str, Any]:
        if asked.path == "/embeddings":
            return _embeddings(asked.body)
        if asked.path == "/moderations":
            return _moderations(asked.body)
        return self._chat(asked, self._content(asked))

    def _content(self, asked: Asked) -> str:
        make = self.answers.get(asked.task) or ANSWERS.get(asked.task)
        assert make is not None, f"the fake provider has no answer for {asked.task or 'a call without a task'}"
        made = make(asked.input)
        return made if isinstance(made, str) else json.dumps(made)

    def _chat(self, asked: Asked, content: str | None, finish: str = "stop", refusal: str | None = None) -> Any:
        return {
            "id": "chatcmpl-Bx3fake00000000000000000000",
            "object": "chat.completion",
            "created": 1_750_000_000,
            "model": asked.body["model"] + "-2024-07-18",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content, "refusal": refusal, "annotations": []},
                    "logprobs": None,
                    "finish_reason": finish,
                }
            ],
            "usage": {
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "total_tokens": self.prompt_tokens + self.completion_tokens,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
            },
            "service_tier": "default",
            "system_fingerprint": "fp_fake",
        }

    @staticmethod
    def _told(payload: dict[str, Any], status: int = 200, **headers: str) -> web.Response:
        return web.json_response(payload, status=status, headers={"x-request-id": "req_fake", **headers})

    @staticmethod
    def _refused(status: int, code: str, **headers: str) -> web.Response:
        error = {"message": f"This is {code}", "type": code, "param": None, "code": code}
        return FakeProvider._told({"error": error}, status, **headers)

    async def _mode_429(self, _: web.Request, __: Asked) -> web.Response:
        return self._refused(429, "rate_limit_exceeded", **{"Retry-After": "20"})

    async def _mode_500(self, _: web.Request, __: Asked) -> web.Response:
        return self._refused(500, "server_error")

    async def _mode_401(self, _: web.Request, __: Asked) -> web.Response:
        return self._refused(401, "invalid_api_key")

    async def _mode_timeout(self, _: web.Request, __: Asked) -> web.Response:
        self.hanging += 1
        try:
            await asyncio.Event().wait()  # until the client gives up or the server ends
        finally:
            self.hanging -= 1
        raise AssertionError

    async def _mode_not_json(self, _: web.Request, __: Asked) -> web.Response:
        return web.Response(text="<html>Bad gateway</html>", content_type="text/html")

    async def _mode_garbage(self, _: web.Request, asked: Asked) -> web.Response:
        """JSON, but nothing of it says anything: for chat the model's words, for the others the body."""
        if asked.path == "/chat/completions":
            return self._told(self._chat(asked, "%PDF \u0000\u0007 [[[ lorem } ipsum \ud83d"))
        return self._told({"object": "list", "data": "garbage"})

    async def _mode_truncated(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        """Promises the whole body and closes after half of it."""
        body = json.dumps(self._good(asked)).encode()
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    async def _mode_drip(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        """A byte a second."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for byte in json.dumps(self._good(asked)).encode():
            await response.write(bytes([byte]))
            await asyncio.sleep(1)
        return response

    async def _mode_huge(self, request: web.Request, _: Asked) -> web.StreamResponse:
        """100 MB of JSON; `huge_bytes_sent` tells how much of it anybody took."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"choices": "')
        block = b"x" * 65_536
        while self.huge_bytes_sent < HUGE_BYTES:
            await response.write(block)
            self.huge_bytes_sent += len(block)
        await response.write(b'"}')
        return response

    async def _mode_wrong_schema(self, _: web.Request, asked: Asked) -> web.Response:
        if asked.path == "/chat/completions":
            return self._told(self._chat(asked, json.dumps({"colour": "blue", "replies": 7, "confidence": "no"})))
        return self._told({"object": "list", "data": [{"vector": "wrong"}], "results": [{"flagged": "perhaps"}]})

    async def _mode_refusal(self, _: web.Request, asked: Asked) -> web.Response:
        if asked.path == "/chat/completions":
            return self._told(self._chat(asked, None, refusal="I'm sorry, I can't assist with that."))
        return self._refused(400, "content_policy_violation")

    async def _mode_cut_off(self, _: web.Request, asked: Asked) -> web.Response:
        """The model ran into its limit of tokens."""
        if asked.path == "/chat/completions":
            content = self._content(asked)
            return self._told(self._chat(asked, content[: len(content) // 2], finish="length"))
        return self._refused(500, "server_error")

    async def _mode_obeys(self, _: web.Request, asked: Asked) -> web.Response:
        """Does what any message says after `SYSTEM:`; a JSON object there is its whole answer, other words are put
        wherever its answer holds text."""
        if asked.path != "/chat/completions":
            return self._told(self._good(asked))
        _, found, order = json.dumps(asked.input, ensure_ascii=False).partition("SYSTEM:")
        content = self._content(asked)
        if found:
            order = order.partition('"')[0].strip()
            content = order if order.startswith("{") else json.dumps(_filled(json.loads(content), order))
        return self._told(self._chat(asked, content))


@asynccontextmanager
async def fake_provider(mode: Mode = "good") -> AsyncIterator[FakeProvider]:
    """Listening on a free port of loopback; `url` ends in `/v1`."""
    fake = FakeProvider(mode=mode)
    runner = web.AppRunner(fake.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield fake
    finally:
        await runner.cleanup()


def _text_of(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _filled(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(member, text) for key, member in value.items()}
    if isinstance(value, list):
        return [_filled(member, text) for member in value]
    return text if isinstance(value, str) else value


def _vector(text: str) -> list[float]:
    """The same for the same text, of length 1; nothing in it means anything."""
    seed = hashlib.sha256(text.encode("utf-8", "replace")).digest()
    raw = [seed[index % 32] / 255 - 0.5 + (index * 37 % 101) / 1_000 for index in range(DIMENSIONS)]
    length = math.sqrt(sum(number * number for number in raw))
    return [number / length for number in raw]


def _texts(body: dict[str, Any]) -> list[str]:
    given = body["input"]
    return [given] if isinstance(given, str) else [part if isinstance(part, str) else part["text"] for part in given]


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    def encoded(vector: list[float]) -> Any:
        if body.get("encoding_format") == "base64":
            return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        return vector

    texts = _texts(body)
    tokens = sum(len(text.split()) for text in texts)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encoded(_vector(text))}
            for index, text in enumerate(texts)
        ],
        "model": body["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _moderations(body: dict[str, Any]) -> dict[str, Any]:
    return {"id": "modr-fake", "model": "omni-moderation-latest", "results": [_moderated(t) for t in _texts(body)]}


def _moderated(text: str) -> dict[str, Any]:
    """Words of a category's name make it likely; everything else is harmless."""
    scores = dict.fromkeys(CATEGORIES, 0.0004)
    scores |= {name: 0.98 for name in CATEGORIES if f"[{name}]" in text}
    return {
        "flagged": max(scores.values()) > 0.5,
        "categories": {name: score > 0.5 for name, score in scores.items()},
        "category_scores": scores,
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }


def _turns(told: Input) -> list[dict[str, Any]]:
    return list(told.get("messages", []))


def _ids(told: Input) -> list[str]:
    return [turn["id"] for turn in _turns(told) if turn.get("id")]


def _last_text(told: Input) -> str:
    turns = _turns(told)
    return str(turns[-1]["text"]) if turns else ""


ANSWERS: dict[str, Callable[[Input], Any]] = {
    "SmartReplies": lambda told: {
        "replies": [
            {"text": text, "score": score, "intent": "acknowledge"}
            for text, score in (("Sounds good to me.", 0.9), ("Let me check first.", 0.7), ("Thanks!", 0.5))
        ],
        "confidence": 0.8,
    },
    "CompleteTyping": lambda told: {"completion": " and I will let you know", "confidence": 0.7},
    "ModerateMessage": lambda told: {
        "flagged": False,
        "action": "allow",
        "categories": [{"category": "harassment", "score": 0.01, "flagged": False}],
        "reason": "harmless",
    },
    "SummarizeConversation": lambda told: {"summary": "They talked.", "message_ids": _ids(told)[:3]},
    "AnalyzeSentiment": lambda told: {
        "label": "neutral",
        "score": 0.0,
        "messages": [{"message_id": one, "label": "neutral", "score": 0.0} for one in _ids(told)],
    },
    "ExtractTopics": lambda told: {"topics": [{"name": "plans", "score": 0.8, "message_ids": _ids(told)[:2]}]},
    "ActionItems": lambda told: {
        "items": [{"text": "Send the notes", "assignee": "", "due": "", "message_id": one} for one in _ids(told)[:1]]
    },
    "AnswerFromMessages": lambda told: {
        "answer": _last_text(told)[:200],
        "message_ids": _ids(told)[-1:],
        "answered": bool(_ids(told)),
        "confidence": 0.7,
    },
    "DetectLanguage": lambda told: {"language": "en", "confidence": 0.99},
    "Translate": lambda told: {
        "translated_text": f"<{told.get('target_language', '')}> {told.get('text', '')}",
        "source_language": told.get("source_language", "en"),
    },
    "JudgeReply": lambda told: {"score": 0.8, "faults": [], "reason": "It answers the question."},
    "JudgePair": lambda told: {"winner": "first", "reason": "It answers the question."},
    "JudgeModeration": lambda told: {"verdict": "right", "category": "none", "reason": "Nothing in it harms anybody."},
}
