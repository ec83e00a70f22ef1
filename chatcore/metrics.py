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

        self.connections = self._gauge("connections", "Open client connections.")
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

        self.ai_calls = self._counter("ai_calls", "Model calls by task and outcome.", "task", "outcome")
        self.ai_seconds = self._histogram("ai_seconds", "Model calls by task.", "task", buckets=_MODEL_SECONDS)
        self.ai_tokens = self._counter("ai_tokens", "Tokens by task and direction.", "task", "direction")
        self.ai_breaker_open = self._gauge("ai_breaker_open", "1 while calls to the model are suspended.")

        self.loop_lag_seconds = self._histogram("loop_lag_seconds", "How late the event loop wakes a sleeper.")
        self.rss_bytes = self._gauge("rss_bytes", "Resident memory of the server process.")
        self.rss_bytes.set_function(lambda: self._process.memory_info().rss)

    def command_done(self, event: str, code: str, seconds: float) -> None:
        """Count one command; `code` is `ok` or an error's code."""
        known = event if event in self._events else OTHER
        self.commands.labels(known, code).inc()
        self.command_seconds.labels(known).observe(seconds)

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
