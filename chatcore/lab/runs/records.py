"""The registry's row of one run."""

import re
import secrets
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chatcore.lab.runs.gates import GateReport
from chatcore.lab.runs.metrics import Metric

Status = Literal["running", "passed", "failed", "inconclusive", "error", "timeout", "interrupted"]
EXIT_CODES: dict[Status, int] = {
    "passed": 0,
    "failed": 1,
    "inconclusive": 1,
    "error": 2,
    "running": 2,
    "timeout": 124,
    "interrupted": 130,
}


RUN_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}\z"


class RunRecord(BaseModel):
    """`artifacts` maps a file of the run's folder to its SHA-256, so that a changed report is noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str = Field(pattern=RUN_ID, description="a folder's name as well")
    job: str
    notebook: str
    matrix_key: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    status: Status = "running"
    reason: str = Field("", description="why it is not passed, for people")
    attempt: int = 1
    started_at: datetime
    finished_at: datetime | None = None
    scheduled_at: datetime | None = None
    metrics: tuple[Metric, ...] = ()
    gates: GateReport = GateReport()
    datasets: tuple[str, ...] = ()
    artifacts: dict[str, str] = Field(default_factory=dict)
    location: str = Field("", description="folder or s3:// address of the artifacts")
    commit: str = Field("", description="of the code, with a + where the tree had changes")
    spec_sha256: str = ""
    notebook_sha256: str = ""
    chatcore: str = ""

    @property
    def seconds(self) -> float | None:
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.status]

    def metric(self, name: str) -> Metric | None:
        return next((one for one in self.metrics if one.name == name), None)


def new_run_id(job: str, *, now: datetime | None = None) -> str:
    """Sorts by time within a job: `smart-reply-20260105T031500-9f2c41`."""
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S")
    name = re.sub(r"[^a-z0-9-]+", "-", job.lower())[:40].strip("-") or "run"
    return f"{name}-{moment}-{secrets.token_hex(3)}"
