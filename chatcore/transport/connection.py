"""One connected Socket.IO client, as the application sees it, and what the application is asked to do."""

from typing import Any, Protocol

from chatcore.transport import frames
from chatcore.transport.session import Reason, Session


class Refused(Exception):
    """Raised by `on_connect`: the client gets a `connect_error` with this message and data."""

    def __init__(self, data: dict[str, Any], message: str = "Connection refused") -> None:
        super().__init__(message)
        self.data = data
        self.message = message


class Connection:
    """Lives from the client's CONNECT packet to the end of `on_disconnect`.

    `auth` is the handshake's auth object ({} if it sent none or something else), emptied once `on_connect` is done:
    it holds a token. `state` belongs to the application. Until the application sets `authenticated` the
    authenticate deadline runs, and no event but "authenticate" is heard.
    """

    __slots__ = ("_session", "auth", "authenticated", "closed", "disconnect_reason", "id", "rooms", "state")

    def __init__(self, session: Session, connection_id: str, auth: dict[str, Any]) -> None:
        self._session = session
        self.id = connection_id
        self.auth = auth
        self.state: Any = None
        self.authenticated = False
        self.closed = False
        self.disconnect_reason = ""
        self.rooms: set[str] | None = None

    @property
    def session(self) -> Session:
        return self._session

    @property
    def remote(self) -> str:
        """The true address of the peer; X-Forwarded-For is believed only from trusted proxies."""
        return self._session.address

    @property
    def user_agent(self) -> str:
        return self._session.user_agent

    def emit(self, event: str, data: Any) -> None:
        """In order with everything else this client gets; nothing happens once it is closed."""
        if not self.closed:
            self._session.send_frame(frames.event_frame(event, data))

    def close(self, *, reason: str, reconnect: bool = False) -> None:
        """What is queued goes out, then the transport is cut, after the disconnect grace time at the latest.

        A client told to disconnect does not come back by itself; one that merely loses its transport
        (`reconnect`) does.
        """
        if self.closed:
            return
        self.disconnect_reason = reason
        if not reconnect:
            self._session.send_frame(frames.DISCONNECT)
        self._session.end("server disconnect")

    def abort(self, *, reason: str) -> None:
        """Nothing more goes out; the TCP connection is reset."""
        if not self.closed:
            self.disconnect_reason = reason
        self._session.end("server disconnect", abort=True)


class SocketHandlers(Protocol):
    """The application. For one connection these are called one after the other, never at the same time."""

    async def on_connect(self, connection: Connection) -> None:
        """Raise Refused to send a `connect_error`. Events emitted here leave after the CONNECT packet."""

    async def on_event(self, connection: Connection, event: str, args: list[Any]) -> Any:
        """The value returned is the one argument of the ack, if the client asked for one."""

    async def on_unreadable(self, connection: Connection, event: str, problem: str) -> Any:
        """An event with a lone surrogate or a NUL in its text ("lone_surrogate", "nul_character"); returns the ack."""

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        """Always, and last, after an `on_connect` that did not refuse."""

    def authentication_timed_out(self, connection: Connection) -> None:
        """May emit; the connection is closed right after."""


__all__ = ["Connection", "Reason", "Refused", "SocketHandlers"]
