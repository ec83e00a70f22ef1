"""Structured logs that cannot carry content.

Every line, ours or a library's, passes one allow-list: a key that is not in `ALLOWED` is dropped, and a value that does
not have the form of its key is replaced by `<withheld>`. So text, tokens and e-mail addresses cannot reach a log, even
by mistake. Of a library's record only its origin and the type of its error are kept, because its message is free text.

    {"event": "send_message", "level": "info", "correlation_id": "9f2c", "caller": "c41b07aa", "group": "65f…",
     "code": "ok", "milliseconds": 1.9, "at": "2026-01-02T03:04:05.678901Z"}
"""

import hashlib
import logging
import os
import re
import secrets
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar, Token
from types import MappingProxyType, TracebackType
from typing import Any, Final, TextIO, cast

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

WITHHELD: Final = "<withheld>"
MAX_FRAMES: Final = 12

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:/-]{0,63}\Z", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z", re.ASCII)
_FRAME = re.compile(r"[A-Za-z_<][A-Za-z0-9_.<>]{0,119}:[0-9]{1,7}\Z", re.ASCII)
_TIME = re.compile(r"[0-9T:.Z+-]{20,32}\Z", re.ASCII)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.match(value) is not None


def _is_stack(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MAX_FRAMES and all(map(_matches(_FRAME), value))


def _keys(check: Callable[[object], bool], names: str) -> dict[str, Callable[[object], bool]]:
    return dict.fromkeys(names.split(), check)


# What a line may say, and the form that each value must have. A new key is added here, on purpose.
ALLOWED: Final[Mapping[str, Callable[[object], bool]]] = MappingProxyType(
    _keys(
        _matches(_NAME),
        "event level child code command component error host library mode reason state transport version",
    )
    | _keys(_matches(_ID), "caller connection correlation_id group job message")
    | _keys(
        _is_number, "attempt bytes connections count exit_code limit milliseconds pid port queued seconds seq status"
    )
    | _keys(_matches(_FRAME), "where")
    | _keys(_is_stack, "frames")
    | _keys(_matches(_TIME), "at")
)

# These log packets, statements, addresses or prompts below WARNING.
SILENCED: Final = (
    "aiohttp.access",
    "baml",
    "baml_py",
    "boto3",
    "botocore",
    "engineio",
    "engineio.client",
    "engineio.server",
    "httpcore",
    "httpx",
    "openai",
    "pymongo",
    "socketio",
    "socketio.client",
    "socketio.server",
    "urllib3",
)

_caller_key = secrets.token_bytes(32)
_correlation: ContextVar[str | None] = ContextVar("correlation_id", default=None)
_tells_details = False

Line = MutableMapping[str, Any]


def set_up(level: str = "info", *, stream: TextIO | None = None, as_json: bool | None = None) -> None:
    """Send all logs to `stream` (stderr unless told), as JSON lines or, on a terminal, as coloured text.

    May be called again; the last call holds. Library records below WARNING are dropped whatever `level` says.
    """
    _configure(level, stream if stream is not None else sys.stderr, as_json=as_json)
    _adopt_libraries()


def get_logger(component: str) -> FilteringBoundLogger:
    """A logger whose lines name `component`; the first argument of each call is an event name, not a sentence.

    It may be made at import: lines written before `set_up` go to stderr through the same allow-list.
    """
    if not structlog.is_configured():
        _configure("info", sys.stderr, as_json=None)
    return cast(FilteringBoundLogger, structlog.get_logger(component=component))


class _Bound:
    """Undoes a binding at the end of a `with` block."""

    __slots__ = ("_token",)

    def __init__(self, token: Token[str | None]) -> None:
        self._token = token

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _correlation.reset(self._token)


def bind_correlation(correlation_id: str) -> _Bound:
    """Put `correlation_id` on every line of this task and of those it starts.

    It holds at once; used as `with bind_correlation(...)`, the earlier value returns at the end of the block.
    """
    return _Bound(_correlation.set(correlation_id))


def tells_details() -> bool:
    """Whether lines below INFO are written: asking costs nothing, and a line that is not written 10 us."""
    return _tells_details


def caller_hash(user_id: str) -> str:
    """Eight hex digits that join the lines of one user within one run of the process and tell nothing else."""
    return hashlib.blake2s(user_id.encode("utf-8", "surrogatepass"), key=_caller_key, digest_size=4).hexdigest()


def keep_allowed(_logger: object, _method: str, line: Line) -> Line:
    """Drop keys that are not allowed and withhold values without the form of their key."""
    return {
        key: value if value is None or check(value) else WITHHELD
        for key, value in line.items()
        if (check := ALLOWED.get(key)) is not None
    }


def _configure(level: str, out: TextIO, *, as_json: bool | None) -> None:
    global _tells_details  # noqa: PLW0603 - as structlog's own configuration is
    _tells_details = level == "debug"
    json_lines = not out.isatty() if as_json is None else as_json
    structlog.configure(
        processors=[
            _add_correlation,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _describe_error,
            keep_allowed,
            _render_json if json_lines else structlog.dev.ConsoleRenderer(colors=out.isatty(), timestamp_key="at"),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )


def _add_correlation(_logger: object, _method: str, line: Line) -> Line:
    correlation_id = _correlation.get()
    if correlation_id is not None:
        line.setdefault("correlation_id", correlation_id)
    return line


def _describe_error(_logger: object, _method: str, line: Line) -> Line:
    """Turn `exc_info` into the error's type and its frames: messages quote what the user sent."""
    raised = line.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        line["error"] = type(error).__name__
        line["frames"] = _frames(error.__traceback__)
    return line


def _frames(at: TracebackType | None) -> list[str]:
    walked = [f"{frame.f_globals.get('__name__', '<unknown>')}:{number}" for frame, number in traceback.walk_tb(at)]
    return walked[-MAX_FRAMES:]


def _render_json(_logger: object, _method: str, line: Line) -> str:
    return orjson.dumps(line).decode()


class _LibraryRecords(logging.Handler):
    """Brings the records of the standard `logging` into our lines, without their text."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(library=record.name, where=f"{record.module}:{record.lineno}")
        log.log(record.levelno, "library_log", exc_info=record.exc_info)


def _adopt_libraries() -> None:
    root = logging.getLogger()
    root.handlers = [_LibraryRecords()]
    root.setLevel(logging.WARNING)
    for name in SILENCED:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.handlers.clear()
        logger.propagate = True
    # BAML writes prompts and answers straight to stdout, from WARN up the failed ones; only this switch reaches it.
    os.environ["BAML_LOG"] = "off"  # noqa: TID251 - written for a library, not read
