"""A webhook tells of failed gates, errors and recoveries, signed so that the receiver can trust it."""

import hashlib
import hmac
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from urllib.parse import urlsplit

import orjson

from chatcore.lab.runs import RunRecord
from chatcore.lab.surroundings import VariableNotSet, expand
from pipelines.specs import Job

SECRET_VARIABLE = "ALERT_WEBHOOK_SECRET"  # noqa: S105 - its name
TIMEOUT_SECONDS = 10.0
LOCAL = {"127.0.0.1", "localhost", "::1"}
PAUSES = (1.0, 4.0)  # seconds before another attempt
UNDECIDED = ("running", "interrupted")


class _StayThere(urllib.request.HTTPRedirectHandler):
    """A signed alert goes to the address that was configured, and to no other."""

    def redirect_request(self, *_: object) -> None:
        return None


OPENER = urllib.request.build_opener(_StayThere)


class AlertNotSent(Exception):
    """The receiver did not take it; the run itself is not changed by that."""


def occasion(record: RunRecord, before: RunRecord | None) -> str | None:
    """What there is to tell of this run, given the one before it."""
    if record.status in ("failed", "inconclusive"):
        return "gate_failed"
    if record.status != "passed":
        return "error"
    return "recovered" if before is not None and before.status != "passed" else "passed"


def alert(job: Job, record: RunRecord, history: Sequence[RunRecord], *, pauses: Sequence[float] = PAUSES) -> str | None:
    """Sends where the job asks for this occasion; returns it. `history` is newest first, this run among it or not.

    Blocks for some seconds where the receiver is slow. A receiver may see an alert twice: its run says so.

    Raises AlertNotSent. Without ALERT_WEBHOOK_SECRET nothing is sent: an unsigned alert could be anybody's.
    """
    if job.alerts is None:
        return None
    before = next(
        (
            one
            for one in history
            if one.started_at < record.started_at
            and one.matrix_key == record.matrix_key
            and one.status not in UNDECIDED
        ),
        None,
    )
    told = occasion(record, before)
    if told not in job.alerts.on:
        return None
    try:
        url, secret = expand(job.alerts.webhook), expand(f"${SECRET_VARIABLE}")
    except VariableNotSet as error:
        raise AlertNotSent(str(error)) from None
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL):
        raise AlertNotSent("a webhook must be https")
    body = orjson.dumps(payload(told, record))
    for pause in pauses:
        try:
            _post(url, body, secret)
        except AlertNotSent:
            time.sleep(pause)
        else:
            return told
    _post(url, body, secret)
    return told


def payload(told: str, record: RunRecord) -> dict[str, object]:
    """No outputs and no texts of people: what failed, and where the report is."""
    return {
        "event": told,
        "job": record.job,
        "matrix": record.matrix_key,
        "run": record.run_id,
        "status": record.status,
        "reason": record.reason if record.status in ("passed", "failed", "inconclusive", "timeout") else record.status,
        "report": f"{record.location}/report.html" if record.location else "",
        "at": record.started_at.isoformat(),
    }


def signature(body: bytes, secret: str, timestamp: str) -> str:
    """`sha256=` and the HMAC over `timestamp.body`: a receiver also refuses old timestamps."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _post(url: str, body: bytes, secret: str) -> None:
    timestamp = str(int(time.time()))
    request = urllib.request.Request(  # noqa: S310 - https, or this machine
        url, body, {"Content-Type": "application/json", "X-Chatcore-Timestamp": timestamp,
                    "X-Chatcore-Signature": signature(body, secret, timestamp)}, method="POST",
    )  # fmt: skip
    try:
        with OPENER.open(request, timeout=TIMEOUT_SECONDS):
            return
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise AlertNotSent(f"the webhook did not take it: {getattr(error, 'reason', error)}") from None
