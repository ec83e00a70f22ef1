"""Runs of notebooks: what they measured, whether their gates hold, and where they are kept."""

from chatcore.lab.runs.gates import Gate, GateReport, Judged, judge
from chatcore.lab.runs.metrics import Metric, metric
from chatcore.lab.runs.records import EXIT_CODES, RunRecord, Status, new_run_id
from chatcore.lab.runs.run import FOLDER_VARIABLE, METRICS_FILE, GateFailed, Run, SecretAsParameter, start
from chatcore.lab.runs.store import RunStore, open_runs

__all__ = [
    "EXIT_CODES",
    "FOLDER_VARIABLE",
    "METRICS_FILE",
    "Gate",
    "GateFailed",
    "GateReport",
    "Judged",
    "Metric",
    "Run",
    "RunRecord",
    "RunStore",
    "SecretAsParameter",
    "Status",
    "judge",
    "metric",
    "new_run_id",
    "open_runs",
    "start",
]
