"""Refuses in tests each query that the embedded database answers by scanning, or not at all.

A listener of the driver sees every command of every client, also of a whole running server. It learns the indexes
from `createIndexes` as they pass. The driver swallows what a listener raises, so findings are kept, and the fixture
`query_guard` fails the test. A deliberate read of a whole collection says so: `find({}, comment="scan: backup")`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

Filter = Mapping[str, Any]
SCAN = "scan: "
WIDEST_WINDOW = 10_000  # events of one group in one answer
_OPERATORS = frozenset({"$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists", "$elemMatch", "$type"})
_CHOICES = frozenset({"$and", "$or"})
_SOURCES = frozenset({"$changeStream", "$vectorSearch", "$listSearchIndexes"})  # stages that read without a $match


class QueryGuard(CommandListener):
    """`findings` are sentences; empty is good."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self._leading: dict[tuple[str, str], set[str]] = {}

    def started(self, event: CommandStartedEvent) -> None:
        name, command = event.command_name, event.command
        if str(command.get("comment", "")).startswith(SCAN):
            return
        if name == "createIndexes":
            leading = self._leading.setdefault((event.database_name, command[name]), set())
            leading.update(next(iter(index["key"])) for index in command["indexes"])
        elif check := getattr(self, f"_check_{name}", None):
            where = f"{name} on {command[name]}"
            indexes = self._leading.get((event.database_name, str(command[name])), set()) | {"_id"}
            self.findings += [f"{where}: {fault}" for fault in check(command, str(command[name]), indexes)]

    def succeeded(self, event: CommandSucceededEvent) -> None:
        return None

    def failed(self, event: CommandFailedEvent) -> None:
        return None

    def forgive(self) -> list[str]:
        """Take the findings out, for tests of the guard itself."""
        found, self.findings = self.findings, []
        return found

    def _check_find(self, command: Filter, collection: str, indexes: set[str]) -> Iterator[str]:
        if command.get("skip"):
            yield "skip reads all that it skips; use a window"
        yield from read_faults(command.get("filter", {}), collection, indexes)

    def _check_count(self, command: Filter, collection: str, indexes: set[str]) -> Iterator[str]:
        yield from self._check_find({**command, "filter": command.get("query", {})}, collection, indexes)

    def _check_distinct(self, command: Filter, collection: str, indexes: set[str]) -> Iterator[str]:
        yield from read_faults(command.get("query", {}), collection, indexes)

    def _check_aggregate(self, command: Filter, collection: str, indexes: set[str]) -> Iterator[str]:
        pipeline: Sequence[Filter] = command["pipeline"]
        first = next(iter(pipeline[0])) if pipeline else ""
        if first == "$match":
            yield from read_faults(pipeline[0]["$match"], collection, indexes)
        elif first not in _SOURCES:
            yield "a pipeline starts with $match, or it reads the whole collection"
        yield from _pipeline_faults(pipeline, inside_lookup=False)

    def _check_update(self, command: Filter, collection: str, indexes: set[str]) -> Iterator[str]:
        for update in command.get("updates", ()):
            yield from filter_faults(update["q"], indexes)

    def _check_delete(self, command: Filter, collection: str, indexes: set[str]) -> Iterator[str]:
        for deletion in command.get("deletes", ()):
            yield from filter_faults(deletion["q"], indexes)

    def _check_findAndModify(self, command: Filter, collection: str, indexes: set[str]) -> Iterator[str]:  # noqa: N802
        yield from filter_faults(command.get("query", {}), indexes)


def read_faults(query: Filter, collection: str, indexes: set[str]) -> Iterator[str]:
    """`messages` grows without end, so it is read by `_id` or by a bounded window of one group."""
    yield from filter_faults(query, indexes)
    if collection == "messages" and not _bounded(query):
        yield "messages are read by `_id` or by {groupId, seq: a window bounded on both sides}"


def filter_faults(query: Filter, indexes: set[str]) -> Iterator[str]:
    if not query:
        yield "without a filter it reads the whole collection"
    elif not _indexed(query, indexes):
        yield f"no index begins with any of {sorted(query)}"
    yield from _condition_faults(query)


def _indexed(query: Filter, indexes: set[str]) -> bool:
    if any(field in indexes and _selective(condition) for field, condition in query.items()):
        return True
    if any(_indexed(part, indexes) for part in query.get("$and", ())):
        return True
    return bool(query.get("$or")) and all(_indexed(part, indexes) for part in query["$or"])


def _selective(condition: Any) -> bool:
    """False for what an index cannot narrow, such as `$ne` and `$exists`."""
    return not _is_operators(condition) or bool({"$eq", "$in", "$gt", "$gte", "$lt", "$lte"} & condition.keys())


def _condition_faults(query: Filter) -> Iterator[str]:
    for field, condition in query.items():
        if field in _CHOICES:
            for part in condition:
                yield from _condition_faults(part)
        elif field.startswith("$"):
            yield f"{field} is not on the list of operators that both servers answer by an index"
        elif _is_operators(condition):
            yield from _operator_faults(field, condition)


def _operator_faults(field: str, condition: Filter) -> Iterator[str]:
    for operator, operand in condition.items():
        if operator not in _OPERATORS:
            yield f"{operator} on {field} is not on the list of operators"
        elif field == "_id" and operator not in ("$eq", "$in"):
            yield f"{operator} on _id scans; only equality and $in do not"
        elif operator in ("$gt", "$gte", "$ne") and operand == "":
            yield f"{operator} with an empty string on {field} has the form of an injected operator"


def _pipeline_faults(pipeline: Sequence[Filter], *, inside_lookup: bool) -> Iterator[str]:
    for stage in pipeline:
        (name, body), *_ = stage.items()
        if name == "$skip":
            yield "$skip reads all that it skips; use a window"
        elif name == "$count" and inside_lookup:
            yield "$count fails inside $lookup; use $group {_id: null, n: {$sum: 1}}"
        elif name in ("$lookup", "$unionWith"):
            yield from _pipeline_faults(body.get("pipeline", ()), inside_lookup=True)


def _bounded(query: Filter) -> bool:
    if "_id" in query and (not _is_operators(query["_id"]) or query["_id"].keys() <= {"$eq", "$in"}):
        return True
    if "groupId" not in query or (_is_operators(query["groupId"]) and query["groupId"].keys() != {"$eq"}):
        return False
    return "seq" in query and _bounded_seq(query["seq"])


def _bounded_seq(seq: Any) -> bool:
    if not _is_operators(seq):
        return True
    if seq.keys() & {"$eq", "$in"}:
        return True
    low = [seq[operator] for operator in ("$gt", "$gte") if operator in seq]
    high = [seq[operator] for operator in ("$lt", "$lte") if operator in seq]
    return bool(low) and bool(high) and min(high) - max(low) <= WIDEST_WINDOW


def _is_operators(condition: Any) -> bool:
    return isinstance(condition, Mapping) and any(str(key).startswith("$") for key in condition)
