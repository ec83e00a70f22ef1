"""What reaches the port and is no request of HTTP, or more of one than we take, is answered like any other refusal."""

import asyncio
import socket
from contextlib import suppress
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_response import StreamResponse

from chatcore.errors import ChatError, HeadersTooLarge, Internal, Invalid
from chatcore.logs import bind_correlation, get_logger
from chatcore.transport.failures import new_correlation_id, problem
from chatcore.transport.http import SECURITY_HEADERS

UNSENT_BYTES: Final = 128 * 1024
"""What the kernel takes for a connection before it is on its way; of a client that does not read it would take 3 MiB
(measured: 596 MiB for 200 of them), out of sight of our own limit for slow readers."""
log = get_logger("http")


class _Protocol(RequestHandler):
    """aiohttp's own answers repeat the bytes at fault as plain text, and log them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        connected = transport.get_extra_info("socket")
        if connected is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            with suppress(OSError):  # gone already
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        refusal, correlation_id = _refusal(status, exc), new_correlation_id()
        with bind_correlation(correlation_id):
            if isinstance(refusal, Internal):
                log.error("internal_error", exc_info=exc)
            else:
                log.info("request", code=refusal.code, status=refusal.status)
        if request.writer.output_size > 0:
            raise ConnectionError("half an answer was sent already")
        answer = web.Response(
            body=problem(refusal, correlation_id).wire_json(),
            status=refusal.status,
            headers={**SECURITY_HEADERS, "X-Correlation-Id": correlation_id},
            content_type="application/problem+json",
        )
        answer.force_close()
        return answer


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class Listener(web.AppRunner):
    """An application runner whose connections refuse in our words."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        return server


def _refusal(status: int, error: BaseException | None) -> ChatError:
    if isinstance(error, LineTooLong):
        return HeadersTooLarge()
    return Invalid("This is no request of HTTP/1.1") if status < 500 else Internal()
