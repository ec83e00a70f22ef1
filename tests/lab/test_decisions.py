"""The ledger of a real server as a table, by its admin API alone."""

import random
from collections.abc import Iterator

import pandas as pd
import pytest

from chatcore import lab
from chatcore.lab import decisions
from chatcore.lab.decisions import LedgerNotThere, frame, ledger
from chatcore.lab.live import LiveChat
from chatcore.lab.traffic import Taste, Traffic, simulate


@pytest.fixture(scope="module")
def chat() -> Iterator[LiveChat]:
    with lab.live_chat(ai=True) as running:
        yield running


@pytest.fixture(scope="module")
def done(chat: LiveChat) -> Traffic:
    return simulate(lab.conversations(limit=3), chat, asks_each=2, seed=4)


@pytest.fixture
def rows(chat: LiveChat, done: Traffic) -> pd.DataFrame:
    return ledger(chat)


def test_every_message_was_moderated_and_every_question_has_its_row(rows: pd.DataFrame, done: Traffic) -> None:
    counted = rows["feature"].value_counts()
    assert done.refused == {}
    assert counted["moderation"] == done.sent
    assert rows.loc[rows["feature"] == "moderation", "message"].nunique() == done.sent
    assert counted["smart_reply"] == done.asked["smart_reply"]
    assert counted["summary"] == done.asked["summary"] - done.cached, "an answer from the cache is no decision"
    assert done.cached == done.asked["summary"] / 2
    by_rules = rows["provider"] == "rules"
    assert set(rows.loc[~by_rules, "provider"]) == {"embedded"}
    assert rows.loc[by_rules, "fallback"].all(), "a busy machine falls back, and says why"


def test_what_people_did_with_suggestions_is_in_it(rows: pd.DataFrame, done: Traffic) -> None:
    taken = [
        name
        for one in rows.loc[rows["feature"] == "smart_reply", "exposure"]
        for item in one["items"]
        for name in item["ratings"]
    ]
    for name in ("accepted", "edited", "dismissed"):
        assert taken.count(name) == done.outcomes.get(name, 0)
    assert taken.count("shown") >= done.asked["smart_reply"]


def test_pages_meet_without_a_hole_and_without_a_double(
    chat: LiveChat, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "PAGE", 24)  # more than a batch of moderation, whose rows share a moment
    paged = ledger(chat, until=rows["at"].max().to_pydatetime() + pd.Timedelta(seconds=1))
    assert paged["decision_id"].tolist() == rows["decision_id"].tolist()
    assert paged.attrs["dataset"] == rows.attrs["dataset"]


def test_the_newest_are_kept_where_there_are_more_than_asked_for(chat: LiveChat, rows: pd.DataFrame) -> None:
    some = ledger(chat, limit=5)
    assert some["at"].tolist() == rows["at"].tolist()[-5:]
    assert some.attrs["truncated"]
    assert not rows.attrs["truncated"]


def test_filters_are_the_servers(chat: LiveChat, rows: pd.DataFrame) -> None:
    assert set(ledger(chat, feature="typing")["feature"]) == {"typing"}
    half = rows["at"].iloc[len(rows) // 2].to_pydatetime()
    since = ledger(chat, since=half)
    assert since["decision_id"].tolist() == rows.loc[rows["at"] >= half, "decision_id"].tolist()
    assert ledger(chat, until=rows["at"].min().to_pydatetime()).empty


def test_content_comes_only_where_it_is_asked_for(chat: LiveChat, rows: pd.DataFrame) -> None:
    assert not {"input", "output"} & set(rows.columns)
    told = ledger(chat, feature="smart_reply", limit=3, content=True)
    assert told["output"].map(lambda one: one["used"]["texts"]).map(len).sum() > 0
    assert not told["content_gone"].any()


def test_a_reviewer_is_no_analyst(chat: LiveChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATCORE_URL", chat.url)
    monkeypatch.setenv("CHATCORE_TOKEN", chat.token_of("reviewer"))
    with pytest.raises(LedgerNotThere, match="analyst"):
        ledger()
    monkeypatch.setenv("CHATCORE_TOKEN", chat.token_of("analyst"))
    assert not ledger(limit=1).empty


def test_without_a_server_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHATCORE_TOKEN", raising=False)
    with pytest.raises(LedgerNotThere, match="CHATCORE_TOKEN"):
        ledger()
    monkeypatch.setenv("CHATCORE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CHATCORE_TOKEN", "none")
    with pytest.raises(LedgerNotThere, match="does not answer"):
        ledger()
    with pytest.raises(ValueError, match="reads like"):
        ledger(since="last week")
    with pytest.raises(ValueError, match="rows at once"):
        ledger(limit=0)


def test_no_rows_are_a_table_all_the_same_and_a_price_that_nobody_knows_is_missing() -> None:
    assert list(frame([]).columns) == list(decisions.COLUMNS)
    served = {"provider": "compatible", "model": "m", "degraded": False, "latencyMs": 1, "promptTokens": 2,
              "completionTokens": 3}  # fmt: skip
    row = {"decisionId": "1", "at": "2026-01-05T10:00:00.000Z", "feature": "ask", "inputSha256": "", "served": served}
    found = frame([row])
    assert found["cost_usd"].isna().all()
    assert found.attrs["dataset"] != frame([{**row, "action": "told"}]).attrs["dataset"]


def test_tastes_follow_the_confidence_and_a_person_does_one_thing_with_a_suggestion() -> None:
    dice = random.Random(1)
    drawn = {level: [Taste().draw(level, dice) for _ in range(2_000)] for level in (0.0, 1.0)}
    taken = {level: sum("accepted" in one for one in told) / 2_000 for level, told in drawn.items()}
    assert taken[0.0] == pytest.approx(0.08, abs=0.02)
    assert taken[1.0] == pytest.approx(0.43, abs=0.03)
    for told in (*drawn[0.0], *drawn[1.0]):
        assert sum(name in ("accepted", "edited", "dismissed") for name in told) <= 1
