"""Runs for CI: JUnit XML and a Markdown summary."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from chatcore.lab.pages import number
from chatcore.lab.runs import RunRecord

CONTROL = dict.fromkeys(code for code in range(32) if code not in (9, 10, 13))


def junit(records: Sequence[RunRecord]) -> str:
    """One suite, a test case for each gate; a run without a verdict is one case with an error."""
    suite = Element("testsuite", name="pipelines")
    failures = errors = 0
    for record in records:
        if record.status in ("error", "timeout", "interrupted", "running"):
            errors += 1
            case = _case(suite, record, record.status)
            SubElement(case, "error", message=_clean(record.reason), type=record.status)
            continue
        for judged in record.gates.judged:
            case = _case(suite, record, str(judged.gate))
            if judged.state != "passed" and not judged.gate.advisory:
                failures += 1
                SubElement(case, "failure", message=_clean(judged.sentence), type=judged.state)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failures))
    suite.set("errors", str(errors))
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(suite, encoding="unicode") + "\n"


def _case(suite: Element, record: RunRecord, name: str) -> Element:
    where = record.job + (f"[{record.matrix_key}]" if record.matrix_key else "")
    return SubElement(suite, "testcase", classname=where, name=_clean(name), time=f"{record.seconds or 0:.3f}")


def _clean(text: str) -> str:
    return text.translate(CONTROL)


def markdown(records: Sequence[RunRecord]) -> str:
    """A table of gates, for the summary of a CI job or a comment."""
    lines = ["| job | gate | state | what it says |", "|---|---|---|---|"]
    for record in records:
        title = record.job + (f" [{record.matrix_key}]" if record.matrix_key else "")
        if not record.gates.judged or record.status in ("error", "timeout", "interrupted"):
            lines.append(f"| {_cell(title)} | | **{record.status}** | {_cell(record.reason)} |")
        lines += [
            f"| {_cell(title)} | {_cell(str(one.gate))} | {_bold(one.state)} | {_cell(one.sentence)} |"
            for one in record.gates.judged
        ]
    measured = [
        f"| {_cell(record.job)} | {_cell(one.name)} | {number(one.value)} {one.unit} "
        f"| {number(one.low)} | {number(one.high)} |"
        for record in records
        for one in record.metrics
    ]
    if measured:
        lines += ["", "| job | metric | value | low | high |", "|---|---|---|---|---|", *measured]
    return "\n".join(lines) + "\n"


def _bold(state: str) -> str:
    return state if state == "passed" else f"**{state}**"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
