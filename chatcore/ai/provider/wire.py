"""Requests in OpenAI's form to one endpoint, and their answers: one try, bounded answers, nothing logged.

What carries them differs: the `openai` SDK to providers, which may stand behind proxies and certificates of their own,
and a connection without either to the models on this machine, which are asked several times a second.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from chatcore.ai.provider.failures import FailureKind, RungFailed
from chatcore.ai.provider.loopback import Loopback
from chatcore.ai.provider.sdk import Sdk

MAX_ANSWER_BYTES: Final = 512 * 1024
MAX_EMBEDDINGS_BYTES: Final = 8 * 1024 * 1024
"""64 embeddings of 3,072 numbers in base64 are 1 MiB; as JSON numbers, which some endpoints send, 4 MiB."""
TASK_HEADER: Final = "x-chatcore-task"


class Carrier(Protocol):
    async def ask(
        self, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], max_bytes: int
    ) -> tuple[int, bytes, str]:
        """POST, or GET without a body: the status, what came back, and the endpoint's own name for the request.
        Raises RungFailed where there is no whole answer within `max_bytes`."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A decoded body, and the endpoint's name for the request."""

    body: dict[str, Any]
    request_id: str

    @property
    def model(self) -> str:
        model = self.body.get("model")
        return model if isinstance(model, str) else ""

    def tokens(self, name: str) -> int:
        usage = self.body.get("usage")
        count = usage.get(name) if isinstance(usage, dict) else None
        return count if type(count) is int and count >= 0 else 0

    @property
    def used(self) -> int | None:
        """None where the answer does not say."""
        usage = self.body.get("usage")
        return self.tokens("prompt_tokens") + self.tokens("completion_tokens") if isinstance(usage, dict) else None


class Wire:
    """Calls to one base URL with one key. To be made on a thread: it may import the SDK."""

    def __init__(self, base_url: str, key: str, *, on_this_machine: bool):
        self._carrier: Carrier = Loopback(base_url, key) if on_this_machine else Sdk(base_url, key)

    async def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], task: str, options: Mapping[str, Any]
    ) -> Answer:
        body = {"model": model, "messages": list(messages), **options}
        return await self._ask("/chat/completions", body, {TASK_HEADER: task})

    async def list_models(self) -> Answer:
        """For a look from outside whether the address and the key are good."""
        return await self._ask("/models")

    async def embed(self, model: str, texts: Sequence[str]) -> Answer:
        body = {"model": model, "input": list(texts), "encoding_format": "base64"}
        return await self._ask("/embeddings", body, max_bytes=MAX_EMBEDDINGS_BYTES)

    async def moderate(self, model: str, texts: Sequence[str]) -> Answer:
        return await self._ask("/moderations", {"model": model, "input": list(texts)})

    async def close(self) -> None:
        await self._carrier.close()

    async def _ask(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Raises RungFailed. The body is checked by who reads it."""
        return _decoded(*await self._carrier.ask(path, body, headers or {}, max_bytes))


def _decoded(status: int, content: bytes, request_id: str) -> Answer:
    if status != 200:
        raise RungFailed(_kind_of(status))
    try:
        body = _parsed(content)
    except (ValueError, RecursionError):
        raise RungFailed("not_json") from None
    if not isinstance(body, dict):
        raise RungFailed("schema")
    own = body.get("id")
    return Answer(body, request_id or (own if isinstance(own, str) else ""))


def _parsed(content: bytes) -> Any:
    """Models write half of an emoji, which only the slow reader takes."""
    try:
        return orjson.loads(content)
    except ValueError:
        return json.loads(content)


def _kind_of(status: int) -> FailureKind:
    if status == 429:
        return "rate_limited"
    if status in (401, 403):
        return "unauthorized"
    if status in (404, 405, 501):
        return "unsupported"
    return "server_error" if status >= 500 or status < 400 else "refused_request"
