"""The server's own reply flow on recorded conversations, and the versions it is tried with."""

import json
import math
from collections.abc import Iterator

import pytest

from chatcore import lab
from chatcore.ai.prompts.shipped import shipped
from chatcore.ai.prompts.versions import make_version
from chatcore.lab import endpoint
from chatcore.lab.datasets import Sample, Turn
from chatcore.lab.evaluation import Output
from chatcore.lab.versions import VersionNotFound, find_version
from tests.ai.fake_provider import KEY, fake_provider

CONSTANT = {"cosine_floor": -1, "ranking_weights": {"intent": 0, "last_turn": 0, "context": 0, "words": 0, "common": 9}}
THANKS = Sample(
    "t.2", (Turn("ana", "Thank you so much for your help yesterday!"),), target="You are welcome", sender="t/ben"
)


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    endpoint.close()


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHATCORE_TOKEN", raising=False)


async def test_it_suggests_what_the_server_would() -> None:
    output = await lab.reply()(THANKS, 0)
    assert 1 <= len(output.value) <= 3
    assert any("welcome" in text.lower() or "time" in text.lower() for text in output.value), output.value
    assert (output.model, output.degraded) == ("embedded chatcore-tasks", True)
    assert output.tokens > 0
    assert output.cost_usd == 0.0


async def test_a_provider_reads_twelve_turns_as_the_person_who_answered_and_judges_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = tuple(Turn("ana" if place % 2 else "ben", f"line {place}") for place in range(20))
    sample = Sample("l.21", turns, target="x", sender="l/ben")
    endpoint.close()
    async with fake_provider() as provider:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
        try:
            output = await lab.reply('{"context_turns": 3}')(sample, 0)
            opinion = await lab.judge(shows_reference=True).prefers(sample, "one", "other")
        finally:
            endpoint.close()
    replies, judged = (asked.input for asked in provider.chats)
    assert [each["text"] for each in replies["messages"]] == [f"line {place}" for place in range(8, 20)]
    assert [each["own"] for each in replies["messages"]] == [place % 2 == 0 for place in range(8, 20)]
    assert replies["parameters"] == {"context_turns": 3}
    assert (judged["first"], judged["second"], judged["reference"]) == ("one", "other", "x")
    assert (opinion.winner, output.degraded) == ("first", False)
    assert math.isnan(output.cost_usd), "nobody knows what a model costs there"


async def test_parameters_of_a_version_reach_the_models() -> None:
    near, far = [await lab.reply(json.dumps({"cosine_floor": floor}))(THANKS, 0) for floor in (0.0, 1.0)]
    assert near.value != far.value
    templates = await lab.reply(json.dumps({"cosine_floor": 1.0}))(
        Sample("u.2", (Turn("ana", "The parcel arrived this morning, finally complete!"),), target="x"), 0
    )
    assert far.value == templates.value, "with a floor that nothing reaches only the kind of a message counts"


async def test_what_a_lower_rung_answered_is_missing_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is not there: the embedded models would answer, but the question was about the provider."""
    endpoint.close()
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    try:
        data = lab.dataset("replies").take(2)
        report = lab.evaluate(lab.Task(data, lab.reply(), lab.line_up(data)))
        assert report.table["score"].isna().all()
        assert report.failures["error"].str.contains("NotAsAsked.*connection").all()
    finally:
        endpoint.close()


async def test_replies_that_fit_everything_are_worth_exactly_chance() -> None:
    data = lab.dataset("replies")
    report = lab.evaluate(lab.Task(data, lab.reply(json.dumps(CONSTANT)), lab.line_up(data)))
    assert report.mean.n == len(data)
    assert report.mean.estimate == pytest.approx(0.5, abs=0.005)


async def test_the_line_up_knows_the_real_answer() -> None:
    data = lab.dataset("replies").where(lambda sample: sample.slices["language"] == "en")
    score, first = lab.line_up(data), data[0]
    assert await score(first, Output([first.target])) == pytest.approx(1.0, abs=0.01)
    assert await score(first, Output([])) == 0.5
    assert not math.isnan(await score(first, Output(["What do you think?"])))


def test_live_is_what_this_release_ships_where_no_server_is_named() -> None:
    assert find_version("SmartReplies").version_id == shipped()["SmartReplies"].version_id


def test_changed_parameters_are_the_version_that_the_server_would_add() -> None:
    found = find_version("SmartReplies", '{"context_turns": 1}')
    assert (
        found.version_id
        == make_version("SmartReplies", shipped()["SmartReplies"].text, {"context_turns": 1}).version_id
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ('{"floor": 0.9}', "nothing reads floor; SmartReplies has .*cosine_floor"),
        ('{"ranking_weights": {"contxt": 1}}', r"nothing reads ranking_weights\.contxt"),
        ('{"cosine_floor": 7}', "cosine_floor: "),
        ('{"cosine_floor"', "one JSON object"),
    ],
)
def test_a_parameter_that_nothing_reads_is_refused(given: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        find_version("SmartReplies", given)


def test_a_version_of_a_server_needs_the_server() -> None:
    with pytest.raises(VersionNotFound, match="CHATCORE_TOKEN"):
        find_version("SmartReplies", "SmartReplies@0123abcd")
    with pytest.raises(VersionNotFound, match='no function "SmartReply"'):
        find_version("SmartReply")
