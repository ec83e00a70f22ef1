"""People after the models: reports, the queue, appeals, undoing, and what the audit says of all of it."""

from typing import Any

import pytest

from chatcore.contract import groups as g
from chatcore.contract import messages as m
from chatcore.contract import moderation as mod
from chatcore.errors import Conflict, MessageRejected
from chatcore.ports import REVIEWERS, Caller
from tests.moderation.conftest import INSULT, Houses, Watched

SLUR = "that nigger word"


async def rejected(house: Watched, caller: Caller, group: str, text: str) -> str:
    """The decision that refused it."""
    with pytest.raises(MessageRejected) as caught:
        await house.sends(caller, group, text)
    assert caught.value.notice is not None
    return caught.value.notice.decision_id


async def reports(house: Watched, caller: Caller, group: str, message_id: str, reason: str = "rude") -> None:
    await house.services.responses.report(caller, m.ReportMessage(group_id=group, message_id=message_id, reason=reason))


async def queue(house: Watched, reviewer: Caller, **fields: Any) -> list[mod.Review]:
    return (await house.services.reviews.find(reviewer, mod.FindReviews(**fields))).reviews


async def resolves(house: Watched, reviewer: Caller, review: mod.Review, resolution: Any, note: str = "") -> mod.Review:
    asked = mod.ResolveReview(review_id=review.id, resolution=resolution, note=note)
    return await house.services.reviews.resolve(reviewer, asked)


async def appeals(house: Watched, caller: Caller, decision_id: str) -> mod.Appeal:
    return await house.services.moderation.appeal(caller, mod.MakeAppeal(decision_id=decision_id, reason="a quotation"))


async def resolves_appeal(house: Watched, reviewer: Caller, appeal: mod.Appeal, outcome: Any) -> mod.Appeal:
    return await house.services.reviews.resolve_appeal(
        reviewer, mod.ResolveAppeal(appeal_id=appeal.id, outcome=outcome, note="after a look")
    )


async def audited(house: Watched, reviewer: Caller) -> list[tuple[str, str]]:
    page = await house.services.reviews.audit(reviewer, mod.ReadAudit())
    return [(entry.actor, entry.action) for entry in page.entries]


# --- reports and the queue


async def test_reports_of_one_message_are_one_review_and_reviewers_hear_of_them(houses: Houses) -> None:
    house = await houses()
    ada, bob, cid = house.people("ada", "bob", "cid")
    rita = house.reviewer()
    group = await house.group(ada, bob, cid)
    sent = await house.sends(ada, group, "see you at ten")
    for reporter in (bob, cid, bob):
        await reports(house, reporter, group, sent.message_id)
    (review,) = await queue(house, rita)
    assert (review.source, review.reports, review.content, review.author.user_id) == (
        "report",
        2,
        "see you at ten",
        "ada",
    )
    assert review.group_name == "Garden"
    told = [group_id for event, group_id in house.fanout.rooms if event == "report_created"]
    assert told == [REVIEWERS, REVIEWERS]


async def test_only_people_with_the_role_see_and_do_anything(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, "hello")
    await reports(house, bob, group, sent.message_id)
    (review,) = await queue(house, house.reviewer())
    services, asked = house.services.reviews, "0" * 24
    for work in (
        services.find(ada, mod.FindReviews()),
        services.assign(ada, mod.AssignReview(review_id=review.id)),
        services.resolve(ada, mod.ResolveReview(review_id=review.id, resolution="remove")),
        services.appeals(ada, mod.FindAppeals()),
        services.resolve_appeal(ada, mod.ResolveAppeal(appeal_id=asked, outcome="upheld")),
        services.audit(ada, mod.ReadAudit()),
    ):
        assert await house.refusal(work) == "access_denied"


async def test_a_review_is_in_one_persons_hands_until_it_is_given_back(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita, rolf = house.reviewer(), house.reviewer("rolf")
    group = await house.group(ada, bob)
    await reports(house, bob, group, (await house.sends(ada, group, "hello")).message_id)
    (review,) = await queue(house, rita)
    assign = house.services.reviews.assign
    assert (await assign(rita, mod.AssignReview(review_id=review.id))).assignee == "rita"
    assert await queue(house, rolf) == []
    assert [each.id for each in await queue(house, rolf, state="assigned")] == [review.id]
    assert await house.refusal(assign(rolf, mod.AssignReview(review_id=review.id))) == "conflict"
    assert await house.refusal(resolves(house, rolf, review, "remove")) == "conflict"
    assert (await assign(rita, mod.AssignReview(review_id=review.id, assignee=""))).state == "open"
    assert (await assign(rolf, mod.AssignReview(review_id=review.id))).assignee == "rolf"


async def test_the_queue_is_read_page_by_page(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    for number in range(5):
        await reports(house, bob, group, (await house.sends(ada, group, f"message {number}")).message_id)
        house.pass_hours(1)
        house.pass_hours(1)
    seen, cursor = [], None
    while True:
        page = await house.services.reviews.find(rita, mod.FindReviews(limit=2, cursor=cursor))
        seen += [review.content for review in page.reviews]
        if not page.has_more:
            break
        cursor = page.next
    assert seen == [f"message {number}" for number in range(5)]


async def test_a_reviewer_removes_a_message_and_its_author_may_appeal_against_that(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, "see you at ten")
    await reports(house, bob, group, sent.message_id)
    (review,) = await queue(house, rita)
    assert (await resolves(house, rita, review, "remove")).state == "resolved"
    message = (await house.reads(bob, group))[-1]
    assert (message.is_deleted, message.moderation is not None) == (True, True)
    assert message.moderation is not None
    assert message.moderation.decision_id is not None
    appeal = await appeals(house, ada, message.moderation.decision_id)
    await resolves_appeal(house, house.reviewer("rolf"), appeal, "upheld")
    assert (await house.reads(bob, group))[-1].content == "see you at ten"
    assert await audited(house, rita) == [("rolf", "appeal.resolve"), ("rita", "review.resolve")]


async def test_dismissing_leaves_everything_and_tells_the_ledger_that_a_person_disagreed(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    await house.sends(ada, group, "[self-harm] quoted")
    await house.decided()
    (review,) = await queue(house, rita)
    assert (review.source, review.category, review.decision_id is not None) == ("flag", "self-harm", True)
    await resolves(house, rita, review, "dismiss")
    assert (await house.reads(bob, group))[-1].content == "[self-harm] quoted"
    assert review.decision_id is not None
    decision = await house.ledger.find(review.decision_id)
    assert decision.human is not None
    assert (decision.human["resolution"], decision.human["agrees"]) == ("dismiss", False)
    assert decision.human["by"] == house.ledger.person("rita")
    assert await house.refusal(resolves(house, rita, review, "remove")) == "conflict"


async def test_restoring_undoes_what_a_model_did(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    await house.sends(ada, group, SLUR)
    await house.decided()
    (review,) = await queue(house, rita)
    assert review.content == SLUR
    await resolves(house, rita, review, "restore")
    message = (await house.reads(bob, group))[-1]
    assert (message.content, message.ai_moderated) == (SLUR, False)


async def test_what_was_not_changed_cannot_be_restored_and_stays_in_the_queue(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    await reports(house, bob, group, (await house.sends(ada, group, "hello")).message_id)
    (review,) = await queue(house, rita)
    assert await house.refusal(resolves(house, rita, review, "restore")) == "conflict"
    assert [each.id for each in await queue(house, rita)] == [review.id]
    assert await audited(house, rita) == []


@pytest.mark.parametrize("resolution", ["kick", "ban"])
async def test_a_reviewer_takes_the_author_out_of_the_group_with_the_message(houses: Houses, resolution: str) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob, join_policy="open")
    await reports(house, ada, group, (await house.sends(bob, group, "hello")).message_id)
    (review,) = await queue(house, rita)
    await resolves(house, rita, review, resolution, "enough")
    assert await house.members(group) == {"ada"}
    deleted = [message for message in await house.reads(ada, group) if message.is_deleted]
    assert [message.sender_id for message in deleted] == ["bob"]
    if resolution == "ban":
        assert await house.refusal(house.joins(bob, group)) == "banned"
    else:
        await house.joins(bob, group)


async def test_the_owner_of_a_group_with_others_is_not_removed_from_it(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    await reports(house, bob, group, (await house.sends(ada, group, "hello")).message_id)
    (review,) = await queue(house, rita)
    assert await house.refusal(resolves(house, rita, review, "ban")) == "conflict"
    assert (await queue(house, rita))[0].state == "open"


async def test_a_warning_reaches_the_author_alone(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    await reports(house, bob, group, (await house.sends(ada, group, "hello")).message_id)
    (review,) = await queue(house, rita)
    await resolves(house, rita, review, "warn", "be kind")
    assert [(who, shape.note) for who, event, shape in house.fanout.told if event == "moderation_warning"] == [
        ("ada", "be kind")
    ]


async def test_nobody_reviews_their_own_message(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    await reports(house, bob, group, (await house.sends(ada, group, "hello")).message_id)
    judge = Caller(ada.user_id, ada.session_id, ada.user, roles=frozenset({"reviewer"}))
    (review,) = await queue(house, judge)
    assert await house.refusal(resolves(house, judge, review, "dismiss")) == "access_denied"


# --- appeals


async def test_an_upheld_appeal_lets_the_author_send_the_refused_text(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    decision_id = await rejected(house, ada, group, INSULT)
    appeal = await appeals(house, ada, decision_id)
    assert (appeal.state, appeal.content, appeal.category) == ("open", INSULT, "harassment")
    (seen,) = (await house.services.reviews.appeals(rita, mod.FindAppeals())).appeals
    assert (seen.id, seen.content, seen.reason) == (appeal.id, INSULT, "a quotation")
    done = await resolves_appeal(house, rita, appeal, "upheld")
    assert (done.state, done.resend) == ("upheld", True)
    told = [(who, shape.outcome, shape.resend) for who, event, shape in house.fanout.told if event == "appeal_resolved"]
    assert told == [("ada", "upheld", True)]
    await house.sends(ada, group, INSULT)
    await house.decided()
    assert (await house.reads(bob, group))[-1].content == INSULT
    await rejected(house, bob, group, INSULT)
    await rejected(house, ada, await house.group(ada, bob), INSULT)
    decision = await house.ledger.find(decision_id)
    assert decision.appeal is not None
    assert decision.appeal["outcome"] == "upheld"


async def test_a_denied_appeal_changes_nothing_and_is_final(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    decision_id = await rejected(house, ada, group, INSULT)
    appeal = await appeals(house, ada, decision_id)
    assert (await resolves_appeal(house, rita, appeal, "denied")).state == "denied"
    await rejected(house, ada, group, INSULT)
    assert (await appeals(house, ada, decision_id)).id == appeal.id
    assert await house.refusal(resolves_appeal(house, rita, appeal, "upheld")) == "conflict"
    (mine,) = (await house.services.moderation.my_appeals(ada, mod.MyAppeals())).appeals
    assert (mine.state, mine.note) == ("denied", "after a look")


async def test_an_upheld_appeal_brings_a_removed_message_back_where_it_was(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, "so [sexual]")
    await house.sends(bob, group, "what was that?")
    await house.decided()
    (decision,) = [each for each in house.decisions() if each.action == "block"]
    await resolves_appeal(house, rita, await appeals(house, ada, decision.decision_id), "upheld")
    back = (await house.reads(bob, group))[-2]
    assert (back.id, back.seq, back.content, back.is_deleted) == (sent.message_id, sent.seq, "so [sexual]", False)
    assert not back.ai_moderated
    assert await house.moderation.reviews._audit.verify() == (await house.audit_store.head(), [])
    edit = m.EditMessage(group_id=group, message_id=sent.message_id, content="so nice")
    await house.services.messages.edit(ada, edit)


async def test_only_the_author_appeals_and_only_once(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    decision_id = await rejected(house, ada, group, INSULT)
    assert await house.refusal(appeals(house, bob, decision_id)) == "not_found"
    assert await house.refusal(appeals(house, ada, "0" * 24)) == "not_found"
    assert (await appeals(house, ada, decision_id)).id == (await appeals(house, ada, decision_id)).id
    assert (await house.services.moderation.my_appeals(bob, mod.MyAppeals())).appeals == []


async def test_nobody_decides_on_an_appeal_of_their_own(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    appeal = await appeals(house, ada, await rejected(house, ada, group, INSULT))
    judge = Caller(ada.user_id, ada.session_id, ada.user, roles=frozenset({"reviewer"}))
    assert await house.refusal(resolves_appeal(house, judge, appeal, "upheld")) == "access_denied"


async def test_an_undoing_whose_message_is_gone_for_good_is_refused_as_a_whole(houses: Houses) -> None:
    """The text's retention has passed: neither the appeal nor the sanction nor the audit changes."""
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    await house.sends(ada, group, "so [sexual]")
    await house.decided()
    (decision,) = house.decisions()
    appeal = await appeals(house, ada, decision.decision_id)
    house.pass_hours(24 * 31)
    await house.moderation.sanctions.erase_due()
    await house.services.messages.erase_deleted()
    with pytest.raises(Conflict):
        await resolves_appeal(house, rita, appeal, "upheld")
    assert [each.state for each in (await house.services.reviews.appeals(rita, mod.FindAppeals())).appeals] == ["open"]
    assert await audited(house, rita) == []


async def test_an_author_who_deleted_the_message_gets_the_appeal_but_not_the_message_back(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    sent = await house.sends(ada, group, SLUR)
    await house.decided()
    message = (await house.reads(ada, group))[-1]
    assert message.moderation is not None
    assert message.moderation.decision_id is not None
    appeal = await appeals(house, ada, message.moderation.decision_id)
    await house.services.messages.delete(ada, m.MessagePath(group_id=group, message_id=sent.message_id))
    assert (await resolves_appeal(house, rita, appeal, "upheld")).state == "upheld"
    assert (await house.reads(bob, group))[-1].is_deleted


async def test_a_group_takes_its_reviews_and_appeals_with_it(houses: Houses) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    rita = house.reviewer()
    group = await house.group(ada, bob)
    await appeals(house, ada, await rejected(house, ada, group, INSULT))
    await reports(house, bob, group, (await house.sends(ada, group, "hello")).message_id)
    await house.services.groups.delete(ada, g.GroupPath(group_id=group))
    await house.background.drain(5)
    assert await queue(house, rita) == []
    assert (await house.services.reviews.appeals(rita, mod.FindAppeals())).appeals == []


async def test_content_is_judged_on_request_and_nothing_follows_from_it(houses: Houses) -> None:
    house = await houses()
    (ada,) = house.people("ada")
    answer = await house.services.moderation.moderate(ada, mod.ModerateContent(content="so [sexual]"))
    assert (answer.flagged, answer.action, answer.category) == (True, "block", "sexual")
    assert answer.categories["sexual"] is True
    assert answer.categories["hate"] is False
    assert (answer.provider, answer.degraded) == ("openai", False)
    await house.ledger.flush()
    assert (await house.ledger.find(answer.decision_id)).action == "block"
    calm = await house.services.moderation.moderate(ada, mod.ModerateContent(content="see you at ten"))
    assert (calm.flagged, calm.action, calm.category) == (False, "allow", None)
