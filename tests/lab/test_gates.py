"""A gate opens only on evidence: what is missing, unknown or inconclusive keeps it shut."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chatcore import lab
from chatcore.lab import statistics as st
from chatcore.lab.runs import Gate, GateFailed, SecretAsParameter, judge, metric


def state(gate: Gate, *metrics: object, baseline: dict[str, object] | None = None) -> str:
    found = {one.name: one for one in metrics}  # type: ignore[attr-defined]
    return judge([gate], found, baseline).state  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "op", "bound", "expected"),
    [
        (0.9, ">=", 0.9, "passed"), (0.89, ">=", 0.9, "failed"), (0.9, ">", 0.9, "failed"),
        (3, "<=", 3, "passed"), (4, "<=", 3, "failed"), (0, "==", 0, "passed"), (1, "==", 0, "failed"),
    ],
)  # fmt: skip
def test_a_number_is_compared_as_it_is(value: float, op: str, bound: float, expected: str) -> None:
    assert state(Gate(metric="m", op=op, value=bound), metric("m", value)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hits", "n", "expected"), [(990, 1000, "passed"), (92, 100, "inconclusive"), (80, 100, "failed")]
)
def test_a_bound_asks_the_interval_and_may_be_inconclusive(hits: int, n: int, expected: str) -> None:
    gate = Gate(metric="recall", bound="ci_low", op=">=", value=0.9)
    assert state(gate, metric("recall", st.wilson(hits, n))) == expected


def test_an_upper_bound_asks_the_other_side() -> None:
    gate = Gate(metric="attacks", bound="ci_high", op="<=", value=0.05)
    assert state(gate, metric("attacks", st.event_rate(0, 200))) == "passed"
    assert state(gate, metric("attacks", st.event_rate(0, 20))) == "inconclusive"
    assert state(gate, metric("attacks", st.event_rate(50, 100))) == "failed"


def test_what_was_not_measured_never_passes() -> None:
    at_most = Gate(metric="errors", op="<=", value=5)
    assert state(at_most) == "missing"
    assert state(at_most, metric("errors", None)) == "missing"
    assert state(at_most, metric("errors", math.nan)) == "missing"
    assert state(Gate(metric="errors", bound="ci_high", op="<=", value=5), metric("errors", 0)) == "missing"
    assert judge([], {}).state == "missing"


def test_an_open_interval_is_inconclusive() -> None:
    open_ended = st.clustered_mean([1.0, 1.0], clusters=[["a", "a"]])
    assert state(Gate(metric="m", bound="ci_low", value=0.5), metric("m", open_ended)) == "inconclusive"


def test_a_baseline_is_subtracted_and_must_exist() -> None:
    gate = Gate(metric="auprc", op=">=", value=-0.02, vs="baseline")
    assert state(gate, metric("auprc", 0.80), baseline={"auprc": metric("auprc", 0.81)}) == "passed"
    assert state(gate, metric("auprc", 0.78), baseline={"auprc": metric("auprc", 0.81)}) == "failed"
    assert state(gate, metric("auprc", 0.80)) == "missing"


def test_a_gate_against_live_refuses_a_metric_that_is_no_difference() -> None:
    gate = Gate(metric="quality", bound="ci_low", value=-0.02, vs="live")
    gains = np.random.default_rng(0).normal(0.1, 0.1, 100)
    frame = pd.DataFrame({"sample": range(100), "score": gains})
    found = st.paired_difference(frame, frame.assign(score=0.0))
    assert state(gate, metric("quality", found)) == "passed"
    assert state(gate, metric("quality", st.clustered_mean(gains))) == "missing"


def test_an_advisory_gate_is_shown_and_stops_nothing() -> None:
    firm, advice = Gate(metric="a", value=1), Gate(metric="b", value=1, advisory=True)
    report = judge([firm, advice], {"a": metric("a", 1), "b": metric("b", 0)})
    assert report.passed
    assert [one.state for one in report.judged] == ["passed", "failed"]
    assert "advisory" in report._repr_html_()
    assert judge([advice], {"b": metric("b", 1)}).state == "missing"


# --- run


def written(run: lab.Run) -> dict[str, object]:
    found: dict[str, object] = json.loads((run.folder / "metrics.json").read_text())
    return found


def test_a_run_writes_what_it_measured_and_finishes_only_at_its_gate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHATCORE_RUN", str(tmp_path))
    run = lab.start({"seed": 3, "epochs": 2, "np": np, "_hidden": 1})
    assert run.parameters == {"seed": 3, "epochs": 2}
    run.record("auprc", st.wilson(80, 100), better="higher", at_least=0.9)
    assert written(run)["finished"] is False
    report = run.gate()  # decides elsewhere, so the notebook goes on
    assert report.state == "failed"
    assert written(run)["finished"] is True


def test_outside_of_pipelines_a_failed_gate_stops_the_notebook() -> None:
    run = lab.start({})
    run.record("lost", 1, at_most=0)
    with pytest.raises(GateFailed, match="lost = 1"):
        run.gate()
    fine = lab.start({})
    fine.record("lost", 0, at_most=0)
    assert fine.gate().passed


def test_a_name_is_recorded_once() -> None:
    run = lab.start({})
    run.record("a", 1)
    with pytest.raises(ValueError, match="recorded already"):
        run.record("a", 2)


def test_a_seed_makes_draws_repeat() -> None:
    draws = []
    for _ in range(2):
        lab.start({"seed": 5})
        draws.append(np.random.random())
    assert draws[0] == draws[1]


@pytest.mark.parametrize("name", ["openai_api_key", "TOKEN", "password", "db_password"])
def test_a_secret_is_no_parameter(name: str) -> None:
    with pytest.raises(SecretAsParameter):
        lab.start({name: "x"})
    lab.start({"monkey": "x", "keyboard": 1, "tokens_a_day": 3} if name == "TOKEN" else {})


def test_importing_the_lab_loads_nothing_slow() -> None:
    """The command line of the pipelines and a small notebook start fast; each library comes with its first use."""
    slow = ("aiohttp", "socketio", "papermill", "pandas", "scipy", "sklearn", "statsmodels", "matplotlib")
    program = f"import sys, chatcore.lab, chatcore.lab.runs; print([m for m in {slow} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"
