"""Suggestions and analysis, wired to conversations and models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from chatcore.ai.analysis.cache import AnalysisCache
from chatcore.ai.analysis.records import AnalysisStore
from chatcore.ai.analysis.service import Analysis
from chatcore.ai.context import Conversations, Line
from chatcore.ai.flows.prompted import Prompted
from chatcore.ai.flows.reply import ReplyFlow, Similar
from chatcore.ai.flows.safety import Safety
from chatcore.ai.flows.templates import ReplyTemplates
from chatcore.ai.flows.typing import TypingFlow
from chatcore.ai.ledger.service import Ledger
from chatcore.ai.search.retrieval import Retrieval
from chatcore.ai.suggestions.records import SuggestionStore
from chatcore.ai.suggestions.service import Suggestions, UsesAi
from chatcore.background import Background
from chatcore.groups.membership import Clock
from chatcore.groups.service import Groups
from chatcore.identity.service import Identity
from chatcore.messages.changes import Change
from chatcore.messages.missed import MissedRows
from chatcore.messages.service import Messages
from chatcore.ports import Caller, Fanout
from chatcore.vault.service import Vault

MARGIN_SECONDS: Final = 0.5
"""A flow's deadline leaves this of the limit to reading, checking and keeping."""


@dataclass(frozen=True)
class Flows:
    suggestions: Suggestions
    analysis: Analysis

    async def warm(self) -> None:
        """Seconds of importing in threads: for the background, once the chat serves."""
        await self.suggestions.warm()
        await self.analysis.warm()


@dataclass(frozen=True)
class SimilarMessages:
    """What the search finds, for prompts that want examples."""

    conversations: Conversations
    retrieval: Retrieval

    async def similar(self, caller: Caller, group_id: str, text: str, limit: int) -> Sequence[Line]:
        facts = await self.conversations.facts(caller, group_id)
        found = await self.retrieval.find(caller, text, [facts], limit, feature="smart_reply")
        return [each.line for each in found.found]


def compose_flows(
    *,
    conversations: Conversations,
    prompted: Prompted,
    ledger: Ledger,
    suggestion_store: SuggestionStore,
    analysis_store: AnalysisStore,
    background: Background,
    messages: Messages,
    missed: MissedRows,
    secret: bytes,
    models: str,
    vault: Vault,
    fanout: Fanout,
    groups: Groups,
    identity: Identity,
    uses_ai: UsesAi,
    clock: Clock,
    timeout_seconds: float,
    similar: Similar | None = None,
) -> Flows:
    """`models` names the models in use, `secret` keys what must not be guessed."""
    safety, seconds = Safety(), max(timeout_seconds - MARGIN_SECONDS, timeout_seconds / 2)
    replies = ReplyFlow(
        conversations=conversations,
        prompted=prompted,
        safety=safety,
        templates=ReplyTemplates(),
        similar=similar,
        timeout_seconds=seconds,
    )
    typing = TypingFlow(
        conversations=conversations,
        prompted=prompted,
        safety=safety,
        timeout_seconds=seconds,
    )
    suggestions = Suggestions(
        replies=replies,
        typing=typing,
        store=suggestion_store,
        ledger=ledger,
        vault=vault,
        fanout=fanout,
        uses_ai=uses_ai,
        clock=clock,
    )
    cache = AnalysisCache(analysis_store, vault, background, secret=secret, models=models, clock=clock)
    analysis = Analysis(
        conversations=conversations,
        prompted=prompted,
        safety=safety,
        cache=cache,
        uses_ai=uses_ai,
        timeout_seconds=seconds,
        clock=clock,
    )
    groups.on_erase(suggestions.erase_group)
    groups.on_erase(cache.erase_group)
    identity.on_erase(suggestions.erase_user)
    messages.changes.listen(_forgetting(cache))
    missed.changed = cache.changed
    return Flows(suggestions=suggestions, analysis=analysis)


def _forgetting(cache: AnalysisCache) -> Callable[[Change], None]:
    def forget(change: Change) -> None:
        if change.kind != "new":
            cache.changed(change.room.id, change.row.seq)

    return forget
