"""What suggestions and analyses promise of their stores: the same in MongoDB and in memory."""

from datetime import UTC, datetime, timedelta

import pytest

from chatcore.ai.analysis import store as analysis_store
from chatcore.ai.analysis.records import AnalysisStore, StoredAnalysis
from chatcore.ai.analysis.store import MemoryAnalysisStore, MongoAnalysisStore
from chatcore.ai.suggestions import store as suggestion_store
from chatcore.ai.suggestions.records import SuggestionRecord, SuggestionStore
from chatcore.ai.suggestions.store import MemorySuggestionStore, MongoSuggestionStore
from chatcore.mongo import Mongo
from chatcore.vault.envelope import Sealed

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SEALED = Sealed(1, 1, b"n" * 12, b"sealed")


def an_id(number: int) -> str:
    return f"{number:024x}"


def suggestion(number: int, *, decision: int = 1, user: str = "ann", group: int = 7) -> SuggestionRecord:
    return SuggestionRecord(
        suggestion_id=an_id(number), decision_id=an_id(decision), kind="reply", place=number, user_id=user,
        group_id=an_id(group), prompt="SmartReplies@0", arm="live", at=NOW,
    )  # fmt: skip


def analysis(key: str, first: int, last: int, *, group: int = 7) -> StoredAnalysis:
    return StoredAnalysis(key, an_id(group), "summary", first, last, SEALED, NOW)


@pytest.fixture(params=["mongo", "memory"])
async def suggestions(request: pytest.FixtureRequest, mongo: Mongo) -> SuggestionStore:
    if request.param == "memory":
        return MemorySuggestionStore()
    await mongo.ensure_indexes(suggestion_store.INDEXES)
    return MongoSuggestionStore(mongo.database)


@pytest.fixture(params=["mongo", "memory"])
async def analyses(request: pytest.FixtureRequest, mongo: Mongo) -> AnalysisStore:
    if request.param == "memory":
        return MemoryAnalysisStore()
    await mongo.ensure_indexes(analysis_store.INDEXES)
    return MongoAnalysisStore(mongo.database)


async def test_a_suggestion_is_found_by_its_id_and_with_its_siblings(suggestions: SuggestionStore) -> None:
    rows = [suggestion(2), suggestion(0), suggestion(1)]
    await suggestions.add([*rows, suggestion(3, decision=2)])
    await suggestions.add([])
    assert await suggestions.find(an_id(2)) == rows[0]
    assert await suggestions.find(an_id(9)) is None
    assert [each.place for each in await suggestions.of_decision(an_id(1))] == [0, 1, 2]


async def test_the_first_time_of_a_rating_and_the_last_feedback_count(suggestions: SuggestionStore) -> None:
    await suggestions.add([suggestion(0)])
    later = Sealed(1, 1, b"n" * 12, b"later")
    await suggestions.rate(an_id(0), "shown", NOW, SEALED)
    await suggestions.rate(an_id(0), "shown", NOW + timedelta(hours=1), later)
    await suggestions.rate(an_id(0), "accepted", NOW + timedelta(hours=2), None)
    await suggestions.rate(an_id(5), "accepted", NOW, None)
    found = await suggestions.find(an_id(0))
    assert found is not None
    assert found.ratings == {"shown": NOW, "accepted": NOW + timedelta(hours=2)}
    assert found.feedback == later


async def test_suggestions_are_erased_by_person_and_by_group(suggestions: SuggestionStore) -> None:
    await suggestions.add([suggestion(0), suggestion(1, decision=2, user="bob"), suggestion(2, decision=3, group=8)])
    await suggestions.erase_user("bob")
    assert await suggestions.of_user("bob") == []
    await suggestions.erase_group(an_id(7))
    assert [each.suggestion_id for each in await suggestions.of_user("ann")] == [an_id(2)]


async def test_an_analysis_is_kept_once(analyses: AnalysisStore) -> None:
    first = analysis("a", 1, 5)
    await analyses.keep(first)
    await analyses.keep(analysis("a", 2, 9))
    assert await analyses.find("a") == first
    assert await analyses.find("b") is None


async def test_a_change_takes_what_was_made_of_that_stretch_and_nothing_else(analyses: AnalysisStore) -> None:
    await analyses.keep(analysis("before", 1, 4))
    await analyses.keep(analysis("around", 3, 6))
    await analyses.keep(analysis("after", 6, 9))
    await analyses.keep(analysis("elsewhere", 1, 9, group=8))
    await analyses.forget(an_id(7), [5])
    left = [key for key in ("before", "around", "after", "elsewhere") if await analyses.find(key) is not None]
    assert left == ["before", "after", "elsewhere"]
    await analyses.erase_group(an_id(7))
    assert await analyses.find("before") is None
    assert await analyses.find("elsewhere") is not None
