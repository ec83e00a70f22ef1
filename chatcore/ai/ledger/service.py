"""Recording decisions and finding them again."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any, Final

from chatcore.ai.ledger.records import Change, Decision, LedgerStore, Query, StoredDecision
from chatcore.errors import NotFound, Unavailable
from chatcore.logs import get_logger
from chatcore.vault.envelope import Place, SealBroken, Sealed
from chatcore.vault.service import Vault

log = get_logger("ai")

OWN_KEY: Final = "0" * 24
"""The group under whose key content without a group is sealed: the server's own."""
MAX_PENDING: Final = 10_000
BATCH: Final = 16
"""Rows in one write. The embedded database needs half a millisecond for each and lets messages wait meanwhile."""
SEALED_AT_ONCE: Final = 4
PAUSE_SECONDS: Final = 0.4
LONGEST_PAUSE_SECONDS: Final = 10.0
CLOSING_SECONDS: Final = 5.0
MAX_CONTENT_BYTES: Final = 512 * 1024
FIRST_WINDOW: Final = timedelta(minutes=10)
_JSON: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str)


class Ledger:
    """Rows wait in memory for the next batch, less than half a second as a rule; nobody waits for them.

    What is kept of a person is a keyed hash of the id. Content is sealed under the key of its group, so it goes with
    the group. A kill -9 loses at most the decisions of the last batch, never a message.
    """

    def __init__(self, store: LedgerStore, vault: Vault, *, secret: bytes, retention_days: int):
        self._store, self._vault, self._secret = store, vault, secret
        self._retention = timedelta(days=retention_days)
        self._pending: dict[str, Decision] = {}
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self.lost = 0

    def new_id(self) -> str:
        """24 hex digits, not to be guessed."""
        return secrets.token_hex(12)

    def person(self, user_id: str) -> str:
        """What stands in the ledger instead of a user's id; "" for the server itself."""
        return hmac.new(self._secret, b"person:" + user_id.encode(), hashlib.sha256).hexdigest()[:32] if user_id else ""

    async def record(self, decision: Decision) -> None:
        """Returns at once; rows are written in batches in the background.

        Over MAX_PENDING waiting rows, which takes minutes without a database, the oldest is given up and counted.
        """
        if len(self._pending) >= MAX_PENDING:
            self._pending.pop(next(iter(self._pending)))
            self.lost += 1
            log.error("ai_decision_lost", count=self.lost)
        self._pending[decision.decision_id] = decision
        self._news.set()

    async def find(self, decision_id: str) -> Decision:
        """Raises NotFound. `user_id` is then the person's hash; `unreadable` says that the content is gone."""
        waiting = self._pending.get(decision_id)
        if waiting is not None:
            return replace(
                waiting,
                user_id=self.person(waiting.user_id),
                input_sha256=waiting.input_sha256 or _sha256(waiting.input),
            )
        found = await self._store.find(decision_id)
        if found is None:
            raise NotFound
        return await self._opened(found)

    async def newest(self, query: Query) -> list[Decision]:
        """Newest first, without content; at most `query.limit`. Looks back in growing windows of time, so that each
        question to the database is a bounded range of an index."""
        await self.flush()
        found: list[StoredDecision] = []
        until, width = query.until, FIRST_WINDOW
        while until > query.since and len(found) < query.limit:
            since = max(query.since, until - width)
            found += await self._store.window(replace(query, since=since, until=until, limit=query.limit - len(found)))
            until, width = since, width * 4
        return [stored.decision for stored in found]

    async def of_person(self, user_id: str, limit: int) -> list[Decision]:
        """Newest first, without content."""
        await self.flush()
        return [stored.decision for stored in await self._store.of_person(self.person(user_id), limit)]

    async def add_outcome(
        self,
        decision_id: str,
        *,
        human: Mapping[str, Any] | None = None,
        appeal: Mapping[str, Any] | None = None,
        exposure: Mapping[str, Any] | None = None,
    ) -> None:
        """What became of a decision; a later outcome of a kind replaces the earlier one. Raises NotFound. The values
        are plain; names of people belong in there as `Ledger.person` gives them, and content not at all."""
        outcomes = {"human": human, "appeal": appeal, "exposure": exposure}
        given = {name: dict(value) for name, value in outcomes.items() if value is not None}
        if decision_id in self._pending:
            await self.flush()
        if given and not await self._store.add_outcomes(decision_id, given):
            raise NotFound

    async def outcome(
        self, decision_id: str, *, human: Mapping[str, Any] | None = None, appeal: Mapping[str, Any] | None = None
    ) -> Change:
        """`add_outcome` as a part of another transaction. Raises Unavailable."""
        if decision_id in self._pending:
            await self.flush()
        given = {name: value for name, value in (("human", human), ("appeal", appeal)) if value is not None}
        return self._store.outcomes_added(decision_id, given)

    async def erase_group(self, group_id: str, _message_ids: Sequence[str] = ()) -> None:
        self._pending = {key: row for key, row in self._pending.items() if row.group_id != group_id}
        await self._store.erase_group(group_id)

    async def erase_user(self, user_id: str) -> None:
        """What was asked on a person's behalf loses its content and its person; the numbers stay."""
        await self.flush()
        await self._store.erase_person(self.person(user_id))

    async def run(self) -> None:
        """Write what waits, until cancelled; a batch at a time, with a rest as long as it took."""
        pause = PAUSE_SECONDS
        while True:
            await self._news.wait()
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                left = await self._write_batch()
                pause = time.monotonic() - began if left else PAUSE_SECONDS
            except Unavailable:
                log.warning("ai_ledger_waits", count=len(self._pending))
                pause = min(max(pause, PAUSE_SECONDS) * 2, LONGEST_PAUSE_SECONDS)

    async def flush(self) -> None:
        """Write all that waits. Raises Unavailable; what was not written waits on."""
        while await self._write_batch():
            pass

    async def _write_batch(self) -> bool:
        """Whether more waits."""
        async with self._writing:
            batch = list(islice(self._pending.values(), BATCH))
            await self._write(batch)
            for decision in batch:
                self._pending.pop(decision.decision_id, None)
            if not self._pending:
                self._news.clear()
            return bool(self._pending)

    async def _write(self, batch: Sequence[Decision]) -> None:
        """A row that cannot be stored at all must not hold up the others."""
        if not batch:
            return
        try:
            await self._store.add(await self._all_sealed(batch))
        except Unavailable:
            raise
        except Exception:
            if len(batch) > 1:
                for decision in batch:
                    await self._write([decision])
                return
            self.lost += 1
            log.exception("ai_decision_lost", count=self.lost)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await self.flush()
        except (TimeoutError, Unavailable):
            log.error("ai_decision_lost", count=len(self._pending))

    async def _all_sealed(self, batch: Sequence[Decision]) -> list[StoredDecision]:
        """A few at a time: other work of the event loop goes in between."""
        sealed: list[StoredDecision] = []
        for decision in batch:
            sealed.append(await self._sealed(decision))
            if len(sealed) % SEALED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return sealed

    async def _sealed(self, decision: Decision) -> StoredDecision:
        key = await self._vault.key_of(decision.group_id or OWN_KEY)
        parts: dict[str, Sealed] = {}
        for name, content in (("input", decision.input), ("output", decision.output)):
            encoded = _encoded(content)
            if content and len(encoded) <= MAX_CONTENT_BYTES:
                parts[name] = key.seal(_place(decision, name), encoded)
        bare = replace(
            decision,
            input={},
            output={},
            user_id=self.person(decision.user_id),
            input_sha256=decision.input_sha256 or _sha256(decision.input),
        )
        return StoredDecision(bare, parts.get("input"), parts.get("output"), decision.at + self._retention)

    async def _opened(self, stored: StoredDecision) -> Decision:
        decision, opened = stored.decision, {}
        try:
            for name, sealed in (("input", stored.input), ("output", stored.output)):
                if sealed is not None:
                    opened[name] = json.loads(await self._vault.open(_place(decision, name), sealed))
        except SealBroken:
            return replace(decision, unreadable=True)
        return replace(decision, **opened, unreadable=stored.input is None)


def _place(decision: Decision, name: str) -> Place:
    return Place(decision.group_id or OWN_KEY, decision.decision_id, "", f"ai-{name}")


def _encoded(content: Mapping[str, Any]) -> bytes:
    return _JSON.encode(content).encode("utf-8", "replace")


def _sha256(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_encoded(content)).hexdigest()
