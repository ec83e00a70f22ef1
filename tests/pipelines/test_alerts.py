"""Alerts as a receiver meets them: a real HTTP server that checks the signature."""

import hashlib
import hmac
import http.server
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipelines.alerts import AlertNotSent, alert, occasion, signature
from tests.pipelines.test_bad_input import Command, command, write_job
from tests.pipelines.test_runs import GATE, RECORD, START
from tests.pipelines.test_schedule import NOW, record, spec

__all__ = ["command"]


def test_an_occasion_depends_on_the_run_before() -> None:
    good, bad, broken = record("a"), record("b", "failed"), record("c", "timeout")
    assert occasion(bad, good) == "gate_failed"
    assert occasion(broken, good) == "error"
    assert occasion(good, bad) == "recovered"
    assert occasion(good, good) == occasion(good, None) == "passed"


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[bytes, dict[str, str]]]]]:
    """A real HTTP server that keeps what it is sent."""
    kept: list[tuple[bytes, dict[str, str]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.append(
                (
                    self.rfile.read(int(self.headers["Content-Length"])),
                    {name.lower(): value for name, value in self.headers.items()},
                )
            )
            broken = self.path == "/broken" or (self.path == "/flaky" and len(kept) < 2)
            self.send_response(500 if broken else 302 if self.path == "/moved" else 204)
            self.send_header("Location", "/hook")
            self.end_headers()

        def do_GET(self) -> None:
            kept.append((b"sent on", {}))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", kept
    server.shutdown()
    server.server_close()


def test_an_alert_is_signed_and_tells_no_texts(
    tmp_path: Path, receiver: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, kept = receiver
    monkeypatch.setenv("ALERT_WEBHOOK", f"{url}/hook")
    monkeypatch.setenv("ALERT_WEBHOOK_SECRET", "s3cret")
    job = spec(tmp_path, more="alerts: {on: [gate_failed, error], webhook: $ALERT_WEBHOOK}\n").job
    assert alert(job, record("r1"), []) is None
    assert alert(job, record("r2", "error", reason="ValueError: canary text"), []) == "error"
    ((body, headers),) = kept
    expected = (
        "sha256="
        + hmac.new(b"s3cret", headers["x-chatcore-timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    )
    assert headers["x-chatcore-signature"] == expected == signature(body, "s3cret", headers["x-chatcore-timestamp"])
    assert orjson.loads(body)["run"] == "r2"
    assert b"canary" not in body


def test_an_alert_that_cannot_be_sent_safely_is_not(
    tmp_path: Path, receiver: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, kept = receiver
    job = spec(tmp_path, more="alerts: {on: [error], webhook: $ALERT_WEBHOOK}\n").job
    failed = record("r", "error")
    monkeypatch.setenv("ALERT_WEBHOOK", f"{url}/broken")
    with pytest.raises(AlertNotSent, match="ALERT_WEBHOOK_SECRET"):
        alert(job, failed, [])
    monkeypatch.setenv("ALERT_WEBHOOK_SECRET", "s")
    for path in ("broken", "moved"):
        monkeypatch.setenv("ALERT_WEBHOOK", f"{url}/{path}")
        with pytest.raises(AlertNotSent, match="did not take it"):
            alert(job, failed, [], pauses=())
    assert len(kept) == 2  # and none where the second was sent on to
    monkeypatch.setenv("ALERT_WEBHOOK", "http://example.org/hook")
    with pytest.raises(AlertNotSent, match="must be https"):
        alert(job, failed, [])


def test_an_alert_is_tried_again_where_the_receiver_stumbles(
    tmp_path: Path, receiver: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, kept = receiver
    monkeypatch.setenv("ALERT_WEBHOOK", f"{url}/flaky")
    monkeypatch.setenv("ALERT_WEBHOOK_SECRET", "s")
    job = spec(tmp_path, more="alerts: {on: [error], webhook: $ALERT_WEBHOOK}\n").job
    assert alert(job, record("r", "error"), [], pauses=(0.0, 0.0)) == "error"
    assert len(kept) == 2


def test_a_run_that_was_stopped_is_no_failure_to_recover_from(
    tmp_path: Path, receiver: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, kept = receiver
    monkeypatch.setenv("ALERT_WEBHOOK", f"{url}/hook")
    monkeypatch.setenv("ALERT_WEBHOOK_SECRET", "s")
    job = spec(tmp_path, more="alerts: {on: [recovered], webhook: $ALERT_WEBHOOK}\n").job
    history = [
        record("stopped", "interrupted", NOW - timedelta(hours=1)),
        record("good", "passed", NOW - timedelta(hours=2)),
    ]
    assert alert(job, record("r"), history) is None
    history[1] = record("bad", "failed", NOW - timedelta(hours=2))
    assert alert(job, record("r"), history) == "recovered"
    assert len(kept) == 1


def test_whoever_watches_hears_of_a_failed_gate_and_of_the_recovery_once(
    tmp_path: Path, command: Command, receiver: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, kept = receiver
    monkeypatch.setenv("ALERT_WEBHOOK", f"{url}/hook")
    monkeypatch.setenv("ALERT_WEBHOOK_SECRET", "s3cret")
    path = str(write_job(tmp_path, "watched", [START, RECORD, GATE], "alerts: {webhook: $ALERT_WEBHOOK}\n"))
    codes = [command("run", path, *more)[0] for more in (("--set", "score=0.4"), (), ())]
    assert codes == [1, 0, 0]
    assert [orjson.loads(body)["event"] for body, _ in kept] == ["gate_failed", "recovered"]
    for body, headers in kept:
        assert headers["x-chatcore-signature"] == signature(body, "s3cret", headers["x-chatcore-timestamp"])
