"""Smart replies, typing suggestions, and what people made of them."""

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from chatcore.ai.flows.reply import ReplyFlow, ReplyRequest, Suggested, Tell
from chatcore.ai.flows.typing import TypingFlow, TypingRequest
from chatcore.ai.ledger.service import Ledger
from chatcore.ai.suggestions.records import Kind, SuggestionRecord, SuggestionStore
from chatcore.contract import ai
from chatcore.contract.base import Empty
from chatcore.errors import NotFound
from chatcore.journal.ids import new_id
from chatcore.ports import Caller, Fanout
from chatcore.vault.envelope import Place, Sealed
from chatcore.vault.service import Vault

UsesAi = Callable[[str], Awaitable[bool]]
"""A person's own switch, by id."""


class Suggestions:
    """To the asker alone. Nothing here sends, changes or reads anything for anybody else."""

    def __init__(
        self,
        *,
        replies: ReplyFlow,
        typing: TypingFlow,
        store: SuggestionStore,
        ledger: Ledger,
        vault: Vault,
        fanout: Fanout,
        uses_ai: UsesAi,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        self._replies, self._typing, self._store, self._ledger = replies, typing, store, ledger
        self._vault, self._fanout, self._uses_ai, self._clock = vault, fanout, uses_ai, clock

    async def warm(self) -> None:
        """Import and load what the first request would wait for."""
        await self._replies.warm()
        await self._typing.warm()

    async def suggest_replies(self, caller: Caller, request: ai.RequestSmartReplies) -> ai.SmartReplies:
        """With `stream` each text is told as soon as it passed the checks, never before."""
        started = time.monotonic()
        request_id = caller.request_id or secrets.token_hex(8)
        tell = self._teller(caller, request_id) if request.stream else None
        asked = ReplyRequest(
            caller=caller,
            group_id=request.group_id,
            message_id=request.message_id,
            hint=request.message_content or "",
            user_ai=await self._uses_ai(caller.user_id),
            tell=tell,
        )
        found = await self._replies.suggest(asked)
        kept = await self._keep("reply", caller, request.group_id, found)
        if request.stream:
            self._tell_chunk(caller, request_id, "", is_complete=True)
        return ai.SmartReplies(
            group_id=request.group_id,
            request_id=request_id,
            suggestions=list(found.texts),
            items=[
                ai.Suggestion(suggestion_id=suggestion_id, text=text)
                for suggestion_id, text in zip(kept, found.texts, strict=True)
            ],
            confidence=found.confidence,
            processing_time=round((time.monotonic() - started) * 1_000),
            decision_id=found.decision_id,
            provider=found.served.provider,
            model=found.served.model,
            degraded=found.served.degraded,
        )

    async def complete_typing(self, caller: Caller, request: ai.RequestTypingSuggestion) -> ai.TypingSuggestion:
        request_id = caller.request_id or secrets.token_hex(8)
        user_ai = await self._uses_ai(caller.user_id)
        found = await self._typing.complete(TypingRequest(caller, request.group_id, request.before_cursor, user_ai))
        if found is None:
            return ai.TypingSuggestion(
                group_id=request.group_id, request_id=request_id, suggestion="", confidence=0, degraded=False
            )
        kept = await self._keep("typing", caller, request.group_id, found)
        return ai.TypingSuggestion(
            group_id=request.group_id,
            request_id=request_id,
            suggestion_id=kept[0] if kept else None,
            suggestion=found.texts[0] if found.texts else "",
            confidence=found.confidence,
            degraded=found.served.degraded,
            decision_id=found.decision_id,
            provider=found.served.provider,
            model=found.served.model,
        )

    async def rate(self, caller: Caller, request: ai.RateSuggestion) -> Empty:
        """A repeat is a no-op. Raises NotFound for a suggestion to somebody else, and for one that is too old."""
        found = await self._store.find(request.suggestion_id)
        if found is None or found.user_id != caller.user_id:
            raise NotFound("There is no such suggestion, or it was made to somebody else")
        feedback = await self._seal(found, request.feedback) if request.feedback else None
        await self._store.rate(found.suggestion_id, request.rating, self._clock(), feedback)
        together = await self._store.of_decision(found.decision_id)
        await self._ledger.add_outcome(found.decision_id, exposure=_exposure(together))
        return Empty()

    async def erase_group(self, group_id: str, _message_ids: Sequence[str]) -> None:
        await self._store.erase_group(group_id)

    async def erase_user(self, user_id: str) -> None:
        await self._store.erase_user(user_id)

    async def _keep(self, kind: Kind, caller: Caller, group_id: str, found: Suggested) -> list[str]:
        """The ids under which these can be rated, stored before they are told."""
        now = self._clock()
        made = [
            SuggestionRecord(
                suggestion_id=new_id(now),
                decision_id=found.decision_id,
                kind=kind,
                place=place,
                user_id=caller.user_id,
                group_id=group_id,
                prompt=found.prompt,
                arm=found.arm,
                at=now,
            )
            for place in range(len(found.texts))
        ]
        await self._store.add(made)
        return [each.suggestion_id for each in made]

    async def _seal(self, suggestion: SuggestionRecord, feedback: str) -> Sealed:
        key = await self._vault.key_of(suggestion.group_id)
        place = Place(suggestion.group_id, suggestion.suggestion_id, suggestion.user_id, "feedback")
        return key.seal(place, feedback.encode())

    def _teller(self, caller: Caller, request_id: str) -> Tell:
        return lambda text: self._tell_chunk(caller, request_id, text, is_complete=False)

    def _tell_chunk(self, caller: Caller, request_id: str, text: str, *, is_complete: bool) -> None:
        if caller.connection_id is not None:
            chunk = ai.SmartReplyChunk(request_id=request_id, chunk=text, is_complete=is_complete)
            self._fanout.tell_connection(caller.connection_id, "smart_reply_stream", chunk)


def _exposure(suggestions: Sequence[SuggestionRecord]) -> dict[str, object]:
    """Of all suggestions of one decision: what was shown, taken, liked, and when."""
    return {
        "items": [
            {
                "suggestionId": each.suggestion_id,
                "place": each.place,
                "ratings": {rating: at.isoformat() for rating, at in each.ratings.items()},
                "feedback": each.feedback is not None,
            }
            for each in suggestions
        ]
    }
