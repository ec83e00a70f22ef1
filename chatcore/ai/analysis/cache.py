"""Analyses kept sealed, under a name that says what was looked at."""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatcore.ai.analysis.records import AnalysisStore, Look, StoredAnalysis
from chatcore.ai.analysis.window import Window
from chatcore.ai.prompts.versions import PromptVersion
from chatcore.background import Background
from chatcore.vault.envelope import Place, SealBroken
from chatcore.vault.service import Vault


@dataclass(eq=False, slots=True)
class Looking:
    """An analysis under way. `stale`: a message of its group changed meanwhile, so it is not kept."""

    group_id: str
    stale: bool = False

    def is_stale(self) -> bool:
        return self.stale


class AnalysisCache:
    """`secret` keys the names, which would else tell whoever has the database that a text was guessed rightly.

    `models` names the models in use: a better one must not be answered from what a small one said.
    """

    def __init__(
        self,
        store: AnalysisStore,
        vault: Vault,
        background: Background,
        *,
        secret: bytes,
        models: str,
        clock: Callable[[], datetime],
    ):
        self._store, self._vault, self._background = store, vault, background
        self._secret, self._models, self._clock = secret, models, clock
        self._running: set[Looking] = set()
        self._gone: dict[str, set[int]] = {}
        self._forgetting: set[str] = set()

    def begin(self, group_id: str) -> Looking:
        looking = Looking(group_id)
        self._running.add(looking)
        return looking

    def end(self, looking: Looking) -> None:
        self._running.discard(looking)

    def key(self, look: Look, window: Window, version: PromptVersion) -> str:
        """The same messages, read by whomever, give the same name; any change of them another."""
        lines = [[line.message_id, line.sender_name, line.text] for line in window.lines]
        seen = [look, self._models, version.version_id, dict(version.parameters), window.group_id, lines]
        content = json.dumps(seen, sort_keys=True, ensure_ascii=True, default=str)
        return hmac.new(self._secret, b"analysis:" + content.encode(), hashlib.sha256).hexdigest()

    async def find(self, key: str, group_id: str) -> dict[str, Any] | None:
        found = await self._store.find(key)
        if found is None or found.group_id != group_id:
            return None
        try:
            told: dict[str, Any] = json.loads(await self._vault.open(_place(group_id, key), found.sealed))
        except SealBroken:
            return None
        return told

    async def keep(self, key: str, look: Look, window: Window, looking: Looking, told: dict[str, Any]) -> None:
        """Not where a message of the group changed since the analysis began."""
        if looking.is_stale() or not window.lines:
            return
        group_key = await self._vault.key_of(window.group_id)
        sealed = group_key.seal(_place(window.group_id, key), json.dumps(told, default=str).encode())
        first, last = window.lines[0].seq, window.lines[-1].seq
        await self._store.keep(StoredAnalysis(key, window.group_id, look, first, last, sealed, self._clock()))
        if looking.is_stale():  # while it was being stored
            await self._store.forget(window.group_id, [first])

    def changed(self, group_id: str, seq: int) -> None:
        """A message was edited or deleted: what was made of it goes, soon. Never waits."""
        for looking in self._running:
            if looking.group_id == group_id:
                looking.stale = True
        self._gone.setdefault(group_id, set()).add(seq)
        if group_id not in self._forgetting and self._background.spawn("forget-analyses", self._forget(group_id)):
            self._forgetting.add(group_id)

    async def erase_group(self, group_id: str, _message_ids: Sequence[str] = ()) -> None:
        await self._store.erase_group(group_id)

    async def _forget(self, group_id: str) -> None:
        """What could not be forgotten now is tried again with the group's next change."""
        try:
            while gone := sorted(self._gone.get(group_id, ())):
                await self._store.forget(group_id, gone)
                self._gone[group_id].difference_update(gone)
            self._gone.pop(group_id, None)
        finally:
            self._forgetting.discard(group_id)


def _place(group_id: str, key: str) -> Place:
    return Place(group_id, key, "", "analysis")
