"""What was not let through, kept sealed so that its author can appeal; and texts that people have let pass."""

import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256

from chatcore.moderation.judge import Judged
from chatcore.moderation.records import Deed, Sanction, Subject
from chatcore.moderation.scene import Change, Seen
from chatcore.moderation.store import ModerationStore
from chatcore.vault.envelope import SealBroken
from chatcore.vault.service import Vault


class Sanctions:
    """Sealed under the group's key: they go with the group, and their text when its retention has passed."""

    def __init__(
        self,
        *,
        store: ModerationStore,
        vault: Vault,
        clock: Callable[[], datetime],
        secret: bytes,
        retention_days: int,
    ):
        self._store = store
        self._vault = vault
        self._clock = clock
        self._secret = secret
        self._retention = timedelta(days=retention_days)

    async def make(self, text: str, subject: Subject, judged: Judged, deed: Deed, message_id: str) -> Sanction:
        return await self._sealed(
            text,
            Sanction(
                decision_id=judged.decision_id,
                deed=deed,
                kind=subject.kind,
                group_id=subject.group_id,
                user_id=subject.user_id,
                message_id=message_id,
                category=judged.ruling.category,
                sealed=None,
                created_at=self._clock(),
                due_at=self._clock() + self._retention,
            ),
        )

    async def by_hand(self, seen: Seen, decision_id: str, category: str) -> Sanction:
        """For a message that a person removes."""
        return await self._sealed(
            seen.text,
            Sanction(
                decision_id=decision_id,
                deed="removed",
                kind="message",
                group_id=seen.group_id,
                user_id=seen.author.user_id,
                message_id=seen.message_id,
                category=category,
                sealed=None,
                created_at=self._clock(),
                due_at=self._clock() + self._retention,
            ),
        )

    async def _sealed(self, text: str, bare: Sanction) -> Sanction:
        key = self._vault.known_key(bare.group_id) or await self._vault.key_of(bare.group_id)
        return bare.holding(key.seal(bare.place, text.encode()))

    async def text_of(self, sanction: Sanction) -> str | None:
        """As it was written; None once its retention has passed or its group's keys are gone."""
        if sanction.sealed is None:
            return None
        try:
            return (await self._vault.open(sanction.place, sanction.sealed)).decode()
        except SealBroken:
            return None

    async def may_stand(self, text: str, subject: Subject) -> bool:
        return await self._store.has_pass(self._mark(subject.group_id, subject.user_id, text))

    def let_stand(self, sanction: Sanction, text: str) -> Change:
        """From now on this very text of this person passes in this group."""
        return self._store.pass_added(self._mark(sanction.group_id, sanction.user_id, text), self._clock())

    async def erase_due(self) -> None:
        await self._store.erase_due(self._clock())

    def _mark(self, *parts: str) -> str:
        encoded = [part.encode("utf-8", "replace") for part in parts]
        message = b"pass" + b"".join([len(part).to_bytes(4, "big") + part for part in encoded])
        return hmac.new(self._secret, message, sha256).hexdigest()
