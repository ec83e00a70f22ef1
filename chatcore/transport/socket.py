"""Socket.IO events to commands: sign-in, then one generic handler that reads the table. Knows no feature."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chatcore.api import BY_EVENT, Command, Services
from chatcore.contract.base import Shape
from chatcore.contract.failures import Accepted, Failure
from chatcore.contract.groups import UserGroups
from chatcore.contract.people import Authenticate
from chatcore.errors import ChatError, Invalid, MessageRejected, RateLimited, TokenMissing, UnknownEvent
from chatcore.identity.service import Authenticated
from chatcore.identity.sessions import Connection as Sign
from chatcore.limits import RateLimits
from chatcore.logs import bind_correlation, caller_hash, get_logger, tells_details
from chatcore.metrics import Metrics
from chatcore.ports import Caller
from chatcore.transport.connection import Connection, Refused
from chatcore.transport.failures import as_refusal, failure, new_correlation_id, parse, temp_id_of
from chatcore.transport.fanout import SocketFanout
from chatcore.transport.frames import Json
from chatcore.transport.slow import SlowPool

log = get_logger("socket")
FINISHED = ".finished"  # what a slow command is counted as when its answer is there
SLOW_SECONDS = 1.0
DEVICES = ("mobile", "web", "desktop")


class SocketHandlers:
    """What the Socket.IO server calls. `connection.state` is the Caller once somebody is signed in."""

    def __init__(
        self,
        services: Services,
        fanout: SocketFanout,
        limits: RateLimits,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._services = services
        self._fanout = fanout
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self.slow = SlowPool()

    # --- connecting

    async def on_connect(self, connection: Connection) -> None:
        """With a token in the handshake, sign in now; without, `authenticate` must follow."""
        token = connection.auth.get("token")
        if token is None:
            return
        try:
            await self._sign_in(connection, token, connection.auth.get("deviceType"))
        except Exception as error:  # noqa: BLE001 - the funnel of the handshake
            refusal = as_refusal(error)
            self._metrics.command_done("connect", refusal.code, 0)
            raise Refused(failure(refusal, new_correlation_id()).wire(), refusal.message) from None
        self._metrics.command_done("connect", "ok", 0)

    async def _sign_in(self, connection: Connection, token: object, device: object) -> Authenticated:
        if not isinstance(token, str):
            raise Invalid("token must be a string", field="token")
        sign = Sign(
            address=connection.remote,
            user_agent=connection.user_agent,
            device_type=device if device in DEVICES else None,  # type: ignore[arg-type]
            connection_id=connection.id,
        )
        signed = await self._services.identity.authenticate(token, sign)
        first = connection.state is None
        connection.state = signed.caller(connection_id=connection.id, address=connection.remote)
        if first:
            self._fanout.signed_in(signed.user.user_id, connection)
            await self._welcome(connection, signed)
        else:
            connection.emit("authentication_success", Json(signed.success().wire_json()))
        return signed

    async def _welcome(self, connection: Connection, signed: Authenticated) -> None:
        try:
            groups = await self._services.attendance.arrive(connection.state)
        except BaseException:  # the deadline of connecting cancels, too
            self._leave(connection)
            raise
        connection.authenticated = True
        connection.emit("authentication_success", Json(signed.success().wire_json()))
        connection.emit("user_groups", Json(UserGroups(groups=groups).wire_json()))

    def authentication_timed_out(self, connection: Connection) -> None:
        self._tell_failure(connection, "authentication_error", failure(TokenMissing(), new_correlation_id()))

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        if connection.state is not None:
            self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        caller: Caller = connection.state
        connection.state = None
        self.slow.abandon(connection.id)
        self._fanout.gone(caller.user_id, connection)
        self._services.identity.closed(connection.id)
        self._services.attendance.depart(caller)

    # --- events

    async def on_event(self, connection: Connection, event: str, args: list[Any]) -> Any:
        payload = args[0] if args else {}
        return await self._answer(connection, event, payload, None)

    async def on_unreadable(self, connection: Connection, event: str, problem: str) -> Any:
        refusal = Invalid("Text must not contain NUL or half a surrogate pair")
        return await self._answer(connection, event, {}, refusal)

    async def _answer(self, connection: Connection, event: str, payload: Any, known: ChatError | None) -> Any:
        """Run one command; whatever happens, the caller gets an ack and, on refusal, the error event."""
        started = self._clock()
        correlation_id = new_correlation_id()
        command = BY_EVENT.get(event)
        with bind_correlation(correlation_id):
            try:
                if known is not None:
                    raise known
                raw = await self._run(connection, event, command, payload)
                self._done(connection, event, "ok", started)
                return Json(b'{"ok":true,"data":' + raw + b"}")
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - the one funnel of this transport
                refusal = as_refusal(error)
                told = failure(refusal, correlation_id, temp_id=temp_id_of(payload))
                if isinstance(refusal, MessageRejected) and refusal.notice is not None:
                    connection.emit("message_rejected", Json(refusal.notice.wire_json()))
                else:
                    self._tell_failure(connection, _error_event(event, command), told)
                self._done(connection, event, refusal.code, started)
                self._count(event, refusal)
                return Json(b'{"ok":false,"error":' + told.wire_json() + b"}")

    async def _run(self, connection: Connection, event: str, command: Command | None, payload: Any) -> bytes:
        if event == "authenticate":
            return await self._authenticate(connection, payload)
        if command is None:
            raise UnknownEvent(f"The server has no event {event[:64]!r}")
        caller: Caller = connection.state
        self._limits.require(command.limit, caller.user_id)
        request = parse(command.request, payload)
        if command.slow:
            return self._begin(connection, command, request)
        reply = await command.answer(self._services, caller, request)
        return self._reply(connection, command, reply)

    @staticmethod
    def _reply(connection: Connection, command: Command, reply: Shape) -> bytes:
        raw = reply.wire_json()
        if command.reply_event is not None:
            connection.emit(command.reply_event, Json(raw))
        return raw

    def _begin(self, connection: Connection, command: Command, request: Shape) -> bytes:
        """The ack of a slow command; its outcome follows as an event."""
        request_id = new_correlation_id()
        caller: Caller = replace(connection.state, request_id=request_id)
        self.slow.start(connection.id, self._finish(connection, caller, command, request))
        return Accepted(request_id=request_id).wire_json()

    async def _finish(self, connection: Connection, caller: Caller, command: Command, request: Shape) -> None:
        assert command.event is not None
        assert caller.request_id is not None
        started, request_id = self._clock(), caller.request_id
        with bind_correlation(request_id):
            try:
                self._reply(connection, command, await command.answer(self._services, caller, request))
                self._done(connection, command.event + FINISHED, "ok", started)
            except Exception as error:  # noqa: BLE001 - the same funnel, for what comes after the ack
                refusal = as_refusal(error)
                told = failure(refusal, request_id, request_id=request_id)
                self._tell_failure(connection, command.error_event, told)
                self._done(connection, command.event + FINISHED, refusal.code, started)
                self._count(command.event, refusal)

    async def _authenticate(self, connection: Connection, payload: Any) -> bytes:
        self._limits.require("authenticate", connection.id)
        request = parse(Authenticate, payload)
        signed = await self._sign_in(connection, request.token, request.device_type)
        return signed.success().wire_json()

    @staticmethod
    def _tell_failure(connection: Connection, event: str, told: Failure) -> None:
        connection.emit(event, Json(told.wire_json()))

    def _count(self, event: str, refusal: ChatError) -> None:
        if isinstance(refusal, RateLimited):
            self._metrics.rate_limits.labels(event if event in BY_EVENT else "other").inc()
        elif refusal.status in (401, 403, 404):
            self._metrics.denials.labels(refusal.code).inc()

    def _done(self, connection: Connection, event: str, code: str, started: float) -> None:
        seconds = self._clock() - started
        self._metrics.command_done(event, code, seconds)
        if code == "ok" and seconds < SLOW_SECONDS and not tells_details():
            return  # it is counted; at full load a line for each would cost a twentieth of the CPU
        caller: Caller | None = connection.state
        log.info(
            "command",
            command=event if event.removesuffix(FINISHED) in BY_EVENT else "other",
            caller=caller_hash(caller.user_id) if caller else None,
            code=code,
            milliseconds=round(seconds * 1000, 2),
        )


def _error_event(event: str, command: Command | None) -> str:
    if event == "authenticate":
        return "authentication_error"
    return command.error_event if command is not None else "error"
