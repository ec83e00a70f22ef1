"""Numbers for Prometheus: complete, bounded, and about nobody."""

import asyncio
import contextlib
import inspect
import re

from prometheus_client.parser import text_string_to_metric_families

from chatcore.metrics import Metrics
from chatcore.transport.metrics import SocketMetrics

# The observability list of the product: what an operator must be able to see.
PROMISED = {
    "chatcore_connections",
    "chatcore_commands",
    "chatcore_command_seconds",
    "chatcore_commit_seconds",
    "chatcore_delivery_seconds",
    "chatcore_queue_depth",
    "chatcore_slow_reader_aborts",
    "chatcore_resyncs",
    "chatcore_duplicates",
    "chatcore_denials",
    "chatcore_rate_limits",
    "chatcore_unreadable",
    "chatcore_ai_calls",
    "chatcore_ai_seconds",
    "chatcore_ai_tokens",
    "chatcore_ai_breaker_open",
    "chatcore_loop_lag_seconds",
    "chatcore_rss_bytes",
}


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_every_promised_number_is_there() -> None:
    families = {family.name for family in text_string_to_metric_families(Metrics().render().decode())}
    assert families >= PROMISED


def test_labels_come_from_a_closed_set_of_names_that_tell_of_no_one() -> None:
    metrics = Metrics()
    names = {label for collector in vars(metrics).values() for label in getattr(collector, "_labelnames", ())}
    assert names == {"event", "code", "reason", "kind", "queue", "limit", "task", "outcome", "direction"}


def test_commands_are_counted_by_event_and_code() -> None:
    metrics = Metrics(events=["send_message"])
    metrics.command_done("send_message", "ok", 0.002)
    metrics.command_done("send_message", "ok", 0.002)
    metrics.command_done("send_message", "rate_limited", 0.001)
    counted = samples(metrics)
    assert counted["chatcore_commands_total", (("code", "ok"), ("event", "send_message"))] == 2
    assert counted["chatcore_commands_total", (("code", "rate_limited"), ("event", "send_message"))] == 1
    assert counted["chatcore_command_seconds_count", (("event", "send_message"),)] == 3


def test_a_client_cannot_make_new_series_with_invented_events() -> None:
    metrics = Metrics(events=["send_message"])
    for number in range(1000):
        metrics.command_done(f"canary_{number}", "unknown_event", 0.001)
    text = metrics.render().decode()
    assert "canary" not in text
    assert samples(metrics)["chatcore_commands_total", (("code", "unknown_event"), ("event", "other"))] == 1000


def test_two_apps_in_one_process_count_apart() -> None:
    one, two = Metrics(), Metrics()
    one.connections.inc(3)
    assert samples(one)["chatcore_connections", ()] == 3
    assert samples(two)["chatcore_connections", ()] == 0


def test_all_that_the_socket_server_reports_is_counted() -> None:
    metrics = Metrics()
    promised = {
        name: inspect.signature(method) for name, method in inspect.getmembers(SocketMetrics, inspect.isfunction)
    }
    for name in (name for name in promised if not name.startswith("_")):
        assert inspect.signature(getattr(Metrics, name)) == promised[name]
    reported: list[tuple[str, tuple[object, ...], str, tuple[tuple[str, str], ...], float]] = [
        ("sessions_changed", (5,), "sessions", (), 5),
        ("connections_changed", (4,), "connections", (), 4),
        ("packets_received", (3,), "received_packets_total", (), 3),
        ("packets_sent", (7,), "sent_packets_total", (), 7),
        ("volatile_dropped", (2,), "dropped_packets_total", (), 2),
        ("slow_reader_aborted", (), "slow_reader_aborts_total", (), 1),
        ("violation", ("reserved",), "violations_total", (("kind", "reserved"),), 1),
        ("connect_refused", ("rate",), "connects_refused_total", (("reason", "rate"),), 1),
        ("inbox_depth", (9,), "inbox_packets_sum", (), 9),
    ]
    assert {row[0] for row in reported} == {name for name in promised if not name.startswith("_")}
    for method, arguments, series, labels, value in reported:
        getattr(metrics, method)(*arguments)
        assert samples(metrics)[f"chatcore_{series}", labels] == value


def test_memory_is_read_when_asked() -> None:
    assert samples(Metrics())["chatcore_rss_bytes", ()] > 1_000_000


async def test_a_blocked_loop_shows_as_lag() -> None:
    metrics = Metrics()
    watch = asyncio.create_task(metrics.watch_loop(interval_seconds=0.01))
    await asyncio.sleep(0)
    blocked = asyncio.get_running_loop().time() + 0.06
    while asyncio.get_running_loop().time() < blocked:
        pass
    while samples(metrics)["chatcore_loop_lag_seconds_count", ()] == 0:
        await asyncio.sleep(0.005)
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    assert samples(metrics)["chatcore_loop_lag_seconds_sum", ()] >= 0.04


def test_the_content_type_is_that_of_the_rendered_format() -> None:
    assert re.match(r"text/plain; version=[0-9.]+", Metrics.content_type)
