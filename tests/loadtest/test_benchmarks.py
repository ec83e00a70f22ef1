"""The table of targets: medians, ratios within a repetition, verdicts, and what RESULTS.md says."""

from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.rows import Better, Row


@pytest.mark.parametrize(
    ("better", "samples", "verdict"),
    [
        ("more", [1_900.0, 2_100.0, 2_000.0], "met"),
        ("more", [1_900.0, 1_990.0, 5_000.0], "missed"),
        ("less", [1_900.0, 1_990.0, 5_000.0], "met"),
        ("less", [2_001.0], "missed"),
        ("more", [], "not measured"),
    ],
)
def test_the_median_is_held_against_the_target(better: Better, samples: list[float], verdict: str) -> None:
    assert Row("r", "messages/s", better, "core 0", 2_000, samples).verdict == verdict


def test_a_row_without_a_target_only_informs() -> None:
    assert Row("r", "MiB", "less", "core 0", None, [80.0]).verdict == ""


def test_a_ratio_is_taken_within_each_repetition() -> None:
    # The machine slowed down to a tenth in the last repetition: the ratio does not see it.
    row = Row("r", "x Node", "more", "core 0", 2.5, [3_000.0, 3_300.0, 300.0], [1_000.0, 1_100.0, 100.0])
    assert row.ratio == pytest.approx(3.0)
    assert row.verdict == "met"


def test_without_the_other_server_a_ratio_is_not_measured() -> None:
    assert Row("r", "x Node", "more", "core 0", 2.5, [3_000.0]).verdict == "not measured"


def test_the_results_name_machine_method_cores_and_a_busy_machine(tmp_path: Path) -> None:
    rows = [Row("memory", "MiB", "less", "server on core 0", 250, [120.0, 130.0, 125.0])]
    path = tmp_path / "RESULTS.md"
    for busy in (4.2, 0.1):
        results.write(path, [("Part", rows)], how="make bench", took_seconds=600, rival="nothing", busy=busy)
        text = path.read_text()
        assert "Made by `make bench`" in text
        assert "| memory | <= 250 MiB | 125 MiB | 120 - 130 | met | server on core 0 |" in text
        assert "cores (" in text
        assert "python-socketio 5.18.1" in text
        assert ("load average 4.2" in text) == (busy > results.BUSY)
