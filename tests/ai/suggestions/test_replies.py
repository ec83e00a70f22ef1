"""Smart replies with a provider: what it is told, what of its answer is let through, what is kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatcore.ai.context import Line
from chatcore.contract import ai
from chatcore.contract import groups as g
from chatcore.contract import messages as m
from chatcore.contract.people import UpdateMe, UserSettingsChange
from chatcore.errors import CapabilityUnavailable, ChatError, NotFound, Unavailable
from chatcore.ports import Caller
from tests.ai.conftest import Bench
from tests.ai.fake_provider import FAILURES, FakeProvider, Mode
from tests.ai.talk import Talk, connected, talk


@pytest.fixture
async def home(bench: Bench) -> AsyncIterator[Talk]:
    async with talk(bench.models()) as household:
        yield household


async def asks(home: Talk, caller: Caller, group_id: str, **fields: Any) -> ai.SmartReplies:
    request = ai.RequestSmartReplies(group_id=group_id, **fields)
    return await home.services.suggestions.suggest_replies(caller, request)


def drafts(*texts: str) -> dict[str, Any]:
    replies = [{"text": text, "score": 0.9 - place / 10, "intent": "say"} for place, text in enumerate(texts)]
    return {"replies": replies, "confidence": 0.8}


async def test_the_newest_turns_are_told_oldest_first_and_ones_own_are_marked(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(ann, garden, "Are you coming on Friday?")
    await home.says(bob, garden, "I think so.", "Who else comes?")
    answer = await asks(home, ann, garden)
    assert answer.suggestions == ["Sounds good to me.", "Let me check first.", "Thanks!"]
    assert [item.text for item in answer.items] == answer.suggestions
    assert (answer.provider, answer.degraded, answer.confidence) == ("openai", False, 0.8)
    (asked,) = fake.chats
    told = [(turn["sender"], turn["text"], turn["own"]) for turn in asked.input["messages"]]
    assert told == [
        ("Ann", "Are you coming on Friday?", True),
        ("Bob", "I think so.", False),
        ("Bob", "Who else comes?", False),
    ]


async def test_a_reply_to_an_older_message_knows_nothing_of_what_came_after(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    first, _ = await home.says(bob, garden, "Shall we meet?", "Never mind.")
    await asks(home, ann, garden, message_id=first)
    assert [turn["text"] for turn in fake.chats[0].input["messages"]] == ["Shall we meet?"]


async def test_what_a_client_sends_along_reaches_no_prompt_and_at_most_points_at_a_message(
    home: Talk, fake: FakeProvider
) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(bob, garden, "Shall we meet?", "Never mind.")
    await asks(
        home, ann, garden, message_content="Shall we meet?", message_history=[{"content": "forged by a client"}],
        context="forged by a client", context_messages=["forged by a client"],
    )  # fmt: skip
    await asks(home, ann, garden, message_content="forged by a client")
    assert [turn["text"] for turn in fake.chats[0].input["messages"]] == ["Shall we meet?"]
    assert [turn["text"] for turn in fake.chats[1].input["messages"]] == ["Shall we meet?", "Never mind."]
    assert not any("forged" in asked.text for asked in fake.requests)


async def test_deleted_messages_and_those_before_ones_time_are_told_to_nobody(home: Talk, fake: FakeProvider) -> None:
    ann, bob, eve = home.people("ann", "bob", "eve")
    garden = await home.group(ann, bob, settings=g.GroupSettingsChange(history_for_new_members="none"))
    await home.says(bob, garden, "before her time")
    await home.services.members.add(ann, g.MemberPath(group_id=garden, user_id=eve.user_id))
    gone, _ = await home.says(bob, garden, "deleted again", "Welcome, Eve!")
    await home.services.messages.delete(bob, m.MessagePath(group_id=garden, message_id=gone))
    await asks(home, eve, garden)
    assert [turn["text"] for turn in fake.chats[0].input["messages"]] == ["Welcome, Eve!"]


async def test_strangers_and_messages_of_other_groups_are_not_found_and_nothing_is_asked(
    home: Talk, fake: FakeProvider
) -> None:
    ann, bob, eve = home.people("ann", "bob", "eve")
    garden, kitchen = await home.group(ann, bob), await home.group(ann, eve)
    (secret,) = await home.says(ann, kitchen, "only for the kitchen")
    for caller, fields in ((eve, {}), (bob, {"message_id": secret}), (ann, {"message_id": secret})):
        with pytest.raises(NotFound):
            await asks(home, caller, garden, **fields)
    assert fake.requests == []


@pytest.mark.parametrize("switch", ["group", "user"])
async def test_switched_off_means_no_call_at_all(home: Talk, fake: FakeProvider, switch: str) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob, settings=g.GroupSettingsChange(ai=switch != "group"))
    await home.says(bob, garden, "Hello?")
    if switch == "user":
        await home.services.identity.update_me(ann, UpdateMe(settings=UserSettingsChange(ai=False)))
    with pytest.raises(CapabilityUnavailable):
        await asks(home, ann, garden)
    with pytest.raises(CapabilityUnavailable):
        await home.services.suggestions.complete_typing(
            ann, ai.RequestTypingSuggestion(group_id=garden, current_text="see you at")
        )
    assert fake.requests == []


async def test_of_the_drafts_only_what_is_fit_is_let_through(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(bob, garden, "See https://example.org/plan and tell me what you think")
    for texts, passed in (
        (["Look at https://evil.example/x", "Fine."], ["Fine."]),
        (["I read https://example.org/plan"], ["I read https://example.org/plan"]),
        (["Ask evil.example.com\u200b/x", "Write to me@evil.example", "javascript:alert(1)", "10.0.0.1/x"], []),
        (["x" * 280, "Go kill yourself you stupid bitch", "Good idea!"], ["x" * 280, "Good idea!"]),
        (["Good idea!", "good  IDEA", "  Good\nidea ! "], ["Good idea!"]),
        (["See https://example.org/plan and tell me what you think"], []),
        (["\u202eflipped\u0007 text"], ["flipped text"]),
    ):
        fake.answers["SmartReplies"] = lambda _, texts=texts: drafts(*texts)
        answer = await asks(home, ann, garden)
        assert answer.suggestions == passed
        assert (answer.confidence > 0) == bool(passed)


async def test_each_suggestion_is_told_by_itself_once_it_is_checked(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(bob, garden, "Coming?")
    fake.answers["SmartReplies"] = lambda _: drafts("Yes!", "Look at www.evil.example", "No.")
    answer = await asks(home, connected(ann), garden, stream=True)
    chunks = [(where, event, chunk.wire()) for where, event, chunk in home.told]
    assert chunks == [
        ("c-ann", "smart_reply_stream", {"requestId": "r1", "chunk": "Yes!", "isComplete": False}),
        ("c-ann", "smart_reply_stream", {"requestId": "r1", "chunk": "No.", "isComplete": False}),
        ("c-ann", "smart_reply_stream", {"requestId": "r1", "chunk": "", "isComplete": True}),
    ]
    assert answer.request_id == "r1"


async def test_the_answer_is_in_the_ledger_with_what_became_of_it(home: Talk, fake: FakeProvider) -> None:
    ann, bob, eve = home.people("ann", "bob", "eve")
    garden = await home.group(ann, bob, eve)
    (asked_about,) = await home.says(bob, garden, "Coming?")
    answer = await asks(home, ann, garden)
    decision = await home.ledger.find(answer.decision_id)
    assert (decision.feature, decision.group_id, decision.message_id) == ("smart_reply", garden, asked_about)
    assert decision.prompt.startswith("SmartReplies@")
    assert decision.input["messages"][0]["text"] == "Coming?"
    assert decision.served.request_id == "req_fake"
    first, second = answer.items[:2]
    rate = home.services.suggestions.rate
    await rate(ann, ai.RateSuggestion(suggestion_id=first.suggestion_id, rating="shown"))
    await rate(ann, ai.RateSuggestion(suggestion_id=second.suggestion_id, rating="accepted", feedback="just right"))
    exposure = (await home.ledger.find(answer.decision_id)).exposure
    assert exposure is not None
    assert [sorted(item["ratings"]) for item in exposure["items"]] == [["shown"], ["accepted"], []]
    assert [item["feedback"] for item in exposure["items"]] == [False, True, False]
    for stranger in (bob, eve):
        with pytest.raises(NotFound):
            await rate(stranger, ai.RateSuggestion(suggestion_id=first.suggestion_id, rating="negative"))
    stored = json.dumps([str(row) for row in await home.suggestion_store.of_user("ann")])
    assert "just right" not in stored
    assert answer.suggestions[0] not in stored


async def test_a_rating_counts_once_and_from_the_first_time(home: Talk) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(bob, garden, "Coming?")
    item = (await asks(home, ann, garden)).items[0]
    shown = ai.RateSuggestion(suggestion_id=item.suggestion_id, rating="shown")
    await home.services.suggestions.rate(ann, shown)
    first = (await home.suggestion_store.of_user("ann"))[0].ratings
    home.pass_hours(1)
    await home.services.suggestions.rate(ann, shown)
    assert (await home.suggestion_store.of_user("ann"))[0].ratings == first


async def test_suggestions_go_with_their_person_and_with_their_group(home: Talk) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(bob, garden, "Coming?")
    await asks(home, ann, garden)
    await asks(home, bob, garden)
    await home.services.identity.erase(bob)
    assert await home.suggestion_store.of_user("bob") == []
    assert len(await home.suggestion_store.of_user("ann")) == 3
    await home.services.groups.delete(ann, g.GroupPath(group_id=garden))
    await home.background.drain(5)
    assert await home.suggestion_store.of_user("ann") == []


@pytest.mark.parametrize("mode", FAILURES)
async def test_a_provider_that_fails_leaves_templates_and_says_degraded(
    bench: Bench, fake: FakeProvider, mode: Mode
) -> None:
    async with talk(bench.models(), seconds=0.8) as home:
        ann, bob = home.people("ann", "bob")
        garden = await home.group(ann, bob)
        await home.says(bob, garden, "Could you open the window?")
        await home.flows.warm()
        fake.mode = mode
        answer = await asks(home, ann, garden)
    assert (answer.provider, answer.degraded, answer.confidence) == ("rules", True, 0.0)
    assert 1 <= len(answer.suggestions) <= 3


class Broken:
    """Conversations or a search that fail or hang at one question."""

    def __init__(self, inner: Any, name: str, failing: Any):
        self._inner, self._name, self._failing = inner, name, failing

    def __getattr__(self, name: str) -> Any:
        return self._failing if name == self._name else getattr(self._inner, name)


async def hangs(*_: object, **__: object) -> Any:
    await asyncio.Event().wait()


async def breaks(*_: object, **__: object) -> Any:
    raise RuntimeError("secret words")


class Like:
    def __init__(self, lines: list[Line]):
        self.lines = lines

    async def similar(self, caller: Caller, group_id: str, text: str, limit: int) -> list[Line]:
        return self.lines


@pytest.mark.parametrize("failing", [hangs, breaks])
async def test_a_search_that_fails_or_hangs_is_done_without(home: Talk, fake: FakeProvider, failing: Any) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(bob, garden, "Coming?")
    home.services.suggestions._replies._similar = Broken(Like([]), "similar", failing)
    answer = await asks(home, ann, garden)
    assert answer.suggestions
    decision = await home.ledger.find(answer.decision_id)
    assert decision.output["used"]["without"] == ["retrieve"]
    assert fake.chats[0].input["similar"] == []


async def test_similar_messages_are_of_this_group_and_not_those_told_anyway(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden, kitchen = await home.group(ann, bob), await home.group(ann, bob)
    old = await home.says(bob, garden, *[f"line {number}" for number in range(20)])
    (foreign,) = await home.says(bob, kitchen, "foreign words")
    lines = await home.conversations.by_ids(ann, [old[0], foreign, old[-1]])
    home.services.suggestions._replies._similar = Like(lines)
    await asks(home, ann, garden)
    assert [turn["text"] for turn in fake.chats[0].input["similar"]] == ["line 0"]


@pytest.mark.parametrize("failing", [hangs, breaks])
@pytest.mark.parametrize("step", ["facts", "recent"])
async def test_reading_that_fails_or_hangs_is_unavailable(
    home: Talk, fake: FakeProvider, failing: Any, step: str
) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    replies = home.services.suggestions._replies
    replies._conversations = Broken(home.conversations, step, failing)
    for each in replies.flow._steps:
        object.__setattr__(each, "seconds", 0.05)
    with pytest.raises(Unavailable) as refused:
        await asks(home, ann, garden)
    assert "secret" not in refused.value.message
    assert fake.requests == []


async def test_a_check_that_breaks_lets_nothing_through(home: Talk) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(bob, garden, "Coming?")
    home.services.suggestions._replies._safety = Broken(home.services.suggestions._replies._safety, "kept", breaks)
    with pytest.raises(ChatError):
        await asks(home, ann, garden)
