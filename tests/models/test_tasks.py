"""What the tasks answer, in the words of a chat."""

import json
from typing import Any

import pytest

from chatcore.models.files import DATA
from chatcore.models.loaded import Models
from chatcore.models.replies import ReplyBank, kind_of
from chatcore.models.shapes import MAX_MESSAGES
from chatcore.models.tasks import CLOSE, OPEN, TASKS, find_task, read_input


def perform(models: Models, task: str, **told: object) -> dict[str, Any]:
    found = find_task(task)
    asked = read_input(found, f"{OPEN}{json.dumps(told)}{CLOSE}")
    answer: dict[str, Any] = found.answer(models, asked).model_dump()
    return answer


def talk(*texts: str) -> list[dict[str, str]]:
    return [{"id": str(place), "sender": ["ann", "bob"][place % 2], "text": text} for place, text in enumerate(texts)]


def test_the_same_input_has_the_same_answer(models: Models) -> None:
    told = {"messages": talk("I got the job!", "Really?", "Yes, I start in May.")}
    assert perform(models, "SmartReplies", **told) == perform(models, "SmartReplies", **told)


@pytest.mark.parametrize(
    ("said", "intent"),
    [
        ("Thanks so much for your help!", "thanks"),
        ("sorry, my train is delayed, I'll be late", "running_late"),
        ("It's my birthday today!", "birthday"),
        ("Could you have a look at my pull request?", "request_review"),
        ("good night everyone", "good_night"),
        (
            "Hey both! Shall we finally plan the hiking trip? I was thinking of the weekend of the 14th.",
            "propose_activity",
        ),
        ("I'll take care of the tickets", "offers_to_do_it"),
    ],
)
def test_replies_fit_what_was_said_last(models: Models, said: str, intent: str) -> None:
    answer = perform(models, "SmartReplies", messages=talk("Hello", said))
    assert answer["replies"][0]["intent"] == intent
    assert len({reply["text"] for reply in answer["replies"]}) == 3
    assert answer["confidence"] > 0.5


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Ben, can you please check the tyres by Friday? Last time we had a flat one.", "request"),
        ("Me too! Can everyone send me their shoe size? And who brings the tent?", "request"),
        ("What about the lake trail? It's about 12 km, and there is a hut halfway.", "proposal"),
        ("14th is fine too. Which route? Last year's ridge walk was too long for my knee.", "question"),
        ("where do we meet tomorrow", "question"),
        ("Great! I'll book the hut, it costs 35 euros.", "offer"),
        ("Will do. The train back leaves at 18:40.", "statement"),
        ("I will not come", "statement"),
        ("I can't make it on Friday", "statement"),
        ("So glad to be here!", "exclamation"),
        ("ok", "short"),
    ],
)
def test_of_several_sentences_the_one_that_wants_an_answer_tells_the_kind(said: str, kind: str) -> None:
    assert kind_of(said) == kind


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("Ben, can you please check the tyres by Friday? Last time we had a flat one.", "Sure, I'll look into it."),
        ("Great! I'll book the hut, it costs 35 euros per person with breakfast.", "Great, thank you!"),
    ],
)
def test_what_is_clearly_wanted_gets_no_small_talk_about_something_else(models: Models, said: str, reply: str) -> None:
    assert perform(models, "SmartReplies", messages=talk(said))["replies"][0]["text"] == reply


def test_below_the_floor_replies_are_templates_without_confidence(models: Models) -> None:
    told = {"messages": talk("The flux capacitor needs 1.21 gigawatts, doesn't it?")}
    answer = perform(models, "SmartReplies", **told, parameters={"cosine_floor": 0.99})
    assert {reply["intent"] for reply in answer["replies"]} == {"any"}
    assert answer["confidence"] == 0
    assert answer["replies"][0]["text"].startswith("Good question")


def test_a_floor_that_is_sent_is_honoured(models: Models) -> None:
    said = talk("My vet says the parrot is overweight")
    assert perform(models, "SmartReplies", messages=said, parameters={"cosine_floor": 0.99})["confidence"] == 0
    assert perform(models, "SmartReplies", messages=said, parameters={"cosine_floor": 0.0})["confidence"] > 0


def test_context_turns_and_ranking_weights_that_are_sent_change_the_order(models: Models) -> None:
    said = talk("Do you want pizza or sushi for dinner?", "Let's watch the football game.", "What do you think?")
    weights = {"intent": 0, "last_turn": 0, "context": 1, "words": 0, "common": 0}

    def order(turns: int) -> list[str]:
        parameters = {"context_turns": turns, "ranking_weights": weights, "cosine_floor": -1}
        replies = perform(models, "SmartReplies", messages=said, parameters=parameters)["replies"]
        return [reply["text"] for reply in replies]

    assert order(1) != order(3)


def test_a_candidate_limit_of_one_leaves_one_reply(models: Models) -> None:
    answer = perform(models, "SmartReplies", messages=talk("Today is my birthday!"), parameters={"candidate_limit": 1})
    assert len(answer["replies"]) == 1


def test_a_reply_does_not_echo_what_was_just_said(models: Models) -> None:
    answer = perform(models, "SmartReplies", messages=talk("Good morning!"))
    assert "Good morning!" not in {reply["text"] for reply in answer["replies"]}


def test_nobody_said_anything_so_there_is_no_reply(models: Models) -> None:
    assert perform(models, "SmartReplies", messages=[])["replies"] == []


def test_typing_is_completed_from_the_past_of_the_group(models: Models) -> None:
    past = talk("the quarterly report is on the shared drive", "the quarterly report is late again")
    answer = perform(models, "CompleteTyping", text="Where is the quar", messages=past)
    assert answer["completion"].startswith("terly report")
    assert perform(models, "CompleteTyping", text="Where is the quar")["completion"] != answer["completion"]


def test_nobody_is_led_to_words_of_despair(models: Models) -> None:
    crisis = next(intent for intent in ReplyBank.read(DATA / "replies.en.toml").intents if intent.name == "crisis")
    for trigger in crisis.triggers:
        words = trigger.split()
        for count in range(1, len(words)):
            begun = " ".join(words[:count]) + " "
            completed = begun + perform(models, "CompleteTyping", text=begun)["completion"].strip()
            assert completed.casefold() != trigger.casefold()


def test_a_common_phrase_is_completed_without_any_past(models: Models) -> None:
    assert perform(models, "CompleteTyping", text="Happy birth")["completion"].startswith("day")


def test_too_little_or_unknown_text_is_left_alone(models: Models) -> None:
    for text in ("H", "", "   ", "xqzvw blorf"):
        assert perform(models, "CompleteTyping", text=text)["completion"] == ""


def test_a_summary_consists_of_sentences_that_were_said_and_names_their_messages(models: Models) -> None:
    said = talk(
        "The launch of the new website is planned for Friday. ok",
        "The website launch needs a final check of the payment page.",
        "haha",
        "I will check the payment page of the website tomorrow.",
        "Did anyone see the game?",
    )
    answer = perform(models, "SummarizeConversation", messages=said, parameters={"max_sentences": 2})
    lines = answer["summary"].splitlines()
    assert len(lines) == 2
    for line, cited in zip(lines, answer["message_ids"], strict=True):
        sender, _, sentence = line.partition(": ")
        assert sentence in said[int(cited)]["text"]
        assert sender == said[int(cited)]["sender"]
    assert "website" in answer["summary"]


def test_topics_are_what_is_spoken_about_most(models: Models) -> None:
    said = talk("The garden fence is broken", "Who repairs the garden fence?", "I like tea", "The fence needs paint")
    topics = perform(models, "ExtractTopics", messages=said)["topics"]
    assert "fence" in topics[0]["name"]
    assert topics[0]["message_ids"] == ["0", "1", "3"] or topics[0]["message_ids"] == ["0", "1"]


def test_a_date_is_no_topic(models: Models) -> None:
    said = talk("The 14th works for me", "14th it is, I book the hut", "the hut on the 14th", "2nd floor, 3pm")
    topics = [topic["name"] for topic in perform(models, "ExtractTopics", messages=said)["topics"]]
    assert "hut" in topics
    assert not any(name[0].isdigit() for name in topics)


def test_action_items_name_who_and_until_when_and_nothing_that_was_not_said(models: Models) -> None:
    said = talk(
        "I'll send the invoice to the customer by Friday.",
        "@carol could you please book the meeting room?",
        "The weather is lovely today.",
        "I can't believe you said that.",
        "Can everyone send me their shoe size?",
    )
    items = perform(models, "ActionItems", messages=said)["items"]
    assert [(item["message_id"], item["assignee"], item["due"]) for item in items] == [
        ("0", "ann", "by Friday"),
        ("1", "carol", ""),
        ("4", "", ""),
    ]


def test_an_answer_quotes_the_message_it_cites(models: Models) -> None:
    said = talk("The wifi password is on the fridge.", "I'm hungry", "Where do we meet?", "My cat is asleep")
    answer = perform(models, "AnswerFromMessages", question="Where can I find the wifi password?", messages=said)
    assert answer["answered"]
    assert answer["message_ids"][0] == "0"
    assert "on the fridge" in answer["answer"]


@pytest.mark.parametrize(
    ("question", "said", "cited"),
    [
        (
            "Where can I find the wifi password?",
            ["The wifi password is on the fridge.", "the wifi is slow today", "The router is in the hall"],
            ["0"],
        ),
        (
            "When does the hut open?",
            ["Booking the hut costs 40 euros", "The hut opens on the 14th of May", "The shop opens at nine"],
            ["1"],
        ),
        (
            "Who brings the tent?",
            ["Tent pegs are in the blue bag", "Ben brings the tent", "I can bring the stove"],
            ["1"],
        ),
        (
            "When is the release?",
            ["The release is planned for Friday", "deploy at 10", "We moved the release to Monday because of the bug"],
            ["0", "2"],
        ),
        ("Wann treffen wir uns?", ["Der Zug ist voll", "Wir treffen uns um acht am Bahnhof", "acht Uhr passt"], ["1"]),
    ],
)  # fmt: skip
def test_an_answer_cites_what_says_so_and_not_what_shares_a_word(
    models: Models, question: str, said: list[str], cited: list[str]
) -> None:
    answer = perform(models, "AnswerFromMessages", question=question, messages=talk(*said))
    assert answer["message_ids"] == cited
    assert [line.partition(": ")[2] for line in answer["answer"].splitlines()] == [said[int(place)] for place in cited]


def test_without_a_message_that_is_near_there_is_no_answer(models: Models) -> None:
    said = talk("The wifi password is on the fridge.", "My cat is asleep")
    answer = perform(models, "AnswerFromMessages", question="Who won the chess championship?", messages=said)
    assert (answer["answered"], answer["answer"], answer["message_ids"]) == (False, "", [])


def test_sentiment_tells_joy_from_anger(models: Models) -> None:
    said = talk("I love this, great work!", "This is terrible, I hate it.", "The train leaves at nine.")
    answer = perform(models, "AnalyzeSentiment", messages=said)
    assert [message["label"] for message in answer["messages"]] == ["positive", "negative", "neutral"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Guten Morgen, wie geht es dir?", "de"),
        ("¿Dónde está la biblioteca?", "es"),
        ("今晚吃什么", "zh"),
        ("Where shall we meet tonight?", "en"),
        ("1234 !!! 🙂", "und"),
    ],
)
def test_languages_are_recognised(models: Models, text: str, language: str) -> None:
    assert perform(models, "DetectLanguage", text=text)["language"] == language


def test_thresholds_that_are_sent_decide_what_is_flagged(models: Models) -> None:
    text = "I want to kill myself tonight."
    assert perform(models, "ModerateMessage", text=text)["flagged"]
    lenient = {row["category"]: 1.0 for row in perform(models, "ModerateMessage", text=text)["categories"]}
    assert not perform(models, "ModerateMessage", text=text, parameters={"thresholds": lenient})["flagged"]


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_survives_empty_strange_and_long_text(models: Models, task: str) -> None:
    for text in ("", " ", "\x00", "🙂" * 300, "a" * 20_000, "</input>", "\ud800".encode("utf-8", "replace").decode()):
        judged = dict.fromkeys(("reply", "first", "second", "reference"), text)
        told = judged | {"text": text, "question": text, "messages": [{"id": "1", "sender": "x", "text": text}]}
        perform(models, task, **told)


def test_too_many_messages_are_refused(models: Models) -> None:
    from chatcore.models.refusals import BadRequest  # noqa: PLC0415

    with pytest.raises(BadRequest):
        perform(models, "ExtractTopics", messages=talk(*["x"] * (MAX_MESSAGES + 1)))


def test_a_judge_knows_likeness_and_no_order(models: Models) -> None:
    asked = {"messages": talk("Shall we have lunch tomorrow?"), "reference": "Yes, lunch tomorrow is great."}
    good, bad = "Lunch tomorrow sounds great!", "The printer is out of paper."
    assert perform(models, "JudgePair", first=good, second=bad, **asked)["winner"] == "first"
    assert perform(models, "JudgePair", first=bad, second=good, **asked)["winner"] == "second"
    assert perform(models, "JudgePair", first=good, second=good, **asked)["winner"] == "tie"
    grades = [perform(models, "JudgeReply", reply=reply, **asked)["score"] for reply in (good, bad, "")]
    assert grades[0] > 0.5 > grades[1] >= grades[2] == 0.0
