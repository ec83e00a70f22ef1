"""HTTP to an endpoint with the `openai` SDK: one try, bounded answers, nothing logged, imported at first use.

The SDK brings 30 MB and up to seconds of imports; they happen on a thread when the first call goes out.
"""

import importlib
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from chatcore.ai.provider.failures import FailureKind, RungFailed

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES: Final = 512 * 1024
MAX_EMBEDDINGS_BYTES: Final = 8 * 1024 * 1024
"""64 embeddings of 3,072 numbers in base64 are 1 MiB; as JSON numbers, which some endpoints send, 4 MiB."""
CONNECT_SECONDS: Final = 3.0
TASK_HEADER: Final = "x-chatcore-task"
_LOUD: Final = ("openai", "httpx", "httpcore")


class AnswerTooLarge(Exception):
    pass


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
    """Calls to one base URL with one key. To be made on a thread: it imports the SDK."""

    def __init__(self, base_url: str, key: str, *, on_this_machine: bool):
        openai, httpx = importlib.import_module("openai"), importlib.import_module("httpx")
        for name in _LOUD:  # at DEBUG they write whole requests
            logging.getLogger(name).setLevel(logging.WARNING)
        self._openai, self._response = openai, httpx.Response
        self._headers: dict[str, Any] = {} if key else {"Authorization": openai.Omit()}
        self._client: Any = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=key or "none",  # the SDK wants one; what is sent is said by the header
            max_retries=0,
            default_headers={"Accept-Encoding": "identity"},
            http_client=httpx.AsyncClient(
                transport=_bounded_transport(httpx, on_this_machine=on_this_machine),
                follow_redirects=False,
                timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),  # the caller's deadline bounds the whole
                trust_env=not on_this_machine,
            ),
        )

    async def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], task: str, options: Mapping[str, Any]
    ) -> Answer:
        body = {"model": model, "messages": list(messages), **options}
        return await self._post("/chat/completions", body, {TASK_HEADER: task})

    async def list_models(self) -> Answer:
        """For a look from outside whether the address and the key are good."""
        return await self._ask(self._client.get, "/models", {})

    async def embed(self, model: str, texts: Sequence[str]) -> Answer:
        return await self._post("/embeddings", {"model": model, "input": list(texts), "encoding_format": "base64"})

    async def moderate(self, model: str, texts: Sequence[str]) -> Answer:
        return await self._post("/moderations", {"model": model, "input": list(texts)})

    async def close(self) -> None:
        await self._client.close()

    async def _post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
        return await self._ask(partial(self._client.post, body=body), path, headers or {})

    async def _ask(self, ask: Any, path: str, headers: Mapping[str, str]) -> Answer:
        """Raises RungFailed. The SDK's own shapes are lenient, so the body is checked by who reads it."""
        openai = self._openai
        try:
            response: httpx.Response = await ask(
                path, cast_to=self._response, options={"headers": self._headers | dict(headers)}
            )
        except openai.APITimeoutError:
            raise RungFailed("timeout") from None
        except openai.APIStatusError as error:
            raise RungFailed(_kind_of(error.status_code)) from None
        except openai.APIConnectionError as error:
            raise RungFailed("too_large" if _was_too_large(error) else "connection") from None
        except AnswerTooLarge:
            raise RungFailed("too_large") from None
        return _decoded(response)


def _decoded(response: "httpx.Response") -> Answer:
    if response.status_code != 200:
        raise RungFailed(_kind_of(response.status_code))
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        raise RungFailed("not_json") from None
    if not isinstance(body, dict):
        raise RungFailed("schema")
    own = body.get("id")
    return Answer(body, response.headers.get("x-request-id") or (own if isinstance(own, str) else ""))


def _kind_of(status: int) -> FailureKind:
    if status == 429:
        return "rate_limited"
    if status in (401, 403):
        return "unauthorized"
    if status in (404, 405, 501):
        return "unsupported"
    return "server_error" if status >= 500 or status < 400 else "refused_request"


def _was_too_large(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, AnswerTooLarge):
            return True
        error = error.__cause__ or error.__context__
    return False


def _bounded_transport(httpx: Any, *, on_this_machine: bool) -> Any:
    """Reads no more of an answer than its bound. Compressed answers are not asked for and not taken: a few
    kilobytes could become gigabytes."""

    class BoundedStream(httpx.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, inner: Any, most: int):
            self._inner, self._most = inner, most

        async def __aiter__(self) -> AsyncIterator[bytes]:
            left = self._most
            async for block in self._inner:
                left -= len(block)
                if left < 0:
                    raise AnswerTooLarge
                yield block

        async def aclose(self) -> None:
            await self._inner.aclose()

    class BoundedTransport(httpx.AsyncHTTPTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            response = await super().handle_async_request(request)
            most = MAX_EMBEDDINGS_BYTES if request.url.path.endswith("/embeddings") else MAX_ANSWER_BYTES
            declared = response.headers.get("content-length", "")
            if (declared.isdigit() and int(declared) > most) or "content-encoding" in response.headers:
                await response.aclose()
                raise AnswerTooLarge
            response.stream = BoundedStream(response.stream, most)
            return response

    return BoundedTransport(trust_env=not on_this_machine, retries=0)
