"""Looks at a conversation: what a model is told, what of its answer the messages bear out, what is kept."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from chatcore.contract import ai
from chatcore.contract import groups as g
from chatcore.contract import messages as m
from chatcore.contract.people import UpdateMe, UserSettingsChange
from chatcore.errors import CapabilityUnavailable, NotFound, Unavailable
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Row
from chatcore.ports import Caller
from tests.ai.conftest import Bench
from tests.ai.fake_provider import FakeProvider, Mode
from tests.ai.talk import Talk, talk

NOW = datetime.now(UTC)


@pytest.fixture
async def home(bench: Bench) -> AsyncIterator[Talk]:
    async with talk(bench.models()) as household:
        yield household


async def summary(home: Talk, caller: Caller, group_id: str, time_range: ai.TimeRange = "24h") -> ai.Summary:
    return await home.flows.analysis.summarize(caller, ai.Summarize(group_id=group_id, time_range=time_range))


async def insights(home: Talk, caller: Caller, group_id: str) -> ai.Insights:
    return await home.flows.analysis.insights(caller, ai.AskInsights(group_id=group_id))


def texts(fake: FakeProvider) -> list[list[str]]:
    return [[turn["text"] for turn in asked.input["messages"]] for asked in fake.chats]


async def test_a_summary_is_of_the_messages_of_its_time_range(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(ann, garden, "long ago")
    home.pass_hours(12)
    ids = await home.says(bob, garden, "this morning")
    home.pass_hours(2)
    ids += await home.says(ann, garden, "just now")
    answer = await summary(home, ann, garden, "6h")
    assert texts(fake) == [["this morning", "just now"]]
    assert (answer.summary, answer.message_ids, answer.message_count) == ("They talked.", ids, 2)
    assert (answer.provider, answer.degraded, answer.cached, answer.truncated) == ("openai", False, False, False)


async def test_long_conversations_are_cut_at_their_beginning_and_say_so(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(ann, garden, *[f"{number} " + "x" * 3_990 for number in range(20)])
    answer = await summary(home, ann, garden)
    assert answer.truncated
    assert answer.message_count == 15
    assert texts(fake)[0][-1].startswith("19 ")


async def test_nothing_said_needs_no_model(home: Talk, fake: FakeProvider) -> None:
    (ann,) = home.people("ann")
    garden = await home.group(ann)
    assert (await summary(home, ann, garden)).summary == ""
    assert (await insights(home, ann, garden)).activity.participants == 0
    assert fake.requests == []


async def test_the_same_messages_are_asked_about_once_whoever_asks(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(ann, garden, "one", "two")
    first = await summary(home, ann, garden)
    again = await summary(home, bob, garden, "7d")
    assert (again.cached, again.summary, again.decision_id) == (True, first.summary, first.decision_id)
    assert len(fake.chats) == 1
    await home.says(ann, garden, "three")
    assert not (await summary(home, ann, garden)).cached
    assert len(fake.chats) == 2


async def test_a_member_with_less_history_is_never_answered_from_anothers(home: Talk, fake: FakeProvider) -> None:
    ann, bob, eve = home.people("ann", "bob", "eve")
    garden = await home.group(ann, bob, settings=g.GroupSettingsChange(history_for_new_members="none"))
    await home.says(ann, garden, "before her time")
    await home.services.members.add(ann, g.MemberPath(group_id=garden, user_id=eve.user_id))
    await home.says(ann, garden, "welcome")
    await summary(home, ann, garden)
    answer = await summary(home, eve, garden)
    assert not answer.cached
    assert texts(fake)[1] == ["welcome"]


async def test_what_is_kept_is_sealed(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(ann, garden, "the word is marmalade")
    fake.answers["SummarizeConversation"] = lambda told: {"summary": "About marmalade.", "message_ids": []}
    await summary(home, ann, garden)
    (row,) = home.analysis_store._rows.values()
    assert b"marmalade" not in row.sealed.ct
    assert "marmalade" not in row.key


@pytest.mark.parametrize("change", ["edit", "delete"])
async def test_an_edit_or_a_deletion_takes_what_was_made_of_the_message(
    home: Talk, fake: FakeProvider, change: str
) -> None:
    ann, bob = home.people("ann", "bob")
    garden, kitchen = await home.group(ann, bob), await home.group(ann, bob)
    await home.says(ann, kitchen, "elsewhere")
    first, _ = await home.says(ann, garden, "one", "two")
    await summary(home, ann, kitchen)
    await summary(home, ann, garden)
    assert len(home.analysis_store) == 2
    if change == "edit":
        edit = m.EditMessage(group_id=garden, message_id=first, content="changed")
        await home.services.messages.edit(ann, edit)
    else:
        await home.services.messages.delete(ann, m.MessagePath(group_id=garden, message_id=first))
    await home.background.drain(5)
    assert [row.group_id for row in home.analysis_store._rows.values()] == [kitchen]
    assert not (await summary(home, ann, garden)).cached
    assert texts(fake)[-1] == (["changed", "two"] if change == "edit" else ["two"])


@pytest.mark.parametrize("kind", ["edit", "delete"])
async def test_a_change_that_another_process_made_takes_what_was_made_of_the_message(
    home: Talk, kind: Literal["edit", "delete"]
) -> None:
    """The analysis may have been stored after that process looked for analyses to forget."""
    ann, bob = home.people("ann", "bob")
    garden, kitchen = await home.group(ann, bob), await home.group(ann)
    first, _ = await home.says(ann, garden, "one", "two")
    await home.says(ann, kitchen, "another group")
    await summary(home, ann, garden)
    await summary(home, ann, kitchen)
    place = (await home.journal.by_ids([first]))[first].seq
    facts = {"messageId": first, "messageSeq": place}
    elsewhere = Row(new_id(NOW), garden, kind, bob.user_id, NOW, data=facts).at(home.rooms.head(garden))
    await home.journal.insert([elsewhere])
    assert len(home.analysis_store) == 2
    await home.rooms.writer.catch_up(garden)
    await home.background.drain(5)
    assert [row.group_id for row in home.analysis_store._rows.values()] == [kitchen]


async def test_a_message_that_changes_meanwhile_is_not_kept(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    (first,) = await home.says(ann, garden, "one")
    room = (await home.rooms.load(garden)).id
    row = (await home.journal.by_ids([first]))[first]

    def meanwhile(told: Any) -> dict[str, Any]:
        home.flows.analysis._cache.changed(room, row.seq)
        return {"summary": "of the old text", "message_ids": []}

    fake.answers["SummarizeConversation"] = meanwhile
    await summary(home, ann, garden)
    await home.background.drain(5)
    assert len(home.analysis_store) == 0


async def test_analyses_go_with_their_group(home: Talk) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(ann, garden, "one")
    await summary(home, ann, garden)
    await home.services.groups.delete(ann, g.GroupPath(group_id=garden))
    await home.background.drain(5)
    assert len(home.analysis_store) == 0


async def test_what_the_messages_do_not_bear_out_is_left_out(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden, kitchen = await home.group(ann, bob), await home.group(ann)
    (foreign,) = await home.says(ann, kitchen, "foreign")
    one, two = await home.says(ann, garden, "Bob, please send the list by Friday", "see https://example.org/list")
    fake.answers |= {
        "SummarizeConversation": lambda _: {
            "summary": "The list is at https://example.org/list or https://evil.example/steal\u200b.\n\u0007",
            "message_ids": [two, foreign, "made up", two],
        },
        "ExtractTopics": lambda _: {
            "topics": [
                {"name": "the list", "score": 0.9, "message_ids": [one, foreign]},
                {"name": "The List", "score": 0.8, "message_ids": [one]},
                {"name": "made up", "score": 0.7, "message_ids": [foreign]},
                {"name": " ", "score": 0.7, "message_ids": [one]},
            ]
        },
        "ActionItems": lambda _: {
            "items": [
                {"text": "Send the list", "assignee": "Bob", "due": "by Friday", "message_id": one},
                {"text": "Send the list", "assignee": "Bob", "due": "by Friday", "message_id": one},
                {"text": "Pay", "assignee": "Mallory", "due": "tomorrow", "message_id": two},
                {"text": "Wire the money", "assignee": "Ann", "due": "", "message_id": foreign},
            ]
        },
        "AnalyzeSentiment": lambda _: {
            "label": "positive", "score": 0.5,
            "messages": [
                {"message_id": one, "label": "positive", "score": 0.5},
                {"message_id": one, "label": "negative", "score": 0.5},
                {"message_id": foreign, "label": "negative", "score": -0.5},
            ],
        },
    }  # fmt: skip
    found = await insights(home, ann, garden)
    assert found.summary == "The list is at https://example.org/list or […]."
    assert [(topic.label, topic.message_ids) for topic in found.topics or []] == [("the list", [one])]
    assert [(item.text, item.assignee, item.due) for item in found.action_items or []] == [
        ("Send the list", "Bob", "by Friday"),
        ("Pay", None, None),
    ]
    assert found.mood is not None
    assert (found.mood.sentiment, found.mood.positive, found.mood.negative) == ("positive", 0, 1)
    assert found.risk is not None
    assert found.risk.level == "low"
    assert found.missing == []
    assert len(fake.chats) == 4


@pytest.mark.parametrize("look", ["SummarizeConversation", "ExtractTopics", "ActionItems", "AnalyzeSentiment"])
async def test_a_look_that_fails_is_named_and_the_others_are_there(home: Talk, fake: FakeProvider, look: str) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(ann, garden, "hello there")
    fake.answers[look] = lambda _: "no JSON at all"
    found = await insights(home, ann, garden)
    assert len(found.missing) == 1
    told = {"summary": found.summary, "topics": found.topics, "action_items": found.action_items, "mood": found.mood}
    assert [name for name, value in told.items() if value is None] == found.missing


@pytest.mark.parametrize("mode", ["500", "timeout", "garbage", "wrong_schema", "refusal"])
async def test_a_provider_that_fails_is_a_refusal_and_nothing_is_kept(
    bench: Bench, fake: FakeProvider, mode: Mode
) -> None:
    async with talk(bench.models(), seconds=0.8) as home:
        ann, bob = home.people("ann", "bob")
        garden = await home.group(ann, bob)
        await home.says(ann, garden, "hello there")
        await home.flows.warm()
        fake.mode = mode
        with pytest.raises(Unavailable):
            await summary(home, ann, garden)
        with pytest.raises(Unavailable):
            await insights(home, ann, garden)
        assert len(home.analysis_store) == 0


@pytest.mark.parametrize("switch", ["group", "user"])
async def test_switched_off_means_no_call_and_nothing_from_the_cache(
    home: Talk, fake: FakeProvider, switch: str
) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    await home.says(ann, garden, "hello there")
    await summary(home, ann, garden)
    asked = len(fake.requests)
    if switch == "user":
        await home.services.identity.update_me(ann, UpdateMe(settings=UserSettingsChange(ai=False)))
    else:
        change = g.UpdateGroup(group_id=garden, settings=g.GroupSettingsChange(ai=False))
        await home.services.groups.update(ann, change)
    for work in (summary(home, ann, garden), insights(home, ann, garden)):
        with pytest.raises(CapabilityUnavailable, match="switched"):
            await work
    assert len(fake.requests) == asked


async def test_strangers_are_not_found_and_nothing_is_asked(home: Talk, fake: FakeProvider) -> None:
    ann, eve = home.people("ann", "eve")
    garden = await home.group(ann)
    await home.says(ann, garden, "hello there")
    await summary(home, ann, garden)
    asked = len(fake.requests)
    for work in (summary(home, eve, garden), insights(home, eve, garden)):
        with pytest.raises(NotFound):
            await work
    assert len(fake.requests) == asked


async def test_topics_are_as_many_as_asked_for(home: Talk, fake: FakeProvider) -> None:
    ann, bob = home.people("ann", "bob")
    garden = await home.group(ann, bob)
    (one,) = await home.says(ann, garden, "hello there")
    fake.answers["ExtractTopics"] = lambda _: {
        "topics": [{"name": f"topic {number}", "score": 0.5, "message_ids": [one]} for number in range(9)]
    }
    found = await home.flows.analysis.topics(ann, ai.FindTopics(group_id=garden, count=3))
    assert [topic.label for topic in found.topics] == ["topic 0", "topic 1", "topic 2"]
    assert fake.chats[0].input["parameters"]["max_topics"] == 3


async def test_one_text_has_a_tone_a_language_and_with_a_provider_a_translation(home: Talk, fake: FakeProvider) -> None:
    (ann,) = home.people("ann")
    analysis = home.flows.analysis
    fake.answers["AnalyzeSentiment"] = lambda _: {"label": "negative", "score": -0.7, "messages": []}
    fake.answers["Translate"] = lambda told: {
        "translated_text": f"siehe {told['target_language']} https://evil.example/x", "source_language": "EN"
    }  # fmt: skip
    tone = await analysis.sentiment(ann, ai.AnalyzeSentiment(content="how sad"))
    language = await analysis.detect_language(ann, ai.DetectLanguage(content="how sad"))
    translation = await analysis.translate(ann, ai.Translate(content="how sad", target_language="de"))
    assert (tone.sentiment, tone.score) == ("negative", -0.7)
    assert (language.language, language.confidence) == ("en", 0.99)
    assert (translation.translated_text, translation.source_language) == ("siehe de […]", "en")
    for answer in (tone, language, translation):
        assert (await home.ledger.find(answer.decision_id)).prompt
