"""Typing suggestions: is it worth a call, complete, check."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from chatcore.ai.calls import Purpose
from chatcore.ai.context import Conversations, Line
from chatcore.ai.flows.graph import START, Flow, Progress, Step, Update
from chatcore.ai.flows.prompted import Answer, Prompted
from chatcore.ai.flows.reply import Suggested, suggested, turn
from chatcore.ai.flows.safety import MAX_CHARACTERS, Safety, clean, unknown_links
from chatcore.ports import Caller

LEAST_CHARACTERS: Final = 3
MOST_CHARACTERS: Final = 2_000
DEBOUNCE_SECONDS: Final = 0.06
"""A person types a letter in 100 to 250 ms: what was typed on within this time is not asked for."""
REMEMBERED: Final = 10_000
TURNS: Final = 60
GATHER_SECONDS, CHECK_SECONDS = 2.0, 2.0
_WORD = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class TypingRequest:
    """`text` is what stands before the cursor."""

    caller: Caller
    group_id: str
    text: str
    user_ai: bool = True


class TypingState(Progress, total=False):
    request: TypingRequest
    open: bool
    purpose: Purpose
    lines: list[Line]
    answer: Answer | None
    text: str


class Newest:
    """The last request of each person in each group; an older one need not be answered."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[Hashable, int] = OrderedDict()
        self._last = 0

    def number(self, key: Hashable) -> int:
        self._last += 1
        self._numbers[key] = self._last
        self._numbers.move_to_end(key)
        while len(self._numbers) > REMEMBERED:
            self._numbers.popitem(last=False)
        return self._last

    def is_newest(self, key: Hashable, number: int) -> bool:
        return self._numbers.get(key, number) == number


class TypingFlow:
    def __init__(
        self,
        *,
        conversations: Conversations,
        prompted: Prompted,
        safety: Safety,
        timeout_seconds: float,
        debounce_seconds: float = DEBOUNCE_SECONDS,
    ):
        self._conversations, self._prompted, self._safety = conversations, prompted, safety
        self._timeout_seconds, self._debounce_seconds = timeout_seconds, debounce_seconds
        self._newest = Newest()
        self.flow: Flow[TypingState] = Flow(
            "typing",
            TypingState,
            [
                Step("gate", self._gate, [START], GATHER_SECONDS, needed=True),
                Step("complete", self._complete, ["gate"], timeout_seconds + 1, needed=True),
                Step("filter", self._filter, ["complete"], CHECK_SECONDS, needed=True),
            ],
        )

    async def warm(self) -> None:
        await self.flow.warm()
        await self._safety.warm()

    async def complete(self, request: TypingRequest) -> Suggested | None:
        """None where no model was asked: too little or too much text, or the person typed on.

        Raises NotFound for a group that the caller may not read, and what Models raises.
        """
        ended = await self.flow.run({"request": request})
        answer = ended.get("answer")
        if answer is None:
            return None
        texts = [ended["text"]] if ended["text"] else []
        await self._prompted.record(answer, used={"texts": texts}, action="suggested" if texts else "nothing")
        return suggested(answer, texts)

    async def _gate(self, state: TypingState) -> Update:
        """A group one may not read is refused first, whatever was typed."""
        request = state["request"]
        facts = await self._conversations.facts(request.caller, request.group_id)
        key = (request.caller.user_id, request.caller.connection_id, request.group_id)
        number = self._newest.number(key)
        if not worth_asking(request.text):
            return {"open": False}
        await asyncio.sleep(self._debounce_seconds)
        if not self._newest.is_newest(key, number):
            return {"open": False}
        purpose = Purpose(
            "typing",
            user_id=request.caller.user_id,
            group_id=request.group_id,
            user_ai=request.user_ai,
            group_ai=facts.ai,
            deadline_seconds=self._timeout_seconds,
        )
        lines = await self._conversations.recent(request.caller, request.group_id, TURNS)
        return {"open": True, "purpose": purpose, "lines": lines}

    async def _complete(self, state: TypingState) -> Update:
        if not state["open"]:
            return {"answer": None}
        request = state["request"]
        messages = [turn(line, request.caller.user_id) for line in state["lines"]]
        arguments = {"text": request.text, "messages": messages}
        nothing = {"completion": "", "confidence": 0.0}
        return {
            "answer": await self._prompted.ask("CompleteTyping", arguments, state["purpose"], rules=lambda: nothing)
        }

    async def _filter(self, state: TypingState) -> Update:
        answer = state.get("answer")
        if answer is None:
            return {"text": ""}
        await self._safety.warm()
        typed = state["request"].text
        text = as_continuation(str(answer.value.get("completion", "")), typed)
        whole = typed + text
        context = [line.text for line in state["lines"]]
        fits = 0 < len(text) <= MAX_CHARACTERS and not unknown_links(whole, [*context, typed])
        # The whole line: what was typed may need only one more word to be rough.
        return {"text": text if fits and not self._safety.is_rough(clean(whole)) else ""}


def worth_asking(text: str) -> bool:
    return len(text.strip()) >= LEAST_CHARACTERS and len(text) <= MOST_CHARACTERS and bool(_WORD.search(text))


def as_continuation(completion: str, typed: str) -> str:
    """What follows the cursor alone: one line, without what was typed already, with one space where one is needed.

    >>> as_continuation("see you at noon", "see you")
    ' at noon'
    """
    text, spaced, before = clean(completion), completion[:1].isspace(), typed.strip()
    if text.casefold().startswith(before.casefold()):
        text = text[len(before) :]
        text, spaced = text.lstrip(), text[:1].isspace()
    return (" " if text and spaced and not typed[-1:].isspace() else "") + text
