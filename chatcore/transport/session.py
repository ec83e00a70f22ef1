"""One Engine.IO session: what goes out, in order, over a WebSocket or to a polling client, and how it ends."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from engineio.async_socket import AsyncSocket

from chatcore.transport import frames
from chatcore.transport.websocket import Feed

if TYPE_CHECKING:
    from chatcore.transport.connection import Connection
    from chatcore.transport.engine import Engine

Reason = Literal[
    "client disconnect",
    "server disconnect",
    "ping timeout",
    "transport close",
    "transport error",
    "parse error",
    "protocol violation",
    "slow reader",
    "no connect",
    "upgrade failed",
]


PROGRESS_BYTES = 65_536


class Backlog:
    """What a slow reader has not taken yet; exists only while the kernel's buffer of that socket is full."""

    __slots__ = ("progressed_at", "sizes", "taken", "total")

    def __init__(self, now: float) -> None:
        self.sizes: deque[int] = deque()
        self.total = 0
        self.taken = 0  # bytes of the first packet that had gone when progress was last noted
        self.progressed_at = now

    @property
    def packets(self) -> int:
        return len(self.sizes)

    def add(self, written: Sequence[bytes]) -> None:
        for frame in written:
            self.sizes.append(len(frame))
            self.total += len(frame)

    def shrink_to(self, buffered: int, now: float) -> None:
        """`buffered` bytes are still unsent: all packets before them have gone. A good piece of a large packet is
        progress like a packet."""
        while self.sizes and self.total - self.sizes[0] >= buffered:
            self.total -= self.sizes.popleft()
            self.taken = 0
            self.progressed_at = now
        if self.total - buffered >= self.taken + PROGRESS_BYTES:
            self.taken = self.total - buffered
            self.progressed_at = now


class Session(AsyncSocket):
    """Replaces the library's socket, which keeps a queue, a writer task and a ping task for each client.

    `pending` collects the frames of this turn of the event loop; the outbox writes them in one piece. It is None
    while there are none, and a list that the outbox does not know of while the session holds back its packets
    (see `hold`).
    """

    __slots__ = (
        "_lost",
        "address",
        "backlog",
        "closed",
        "connected",
        "connection",
        "draining",
        "farewell",
        "feed",
        "gone",
        "holding",
        "inbox",
        "pending",
        "poll",
        "poll_transport",
        "poll_unsent",
        "posting",
        "progressed_at",
        "queue",
        "queue_bytes",
        "reason",
        "refused_connects",
        "room_waiter",
        "server",
        "sid",
        "transport",
        "upgraded",
        "upgrading",
        "user_agent",
        "violations",
    )

    def __init__(self, server: "Engine", sid: str, address: str, user_agent: str) -> None:
        # not super().__init__(): it would make the queue that this class is there to avoid
        self.server = server
        self.sid = sid
        self.address = address
        self.user_agent = user_agent
        self.connection: Connection | None = None
        self.closed = False
        self.connected = True
        self.upgrading = False
        self.upgraded = False
        self.reason: Reason | None = None

        self.holding = False
        self.pending: list[bytes] | None = None
        self.queue: deque[bytes] | None = None
        self.queue_bytes = 0
        self.poll: asyncio.Future[None] | None = None
        self.poll_transport: asyncio.Transport | None = None
        self.farewell: bytes | None = None
        self.poll_unsent = 0
        self.posting = False
        self.progressed_at = 0.0
        self.transport: asyncio.Transport | None = None
        self.feed: Feed | None = None
        self.backlog: Backlog | None = None
        self.gone = False
        self._lost: asyncio.Future[None] | None = None

        self.inbox: list[str] = []
        self.draining = False
        self.room_waiter: asyncio.Future[None] | None = None
        self.violations = 0
        self.refused_connects = 0

    # -- going out ---------------------------------------------------------------------------------------------

    def send_frame(self, frame: bytes) -> None:
        """Goes out with everything else of this turn of the event loop, in order."""
        if self.pending is not None:
            self.pending.append(frame)
        elif not self.closed:
            self.pending = [frame]
            self.server.outbox.add(self)

    async def send(self, pkt: Any) -> None:
        """The library's form: an Engine.IO packet."""
        self.send_frame(frames.frame_of(pkt.encode().encode()))

    def hold(self) -> None:
        """Keep all further packets back until `release`."""
        self.flush()
        self.holding = True
        self.pending = []

    def release(self, first: bytes, *, drop: bool = False) -> None:
        """Let `first` out, and after it what was held (or nothing of it)."""
        held = [] if drop or self.pending is None else self.pending
        self.holding = False
        self.pending = None
        if not self.closed:
            self.pending = [first, *held]
            self.server.outbox.add(self)

    def flush(self) -> None:
        """Write what is pending; called by the outbox once a turn of the event loop."""
        pending, self.pending = self.pending, None
        if not pending:
            return
        transport = self.transport
        if transport is None:
            self._queue_for_poll(pending)
        else:
            self._write(transport, pending)

    def _write(self, transport: asyncio.Transport, written: Sequence[bytes]) -> None:
        transport.write(written[0] if len(written) == 1 else b"".join(written))
        if transport.get_write_buffer_size():
            self._note_backlog(written)
        else:
            self.backlog = None

    def _note_backlog(self, written: Sequence[bytes]) -> None:
        now = self.server.now()
        if self.backlog is None:
            self.backlog = Backlog(now)
            self.server.watch_slow(self)
        self.backlog.add(written)
        self.judge_backlog(now)

    def judge_backlog(self, now: float) -> bool:
        """Aborts a reader that is too slow; False once nothing waits for the reader any more."""
        if self.transport is not None:
            waiting = self._unsent_websocket(self.transport, now)
        else:
            waiting = self._unsent_polling(now)
        if waiting is None:
            return False
        packets, buffered, progressed_at = waiting
        options = self.server.options
        if (
            packets <= options.max_queue_packets
            and (buffered <= options.max_buffer_bytes or buffered <= options.max_buffer_bytes + self._largest_unsent())
            and now - progressed_at < options.slow_reader_seconds
        ):
            return True
        self.server.metrics.slow_reader_aborted()
        self.end("slow reader", abort=True)
        return False

    def _largest_unsent(self) -> int:
        """Bytes of the largest packet that waits. One packet is never too much by itself: somebody in a great many
        groups is told of all of them at once, and could else never sign in."""
        if self.transport is not None:
            return max(self.backlog.sizes, default=0) if self.backlog is not None else 0
        return max(map(len, self.queue or ()), default=0)

    def _unsent_websocket(self, transport: asyncio.Transport, now: float) -> tuple[int, int, float] | None:
        """(packets, bytes, time of the last progress) that wait for the reader, or None."""
        buffered = transport.get_write_buffer_size()
        if not buffered or self.backlog is None:
            self.backlog = None
            return None
        self.backlog.shrink_to(buffered, now)
        return self.backlog.packets, buffered, self.backlog.progressed_at

    def _unsent_polling(self, now: float) -> tuple[int, int, float] | None:
        """The queue; an answer under way counts as a sign of life while it grows shorter, or for its time only."""
        if self.poll_transport is not None:
            unsent = self.poll_transport.get_write_buffer_size()
            if unsent < self.poll_unsent:
                self.progressed_at = now
            self.poll_unsent = unsent
        elif not self.queue:
            return None
        return len(self.queue or ()), self.queue_bytes, self.progressed_at

    @property
    def is_answering_poll(self) -> bool:
        """An answer is under way that the client has not read yet."""
        return self.poll_transport is not None and self.poll_transport.get_write_buffer_size() > 0

    def poll_answering(self, transport: asyncio.Transport | None) -> None:
        """The answer to a GET is on its way over this TCP connection (None: it has left)."""
        self.poll_transport = transport
        self.poll_unsent = 0
        self.progressed_at = self.server.now()
        if transport is not None and self.transport is None:
            self.server.watch_slow(self)

    @property
    def is_behind(self) -> bool:
        """Too much waits for this reader already to add packets that nobody will miss."""
        options = self.server.options
        if self.transport is not None:
            return self.backlog is not None and self.transport.get_write_buffer_size() > options.volatile_buffer_bytes
        return self.queue is not None and len(self.queue) >= options.volatile_queue_packets

    def _queue_for_poll(self, written: Sequence[bytes]) -> None:
        if self.queue is None:
            self.queue = deque()
        if not self.queue:
            self.progressed_at = self.server.now()
            self.server.watch_slow(self)
        self.queue.extend(written)
        self.queue_bytes += sum(map(len, written))
        if self.poll is not None and not self.poll.done():
            self.poll.set_result(None)
        else:
            self.judge_backlog(self.server.now())

    def take_queue(self) -> list[bytes]:
        """Everything that waits for a polling client; the next GET carries it."""
        taken = list(self.queue or ())
        if not taken and self.farewell is not None:
            taken, self.farewell = [self.farewell], None
        self.queue = None
        self.queue_bytes = 0
        self.progressed_at = self.server.now()
        return taken

    # -- coming in ---------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        return len(self.inbox) >= self.server.options.inbox_size

    @property
    def reading_is_behind(self) -> bool:
        """We, not the peer, are late: PONGs may lie unread."""
        return self.posting or (self.feed is not None and self.feed.spilled > 0)

    def text_arrived(self, text: str) -> None:
        self.server.packet_arrived(self, text)

    def heartbeat_arrived(self) -> None:
        self.server.pong_arrived(self)

    def binary_arrived(self) -> None:
        self.server.binary_arrived(self)

    def transport_lost(self, close_code: int) -> None:
        """Of the WebSocket. A protocol error of the peer is answered with its code (RFC 6455, section 7.4)."""
        if close_code in (1000, 1006):
            self.end("transport close")
        else:
            self.end("transport error", close_code=close_code)
        self._detach()

    # -- the WebSocket -----------------------------------------------------------------------------------------

    def attach(self, transport: asyncio.Transport, feed: Feed) -> None:
        """From now on packets go out over this WebSocket, first those that waited for a poll."""
        self.transport = transport
        self.feed = feed
        self.upgrading = False
        self.upgraded = True
        if self.queue:
            self._write(transport, self.take_queue())
        self.queue = None

    async def lost(self) -> None:
        """Returns when the WebSocket is gone, or its closing handshake is done."""
        if self.transport is None or self.gone:
            return
        self._lost = asyncio.get_running_loop().create_future()
        try:
            await self._lost
        except asyncio.CancelledError:
            self.end("transport close", abort=True)
            raise

    def _detach(self) -> None:
        self.gone = True
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        if self.transport is None or not self.transport.get_write_buffer_size():
            self.server.stop_grace(self)

    # -- the end -----------------------------------------------------------------------------------------------

    def end(self, reason: Reason, *, abort: bool = False, last: bytes = frames.CLOSE, close_code: int = 1000) -> None:
        """Close the session, once.

        `abort` drops what is queued and cuts the transport. Otherwise it goes out first, and the transport is cut
        after the grace time if the peer does not take it. `last` is the final packet for a polling client,
        `close_code` the WebSocket's.
        """
        if self.closed:
            if abort:
                self.cut()
            return
        self.reason = reason
        if not (abort or self.holding):
            self.flush()
        self.closed = True
        self.connected = False
        self.pending = None
        self.server.session_ended(self, reason)
        if abort:
            self.cut()
        elif self.transport is not None:
            self._close_websocket(close_code)
        else:
            self._close_polling(last)
        self._release_poster()

    async def close(self, wait: bool = True, abort: bool = False, reason: Any = None) -> None:
        """The library's form of `end`."""
        self.end("server disconnect", abort=abort)

    def cut(self) -> None:
        """Drop everything and reset the TCP connection."""
        self.queue = self.farewell = None
        self.queue_bytes = 0
        for transport in (self.transport, self.poll_transport):
            if transport is not None:
                transport.abort()
        if self.poll is not None and not self.poll.done():
            self.poll.set_result(None)
        self._detach()

    def _close_websocket(self, close_code: int) -> None:
        assert self.transport is not None
        if not self.transport.is_closing():
            self.transport.write(frames.close_frame(close_code))
            self.server.start_grace(self)

    def _close_polling(self, last: bytes) -> None:
        """What the server had to say goes out with the next poll, and CLOSE with the one after it.

        Clients take CLOSE before the packets that stand in front of it in the same body. A client that closed the
        session itself, or broke the protocol, is told by a poll that is pending, and otherwise by a refusal.
        """
        if self.reason in ("server disconnect", "no connect"):
            self.farewell = last
            self.server.start_grace(self)
        else:
            self.queue = None if self.poll is None else deque([last])
        if self.poll is not None and not self.poll.done():
            self.poll.set_result(None)

    def _release_poster(self) -> None:
        if self.room_waiter is not None and not self.room_waiter.done():
            self.room_waiter.set_result(None)
