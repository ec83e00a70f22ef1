"""The way of a session from long-polling to a WebSocket: "2probe", "3probe", "5"."""

import asyncio

from chatcore.transport import frames
from chatcore.transport.session import Session
from chatcore.transport.websocket import Feed


class Probe:
    """Receives from the new WebSocket until the client completes the upgrade, or fails to.

    `result` tells which. While the probe lasts the session keeps its packets back; afterwards they go out over the
    WebSocket, or over polling if the upgrade failed.
    """

    full = False

    def __init__(self, session: Session, transport: asyncio.Transport | None) -> None:
        self.result: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._session = session
        self._transport = transport
        self._feed: Feed | None = None
        self._probed = False

    def started(self, feed: Feed) -> None:
        self._feed = feed

    def text_arrived(self, text: str) -> None:
        if text == "2probe" and not self._probed and self._transport is not None:
            self._probed = True
            self._transport.write(frames.PROBE_ANSWER)
            self._end_pending_poll()
        elif text == "5" and self._probed:
            self._succeed()
        else:
            self.fail()

    def heartbeat_arrived(self) -> None:
        self.fail()

    def binary_arrived(self) -> None:
        self.fail()

    def transport_lost(self, close_code: int) -> None:
        self.fail()

    def fail(self) -> None:
        """Without effect once the upgrade has succeeded."""
        if self.result.done():
            return
        self.result.set_result(False)
        self._session.upgrading = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames.close_frame())
        if self._session.queue and self._session.poll is not None and not self._session.poll.done():
            self._session.poll.set_result(None)

    def _end_pending_poll(self) -> None:
        poll = self._session.poll
        if poll is not None and not poll.done():
            poll.set_result(None)

    def _succeed(self) -> None:
        if self.result.done() or self._session.closed or self._feed is None or self._transport is None:
            self.fail()
            return
        self.result.set_result(True)
        self._end_pending_poll()
        self._session.attach(self._transport, self._feed)
        self._feed.sink = self._session
