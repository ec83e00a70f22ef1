"""What other processes told of logs and is not applied yet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from chatcore.journal.peers import News
from chatcore.journal.rows import Row

MAX_ROWS = 200
"""Of one log; beyond, the database has them."""


@dataclass(slots=True)
class _Log:
    up_to: int = 0
    unsure: bool = False  # somebody said: look for yourself
    rows: dict[int, Row] = field(default_factory=dict)


class Told:
    """By group; rows of several processes may come in any order, and with our own between them."""

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}

    def __len__(self) -> int:
        return len(self._logs)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._logs))

    def add(self, news: News) -> None:
        log = self._logs.setdefault(news.group_id, _Log())
        log.up_to = max(log.up_to, news.up_to or 0)
        log.unsure = log.unsure or news.up_to is None
        if len(log.rows) + len(news.rows) <= MAX_ROWS:
            log.rows |= {row.seq: row for row in news.rows}

    def next_rows(self, group_id: str, seq: int) -> Sequence[Row]:
        """The known rows right after this place, without holes; those before it are dropped."""
        log = self._logs.get(group_id)
        if log is None:
            return ()
        found: list[Row] = []
        while (row := log.rows.get(seq + 1 + len(found))) is not None:
            found.append(row)
        if len(found) < len(log.rows):
            log.rows = {place: row for place, row in log.rows.items() if place > seq}
        return found

    def is_behind(self, group_id: str, seq: int) -> bool:
        """Whether the log is said to go on after this place, or to be looked at."""
        log = self._logs.get(group_id)
        return log is not None and (log.unsure or log.up_to > seq)

    def drop(self, group_id: str) -> None:
        self._logs.pop(group_id, None)
