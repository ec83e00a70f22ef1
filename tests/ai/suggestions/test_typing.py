"""The rest of a line: when a model is asked, and what of its answer is let through."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatcore.ai.flows.typing import as_continuation, worth_asking
from chatcore.contract import ai
from chatcore.errors import NotFound
from chatcore.ports import Caller
from tests.ai.conftest import Bench
from tests.ai.fake_provider import FakeProvider
from tests.ai.talk import Talk, connected, talk


@pytest.fixture
async def home(bench: Bench) -> AsyncIterator[Talk]:
    async with talk(bench.models()) as household:
        yield household


async def types(home: Talk, caller: Caller, group_id: str, text: str, **fields: Any) -> ai.TypingSuggestion:
    request = ai.RequestTypingSuggestion(group_id=group_id, current_text=text, **fields)
    return await home.flows.suggestions.complete_typing(caller, request)


@pytest.mark.parametrize("text", ["", "  a ", "12", "?!?!?!", "x" * 2_001])
async def test_too_little_and_too_much_is_not_asked_about(home: Talk, fake: FakeProvider, text: str) -> None:
    (ann,) = home.people("ann")
    garden = await home.group(ann)
    if text == "12":
        text = "12 "
    answer = await types(home, ann, garden, text)
    assert (answer.suggestion, answer.suggestion_id, answer.decision_id) == ("", None, None)
    assert fake.requests == []


async def test_what_follows_the_cursor_is_not_looked_at(home: Talk, fake: FakeProvider) -> None:
    (ann,) = home.people("ann")
    garden = await home.group(ann)
    await types(home, ann, garden, "see you at the station", cursor_position=7, context="forged")
    assert fake.chats[0].input["text"] == "see you"
    assert "forged" not in fake.chats[0].text


@pytest.mark.parametrize(("cursor", "before"), [(None, "a😀b"), (0, ""), (1, "a"), (2, "a"), (3, "a😀"), (99, "a😀b")])
def test_the_cursor_counts_as_a_browser_does(cursor: int | None, before: str) -> None:
    request = ai.RequestTypingSuggestion(group_id="0" * 24, partial_text="a😀b", cursor_position=cursor)
    assert request.before_cursor == before


async def test_who_types_on_is_answered_once(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.flows.warm()
    texts = ("see you", "see you at", "see you at the", "see you at the st")
    answers = await asyncio.gather(*(types(home, ann, garden, text) for text in texts), types(home, bob, garden, "yes"))
    asked = sorted(asked.input["text"] for asked in fake.chats)
    assert asked == ["see you at the st", "yes"]
    assert [bool(answer.suggestion) for answer in answers] == [False, False, False, True, True]


async def test_two_devices_of_one_person_are_answered_both(home: Talk, fake: FakeProvider) -> None:
    (ann,) = home.people("ann")
    garden = await home.group(ann)
    await home.flows.warm()
    await asyncio.gather(types(home, ann, garden, "see you"), types(home, connected(ann), garden, "see you"))
    assert len(fake.chats) == 2


async def test_strangers_are_not_found_whatever_they_type(home: Talk, fake: FakeProvider) -> None:
    ann, eve = home.people("ann", "eve")
    garden = await home.group(ann)
    for text in ("see you at", "x"):
        with pytest.raises(NotFound):
            await types(home, eve, garden, text)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("completion", "passed"),
    [
        (" at noon", " at noon"),
        ("see you at noon", " at noon"),
        ("see you", ""),
        (" at www.evil.example", ""),
        (".evil.example", ""),
        (" you stupid bitch", ""),
        (" " + "x" * 280, ""),
        (" at\u0000 noon\n\u202e", " at noon"),
        ("", ""),
    ],
)
async def test_only_what_is_fit_is_let_through(home: Talk, fake: FakeProvider, completion: str, passed: str) -> None:
    (ann,) = home.people("ann")
    garden = await home.group(ann)
    fake.answers["CompleteTyping"] = lambda _: {"completion": completion[:280], "confidence": 0.7}
    if len(completion) > 280:
        fake.answers["CompleteTyping"] = lambda _: {"completion": completion, "confidence": 0.7}
    answer = await types(home, ann, garden, "see you")
    assert answer.suggestion == passed
    assert (answer.suggestion_id is not None) == bool(passed)


async def test_without_a_model_that_answers_nothing_is_suggested(home: Talk, fake: FakeProvider) -> None:
    (ann,) = home.people("ann")
    garden = await home.group(ann)
    fake.mode = "500"
    answer = await types(home, ann, garden, "see you")
    assert (answer.suggestion, answer.provider, answer.degraded) == ("", "rules", True)


def test_what_is_worth_asking() -> None:
    assert worth_asking("see")
    assert worth_asking("日本語")
    assert not worth_asking("...")


def test_a_continuation_begins_where_the_cursor_is() -> None:
    assert as_continuation("u at noon", "see yo") == "u at noon"
    assert as_continuation(" at noon", "see you ") == "at noon"
    assert as_continuation("See you at noon", "see you ") == "at noon"
    assert as_continuation("   ", "see you") == ""
