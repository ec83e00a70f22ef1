"""Smart replies: gather the context, retrieve what went alike, draft, check, rank.

Everything is read as the person who asks, at the moment of asking, and nothing a client sent reaches a prompt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from chatcore.ai.calls import Purpose, Served
from chatcore.ai.context import Conversations, Line
from chatcore.ai.flows.graph import START, Flow, Progress, Step, Update
from chatcore.ai.flows.prompted import Answer, Prompted
from chatcore.ai.flows.safety import Safety
from chatcore.ai.flows.templates import ReplyTemplates
from chatcore.errors import NotFound
from chatcore.ports import Caller

MOST_REPLIES: Final = 3
TURNS: Final = 12
SIMILAR: Final = 3
GATHER_SECONDS, SIMILAR_SECONDS, CHECK_SECONDS = 2.0, 0.06, 2.0
Tell = Callable[[str], None]


class Similar(Protocol):
    """What the search lends to other features."""

    async def similar(self, caller: Caller, group_id: str, text: str, limit: int) -> Sequence[Line]:
        """Messages of that group which say something like it and which the caller may read now, nearest first."""


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """`hint` is what a client says the message reads that is to be answered. `tell` hears each text that passed."""

    caller: Caller
    group_id: str
    message_id: str | None = None
    hint: str = ""
    user_ai: bool = True
    tell: Tell | None = None


@dataclass(frozen=True, slots=True)
class Suggested:
    """`texts` best first, all checked. `prompt` is the version that answered."""

    decision_id: str
    served: Served
    prompt: str
    arm: str
    texts: tuple[str, ...]
    confidence: float


class ReplyState(Progress, total=False):
    request: ReplyRequest
    purpose: Purpose
    lines: list[Line]
    similar: list[Line]
    answer: Answer
    checked: list[str]
    texts: list[str]


class ReplyFlow:
    def __init__(
        self,
        *,
        conversations: Conversations,
        prompted: Prompted,
        safety: Safety,
        templates: ReplyTemplates,
        similar: Similar | None,
        timeout_seconds: float,
    ):
        self._conversations, self._prompted, self._safety = conversations, prompted, safety
        self._templates, self._similar, self._timeout_seconds = templates, similar, timeout_seconds
        self.flow: Flow[ReplyState] = Flow(
            "reply",
            ReplyState,
            [
                Step("gather", self._gather, [START], GATHER_SECONDS, needed=True),
                Step("retrieve", self._retrieve, ["gather"], SIMILAR_SECONDS, otherwise={"similar": []}),
                Step("draft", self._draft, ["retrieve"], timeout_seconds + 1, needed=True),
                Step("check", self._check, ["draft"], CHECK_SECONDS, needed=True),
                Step("rank", self._rank, ["check"], CHECK_SECONDS, needed=True),
            ],
        )

    async def warm(self) -> None:
        await self.flow.warm()
        await self._safety.warm()
        await self._templates.warm()

    async def suggest(self, request: ReplyRequest) -> Suggested:
        """Raises NotFound for what the caller may not read, and what Models raises."""
        ended = await self.flow.run({"request": request})
        answer, texts = ended["answer"], ended["texts"]
        newest = ended["lines"][-1] if ended["lines"] else None
        await self._prompted.record(
            answer,
            used={"texts": texts, "without": [fault.step for fault in ended.get("faults", [])]},
            action="suggested" if texts else "nothing",
            message_id=newest.message_id if newest else "",
            seq=newest.seq if newest else None,
        )
        return suggested(answer, texts)

    async def _gather(self, state: ReplyState) -> Update:
        request = state["request"]
        facts = await self._conversations.facts(request.caller, request.group_id)
        purpose = Purpose(
            "smart_reply",
            user_id=request.caller.user_id,
            group_id=request.group_id,
            user_ai=request.user_ai,
            group_ai=facts.ai,
            deadline_seconds=self._timeout_seconds,
        )
        return {"purpose": purpose, "lines": await self._lines(request)}

    async def _lines(self, request: ReplyRequest) -> list[Line]:
        """The newest turns, ending with the message to answer."""
        caller, group_id = request.caller, request.group_id
        if request.message_id is None:
            lines = await self._conversations.recent(caller, group_id, TURNS)
            meant = [index for index, line in enumerate(lines) if request.hint and line.text == request.hint]
            return lines[: meant[-1] + 1] if meant else lines
        found = await self._conversations.by_ids(caller, [request.message_id])
        if not found or found[0].group_id != group_id:
            raise NotFound("There is no such message in this group, or you may not read it")
        return await self._conversations.recent(caller, group_id, TURNS, before=found[0].seq + 1)

    async def _retrieve(self, state: ReplyState) -> Update:
        request, lines = state["request"], state["lines"]
        if self._similar is None or not lines:
            return {"similar": []}
        found = await self._similar.similar(request.caller, request.group_id, lines[-1].text, SIMILAR + TURNS)
        seen = {line.message_id for line in lines}
        fresh = [line for line in found if line.message_id not in seen and line.group_id == request.group_id]
        return {"similar": fresh[:SIMILAR]}

    async def _draft(self, state: ReplyState) -> Update:
        me, lines = state["request"].caller.user_id, state["lines"]
        arguments = {
            "messages": [turn(line, me) for line in lines],
            "similar": [turn(line, me) for line in state["similar"]],
            "limit": MOST_REPLIES,
        }
        last = lines[-1].text if lines else ""
        answer = await self._prompted.ask(
            "SmartReplies", arguments, state["purpose"], rules=lambda: self._templates.replies(last, MOST_REPLIES)
        )
        return {"answer": answer}

    async def _check(self, state: ReplyState) -> Update:
        drafts = sorted(_drafts(state["answer"].value), key=lambda draft: -draft[1])
        context = [line.text for line in state["lines"]]
        return {"checked": await self._safety.kept([text for text, _ in drafts], context)}

    async def _rank(self, state: ReplyState) -> Update:
        texts, tell = state["checked"][:MOST_REPLIES], state["request"].tell
        if tell is not None:
            for text in texts:
                tell(text)
        return {"texts": texts}


def suggested(answer: Answer, texts: Sequence[str]) -> Suggested:
    confidence = share(answer.value.get("confidence")) if texts else 0.0
    version = answer.choice.version.version_id
    return Suggested(answer.decision_id, answer.served, version, answer.choice.arm, tuple(texts), confidence)


def turn(line: Line, me: str) -> dict[str, Any]:
    """A message as prompts get it."""
    return {"id": line.message_id, "sender": line.sender_name, "text": line.text, "own": line.sender_id == me}


def _drafts(value: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(str(reply.get("text", "")), share(reply.get("score"))) for reply in value.get("replies", [])]


def share(value: object) -> float:
    """Between 0 and 1, whatever a model said."""
    return round(min(max(float(value), 0.0), 1.0), 4) if isinstance(value, int | float) else 0.0
