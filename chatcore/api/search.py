"""Commands that find messages and answer from them."""

from typing import Any

from chatcore.api.command import Command, Refusal, Rest
from chatcore.contract import search as s
from chatcore.contract.base import Shape
from chatcore.errors import CapabilityUnavailable, NotFound, RateLimited, Unavailable

ANSWERS: tuple[Refusal, ...] = (NotFound, CapabilityUnavailable, Unavailable, RateLimited)


def _search(name: str, **fields: Any) -> Command:
    return Command(name=name, **({"tag": "ai", "error_event": "ai_error", "refuses": ANSWERS} | fields))


COMMANDS: tuple[Command, ...] = (
    _search(
        "search_messages",
        rest=Rest("POST", "/ai/search"),
        request=s.SearchMessages,
        reply=s.SearchResults,
        answer=lambda services, c, r: services.search.search(c, r),
        limit="search",
        summary="Find messages by words, parts of words or meaning, in one group or in all of one's own.",
    ),
    _search(
        "ask_group",
        rest=Rest("POST", "/ai/ask"),
        request=s.AskGroup,
        reply=s.Answered,
        answer=lambda services, c, r: services.search.ask(c, r),
        limit="ai",
        summary="Answer a question from a group's messages, with the messages that say so.",
    ),
)

EVENTS: dict[str, type[Shape]] = {}
