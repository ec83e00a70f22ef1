"""The rung below the models: replies that fit a kind of message, whatever it says."""

import asyncio
from typing import Any

SCORE_STEP = 0.01


class ReplyTemplates:
    """Of the reply bank that ships; read once, in a thread."""

    def __init__(self) -> None:
        self._by_kind: dict[str, tuple[str, ...]] | None = None

    async def warm(self) -> None:
        if self._by_kind is None:
            self._by_kind = await asyncio.to_thread(_read)

    def replies(self, last_turn: str, limit: int) -> dict[str, Any]:
        """In the form of SmartReplies; none before `warm`, none for an empty conversation."""
        from chatcore.models.replies import kind_of  # noqa: PLC0415 - numpy, which `warm` has imported by then

        texts = self._by_kind[kind_of(last_turn)][:limit] if self._by_kind and last_turn.strip() else ()
        replies = [
            {"text": text, "score": (len(texts) - place) * SCORE_STEP, "intent": "any"}
            for place, text in enumerate(texts)
        ]
        return {"replies": replies, "confidence": 0.0}


def _read() -> dict[str, tuple[str, ...]]:
    from chatcore.models.files import require_file  # noqa: PLC0415 - see above
    from chatcore.models.replies import ReplyBank  # noqa: PLC0415

    return ReplyBank.read(require_file("replies.en.toml")).templates
