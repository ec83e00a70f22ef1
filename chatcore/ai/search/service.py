"""Search as people use it."""

from typing import Protocol

from chatcore.ai.context import Conversations, GroupFacts
from chatcore.ai.ledger.records import Decision
from chatcore.ai.search.ask import Ask
from chatcore.ai.search.retrieval import Found, Retrieval
from chatcore.contract.search import Answered, AskGroup, SearchMessages, SearchResult, SearchResults
from chatcore.ports import Caller


class Records(Protocol):
    """Of the decision ledger: what search needs."""

    def new_id(self) -> str: ...

    async def record(self, decision: Decision) -> None: ...


class Search:
    """Finds what the caller may read, in one group or in all of the caller's, and answers from it."""

    def __init__(self, conversations: Conversations, retrieval: Retrieval, asking: Ask, ledger: Records):
        self._conversations = conversations
        self._retrieval = retrieval
        self._asking = asking
        self._ledger = ledger

    async def search(self, caller: Caller, request: SearchMessages) -> SearchResults:
        """Without a model that answers, or where AI is off, by words alone and `degraded`.

        Raises NotFound for a group that the caller is no member of, CapabilityUnavailable, Unavailable.
        """
        groups = await self._groups(caller, request.group_id)
        retrieved = await self._retrieval.find(caller, request.query, groups, request.limit)
        decision = Decision(
            decision_id=self._ledger.new_id(),
            feature="search",
            served=retrieved.served,
            input={"query": request.query, "limit": request.limit},
            output={"messageIds": [found.line.message_id for found in retrieved.found]},
            scores={found.line.message_id: found.score for found in retrieved.found},
            group_id=request.group_id or "",
            user_id=caller.user_id,
        )
        await self._ledger.record(decision)
        return SearchResults(
            results=[_result(found) for found in retrieved.found],
            incomplete=retrieved.incomplete,
            decision_id=decision.decision_id,
            provider=retrieved.served.provider,
            model=retrieved.served.model,
            degraded=retrieved.served.degraded,
        )

    async def ask(self, caller: Caller, request: AskGroup) -> Answered:
        return await self._asking.ask(caller, request)

    async def _groups(self, caller: Caller, group_id: str | None) -> list[GroupFacts]:
        if group_id is not None:
            return [await self._conversations.facts(caller, group_id)]
        return await self._conversations.groups_of(caller)


def _result(found: Found) -> SearchResult:
    line = found.line
    return SearchResult(
        message_id=line.message_id,
        group_id=line.group_id,
        content=line.text,
        score=round(found.score, 4),
        seq=line.seq,
        sender_id=line.sender_id,
        sender_name=line.sender_name,
        created_at=line.at,
    )
