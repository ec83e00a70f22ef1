"""No line of a log can carry content, tokens or addresses, whoever writes it."""

import ast
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from chatcore import logs

ROOT = Path(__file__).parents[2]
CANARIES = (
    "canary text of a message",
    "eyJhbGciOiJSUzI1NiJ9." + "eyJzdWIiOiJjYW5hcnkifQ" * 4 + ".canary",
    "canary@example.org",
    "canary\nline",
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.SILENCED}
    before = structlog.get_config()
    out = io.StringIO()
    logs.set_up("debug", stream=out)
    structlog.contextvars.clear_contextvars()
    yield out
    structlog.contextvars.clear_contextvars()
    structlog.configure(**before)
    root.handlers, root.level = handlers, level
    for name, level_before in levels.items():
        logging.getLogger(name).setLevel(level_before)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_one_command_makes_one_line_with_its_fields(stream: io.StringIO) -> None:
    with logs.bind_correlation("9f2c"):
        logs.get_logger("transport").info(
            "send_message", caller=logs.caller_hash("user_1"), group="65f0aa", code="ok", milliseconds=1.5
        )
    (line,) = lines(stream)
    assert line.pop("at").endswith("Z")
    assert line == {
        "event": "send_message",
        "level": "info",
        "component": "transport",
        "correlation_id": "9f2c",
        "caller": logs.caller_hash("user_1"),
        "group": "65f0aa",
        "code": "ok",
        "milliseconds": 1.5,
    }


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("as_json", [True, False])
def test_no_key_lets_a_canary_through(stream: io.StringIO, canary: str, as_json: bool) -> None:
    logs.set_up("debug", stream=stream, as_json=as_json)
    fields: dict[str, Any] = dict.fromkeys(set(logs.ALLOWED) - {"event", "level", "at"}, canary)
    fields |= {"content": canary, "token": canary, "email": canary, "text": [canary], "error_": {"input": canary}}
    logs.get_logger("messages").warning(canary, **fields)
    logs.bind_correlation(canary)
    logs.get_logger(canary).error("failed", frames=[canary], bytes=canary)
    written = stream.getvalue()
    assert written.count("failed") == 1
    for part in ("canary", canary):
        assert part not in written


@pytest.mark.parametrize("canary", CANARIES)
def test_an_error_is_named_with_its_frames_but_never_quoted(stream: io.StringIO, canary: str) -> None:
    try:
        raise ValueError(canary) from KeyError(canary)
    except ValueError as error:
        logs.get_logger("messages").exception("send_failed")
        logs.get_logger("messages").error("send_failed", exc_info=error)
    assert "canary" not in stream.getvalue()
    for line in lines(stream):
        assert line["error"] == "ValueError"
        assert line["frames"][-1].rpartition(":")[0].endswith("test_logs")


@pytest.mark.parametrize(
    "name", ["engineio.server", "socketio.server", "aiohttp.access", "pymongo.command", "baml", "x.y"]
)
@pytest.mark.parametrize("canary", CANARIES)
def test_a_library_cannot_log_what_it_was_given(stream: io.StringIO, name: str, canary: str) -> None:
    library = logging.getLogger(name)
    library.info("received packet %s", canary)
    assert stream.getvalue() == ""
    try:
        raise RuntimeError(canary)
    except RuntimeError:
        library.exception(f"failed on {canary}")
    library.warning("again %s", canary, extra={"token": canary})
    assert "canary" not in stream.getvalue()
    first, second = lines(stream)
    assert first["library"] == second["library"] == name
    assert first["error"] == "RuntimeError"
    assert first["level"] == "error"
    assert second["level"] == "warning"
    assert second["where"].startswith("test_logs:")


def test_libraries_stay_at_warning_even_when_they_were_told_to_talk(stream: io.StringIO) -> None:
    chatty = logging.getLogger("engineio.server")
    own = logging.StreamHandler(stream)
    chatty.addHandler(own)
    chatty.setLevel(logging.DEBUG)
    logs.set_up("debug", stream=stream)
    chatty.info("canary")
    chatty.warning("canary")
    assert own not in chatty.handlers
    assert "canary" not in stream.getvalue()
    assert len(lines(stream)) == 1
    assert os.environ["BAML_LOG"] == "off"


def test_a_binding_ends_with_its_block_and_the_earlier_one_returns(stream: io.StringIO) -> None:
    log = logs.get_logger("transport")
    logs.bind_correlation("outer")
    with logs.bind_correlation("inner"):
        log.info("one")
    log.info("two")
    assert [line["correlation_id"] for line in lines(stream)] == ["inner", "outer"]


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    logs.set_up("warning", stream=stream)
    logs.get_logger("app").info("quiet")
    logs.get_logger("app").warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_a_caller_is_the_same_within_a_run_and_not_the_plain_id() -> None:
    assert logs.caller_hash("user_1") == logs.caller_hash("user_1") != logs.caller_hash("user_2")
    assert "user_1" not in logs.caller_hash("user_1")
    assert len(logs.caller_hash("\ud800")) == 8


def test_a_logger_used_before_the_set_up_is_filtered_too() -> None:
    program = "from chatcore.logs import get_logger; get_logger('app').info('early', code='ok', text='canary')"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True, timeout=60
    )
    assert run.stdout == ""
    line = json.loads(run.stderr)
    assert (line["event"], line["code"]) == ("early", "ok")
    assert "canary" not in run.stderr


def calls_of_loggers() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted((ROOT / "chatcore").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of_log = isinstance(node.func.value, ast.Name) and node.func.value.id in {"log", "logger"}
                if of_log and node.func.attr in {"debug", "info", "warning", "error", "exception", "critical"}:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_no_line_of_ours_says_something_that_would_be_dropped() -> None:
    calls = list(calls_of_loggers())
    assert calls
    for place, call in calls:
        lost = {word.arg for word in call.keywords if word.arg} - set(logs.ALLOWED) - {"exc_info"}
        assert not lost, f"{place}: {lost} are not on the allow-list of chatcore/logs.py"
        for event in call.args[:1]:
            if isinstance(event, ast.Constant):
                assert logs.ALLOWED["event"](event.value), f"{place}: an event is one name, not a sentence"


def test_only_the_house_configures_logging() -> None:
    """Loggers of other origin would write before and beside the allow-list."""
    for path in sorted((ROOT / "chatcore").rglob("*.py")):
        if path != ROOT / "chatcore" / "logs.py":
            assert "structlog.get_logger" not in path.read_text("utf-8"), path


@given(key=st.sampled_from(sorted(logs.ALLOWED)), value=st.text(alphabet='aZ0.:-_/ @\n"é', max_size=80) | st.binary())
@example(key="code", value="canary@example.org")
@example(key="event", value="ends_with_a_line\n")
def test_what_passes_the_allow_list_is_one_word_of_ascii(key: str, value: str | bytes) -> None:
    (kept,) = logs.keep_allowed(None, "info", {key: value}).values()
    assert kept in {value, logs.WITHHELD}
    assert kept.isascii()
    assert not set(kept) & set(' @\n"')
