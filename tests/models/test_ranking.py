"""How replies are ranked: what was said last, how the person writes, and what is too grave for a guess."""

from typing import Any

import numpy as np
import pytest

from chatcore.models.loaded import Models
from chatcore.models.manner import manner_of, manners_apart, manners_of
from chatcore.models.replies import GRAVE, edges_of
from chatcore.models.shapes import RankingWeights, ReplyParameters, SmartReplies, SmartRepliesInput, Turn

NOTHING = dict.fromkeys(RankingWeights.model_fields, 0.0)


def suggest(models: Models, turns: list[Turn], **parameters: Any) -> SmartReplies:
    asked = SmartRepliesInput(messages=turns, parameters=ReplyParameters.model_validate(parameters))
    return models.suggest(asked)


def intents(answer: SmartReplies) -> set[str]:
    return {reply.intent for reply in answer.replies}


@pytest.mark.parametrize(
    "said", ["Grandpa is in hospital", "My dog is very sick and I am scared.", "My grandfather fell asleep"]
)
def test_near_a_death_but_not_surely_one_there_are_neither_condolences_nor_small_talk(
    models: Models, said: str
) -> None:
    assert intents(suggest(models, [Turn(text=said)])) == {"any"}


def test_a_death_gets_condolences(models: Models) -> None:
    assert intents(suggest(models, [Turn(text="My grandmother died last night.")])) == {"condolence"}


def test_nobody_gets_condolences_for_what_is_hardly_like_a_death(models: Models) -> None:
    """It is surely about the family, and two thirds of the way to a death."""
    answer = suggest(models, [Turn(text="My grandmother is visiting tonight")])
    assert answer.confidence > 0.5
    assert len(answer.replies) == 3
    assert not intents(answer) & set(GRAVE)


def test_people_in_need_are_still_answered_as_such(models: Models) -> None:
    assert intents(suggest(models, [Turn(text="I don't want to live anymore")])) == {"crisis"}


def test_by_default_a_likeness_of_three_tenths_is_enough_for_an_intent(models: Models) -> None:
    said = [Turn(text="My vet says the parrot is overweight")]
    answer = suggest(models, said)
    assert 0.3 <= answer.confidence < 0.35
    assert suggest(models, said, cosine_floor=0.35).confidence == 0


def test_an_answer_begins_with_what_was_said_last(models: Models) -> None:
    long = [Turn(text="I watched the match yesterday, they won three to one. What would you like to eat tonight?")]
    short = [Turn(text="What would you like to eat tonight?")]
    weights = {**NOTHING, "last_sentence": 1}
    first, second = [suggest(models, said, cosine_floor=-1, ranking_weights=weights).replies for said in (long, short)]
    assert [reply.text for reply in first] == [reply.text for reply in second]
    assert edges_of(long[0].text)[1] == short[0].text


def test_who_writes_with_exclamation_marks_is_offered_them(models: Models) -> None:
    def marks(own: str) -> int:
        said = [Turn(text=own, own=True), Turn(text="I passed the exam!")]
        replies = suggest(models, said, ranking_weights={"manner": 2}).replies
        return sum("!" in reply.text for reply in replies)

    assert marks("Great!") > marks("Great, I will see you there then, and we can talk about it.")


def test_only_ones_own_turns_tell_how_one_writes(models: Models) -> None:
    def order(first: Turn) -> list[str]:
        answer = suggest(models, [first, Turn(text="I passed the exam!")], context_turns=1)
        return [reply.text for reply in answer.replies]

    loud, calm = "GREAT! Wow! Yes!", "I think so, and I would say that it may take a while"
    heavy = [[Turn(text=text, own=own) for text in (loud, calm)] for own in (False, True)]
    assert order(heavy[0][0]) == order(heavy[0][1])
    assert manners_of([loud]).tolist() != manners_of([calm]).tolist()


def test_the_nearest_manner_is_ones_own() -> None:
    texts = ["ok see you", "That is a good idea, and I would like to come along. When shall we meet?", "Yes! Great!"]
    for place, text in enumerate(texts):
        apart = manners_apart(manners_of([text]), manners_of(texts))
        assert apart[place] == 0
        assert int(np.argmin(apart)) == place


def test_nobody_knows_how_a_silent_person_writes() -> None:
    assert manners_apart(manners_of([]), manners_of(["Yes!", "no"])).tolist() == [0, 0]
    assert np.isfinite(manner_of("")).all()
