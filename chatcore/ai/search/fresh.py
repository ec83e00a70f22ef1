"""Messages that this process just stored, kept for a moment so that their vectors need no reading of the log."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from chatcore.ai.search.records import LogLine

MOST_BYTES: Final = 4 * 1024 * 1024
LINE_BYTES: Final = 500  # beside its text


class FreshLines:
    """For each group one run of lines without a hole. What is missing here, for whatever reason, is in the log."""

    def __init__(self, most_bytes: int = MOST_BYTES):
        self._most_bytes = most_bytes
        self._runs: OrderedDict[str, list[LogLine]] = OrderedDict()
        self.bytes = 0

    def put(self, line: LogLine) -> None:
        """After a hole a new run begins; the groups that were written to least lately go first."""
        run = self._runs.get(line.group_id)
        if run and run[-1].seq + 1 != line.seq:
            self.forget(line.group_id)
        self._runs.setdefault(line.group_id, []).append(line)
        self._runs.move_to_end(line.group_id)
        self.bytes += _bytes(line)
        while self.bytes > self._most_bytes:
            self.forget(next(iter(self._runs)))

    def after(self, group_id: str, seq: int, limit: int) -> Sequence[LogLine]:
        """The lines that follow this log position; none where the next one is not here."""
        run = self._runs.get(group_id, ())
        if not run or run[0].seq > seq + 1:
            return ()
        return [line for line in run if line.seq > seq][:limit]

    def done(self, group_id: str, seq: int) -> None:
        """Up to here they are needed no more."""
        run = self._runs.get(group_id)
        if run is None:
            return
        left = [line for line in run if line.seq > seq]
        self.bytes -= sum(_bytes(line) for line in run if line.seq <= seq)
        if left:
            self._runs[group_id] = left
        else:
            del self._runs[group_id]

    def forget(self, group_id: str) -> None:
        self.bytes -= sum(map(_bytes, self._runs.pop(group_id, ())))


def _bytes(line: LogLine) -> int:
    return LINE_BYTES + (len(line.sealed.ct) if line.sealed is not None else 0)
