"""Gates: what must hold of a run's metrics. `record` measures, a gate decides; the two stay apart."""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from chatcore.lab.pages import Table, number
from chatcore.lab.runs.metrics import Metric

Bound = Literal["value", "ci_low", "ci_high"]
Operator = Literal[">=", "<=", ">", "<", "=="]
State = Literal["passed", "failed", "inconclusive", "missing"]
COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
SIDE = {"value": "value", "ci_low": "lower bound", "ci_high": "upper bound"}


class Gate(BaseModel):
    """One condition. `vs: baseline` compares with the job's kept run; any other `vs` must be what the metric says of
    itself. An advisory gate is judged and shown, and stops nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    bound: Bound = "value"
    op: Operator = ">="
    value: float
    vs: str = ""
    advisory: bool = False

    def __str__(self) -> str:
        against = f" vs {self.vs}" if self.vs else ""
        side = "" if self.bound == "value" else f" ({SIDE[self.bound]})"
        return f"{self.metric}{side}{against} {self.op} {self.value:g}"


class Judged(BaseModel):
    """`sentence` says what was found and what was asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: Gate
    state: State
    found: float | None = None
    sentence: str = ""


class GateReport(BaseModel):
    """All gates of a run. Only when each that is not advisory passed has the run passed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judged: tuple[Judged, ...] = Field(())

    @property
    def state(self) -> State:
        """The worst of those that count; without any gate nothing was proved: `missing`."""
        states = [one.state for one in self.judged if not one.gate.advisory]
        if not states:
            return "missing"
        order: tuple[State, ...] = ("failed", "missing", "inconclusive")
        return next((bad for bad in order if bad in states), "passed")

    @property
    def passed(self) -> bool:
        return self.state == "passed"

    def __str__(self) -> str:
        return "\n".join(f"{one.state:>12}  {one.sentence}" for one in self.judged) or "no gates"

    def _repr_html_(self) -> str:
        rows = [
            [one.state + (" (advisory)" if one.gate.advisory else ""), str(one.gate), number(one.found), one.sentence]
            for one in self.judged
        ]
        return Table(["gate", "condition", "found", "what it says"], rows, frozenset({2})).html()


def judge(
    gates: Iterable[Gate], metrics: Mapping[str, Metric], baseline: Mapping[str, Metric] | None = None
) -> GateReport:
    """`baseline` holds the metrics of the job's kept run, where there is one."""
    return GateReport(judged=tuple(_judge_one(gate, metrics.get(gate.metric), baseline) for gate in gates))


def _judge_one(gate: Gate, found: Metric | None, baseline: Mapping[str, Metric] | None) -> Judged:
    if found is None:
        return Judged(gate=gate, state="missing", sentence=f"{gate.metric} was not recorded")
    if found.value is None:
        return Judged(
            gate=gate, state="missing", sentence=f"{gate.metric} could not be measured ({found.missing} missing)"
        )
    if gate.bound != "value" and not found.has_interval:
        return Judged(gate=gate, state="missing", sentence=f"{gate.metric} was recorded without an interval")
    offset, reason = _offset(gate, found, baseline)
    if offset is None:
        return Judged(gate=gate, state="missing", sentence=reason)
    return _compare(gate, found, offset)


def _offset(gate: Gate, found: Metric, baseline: Mapping[str, Metric] | None) -> tuple[float | None, str]:
    """What is subtracted before the comparison."""
    if gate.vs == "baseline":
        kept = (baseline or {}).get(gate.metric)
        if kept is None or kept.value is None:
            return None, f"there is no baseline of {gate.metric} yet: keep one with `pipelines baseline RUN`"
        return kept.value, ""
    if gate.vs and gate.vs != found.versus:
        return None, f"{gate.metric} is not a difference against {gate.vs}"
    return 0.0, ""


def _compare(gate: Gate, found: Metric, offset: float) -> Judged:
    assert found.value is not None
    holds = COMPARE[gate.op]
    side = {"value": found.value, "ci_low": found.low, "ci_high": found.high}[gate.bound]
    shifted = None if side is None else side - offset
    state: State
    if shifted is not None and holds(shifted, gate.value):
        state = "passed"
    elif gate.bound == "value":
        state = "failed"
    else:
        # The most favourable value that the data leave open: if that holds, they cannot tell.
        best = found.high if gate.op in (">=", ">") else found.low
        state = "inconclusive" if best is None or holds(best - offset, gate.value) else "failed"
    return Judged(gate=gate, state=state, found=shifted, sentence=_sentence(gate, found, shifted, state))


def _sentence(gate: Gate, found: Metric, side: float | None, state: State) -> str:
    interval = f", interval {number(found.low)} to {number(found.high)}" if found.has_interval else ""
    size = f", n = {found.n:,}" if found.n is not None else ""
    missing = f", {found.missing:,} missing" if found.missing else ""
    power = f"; a difference of {number(found.detectable)} would have been seen" if found.detectable is not None else ""
    asked = "" if gate.bound == "value" and not gate.vs else f"{SIDE[gate.bound]} {number(side)} "
    verdict = {"passed": "holds", "failed": "does not hold", "inconclusive": "cannot be told from these data"}[state]
    return (
        f"{found.name} = {number(found.value)}{found.unit and ' ' + found.unit}{interval}{size}{missing}{power}: "
        f"{asked}{gate.op} {gate.value:g} {verdict}"
    )
