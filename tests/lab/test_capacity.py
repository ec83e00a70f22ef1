"""Load up to the knee and a soak, against the real server in a process of its own."""

import doctest
import math
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import psutil
import pytest

from chatcore.lab import capacity
from chatcore.lab.capacity import Climb, Load, LoadFailed, OwnServer, Soak, climb, memory_slope, promises, soak, steps


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with OwnServer() as running:
        yield running


def step(offered: float, p95: float, **changed: Any) -> dict[str, Any]:
    plain = {"clients": 10, "offered": offered, "reached": offered, "p50": 1.0, "p95": p95, "p99": 2.0, "timed": 5,
             "deliveries": 9.0, "server_cores": 0.1, "broken": 0, "refused": 0, "holds": p95 <= 50.0}  # fmt: skip
    return plain | changed


def test_each_step_times_what_it_offered_and_no_promise_is_broken(server: OwnServer) -> None:
    found = climb(server.url, steps("6x10, 12x20", seconds=1), budget_ms=60_000)
    assert found.table["clients"].tolist() == [6, 12]
    assert found.table["timed"].tolist() == [pytest.approx(10, abs=2), pytest.approx(20, abs=2)]
    assert found.broken == 0
    assert found.table["server_cores"].gt(0).all(), "the server is another process than the load, and is seen"
    assert found.knee is not None
    assert "every promise was kept" in found.sentence
    assert capacity.knee_chart(found).axes[0].get_title() == "Waiting"


def test_a_soak_sees_the_servers_memory_each_second(server: OwnServer) -> None:
    held = soak(server.url, Load(6, 10, 2, warmup_seconds=0))
    assert len(held.points) == 2
    assert held.points["rss_mib"].gt(20).all()
    assert held.broken == 0
    assert math.isinf(held.slope.high), "two seconds say nothing of memory"
    assert "too few to tell" in held.sentence


def test_the_climb_ends_where_nothing_holds_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Load] = []

    def slow(_: str, wanted: Load) -> dict[str, Any]:
        asked.append(wanted)
        acks = {"p50": 1.0, "p95": 90.0 if len(asked) > 1 else 5.0, "p99": 95.0, "count": 10}
        verdict = dict.fromkeys(capacity.WRONGS, 0) | {"lost": 1 if len(asked) == 3 else 0}
        messages = {"per_second": wanted.rate, "refused": {}, "unanswered": 0}
        return {"acks": acks, "usage": {"seconds": 1.0}, "messages": messages, "verdict": verdict, "warnings": ["w"],
                "deliveries": {"per_second": 1.0}}  # fmt: skip

    monkeypatch.setattr(capacity, "load", slow)
    found = climb("http://127.0.0.1:1", steps("2x10,2x20,2x30,2x40", seconds=1))
    assert len(asked) == 3
    assert found.knee is not None
    assert found.knee["offered"] == 10
    assert found.broken == 1
    assert found.warnings == ("w",)
    assert "1 promises were broken" in found.sentence


def test_the_knee_is_the_last_step_before_the_first_that_fails() -> None:
    assert Climb(pd.DataFrame([step(10, 80), step(20, 5)]), 50).knee is None
    top = Climb(pd.DataFrame([step(10, 5), step(20, 6)]), 50)
    assert top.knee is not None
    assert top.knee["offered"] == 20
    assert "no knee was reached" in top.sentence
    assert "are too much here" in Climb(pd.DataFrame([step(10, 80)]), 50).sentence


def test_promises_are_counted_by_kind() -> None:
    verdict = dict.fromkeys(capacity.WRONGS, 0) | {"repeats": 2, "clean": False}
    told = promises({"verdict": verdict, "messages": {"unanswered": 3}})
    assert (sum(told.values()), told["repeats"], told["unanswered"]) == (5, 2, 3)


def test_a_leak_is_told_from_a_server_that_stays_level() -> None:
    level = memory_slope(pd.Series([100.0 + (second % 7) * 0.1 for second in range(600)]))
    leak = memory_slope(pd.Series([100.0 + second / 60 for second in range(600)]))
    assert level.low <= 0 <= level.high
    assert leak.estimate == pytest.approx(60)
    assert "grows" in Soak(pd.DataFrame({"second": range(600)}), leak, 0).sentence
    assert math.isnan(memory_slope(pd.Series([float("nan")] * 60)).estimate)


def test_a_load_that_cannot_run_says_why() -> None:
    with pytest.raises(LoadFailed, match="did not run"):
        capacity.load("http://127.0.0.1:9", Load(4, 10, 1))
    with pytest.raises(ValueError, match="reads like"):
        steps("many", seconds=1)
    assert doctest.testmod(capacity).failed == 0


def test_the_server_ends_with_its_database_and_a_repeat_does_nothing(server: OwnServer) -> None:
    family = [server.pid, *(child.pid for child in psutil.Process(server.pid).children(recursive=True))]
    assert len(family) > 1
    server.close()
    server.close()
    for _ in range(100):
        if not any(psutil.pid_exists(pid) for pid in family):
            break
        time.sleep(0.05)
    assert not any(psutil.pid_exists(pid) for pid in family)
