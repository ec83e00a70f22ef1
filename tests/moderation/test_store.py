"""One suite for the real store and its twin."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatcore.errors import Conflict
from chatcore.journal.store import JournalStore, MemoryJournalStore, MongoJournalStore
from chatcore.moderation.records import Appeal, Review, Sanction
from chatcore.moderation.store import INDEXES, MemoryModerationStore, ModerationStore, MongoModerationStore
from chatcore.mongo import Mongo
from chatcore.vault.envelope import Sealed

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
GROUP, OTHER = "a" * 24, "b" * 24
Change = Callable[[Any, Sequence[Any]], Awaitable[None]]


def id_(number: int) -> str:
    return f"{number:024x}"


def review(number: int, **fields: Any) -> Review:
    made = Review(id_(number), id_(number + 1_000), GROUP, "ada", "flag", NOW + timedelta(seconds=number))
    return replace(made, **fields)


def appeal(number: int, **fields: Any) -> Appeal:
    made = Appeal(id_(number), id_(number + 1_000), GROUP, "ada", "it was a joke", NOW + timedelta(seconds=number))
    return replace(made, **fields)


def sanction(number: int, **fields: Any) -> Sanction:
    sealed = Sealed(1, 1, b"n" * 12, b"c" * 20)
    due = NOW + timedelta(days=30)
    made = Sanction(id_(number), "removed", "message", GROUP, "ada", id_(9), "sexual", sealed, NOW, due)
    return replace(made, **fields)


class Kept:
    def __init__(self, journal: JournalStore, store: ModerationStore):
        self.journal, self.store = journal, store

    async def together(self, *changes: Change) -> None:
        await self.journal.transact([], changes)


@pytest.fixture(params=["memory", "mongo"])
async def kept(request: pytest.FixtureRequest, mongo: Mongo) -> Kept:
    if request.param == "memory":
        return Kept(MemoryJournalStore(), MemoryModerationStore())
    await mongo.ensure_indexes(INDEXES)
    return Kept(MongoJournalStore(mongo.database), MongoModerationStore(mongo.database))


async def test_a_sanction_comes_back_as_it_was_and_loses_its_text_when_due(kept: Kept) -> None:
    await kept.store.add_sanction(sanction(1))
    await kept.together(kept.store.sanction_added(sanction(2, message_id="", deed="rejected")))
    assert await kept.store.find_sanction(id_(1)) == sanction(1)
    assert await kept.store.find_sanction(id_(2)) == sanction(2, message_id="", deed="rejected")
    assert await kept.store.find_sanction(id_(3)) is None
    await kept.store.erase_due(NOW + timedelta(days=29))
    assert (await kept.store.find_sanction(id_(1))) == sanction(1)
    await kept.store.erase_due(NOW + timedelta(days=30))
    found = await kept.store.find_sanction(id_(1))
    assert found is not None
    assert found.sealed is None


async def test_a_sanction_is_undone_once(kept: Kept) -> None:
    await kept.store.add_sanction(sanction(1))
    await kept.together(kept.store.sanction_undone(id_(1)))
    with pytest.raises(Conflict):
        await kept.together(kept.store.sanction_undone(id_(1)))


async def test_a_message_has_one_review_which_gathers_what_is_told_of_it(kept: Kept) -> None:
    first = await kept.store.add_review(review(1, source="sample"))
    again = review(2, message_id=first.message_id, source="report", reports=1)
    merged = await kept.store.add_review(again)
    assert (merged.id, merged.source, merged.reports, merged.order) == (first.id, "report", 1, first.order)
    flagged = review(3, message_id=first.message_id, decision_id=id_(77), category="hate", score=0.9, action="flag")
    merged = await kept.store.add_review(flagged)
    assert (merged.source, merged.decision_id, merged.category, merged.reports) == ("report", id_(77), "hate", 1)
    assert await kept.store.find_review(first.id) == merged


async def test_reports_at_the_same_moment_are_all_counted(kept: Kept) -> None:
    news = [review(number, message_id=id_(5_000), source="report", reports=1) for number in range(1, 6)]
    await asyncio.gather(*(kept.store.add_review(each) for each in news))
    (found,) = await kept.store.reviews("open", 10)
    assert found.reports == 5


async def test_a_resolved_review_is_opened_again_by_a_report_and_not_by_a_sample(kept: Kept) -> None:
    first = await kept.store.add_review(review(1))
    done = replace(first, state="resolved", resolution="dismiss", resolved_by="rita", resolved_at=NOW, note="fine")
    await kept.together(kept.store.review_resolved(done))
    assert (await kept.store.add_review(review(2, message_id=first.message_id, source="sample"))).state == "resolved"
    reopened = await kept.store.add_review(review(3, message_id=first.message_id, source="report", reports=1))
    assert (reopened.state, reopened.resolution, reopened.resolved_by) == ("open", None, "")


async def test_the_queue_is_read_oldest_first_page_by_page(kept: Kept) -> None:
    for number in (3, 1, 2, 5, 4):
        await kept.store.add_review(review(number))
    first = await kept.store.reviews("open", 2)
    second = await kept.store.reviews("open", 10, first[-1].order)
    assert [each.id for each in [*first, *second]] == [id_(number) for number in (1, 2, 3, 4, 5)]
    assert await kept.store.reviews("resolved", 10) == []


async def test_one_reviewer_at_a_time_has_a_review_in_hand(kept: Kept) -> None:
    first = await kept.store.add_review(review(1))
    outcomes = await asyncio.gather(*(kept.store.assign(first.id, who, held_by="") for who in ("rita", "rolf")))
    taken = [outcome for outcome in outcomes if outcome is not None]
    assert [each.state for each in taken] == ["assigned"]
    holder = taken[0].assignee
    assert await kept.store.assign(first.id, "rosa", held_by="") is None
    freed = await kept.store.assign(first.id, "", held_by=holder)
    assert freed is not None
    assert (freed.state, freed.assignee) == ("open", "")


async def test_a_review_is_resolved_once(kept: Kept) -> None:
    first = await kept.store.add_review(review(1))
    done = replace(first, state="resolved", resolution="dismiss", resolved_by="rita", resolved_at=NOW)
    await kept.together(kept.store.review_resolved(done))
    assert await kept.store.find_review(first.id) == done
    assert await kept.store.assign(first.id, "rosa", held_by="") is None
    with pytest.raises(Conflict):
        await kept.together(kept.store.review_resolved(replace(done, resolution="ban")))


async def test_a_decision_has_one_appeal(kept: Kept) -> None:
    assert await kept.store.add_appeal(appeal(1)) == appeal(1)
    assert await kept.store.add_appeal(appeal(2, decision_id=appeal(1).decision_id, reason="again")) == appeal(1)
    assert await kept.store.appeal_against(appeal(1).decision_id) == await kept.store.find_appeal(id_(1)) == appeal(1)
    assert [each.id for each in await kept.store.appeals("open", 5)] == [id_(1)]
    assert await kept.store.appeals_of("bob", 5) == []


async def test_an_appeal_is_resolved_once(kept: Kept) -> None:
    await kept.store.add_appeal(appeal(1))
    done = appeal(1, state="upheld", resolved_by="rita", resolved_at=NOW, note="sorry")
    await kept.together(kept.store.appeal_resolved(done))
    with pytest.raises(Conflict):
        await kept.together(kept.store.appeal_resolved(replace(done, state="denied")))
    assert await kept.store.appeals_of("ada", 5) == [done]
    assert await kept.store.appeals("open", 5) == []


async def test_an_undoing_happens_as_one_or_not_at_all(kept: Kept) -> None:
    """The mongo store alone can take back what a transaction began; its twin refuses before it changes anything."""
    if isinstance(kept.store, MemoryModerationStore):
        pytest.skip("a dictionary has no transactions")
    await kept.store.add_sanction(sanction(1))
    await kept.store.add_appeal(appeal(1, decision_id=id_(1)))
    done = appeal(1, decision_id=id_(1), state="upheld", resolved_by="rita", resolved_at=NOW)
    await kept.together(kept.store.appeal_resolved(done))
    passed = kept.store.pass_added("mark", NOW)
    with pytest.raises(Conflict):
        await kept.together(kept.store.sanction_undone(id_(1)), passed, kept.store.appeal_resolved(done))
    found = await kept.store.find_sanction(id_(1))
    assert found is not None
    assert found.state == "standing"
    assert not await kept.store.has_pass("mark")


async def test_a_pass_is_known_and_given_again_without_harm(kept: Kept) -> None:
    for _ in range(2):
        await kept.together(kept.store.pass_added("mark", NOW))
    assert await kept.store.has_pass("mark")
    assert not await kept.store.has_pass("other")


async def test_a_group_and_a_person_take_theirs_with_them(kept: Kept) -> None:
    for number, group, who in ((1, GROUP, "ada"), (2, OTHER, "ada"), (3, OTHER, "bob")):
        await kept.store.add_sanction(sanction(number, group_id=group, user_id=who))
        await kept.store.add_review(review(number, group_id=group, user_id=who))
        await kept.store.add_appeal(appeal(number, group_id=group, user_id=who))
    await kept.store.erase_group(GROUP)
    assert [each.id for each in await kept.store.reviews("open", 5)] == [id_(2), id_(3)]
    await kept.store.erase_user("ada")
    assert [each.id for each in await kept.store.reviews("open", 5)] == [id_(3)]
    assert [each.id for each in await kept.store.appeals("open", 5)] == [id_(3)]
    assert [await kept.store.find_sanction(id_(number)) is None for number in (1, 2, 3)] == [True, True, False]
