"""Exports of a server in a folder: their files, and reading them as long as they may be read."""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from chatcore.lab.datasets.own import reply_samples
from chatcore.lab.datasets.vocabulary import Dataset, DatasetChanged, Turn

if TYPE_CHECKING:
    import pandas as pd

PREFIX: Final = "export:"
MANIFEST, LINES, TABLE, SHEET = "manifest.json", "messages.jsonl", "messages.parquet", "messages.csv"
COLUMNS: Final = (
    "conversation", "message", "n", "sender", "type", "text", "at", "edited", "replyTo", "mentions", "reactions",
    "people", "moderated",
)  # fmt: skip
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class ExportExpired(Exception):
    """The time for which people's messages were opened is over."""


class NoExport(Exception):
    """The folder holds no export."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was exported, by whom, why, until when. `files`: SHA-256 by name; `left_out` and `redacted` count."""

    export_id: str
    server: str
    purpose: str
    created_by: str
    created_at: str
    expires_at: str
    groups: int
    messages: int
    left_out: Mapping[str, int]
    redacted: Mapping[str, int]
    files: Mapping[str, str]
    consent: str = "the group's setting and that of each sender, at the moment of reading"
    format: str = "chatcore/export/v1"


def write(folder: Path, about: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> Manifest:
    """JSON lines, Parquet, a CSV that no spreadsheet takes for formulas, and the manifest last."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    contents = {
        LINES: b"".join(orjson.dumps(message) + b"\n" for message in messages),
        TABLE: _parquet(messages),
        SHEET: _sheet(messages),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = Manifest(messages=len(messages), files=files, **about)
    (folder / MANIFEST).write_bytes(orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2))
    return manifest


def read_manifest(folder: Path, *, now: datetime | None = None) -> Manifest:
    """Raises NoExport, ExportExpired, or DatasetChanged where a file is not what was exported."""
    try:
        manifest = Manifest(**orjson.loads((folder / MANIFEST).read_bytes()))
    except FileNotFoundError:
        raise NoExport(f"{folder} holds no export: make one with `python -m pipelines export`") from None
    except (orjson.JSONDecodeError, TypeError):
        raise NoExport(f"{folder / MANIFEST} is not the manifest of an export") from None
    if datetime.fromisoformat(manifest.expires_at) <= (now or datetime.now(UTC)):
        raise ExportExpired(
            f"the export {manifest.export_id} expired on {manifest.expires_at[:10]}: "
            f"delete {folder} and make a new one with `python -m pipelines export`"
        )
    for name, digest in manifest.files.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise DatasetChanged(f"{folder / name} is not what was exported: make the export anew")
    return manifest


def lines(folder: Path) -> list[dict[str, Any]]:
    """Of an export that may still be read; raises as `read_manifest`."""
    read_manifest(folder)
    return [orjson.loads(line) for line in (folder / LINES).read_bytes().splitlines()]


def talks(folder: Path) -> dict[str, tuple[Turn, ...]]:
    """Conversations in the order of their messages."""
    found: dict[str, list[Turn]] = {}
    for line in lines(folder):
        found.setdefault(line["conversation"], []).append(Turn(line["sender"], line["text"]))
    return {key: tuple(turns) for key, turns in found.items()}


def table(folder: Path) -> "pd.DataFrame":
    """One row a message: conversation, seq (from 1), sender, text, at, and what else the export tells."""
    import pandas as pd  # noqa: PLC0415 - it takes a second to load

    rows = pd.DataFrame(lines(folder), columns=list(COLUMNS))
    rows["at"] = pd.to_datetime(rows["at"], utc=True, format="ISO8601")
    rows.insert(1, "seq", rows.groupby("conversation", sort=False).cumcount() + 1)
    rows.attrs["dataset"] = replies(folder).pinned
    return rows


def replies(folder: Path) -> Dataset:
    """One sample for each message that answers another person."""
    manifest = read_manifest(folder)
    samples = tuple(reply_samples(talks(folder)))
    return Dataset(f"{PREFIX}{manifest.export_id}", samples, f"export {manifest.export_id}", manifest.purpose)


def _parquet(messages: Iterable[Mapping[str, Any]]) -> bytes:
    import pandas as pd  # noqa: PLC0415

    rows = pd.DataFrame(list(messages), columns=list(COLUMNS))
    rows["reactions"] = [orjson.dumps(each or {}).decode() for each in rows["reactions"]]
    into = io.BytesIO()
    rows.to_parquet(into, index=False)
    return into.getvalue()


def _sheet(messages: Iterable[Mapping[str, Any]]) -> bytes:
    into = io.StringIO(newline="")
    writer = csv.writer(into)
    writer.writerow(COLUMNS)
    for message in messages:
        writer.writerow([_safe(message.get(name)) for name in COLUMNS])
    return into.getvalue().encode()


def _safe(value: object) -> str:
    """A cell that begins like a formula gets an apostrophe before it, which spreadsheets do not show."""
    text = "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{text}" if text.startswith(FORMULA) else text
