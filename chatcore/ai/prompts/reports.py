"""Evaluation reports as evidence: what one must be in itself before anybody leans on it."""

import hashlib
import json
import operator
from collections.abc import Callable, Mapping
from typing import Final

from chatcore.contract.ai_admin import Report, ReportGate
from chatcore.errors import Invalid

HOLDS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
UNSEALED: Final = "0" * 64


def digest_of(report: Report) -> str:
    """Hex, of everything but the digest itself."""
    content = report.model_dump(mode="json", by_alias=True, exclude={"sha256"})
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(report: Report) -> Report:
    """With its digest."""
    return report.model_copy(update={"sha256": digest_of(report)})


def require_consistent(report: Report) -> None:
    """Raises Invalid where it was changed after it was sealed, or says `passed` and its own numbers do not."""
    if digest_of(report) != report.sha256:
        raise Invalid("The report was changed after it was sealed: its digest does not fit", field="sha256")
    for gate in report.gates:
        if gate.state == "passed" and not _holds(gate):
            raise Invalid(f"The report says that {gate.metric} passed, and its numbers do not", field="gates")
    counting = [gate for gate in report.gates if not gate.advisory]
    if report.status == "passed" and not (counting and all(gate.state == "passed" for gate in counting)):
        raise Invalid("The report says that it passed, and its gates do not", field="status")


def _holds(gate: ReportGate) -> bool:
    return gate.found is not None and HOLDS[gate.op](gate.found, gate.value)
