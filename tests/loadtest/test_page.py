"""The report is one file that loads nothing, and its plots show what was measured."""

import re
from typing import Any

import pytest

from chatcore.loadtest.charts import MAX_POINTS, Line, line_chart, nice_ticks, thinned
from chatcore.loadtest.conductor import warnings
from chatcore.loadtest.measures import Histogram
from chatcore.loadtest.page import page


def report(**changed: Any) -> dict[str, Any]:
    spread = Histogram()
    spread.add(range(1_000, 60_000, 500))
    second = {"sent": 100, "acked": 99, "delivered": 900, "ack_p50": 4.0, "ack_p99": 9.0, "delivery_p50": 3.0,
              "delivery_p99": None, "cpu": {"server": 0.25, "load": 0.1}}  # fmt: skip
    made: dict[str, Any] = {
        "machine": {"cores": 2, "memory_gib": 8.0, "processor": "P <1>", "system": "Linux 6", "python": "3.11.7"},
        "server": {"url": "http://127.0.0.1:1", "version": "0.1.0"},
        "messages": {"per_second": 100.0, "refused": {}, "unanswered": 0, "cuts": 0},
        "acks": spread.summary() | {"curve": spread.curve()},
        "deliveries": spread.summary()
        | {"curve": spread.curve(), "per_second": 900.0, "per_server_cpu_second": 3600.0},
        "verdict": {"clean": True},
        "usage": {"seconds": 2.0, "server": {"cpu_seconds": 0.5}, "load": {"cpu_seconds": 0.2}},
        "late_ms": 1.0,
        "series": [second, second | {"acked": 101}, second],
        "warnings": [],
    }
    return made | changed


def test_the_page_loads_nothing_from_anywhere() -> None:
    text = page(report(), "200 clients", [("messages", "all")])
    assert not re.search(r"<(script|link|img|iframe)|src=|@import|url\(", text)
    assert re.findall(r"https?://[^\s<\"]+", text) == ["http://127.0.0.1:1,"]


def test_what_machines_and_servers_say_cannot_become_markup() -> None:
    text = page(report(), "<b>", [("<i>", "<u>")])
    assert not re.search(r"<b>|<i>|<u>|<1>", re.sub(r'<div class="tile"><b>', "", text))


def test_each_plot_has_words_in_place_of_the_picture() -> None:
    text = page(report(), "200 clients", [])
    plots = re.findall(r"<svg [^>]*>", text)
    assert len(plots) == 4
    assert all('role="img" aria-label="' in plot for plot in plots)


def test_a_server_that_cannot_be_seen_leaves_its_cost_out() -> None:
    unseen = report(usage={"seconds": 2.0, "load": {"cpu_seconds": 0.2}})
    assert "of a core, server" in page(report(), "h", [])
    assert "of a core, server" not in page(unseen, "h", [])


def test_an_unclean_run_is_said_at_the_top() -> None:
    assert "not every view equals the log" in page(report(verdict={"clean": False}), "h", [])


def test_a_higher_value_is_drawn_higher() -> None:
    drawn = line_chart([Line("a", 0, [(0, 1.0), (1, 3.0), (2, 2.0)])], says="s", x_title="x", y_title="y")
    (points,) = re.findall(r'points="([^"]+)"', drawn)
    first, second, third = (float(point.split(",")[1]) for point in points.split())
    assert second < third < first


def test_one_point_is_no_line() -> None:
    assert line_chart([Line("a", 0, [(0, 1.0)])], says="s", x_title="x", y_title="y") == ""


@pytest.mark.parametrize(
    ("highest", "ticks"), [(4, [0, 1, 2, 3, 4]), (0.9, [0, 0.5, 1]), (1_234, [0, 500, 1_000, 1_500])]
)
def test_ticks_are_round_numbers_that_reach_the_highest_value(highest: float, ticks: list[float]) -> None:
    assert nice_ticks(highest) == ticks


def test_long_series_keep_their_ends() -> None:
    points = [(float(i), float(i)) for i in range(10_007)]
    kept = thinned(points)
    assert len(kept) <= MAX_POINTS + 1
    assert (kept[0], kept[-1]) == (points[0], points[-1])


def test_a_load_process_that_works_harder_than_the_server_is_warned_of() -> None:
    busy = report(usage={"seconds": 2.0, "server": {"cpu_seconds": 0.5}, "load": {"cpu_seconds": 0.6}})
    assert any("more CPU time than the server" in text for text in warnings(busy))
    assert warnings(report()) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"late_ms": 80.0}, "80 ms late"),
        ({"messages": {"refused": {"rate_limited": 3}, "unanswered": 0, "cuts": 0}}, "3 x rate_limited"),
        ({"messages": {"refused": {}, "unanswered": 4, "cuts": 0}}, "4 messages were never answered"),
        ({"messages": {"refused": {}, "unanswered": 0, "cuts": 2}}, "2 connections were lost"),
        ({"verdict": {"clean": False}}, "Not every view equals the log"),
        ({"usage": {"seconds": 2.0, "load": {"cpu_seconds": 0.6}}}, "cannot be seen"),
    ],
)
def test_what_makes_numbers_doubtful_is_said(changed: dict[str, Any], told: str) -> None:
    assert any(told in text for text in warnings(report(**changed)))
