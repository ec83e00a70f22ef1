"""Prompt versions, their standings and reports in MongoDB (`prompt_versions`, `prompt_standings`, `prompt_reports`),
and their twin in memory."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError

from chatcore.ai.prompts.records import Change, Report
from chatcore.ai.prompts.states import Move, Standing
from chatcore.ai.prompts.versions import PromptVersion
from chatcore.contract import ai_admin as wire
from chatcore.mongo import Index, translate_errors

Document = dict[str, Any]
INDEXES: Final = (Index("prompt_versions", (("function", 1), ("createdAt", 1))),)


class MongoPromptStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._database = database
        self._versions, self._standings = database["prompt_versions"], database["prompt_standings"]
        self._runs, self._reports = database["eval_runs"], database["prompt_reports"]

    @translate_errors
    async def versions(self, version_ids: Sequence[str]) -> dict[str, PromptVersion]:
        rows = self._versions.find({"_id": {"$in": list(version_ids)}})
        return {row["_id"]: _version(row) async for row in rows}

    @translate_errors
    async def versions_of(self, function: str) -> list[PromptVersion]:
        rows = await self._versions.find({"function": function}).to_list()
        return [_version(row) for row in sorted(rows, key=lambda row: row["createdAt"])]

    @translate_errors
    async def add(self, versions: Sequence[PromptVersion]) -> None:
        now = datetime.now(UTC)
        rows = [
            {
                "_id": version.version_id,
                "function": version.function,
                "text": version.text,
                "parameters": dict(version.parameters),
                "origin": version.origin,
                "createdAt": now,
            }
            for version in versions
        ]
        try:
            await self._versions.insert_many(rows, ordered=False)
        except BulkWriteError:  # only duplicates come through, and their content is the same by their name
            return

    @translate_errors
    async def standings(self, functions: Sequence[str]) -> dict[str, Standing]:
        rows = self._standings.find({"_id": {"$in": list(functions)}})
        return {row["_id"]: _standing(row) async for row in rows}

    @translate_errors
    async def place(self, standing: Standing, also: Sequence[Change] = ()) -> bool:
        if not also:
            return await self._place(standing, None)
        async with self._database.client.start_session() as session:

            async def together(within: AsyncClientSession) -> bool:
                placed = await self._place(standing, within)
                for change in also if placed else ():
                    await change(within, ())
                return placed

            return await session.with_transaction(together)

    async def _place(self, standing: Standing, session: AsyncClientSession | None) -> bool:
        row = _row(standing)
        if standing.revision == 0:
            try:
                await self._standings.insert_one(row, session=session)
            except DuplicateKeyError:
                return False
            return True
        before = {"_id": standing.function, "revision": standing.revision - 1}
        return bool((await self._standings.replace_one(before, row, session=session)).matched_count)

    @translate_errors
    async def report(self, report_id: str) -> Report | None:
        told = await self.handed_in(report_id)
        return _reported(told) if told else _report(await self._runs.find_one({"_id": report_id}))

    @translate_errors
    async def add_report(self, report: wire.Report, also: Sequence[Change] = ()) -> bool:
        row = {"_id": report.report_id, "sha256": report.sha256, "content": report.model_dump_json(by_alias=True)}

        async def together(within: AsyncClientSession) -> None:
            await self._reports.insert_one(row, session=within)
            for change in also:
                await change(within, ())

        try:
            async with self._database.client.start_session() as session:
                await session.with_transaction(together)
        except DuplicateKeyError:
            stored = await self._reports.find_one({"_id": report.report_id})
            return stored is not None and stored["sha256"] == report.sha256
        return True

    @translate_errors
    async def handed_in(self, report_id: str) -> wire.Report | None:
        row = await self._reports.find_one({"_id": report_id})
        return wire.Report.model_validate_json(row["content"]) if row else None


class MemoryPromptStore:
    def __init__(self) -> None:
        self.versions_by_id: dict[str, PromptVersion] = {}
        self.placed: dict[str, Standing] = {}
        self.reports: dict[str, Document] = {}
        self.handed: dict[str, wire.Report] = {}

    async def versions(self, version_ids: Sequence[str]) -> dict[str, PromptVersion]:
        return {one: self.versions_by_id[one] for one in version_ids if one in self.versions_by_id}

    async def versions_of(self, function: str) -> list[PromptVersion]:
        return [version for version in self.versions_by_id.values() if version.function == function]

    async def add(self, versions: Sequence[PromptVersion]) -> None:
        for version in versions:
            self.versions_by_id.setdefault(version.version_id, version)

    async def standings(self, functions: Sequence[str]) -> dict[str, Standing]:
        return {function: self.placed[function] for function in functions if function in self.placed}

    async def place(self, standing: Standing, also: Sequence[Change] = ()) -> bool:
        stored = self.placed.get(standing.function)
        if (stored.revision if stored else -1) != standing.revision - 1:
            return False
        for change in also:
            await change(None, ())
        self.placed[standing.function] = standing
        return True

    async def report(self, report_id: str) -> Report | None:
        told = self.handed.get(report_id)
        return _reported(told) if told else _report(self.reports.get(report_id))

    async def add_report(self, report: wire.Report, also: Sequence[Change] = ()) -> bool:
        if (stored := self.handed.get(report.report_id)) is not None:
            return stored.sha256 == report.sha256
        for change in also:
            await change(None, ())
        self.handed[report.report_id] = report
        return True

    async def handed_in(self, report_id: str) -> wire.Report | None:
        return self.handed.get(report_id)


def _version(row: Document) -> PromptVersion:
    return PromptVersion(row["_id"], row["function"], row["text"], row["parameters"], origin=row["origin"])


def _row(standing: Standing) -> Document:
    fields = asdict(standing)
    return {
        "_id": fields.pop("function"),
        **{name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()},
    }


def _standing(row: Document) -> Standing:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in row.items() if name != "_id"
    }
    fields["history"] = tuple(Move(**move) for move in row["history"])
    return Standing(row["_id"], **fields)


def _reported(told: wire.Report) -> Report:
    return Report(told.report_id, told.status, told.prompt, told.against or "")


def _report(row: Document | None) -> Report | None:
    if row is None:
        return None
    told = json.loads(row["record"]) if "record" in row else row  # the workbench keeps its record as one JSON text
    prompt = (told.get("parameters") or {}).get("prompt") or told.get("prompt") or ""
    return Report(str(row["_id"]), str(told.get("status", "")), str(prompt))
