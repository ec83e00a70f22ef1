"""Requests by the `openai` SDK: one try, bounded answers, nothing logged, imported at first use.

The SDK brings 30 MB and up to seconds of imports; they happen on a thread when the first call goes out.
"""

import importlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from chatcore.ai.provider.failures import RungFailed

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS: Final = 3.0
_LOUD: Final = ("openai", "httpx", "httpcore")
_most: ContextVar[int] = ContextVar("max_bytes")


class AnswerTooLarge(Exception):
    pass


class Sdk:
    """To be made on a thread: it imports the SDK."""

    def __init__(self, base_url: str, key: str):
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
                transport=_bounded_transport(httpx),
                follow_redirects=False,
                timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),  # the caller's deadline bounds the whole
            ),
        )

    async def ask(
        self, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], max_bytes: int
    ) -> tuple[int, bytes, str]:
        openai, _ = self._openai, _most.set(max_bytes)
        given: dict[str, Any] = {"cast_to": self._response, "options": {"headers": self._headers | dict(headers)}}
        try:
            if body is None:
                response: httpx.Response = await self._client.get(path, **given)
            else:
                response = await self._client.post(path, body=body, **given)
        except openai.APITimeoutError:
            raise RungFailed("timeout") from None
        except openai.APIStatusError as error:
            return error.status_code, b"", ""
        except openai.APIConnectionError as error:
            raise RungFailed("too_large" if _was_too_large(error) else "connection") from None
        except AnswerTooLarge:
            raise RungFailed("too_large") from None
        return response.status_code, response.content, response.headers.get("x-request-id", "")

    async def close(self) -> None:
        await self._client.close()


def _was_too_large(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, AnswerTooLarge):
            return True
        error = error.__cause__ or error.__context__
    return False


def _bounded_transport(httpx: Any) -> Any:
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
            most = _most.get()
            declared = response.headers.get("content-length", "")
            if (declared.isdigit() and int(declared) > most) or "content-encoding" in response.headers:
                await response.aclose()
                raise AnswerTooLarge
            response.stream = BoundedStream(response.stream, most)
            return response

    return BoundedTransport(trust_env=True, retries=0)
