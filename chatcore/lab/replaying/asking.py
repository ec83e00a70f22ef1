"""What the running server would have suggested to whoever speaks next, noted during a replay and scored after it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from chatcore.client import Client
from chatcore.client.link import LinkLost
from chatcore.errors import ChatError
from chatcore.lab.datasets.own import reply_samples
from chatcore.lab.datasets.vocabulary import Dataset, Sample, Turn
from chatcore.lab.evaluation.tasks import Output

COLUMNS = ("sample", "conversation", "seq", "suggestions", "model", "degraded", "latency_ms", "error")


@dataclass(frozen=True, slots=True)
class Asked:
    """Before message `seq` of a conversation. `error` is the code of a refusal: missing data, no empty answer."""

    sample: str
    conversation: str
    seq: int
    suggestions: tuple[str, ...] = ()
    model: str = ""
    degraded: bool = False
    latency_ms: float = 0.0
    error: str = ""


class NothingSuggested(Exception):
    """The replay has no answer of the server to this sample."""


async def ask(client: Client, group_id: str, conversation: str, seq: int) -> Asked:
    """As a client would: over REST, for the newest message of the group."""
    place, began = (f"{conversation}.{seq}", conversation, seq), time.perf_counter()
    try:
        told: dict[str, Any] = await client.rest.request("POST", "/api/ai/smart-replies", body={"groupId": group_id})
    except ChatError as refusal:
        return Asked(*place, error=refusal.code)
    except LinkLost:
        return Asked(*place, error="no answer")
    served = f"{told['provider']} {told['model']}"
    taken = (time.perf_counter() - began) * 1000
    return Asked(*place, tuple(told["suggestions"]), served, bool(told["degraded"]), taken)


def table_of(asked: list[Asked]) -> pd.DataFrame:
    return pd.DataFrame([[getattr(one, name) for name in COLUMNS] for one in asked], columns=list(COLUMNS))


def answers_in(talks: pd.DataFrame) -> Dataset:
    """One sample for each message that answers another person, of conversations as `lab.conversations` gives them."""
    turns = {
        str(key): tuple(Turn(str(row.sender), str(row.text)) for row in part.sort_values("seq").itertuples())
        for key, part in talks.groupby("conversation", sort=False)
    }
    source = str(talks.attrs.get("dataset", ""))
    return Dataset(f"answers in {source.partition('@')[0] or 'conversations'}", tuple(reply_samples(turns)), source)


def suggested(log_table: pd.DataFrame) -> Callable[[Sample, int], Output]:
    """A solver for `lab.Task`: what the server suggested in this replay (`log.suggestions`)."""
    known = {row.sample: row for row in log_table.itertuples()}

    def solve(sample: Sample, epoch: int) -> Output:
        row = known.get(sample.id)
        if row is None or row.error:
            raise NothingSuggested("it was not asked" if row is None else f"the server refused: {row.error}")
        return Output(list(row.suggestions), row.model, bool(row.degraded))

    return solve
