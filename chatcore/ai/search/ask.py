"""Answering a question from a group's messages, with the messages that say so.

retrieve (embed, both rankings, the caller's membership) -> rerank (what was said around the best ones, no repeats) ->
answer (a prompt) -> verify. Nothing that the model says counts by itself: an answer leaves here only with citations
that were among what it was given and that the caller may still read. So whatever a message tells the model to do, the
most it can change is a text that only the asker sees, beside the very messages it was made from.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from chatcore.ai.calls import Purpose
from chatcore.ai.context import Conversations, GroupFacts, Line
from chatcore.ai.flows.graph import START, Flow, Progress, Step
from chatcore.ai.flows.prompted import Answer, Prompted
from chatcore.ai.flows.safety import without_unknown_links
from chatcore.ai.search.retrieval import Found, Retrieval, Retrieved
from chatcore.contract.search import Answered, AskGroup
from chatcore.ports import Caller

FUNCTION: Final = "AnswerFromMessages"
RETRIEVED: Final = 16  # messages that go on to the answer, with what was said around the best
MOST_RETRIEVED: Final = 40
BEST: Final = 4  # whose neighbours are read too: an answer often follows the question that was found
BEFORE, AFTER = 1, 3  # neighbours of each in the log
MOST_CHARACTERS: Final = 12_000  # of all messages given to the model
MOST_ANSWER_CHARACTERS: Final = 2_000
NOT_FOUND: Final = "Nothing about this was found in this group."
RETRIEVE_SECONDS, RERANK_SECONDS, ANSWER_SECONDS, VERIFY_SECONDS = 4.0, 2.0, 9.0, 2.0


class Asked(Progress, total=False):
    caller: Caller
    request: AskGroup
    facts: GroupFacts
    user_ai: bool
    retrieved: Retrieved
    context: list[Line]
    answer: Answer
    answered: Answered


class Ask:
    """Raises NotFound for a group that the caller is no member of, CapabilityUnavailable, Unavailable, RateLimited."""

    def __init__(
        self,
        conversations: Conversations,
        retrieval: Retrieval,
        prompted: Prompted,
        *,
        user_ai: Callable[[str], Awaitable[bool]],
    ):
        self._conversations = conversations
        self._retrieval = retrieval
        self._prompted = prompted
        self._user_ai = user_ai
        self._flow: Flow[Asked] = Flow(
            "ask",
            Asked,
            [
                Step("retrieve", self._retrieve, [START], RETRIEVE_SECONDS, needed=True),
                Step("rerank", self._rerank, ["retrieve"], RERANK_SECONDS, needed=True),
                Step("answer", self._answer, ["rerank"], ANSWER_SECONDS, needed=True),
                Step("verify", self._verify, ["answer"], VERIFY_SECONDS, needed=True),
            ],
        )

    async def warm(self) -> None:
        await self._flow.warm()

    async def ask(self, caller: Caller, request: AskGroup) -> Answered:
        facts = await self._conversations.facts(caller, request.group_id)
        user_ai = await self._user_ai(caller.user_id)
        ended = await self._flow.run(Asked(caller=caller, request=request, facts=facts, user_ai=user_ai))
        return ended["answered"]

    async def _retrieve(self, state: Asked) -> dict[str, Any]:
        found = await self._retrieval.find(
            state["caller"], state["request"].question, [state["facts"]], MOST_RETRIEVED, feature="ask"
        )
        return {"retrieved": found}

    async def _rerank(self, state: Asked) -> dict[str, Any]:
        """The best and what was said around them, each text once, oldest first, as a conversation is read."""
        found = without_repeats(state["retrieved"].found)[:RETRIEVED]
        chosen = {each.line.message_id: each.line for each in found}
        for each in found[:BEST]:
            for line in await self._around(state["caller"], each.line):
                chosen.setdefault(line.message_id, line)
        return {"context": in_order(within(chosen.values(), MOST_CHARACTERS))}

    async def _around(self, caller: Caller, line: Line) -> list[Line]:
        before = line.seq + AFTER + 1
        lines = await self._conversations.recent(caller, line.group_id, BEFORE + 1 + AFTER, before=before)
        return [other for other in lines if line.seq - BEFORE <= other.seq <= line.seq + AFTER]

    async def _answer(self, state: Asked) -> dict[str, Any]:
        caller, request = state["caller"], state["request"]
        messages = [
            {
                "id": line.message_id,
                "sender": line.sender_name,
                "text": line.text,
                "own": line.sender_id == caller.user_id,
            }
            for line in state["context"]
        ]
        purpose = Purpose(
            "ask",
            user_id=caller.user_id,
            group_id=request.group_id,
            user_ai=state["user_ai"],
            group_ai=state["facts"].ai,
        )
        arguments = {"question": request.question, "messages": messages}
        return {"answer": await self._prompted.ask(FUNCTION, arguments, purpose)}

    async def _verify(self, state: Asked) -> dict[str, Any]:
        answer = state["answer"]
        text, citations = await self._checked(state)
        told = Answered(
            answer=text or NOT_FOUND,
            answered=bool(text),
            citations=citations,
            decision_id=answer.decision_id,
            provider=answer.served.provider,
            model=answer.served.model,
            degraded=answer.served.degraded,
        )
        used = {"answer": told.answer, "citations": citations}
        await self._prompted.record(answer, used=used, action="answered" if told.answered else "not_found")
        return {"answered": told}

    async def _checked(self, state: Asked) -> tuple[str, list[str]]:
        """The answer with its citations, or nothing at all."""
        value, given = state["answer"].value, {line.message_id: line for line in state["context"]}
        cited = list(dict.fromkeys(id_ for id_ in value.get("message_ids") or () if id_ in given))
        text = str(value.get("answer") or "").strip()
        if not value.get("answered") or not text or not cited:
            return "", []
        readable = await self._conversations.by_ids(state["caller"], cited)
        unchanged = [line.message_id for line in readable if line.text == given[line.message_id].text]
        if not unchanged:
            return "", []
        text = without_unknown_links(text, [given[id_].text for id_ in unchanged])
        return text[:MOST_ANSWER_CHARACTERS], unchanged


def without_repeats(found: Sequence[Found]) -> list[Found]:
    """The best of those with the same words."""
    known: dict[str, Found] = {}
    for each in found:
        known.setdefault(" ".join(each.line.text.casefold().split()), each)
    return list(known.values())


def within(lines: Iterable[Line], most_characters: int) -> list[Line]:
    """As many of the first ones as have room."""
    kept: list[Line] = []
    for line in lines:
        most_characters -= len(line.text)
        if most_characters < 0:
            break
        kept.append(line)
    return kept


def in_order(lines: Sequence[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: line.seq)
