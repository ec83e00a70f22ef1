"""What the Socket.IO server counts. The names a scraper sees are chosen by whoever implements it."""

from typing import Protocol


class SocketMetrics(Protocol):
    """Called on the event loop, so each method must return at once."""

    def sessions_changed(self, open_sessions: int) -> None: ...

    def connections_changed(self, open_connections: int) -> None: ...

    def packets_received(self, packets: int) -> None: ...

    def packets_sent(self, packets: int) -> None: ...

    def volatile_dropped(self, packets: int) -> None: ...

    def slow_reader_aborted(self) -> None: ...

    def violation(self, kind: str) -> None:
        """`kind` is one of a closed set (see inbox.py), fit for a label."""

    def connect_refused(self, why: str) -> None:
        """`why` is one of origin, rate, connections, draining."""

    def inbox_depth(self, packets: int) -> None:
        """How many packets one client had waiting when a packet was added to its inbox."""


class NoMetrics:
    """Counts nothing."""

    def sessions_changed(self, open_sessions: int) -> None:
        return

    def connections_changed(self, open_connections: int) -> None:
        return

    def packets_received(self, packets: int) -> None:
        return

    def packets_sent(self, packets: int) -> None:
        return

    def volatile_dropped(self, packets: int) -> None:
        return

    def slow_reader_aborted(self) -> None:
        return

    def violation(self, kind: str) -> None:
        return

    def connect_refused(self, why: str) -> None:
        return

    def inbox_depth(self, packets: int) -> None:
        return
