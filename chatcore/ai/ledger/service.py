"""Recording decisions and finding them again."""

import secrets
from collections.abc import Mapping
from typing import Any

from chatcore.ai.ledger.records import Decision


class Ledger:
    def new_id(self) -> str:
        return secrets.token_hex(12)

    async def record(self, decision: Decision) -> None:
        """Returns at once; rows are written in batches in the background."""
        raise NotImplementedError

    async def find(self, decision_id: str) -> Decision:
        """Raises NotFound."""
        raise NotImplementedError

    async def add_outcome(
        self,
        decision_id: str,
        *,
        human: Mapping[str, Any] | None = None,
        appeal: Mapping[str, Any] | None = None,
        exposure: Mapping[str, Any] | None = None,
    ) -> None:
        """What became of a decision; a later outcome of a kind replaces the earlier one. Raises NotFound."""
        raise NotImplementedError
