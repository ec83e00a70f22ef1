"""Datasets and recorded conversations by name."""

import difflib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from chatcore.lab.datasets import exported, own, public
from chatcore.lab.datasets.vocabulary import Dataset, DatasetChanged, Sample, Turn
from chatcore.settings import load_settings

if TYPE_CHECKING:
    import pandas as pd

Reader = Callable[[Path | None], Dataset]
DATASETS: Mapping[str, Reader] = {
    "small/moderation": lambda _: own.moderation(),
    "small/replies": lambda _: own.replies(),
    "small/search": lambda _: own.search(),
    "public/topical-chat": public.topical_replies,
    "public/openai-moderation": public.openai_moderation,
    "public/surge-toxicity": public.surge_toxicity,
    "public/davidson": public.davidson,
}
SHORT = {"moderation": "small/moderation", "replies": "small/replies", "search": "small/search"}
TALKS: Mapping[str, Callable[[Path | None], dict[str, tuple[Turn, ...]]]] = {
    "small/talks": lambda _: {key: turns for key, (_, turns) in own.talks().items()},
    "public/topical-chat": public.topical_chat,
}
# Recordings without clock times get these: reading and typing 40 words a minute, from a fixed Monday.
FIRST_MOMENT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SECONDS_A_WORD, PAUSE_SECONDS = 1.5, 2.0


class NoSuchDataset(Exception):
    """The name is none of ours; the message lists what there is."""


def dataset(name: str, *, folder: Path | None = None) -> Dataset:
    """By name, or pinned as `name@sha256:9c1e...`. Raises NoSuchDataset, DataAbsent or DatasetChanged.

    `moderation`, `replies` and `search` alone mean our own small ones, `export:FOLDER` the replies in an export.
    `folder` stands in for CHATCORE_DATA_DIR. Raises NoExport or ExportExpired for an export.
    """
    plain, _, pin = name.partition("@sha256:") if name.startswith(exported.PREFIX) else name.partition("@")
    if name.startswith(exported.PREFIX):
        return _pinned(exported.replies(_folder(plain)), pin and f"sha256:{pin}")
    reader = DATASETS.get(SHORT.get(plain, plain))
    if reader is None:
        raise NoSuchDataset(_unknown(plain, [*DATASETS, *SHORT]))
    return _pinned(reader(folder or load_settings().chatcore_data_dir), pin)


def _folder(name: str) -> Path:
    return Path(name.removeprefix(exported.PREFIX)).expanduser()


def _pinned(found: Dataset, pin: str) -> Dataset:
    if pin and not (len(pin) >= len("sha256:") + 4 and found.version.startswith(pin)):
        raise DatasetChanged(f"{found.name} is now {found.version[:19]}, and was pinned to {pin}: its samples changed")
    return found


def conversations(name: str = "small/talks", *, limit: int | None = None, folder: Path | None = None) -> "pd.DataFrame":
    """One row a message: conversation, seq (from 1), sender, text, at. `limit` keeps the first conversations.

    `attrs["dataset"]` names what was read, with its version.
    """
    import pandas as pd  # noqa: PLC0415 - it takes a second to load

    if name.startswith(exported.PREFIX):
        rows = exported.table(_folder(name))
        return rows[rows["conversation"].isin(rows["conversation"].unique()[:limit])].reset_index(drop=True)
    reader = TALKS.get(name)
    if reader is None:
        raise NoSuchDataset(_unknown(name, list(TALKS)))
    talks = dict(list(reader(folder or load_settings().chatcore_data_dir).items())[:limit])
    told = [row for key, turns in talks.items() for row in _rows(key, turns)]
    table = pd.DataFrame(told, columns=["conversation", "seq", "sender", "text", "at"])
    version = Dataset(name, tuple(Sample(key, turns) for key, turns in talks.items())).pinned
    table.attrs["dataset"] = version
    return table


def _rows(conversation: str, turns: tuple[Turn, ...]) -> list[dict[str, object]]:
    moment, rows = FIRST_MOMENT, []
    for seq, turn in enumerate(turns, start=1):
        moment += timedelta(seconds=PAUSE_SECONDS + SECONDS_A_WORD * len(turn.text.split()))
        rows.append({"conversation": conversation, "seq": seq, "sender": turn.sender, "text": turn.text, "at": moment})
    return rows


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    return f'there is no dataset "{name}"{hint} Known: {", ".join(sorted(known))}'
