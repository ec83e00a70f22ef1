"""Numbers for Prometheus. No label ever names a user, a group or an address: labels come from closed sets."""

import asyncio
from collections.abc import Iterable
from typing import Final

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

# Around the targets: 1 ms for a commit on a quiet machine, 50 ms for a delivery, 8 s for a model's answer.
_FAST_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_MODEL_SECONDS: Final = (0.1, 0.25, 0.5, 1, 1.5, 2, 4, 8, 16)
_INBOX_PACKETS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

OTHER: Final = "other"


class Metrics:
    """All numbers of one running app, in a registry of its own: two apps in one process do not mix.

    `events` are the names a client may send; any other is counted as `other`, so that clients cannot make new series.
    """

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self, events: Iterable[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self._events = frozenset(events)
        self._process = psutil.Process()
        self._done: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

        self.sessions = self._gauge("sessions", "Open transport sessions, connected or not yet.")
        self.connections = self._gauge("connections", "Open client connections.")
        self.connects_refused = self._counter("connects_refused", "Connections refused, by reason.", "reason")
        self.violations = self._counter("violations", "Packets outside the protocol, by kind.", "kind")
        self.received_packets = self._counter("received_packets", "Packets read from clients.")
        self.sent_packets = self._counter("sent_packets", "Packets handed to clients' transports.")
        self.dropped_packets = self._counter("dropped_packets", "Volatile packets that a slow reader did not get.")
        self.inbox_packets = self._histogram(
            "inbox_packets", "Packets one client had waiting when it sent another.", buckets=_INBOX_PACKETS
        )
        self.commands = self._counter("commands", "Commands by event and result code.", "event", "code")
        self.command_seconds = self._histogram("command_seconds", "From a command's arrival to its answer.", "event")
        self.commit_seconds = self._histogram("commit_seconds", "One durable write of the message log.")
        self.delivery_seconds = self._histogram("delivery_seconds", "From a send's arrival to its last hand-over.")
        self.queue_depth = self._gauge("queue_depth", "Entries that wait, by queue.", "queue")
        self.slow_reader_aborts = self._counter("slow_reader_aborts", "Connections cut for reading too slowly.")
        self.resyncs = self._counter("resyncs", "Clients that asked for what they missed.")
        self.duplicates = self._counter("duplicates", "Sends that were repeats of a stored message.")
        self.denials = self._counter("denials", "Requests refused by authorisation, by code.", "code")
        self.rate_limits = self._counter("rate_limits", "Requests refused by a rate limit, by limit.", "limit")
        self.unreadable = self._counter("unreadable", "Stored items whose seal did not open.")

        self.relay_words = self._counter("relay_words", "Words between server processes, by direction.", "direction")
        self.relay_dropped = self._counter(
            "relay_dropped", "Words between processes dropped, by direction.", "direction"
        )
        self.relay_refused = self._counter(
            "relay_refused", "Messages on the broker that are not ours, by reason.", "reason"
        )
        self.relay_gaps = self._counter("relay_gaps", "Looks into the database after words were missed.")
        self.relay_reconnects = self._counter("relay_reconnects", "Times the connection to the broker came back.")

        self.ai_calls = self._counter("ai_calls", "Model calls by task and outcome.", "task", "outcome")
        self.ai_seconds = self._histogram("ai_seconds", "Model calls by task.", "task", buckets=_MODEL_SECONDS)
        self.ai_tokens = self._counter("ai_tokens", "Tokens by task and direction.", "task", "direction")
        self.ai_breaker_open = self._gauge("ai_breaker_open", "Endpoints of models to which calls are suspended.")

        self.moderation_decisions = self._counter(
            "moderation_decisions", "Texts by what they are and what moderation did.", "kind", "outcome"
        )
        self.moderation_unchecked = self._counter(
            "moderation_unchecked", "Texts that no model looked at, or too late, by reason.", "reason"
        )
        self.moderation_reviews = self._counter(
            "moderation_reviews", "Messages put before people, by reason.", "reason"
        )

        self.pushes = self._counter("pushes", "Notices to browsers, by what became of them.", "outcome")

        self.loop_lag_seconds = self._histogram("loop_lag_seconds", "How late the event loop wakes a sleeper.")
        self.rss_bytes = self._gauge("rss_bytes", "Resident memory of the server process.")
        self.rss_bytes.set_function(lambda: self._process.memory_info().rss)

    def command_done(self, event: str, code: str, seconds: float) -> None:
        """Count one command; `code` is `ok` or an error's code."""
        known = event if event in self._events else OTHER
        counted = self._done.get((known, code))
        if counted is None:  # finding a metric by its labels costs five times as much as counting
            counted = self.commands.labels(known, code), self.command_seconds.labels(known)
            self._done[known, code] = counted
        counted[0].inc()
        counted[1].observe(seconds)

    # What the Socket.IO server reports: the methods of transport/metrics.py's SocketMetrics.

    def sessions_changed(self, open_sessions: int) -> None:
        self.sessions.set(open_sessions)

    def connections_changed(self, open_connections: int) -> None:
        self.connections.set(open_connections)

    def packets_received(self, packets: int) -> None:
        self.received_packets.inc(packets)

    def packets_sent(self, packets: int) -> None:
        self.sent_packets.inc(packets)

    def volatile_dropped(self, packets: int) -> None:
        self.dropped_packets.inc(packets)

    def slow_reader_aborted(self) -> None:
        self.slow_reader_aborts.inc()

    def violation(self, kind: str) -> None:
        self.violations.labels(kind).inc()

    def connect_refused(self, why: str) -> None:
        self.connects_refused.labels(why).inc()

    def inbox_depth(self, packets: int) -> None:
        self.inbox_packets.observe(packets)

    async def watch_loop(self, interval_seconds: float = 0.5) -> None:
        """Measure the loop's lag until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + interval_seconds
            await asyncio.sleep(interval_seconds)
            self.loop_lag_seconds.observe(max(0.0, loop.time() - due))

    def render(self) -> bytes:
        """The text exposition format, to be sent as `content_type`."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace="chatcore", registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace="chatcore", registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = _FAST_SECONDS) -> Histogram:
        return Histogram(name, text, labels, namespace="chatcore", registry=self.registry, buckets=buckets)
