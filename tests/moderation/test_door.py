"""What happens to messages on their way in and after: refused, masked, taken out, put before people."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from chatcore.ai.ledger.records import Query
from chatcore.ai.replay import Replay
from chatcore.contract import groups as g
from chatcore.contract import messages as m
from chatcore.errors import MessageRejected
from chatcore.journal.rows import Mark, Row
from chatcore.moderation.decide import HIDDEN, Policy, rule
from chatcore.moderation.door import GuardedDoor
from chatcore.moderation.judge import evidence_of
from chatcore.moderation.later import sampled
from chatcore.moderation.tiers import FirstLook
from chatcore.ports import Caller
from chatcore.relay import words
from tests.ai.fake_provider import FakeProvider
from tests.moderation.conftest import INSULT, Houses, Watched

SLUR = "that nigger word"


async def rejected(house: Watched, caller: Caller, group: str, text: str, **more: Any) -> m.MessageRejectedNotice:
    with pytest.raises(MessageRejected) as caught:
        await house.sends(caller, group, text, **more)
    assert caught.value.notice is not None
    return caught.value.notice


def pushed(house: Watched, event: str) -> list[Any]:
    return [shape for name, shape in house.fanout.pushed if name == event]


async def test_what_the_first_tier_is_sure_of_is_refused_before_it_is_stored(
    houses: Houses, fake: FakeProvider
) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    before = len(await house.reads(ada, group))
    notice = await rejected(house, ada, group, INSULT, temp_id="t1")
    assert (notice.temp_id, notice.group_id, notice.category, notice.appealable) == ("t1", group, "harassment", True)
    assert len(await house.reads(ada, group)) == before
    assert fake.requests == []
    await house.ledger.flush()
    (decision,) = house.decisions()
    assert (decision.decision_id, decision.action, decision.mode) == (notice.decision_id, "block", "live")
    assert decision.served.provider == "rules"


async def test_a_refused_text_is_kept_sealed_for_an_appeal_and_in_the_ledger_not_at_all(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    notice = await rejected(house, ada, group, INSULT)
    sanction = await house.moderation_store.find_sanction(notice.decision_id)
    assert sanction is not None
    assert sanction.sealed is not None
    assert INSULT.encode() not in sanction.sealed.ct
    assert await house.moderation.sanctions.text_of(sanction) == INSULT
    await house.ledger.flush()
    assert INSULT not in repr((await house.ledger.find(notice.decision_id)).input)


async def test_who_is_refused_may_send_another_text_at_once_in_slow_mode(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob, settings=g.GroupSettingsChange(slow_mode_seconds=60))
    await rejected(house, bob, group, INSULT)
    await house.sends(bob, group, "sorry")
    assert await house.refusal(house.sends(bob, group, "and more")) == "slow_mode"


async def test_severe_words_are_masked_on_their_way_in_and_the_retry_meets_its_message(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, SLUR, temp_id="t1")
    message = (await house.reads(bob, group))[-1]
    assert message.content == "that \u2022\u2022\u2022\u2022\u2022\u2022 word"
    assert message.ai_moderated
    assert message.moderation is not None
    assert (message.moderation.action, message.moderation.category) == ("mask", "hate")
    again = await house.sends(ada, group, SLUR, temp_id="t1")
    assert (again.message_id, again.duplicate) == (sent.message_id, True)
    await house.decided()
    assert [review.category for review in await house.moderation_store.reviews("open", 5)] == ["hate"]


async def test_a_model_takes_out_after_the_commit_what_the_first_tier_let_in(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, "quite [sexual] that")
    await house.decided()
    message = (await house.reads(bob, group))[-1]
    assert (message.id, message.is_deleted, message.content) == (sent.message_id, True, "")
    (deleted,) = pushed(house, "message_deleted")
    assert (deleted.deleted_by, deleted.message_seq, deleted.seq) == ("moderation", sent.seq, sent.seq + 1)
    (decision,) = house.decisions()
    assert (decision.action, decision.seq, decision.served.provider) == ("block", sent.seq, "openai")
    sanction = await house.moderation_store.find_sanction(decision.decision_id)
    assert sanction is not None
    assert (sanction.deed, sanction.message_id) == ("removed", sent.message_id)


async def test_a_model_hides_after_the_commit_and_the_log_tells_it_as_an_update(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, "look [violence/graphic]")
    await house.decided()
    (update,) = pushed(house, "message_updated")
    assert (update.message.content, update.seq, update.message_seq) == (HIDDEN, sent.seq + 1, sent.seq)
    assert update.message.moderation.category == "violence/graphic"
    events = await house.services.reading.sync(bob, m.Sync(groups=[m.SyncPoint(group_id=group, since=sent.seq)]))
    assert [event.event for event in events.groups[0].events] == ["message_updated"]


async def test_what_only_a_person_should_judge_stays_and_is_put_before_people(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, "[self-harm] I feel low")
    await house.decided()
    assert (await house.reads(bob, group))[-1].content == "[self-harm] I feel low"
    (review,) = await house.moderation_store.reviews("open", 5)
    assert (review.message_id, review.source, review.category) == (sent.message_id, "flag", "self-harm")


async def test_hate_is_taken_out_by_a_provider_and_only_reviewed_in_embedded_mode(houses: Houses) -> None:
    for embedded, gone in ((False, True), (True, False)):
        house = await houses(embedded=embedded)
        ada, bob = house.people("ada", "bob")
        group = await house.group(ada, bob)
        await house.sends(ada, group, "well [hate] this")
        await house.decided()
        assert (await house.reads(bob, group))[-1].is_deleted is gone
        reviews = await house.moderation_store.reviews("open", 5)
        assert [review.category for review in reviews] == ([] if gone else ["hate"])


async def test_everyday_talk_is_decided_recorded_and_left_alone(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    for text in ("see you at ten", "kill the process", "233333"):
        await house.sends(ada, group, text)
    await house.decided()
    assert [decision.action for decision in house.decisions()] == ["allow"] * 3
    assert await house.moderation_store.reviews("open", 5) == []
    assert pushed(house, "message_updated") == pushed(house, "message_deleted") == []
    assert all("see you" not in repr(decision) for decision in house.decisions())


async def test_an_edit_passes_the_same_door_and_leaves_the_old_text_where_it_is_refused(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, "hello")

    async def edits(text: str) -> m.MessageUpdated:
        edit = m.EditMessage(group_id=group, message_id=sent.message_id, content=text)
        return await house.services.messages.edit(ada, edit)

    with pytest.raises(MessageRejected):
        await edits(INSULT)
    assert (await house.reads(bob, group))[-1].content == "hello"
    await edits("now [sexual] it is")
    await house.decided()
    assert (await house.reads(bob, group))[-1].is_deleted


async def test_an_edit_to_something_harmless_takes_the_mark_off(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, SLUR)
    edit = m.EditMessage(group_id=group, message_id=sent.message_id, content="that word")
    update = await house.services.messages.edit(ada, edit)
    assert not update.message.ai_moderated
    assert (await house.reads(bob, group))[-1].moderation is None


async def test_who_edits_before_the_model_answers_is_judged_by_the_new_text(houses: Houses, fake: FakeProvider) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, "so [sexual]")
    edit = m.EditMessage(group_id=group, message_id=sent.message_id, content="so nice")
    await house.services.messages.edit(ada, edit)
    await house.decided()
    message = (await house.reads(bob, group))[-1]
    assert (message.content, message.is_deleted) == ("so nice", False)
    assert sorted(decision.action for decision in house.decisions()) == ["allow", "allow"]


async def test_a_strict_group_waits_for_the_whole_decision(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob, settings=g.GroupSettingsChange(moderation="strict"))
    notice = await rejected(house, ada, group, "so [sexual]")
    assert notice.category == "sexual"
    await house.sends(ada, group, "so nice")
    await house.decided()
    assert [decision.served.provider for decision in house.decisions()] == ["openai", "openai"]
    assert pushed(house, "message_deleted") == []


async def test_a_server_that_is_strict_makes_every_group_strict_and_one_that_is_off_leaves_strict_groups(
    houses: Houses, fake: FakeProvider
) -> None:
    strict = await houses("strict")
    ada, bob = strict.people("ada", "bob")
    await rejected(strict, ada, await strict.group(ada, bob), "so [sexual]")
    off = await houses("off")
    ada, bob = off.people("ada", "bob")
    asked = len(fake.requests)
    await off.sends(ada, await off.group(ada, bob), INSULT)
    await off.decided()
    assert len(fake.requests) == asked
    guarded = await off.group(ada, bob, settings=g.GroupSettingsChange(moderation="strict"))
    await rejected(off, ada, guarded, INSULT)


async def test_a_strict_group_lets_in_what_nobody_could_judge_in_time_and_asks_a_person(
    houses: Houses, fake: FakeProvider
) -> None:
    house = await houses(seconds=0.2)
    fake.mode = "timeout"
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob, settings=g.GroupSettingsChange(moderation="strict"))
    sent = await house.sends(ada, group, "so [sexual]")
    await house.decided()
    (review,) = await house.moderation_store.reviews("open", 5)
    assert (review.message_id, review.source) == (sent.message_id, "unchecked")


async def test_a_strict_group_waits_for_no_model_longer_than_its_limit(houses: Houses, fake: FakeProvider) -> None:
    house = await houses(seconds=60.0)
    assert isinstance(house.moderation.door, GuardedDoor)
    assert house.moderation.door._strict_seconds == 1.5
    house.moderation.door._strict_seconds = 0.05
    fake.mode = "timeout"
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob, settings=g.GroupSettingsChange(moderation="strict"))
    for number in range(3):  # whatever time each model call could take
        await house.sends(ada, group, f"message {number}")
    late = house.metrics.moderation_unchecked.labels("late")._value.get()
    assert late == 3
    assert [message.content for message in await house.reads(bob, group)][-3:] == [f"message {n}" for n in range(3)]


@pytest.mark.parametrize("mode", ["429", "500", "timeout", "garbage", "truncated", "wrong_schema", "not_json"])
async def test_a_provider_that_fails_stops_no_message(houses: Houses, fake: FakeProvider, mode: Any) -> None:
    house = await houses(seconds=0.2)
    fake.mode = mode
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    for number in range(3):
        await house.sends(ada, group, f"message {number}")
    await house.decided()
    assert [message.content for message in await house.reads(bob, group)][-3:] == [f"message {n}" for n in range(3)]
    assert {decision.served.provider for decision in house.decisions()} == {"rules"}
    missing = {decision.output["missing"] for decision in await house.opened()}
    assert missing
    assert missing <= {"unavailable", "capability_unavailable", "rate_limited"}


async def test_a_send_waits_for_no_model_and_what_is_too_much_is_counted(houses: Houses, fake: FakeProvider) -> None:
    """The provider hangs: sends are acknowledged all the same, the queue stays bounded, the rest is dropped, a share
    of it for people."""
    house = await houses(seconds=5.0, sample_share=1.0)
    fake.mode = "timeout"
    house.moderation.later._max_waiting = 5
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    async with asyncio.timeout(4):  # far less than one hanging call each
        for number in range(20):
            await house.sends(ada, group, f"message {number}")
    assert len(house.moderation.later) <= 5 + 2 + 20
    assert house.moderation.later.dropped >= 20 - 5 - 2
    counted = house.metrics.moderation_unchecked.labels("dropped")._value.get()
    assert counted == house.moderation.later.dropped


async def test_what_was_dropped_is_put_before_people_at_the_share_that_is_set(houses: Houses) -> None:
    house = await houses(sample_share=1.0)
    house.moderation.later._max_waiting = 0
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    await house.sends(ada, group, "nobody looked at this")
    await house.decided()
    assert [review.source for review in await house.moderation_store.reviews("open", 5)] == ["unchecked"]


async def test_a_random_share_of_what_nobody_flagged_goes_to_people(houses: Houses) -> None:
    house = await houses(sample_share=1.0)
    ada, bob = house.people("ada", "bob")
    await house.sends(ada, await house.group(ada, bob), "see you at ten")
    await house.decided()
    assert [review.source for review in await house.moderation_store.reviews("open", 5)] == ["sample"]
    ids = [f"{number:024x}" for number in range(4_000)]
    assert 0.08 < sum(sampled(each, 0.1) for each in ids) / len(ids) < 0.12
    assert not any(sampled(each, 0.0) for each in ids)


async def test_a_group_that_keeps_its_texts_from_models_is_still_looked_at_in_this_process(
    houses: Houses, fake: FakeProvider
) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob, settings=g.GroupSettingsChange(ai=False))
    await house.sends(ada, group, "so [sexual]")
    await rejected(house, ada, group, INSULT)
    await house.decided()
    assert fake.requests == []


async def test_a_group_may_be_stricter_by_its_own_limits(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    limits: g.ModerationLimits = {"self-harm/instructions": {"block": 0.0001}, "harassment": {"block": 1.0}}
    group = await house.group(ada, bob, settings=g.GroupSettingsChange(moderation_limits=limits))
    assert (await house.services.groups.get(ada, g.GroupPath(group_id=group))).settings.moderation_limits == limits
    await house.sends(ada, group, "see you at ten")
    await house.decided()
    assert (await house.reads(bob, group))[-1].is_deleted
    await rejected(house, ada, group, INSULT)


async def test_names_and_descriptions_of_groups_pass_the_door(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    assert await house.refusal(house.group(ada, bob, name=INSULT)) == "message_rejected"
    assert await house.refusal(house.group(ada, bob, description=SLUR)) == "message_rejected"
    group = await house.group(ada, bob)
    rename = g.UpdateGroup(group_id=group, name=INSULT)
    assert await house.refusal(house.services.groups.update(ada, rename)) == "message_rejected"
    assert (await house.group_store.find(group)).name == "Garden"  # type: ignore[union-attr]


async def test_a_recorded_decision_rules_the_same_again_without_any_model(houses: Houses, fake: FakeProvider) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    for text in ("[self-harm] low", "see you", SLUR, "[sexual]"):
        await house.sends(ada, group, text)
    await house.decided()
    asked = len(fake.requests)
    for decision in await house.opened():
        again = rule("", evidence_of(decision), Policy())
        assert (again.action, again.thresholds_version) == (decision.action, decision.thresholds_version)
        assert again.scores == decision.scores
    assert len(fake.requests) == asked


async def test_a_shadow_version_judges_beside_the_live_one_and_changes_nothing(houses: Houses) -> None:
    house = await houses()
    await house.prompts.start()
    shipped = await house.prompts.get("ModerateMessage")
    strict = await house.prompts.add("ModerateMessage", shipped.text, {"thresholds": {"harassment": 0.0}})
    await house.prompts.shadow(strict.version_id)
    ada, bob = house.people("ada", "bob")
    sent = await house.sends(ada, await house.group(ada, bob), "see you at ten")
    await house.decided()
    (live,), (shadow,) = house.decisions(), house.decisions("shadow")
    assert (live.action, shadow.action) == ("allow", "flag")
    assert (shadow.shadow_of, shadow.prompt, shadow.message_id) == (
        live.decision_id, strict.version_id, sent.message_id,
    )  # fmt: skip
    assert await house.moderation_store.reviews("open", 5) == []


async def test_messages_before_the_first_tier_is_loaded_are_decided_once_it_is(houses: Houses) -> None:
    house = await houses()
    first: FirstLook = house.moderation.first
    loaded, first._tier = first._tier, None
    first._load = lambda: loaded  # type: ignore[assignment, return-value]
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    await house.sends(ada, group, INSULT)
    await house.decided()
    assert (await house.reads(bob, group))[-1].is_deleted


async def test_a_send_that_passes_reads_nothing_more_from_the_stores(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    await house.sends(ada, group, "warm up")
    asked: list[str] = []

    async def counted(mark: str) -> bool:
        asked.append(mark)
        return False

    house.moderation_store.has_pass = counted  # type: ignore[method-assign]
    await house.sends(ada, group, "see you at ten")
    assert asked == []


def test_the_row_of_a_message_keeps_its_mark_between_processes() -> None:
    row = Row(
        "a" * 24, "b" * 24, "message", "ada", datetime(2026, 6, 1, tzinfo=UTC), mark=Mark("mask", "hate", "c" * 24)
    )
    assert words._row(row.group_id, words._packed(row)) == row


async def test_a_decision_is_made_again_with_its_own_and_with_another_version(houses: Houses) -> None:
    house = await houses()
    await house.prompts.start()
    shipped = await house.prompts.get("ModerateMessage")
    other = await house.prompts.add("ModerateMessage", shipped.text, {"thresholds": {"harassment": 0.0}})
    replay = Replay(house.ledger, house.models, house.prompts)
    replay.use("moderation", house.moderation.replay)
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    await house.sends(ada, group, "see you at ten")
    await house.decided()
    everything = Query(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    (same,) = [one async for one in replay.run(everything)]
    assert (same.identical, same.action, same.scores, same.error) == (True, "", 0.0, "")
    (apart,) = [one async for one in replay.run(everything, other)]
    assert (apart.action, apart.after) == ("allow -> flag", other.version_id)
    await house.ledger.flush()
    assert len(house.decisions()) == 1
    assert len(house.decisions("replay")) == 2
    assert await house.moderation_store.reviews("open", 5) == []


async def test_what_its_author_has_deleted_is_not_judged_again(houses: Houses) -> None:
    house = await houses()
    replay = Replay(house.ledger, house.models, house.prompts)
    replay.use("moderation", house.moderation.replay)
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, "see you at ten")
    await house.decided()
    await house.services.messages.delete(ada, m.MessagePath(group_id=group, message_id=sent.message_id))
    everything = Query(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert [one.error async for one in replay.run(everything)] == ["unreadable"]
