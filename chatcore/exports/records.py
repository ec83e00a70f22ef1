"""An export as it is kept, and where."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chatcore.audit.store import Change

PSEUDONYM_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """What was agreed to be read. No message is copied: each page is made of what is there when it is asked for.

    `nonce` is random: with the installation's key it makes the pseudonyms, and once it is gone nobody can again.
    """

    id: str
    purpose: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    group_ids: tuple[str, ...]
    left_out: int
    nonce: bytes
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """HMAC-SHA256 by a key of this export alone, cut to 64 bits."""

    key: bytes

    @classmethod
    def of(cls, secret: bytes, record: ExportRecord) -> "Pseudonyms":
        return cls(hmac.digest(secret, b"export:" + record.nonce, hashlib.sha256))

    def person(self, user_id: str) -> str:
        return self._name("p", user_id)

    def conversation(self, group_id: str) -> str:
        return self._name("c", group_id)

    def message(self, message_id: str) -> str:
        return self._name("m", message_id)

    def _name(self, kind: str, true_id: str) -> str:
        return (
            f"{kind}-{hmac.new(self.key, f'{kind}:{true_id}'.encode(), hashlib.sha256).hexdigest()[:PSEUDONYM_DIGITS]}"
        )


class ExportStore(Protocol):
    async def add(self, record: ExportRecord, also: Sequence[Change]) -> None:
        """With the other writes, or not at all."""
        ...

    async def find(self, export_id: str) -> ExportRecord | None: ...
    async def living(self, now: datetime) -> list[ExportRecord]:
        """Those that have not expired, newest first."""
        ...

    async def remove(self, export_id: str, also: Sequence[Change]) -> bool: ...
