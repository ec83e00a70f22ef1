"""Suggestions and analysis over real sockets and REST, with the models that ship and with a provider alike."""

from tests.ai.end_to_end.conftest import ready
from tests.ai.fake_provider import FakeProvider
from tests.servers import ServerInThread, people_of
from tests.talking import People

TALK = (
    "We need a date for the garden party. I propose Saturday the fourteenth.",
    "Saturday the fourteenth works for me and for the neighbours too.",
    "Great, then the garden party is on Saturday at noon. Bob, please bring the chairs by Friday.",
    "Are you coming to the garden party?",
)


async def test_smart_replies_are_acked_at_once_streamed_and_then_complete(
    ai_people: People, ai_server: ServerInThread
) -> None:
    ann, bob = await ai_people.connected("ann", "bob")
    garden = await ann.creates_group(bob)
    for text in TALK:
        await bob.sends(garden, text)
    accepted = await ann.socket.call("request_smart_replies", groupId=garden, stream=True)
    request_id = accepted["requestId"]
    whole = await ann.receives("smart_replies_complete", requestId=request_id)
    chunks = [data for event, data in ann.socket.heard if event == "smart_reply_stream"]
    assert [chunk["requestId"] for chunk in chunks] == [request_id] * len(chunks)
    assert [chunk["chunk"] for chunk in chunks if not chunk["isComplete"]] == whole["suggestions"]
    assert chunks[-1] == {"requestId": request_id, "chunk": "", "isComplete": True}
    assert 1 <= len(whole["suggestions"]) <= 3
    assert [item["text"] for item in whole["items"]] == whole["suggestions"]
    assert whole["groupId"] == garden
    assert whole["processingTime"] >= 0
    assert whole["degraded"] == (whole["provider"] != "compatible")
    assert not {"smart_reply_stream", "smart_replies_complete"} & set(await bob.socket.settled())
    decision = await ai_server.inside(ai_server.chat.core.ai.ledger.find(whole["decisionId"]))
    assert decision.feature == "smart_reply"
    assert decision.input["messages"][-1]["text"] == TALK[-1]


async def test_a_suggestion_is_rated_by_the_one_it_was_made_to(ai_people: People) -> None:
    ann, bob = await ai_people.connected("ann", "bob")
    garden = await ann.creates_group(bob)
    await bob.sends(garden, "Thank you so much for your help!")
    answer = await ann.post("/ai/smart-replies", {"groupId": garden})
    suggestion_id = answer["items"][0]["suggestionId"]
    for rating in ("shown", "edited", "helpful"):
        await ann.socket.call("rate_ai_suggestion", suggestionId=suggestion_id, rating=rating, feedback="good")
    refused = await bob.socket.refusal("rate_ai_suggestion", suggestionId=suggestion_id, rating="positive")
    assert refused["code"] == "not_found"
    refused = await ann.socket.refusal("rate_ai_suggestion", suggestionId=suggestion_id, rating="excellent")
    assert refused["code"] == "invalid_payload"
    assert await ann.receives("ai_error", code="invalid_payload")


async def test_a_line_is_completed_over_both_transports(ai_people: People) -> None:
    ann, bob = await ai_people.connected("ann", "bob")
    garden = await ann.creates_group(bob)
    for _ in range(3):
        await bob.sends(garden, "see you at the river cafe")
    accepted = await ann.socket.call("request_typing_suggestions", groupId=garden, partialText="see you at the riv")
    over_socket = await ann.receives("typing_suggestion", requestId=accepted["requestId"])
    over_rest = await ann.post("/ai/typing-suggestions", {"groupId": garden, "currentText": "see you at the riv"})
    assert over_socket["suggestion"] == over_rest["suggestion"] != ""
    await ann.socket.call("rate_ai_suggestion", suggestionId=over_socket["suggestionId"], rating="accepted")
    short = await ann.post("/ai/typing-suggestions", {"groupId": garden, "currentText": "s"})
    assert (short["suggestion"], "suggestionId" in short.body, "decisionId" in short.body) == ("", False, False)


async def test_a_conversation_is_looked_at_from_all_sides(ai_people: People) -> None:
    ann, bob = await ai_people.connected("ann", "bob")
    garden = await ann.creates_group(bob)
    ids = [(await bob.sends(garden, text))["messageId"] for text in TALK]
    summary = await ann.post("/ai/summarize", {"groupId": garden, "timeRange": "24h"})
    assert summary["summary"]
    assert set(summary["messageIds"]) <= set(ids)
    topics = await ann.post("/ai/topics", {"groupId": garden, "count": 2})
    assert 1 <= len(topics["topics"]) <= 2
    assert set(topics["topics"][0]["messageIds"]) <= set(ids)
    insights = await ann.get(f"/ai/insights/{garden}", timeRange="24h")
    assert insights["missing"] == []
    assert insights["activity"]["participants"] == 1
    assert sum(insights["mood"][tone] for tone in ("positive", "neutral", "negative")) == len(TALK)
    assert {item["messageId"] for item in insights["actionItems"]} <= set(ids)
    assert insights["risk"]["level"] == "low"
    again = await bob.post("/ai/summarize", {"groupId": garden, "timeRange": "7d"})
    assert (again["cached"], again["summary"]) == (True, summary["summary"])
    for answer in (summary, topics, insights):
        assert {"decisionId", "provider", "model", "degraded"} <= set(answer.body)


async def test_one_text_has_a_tone_and_a_language_and_a_translation_only_with_a_provider(
    ai_people: People, ai_server: ServerInThread
) -> None:
    ann = await ai_people.person("ann")
    tone = await ann.post("/ai/sentiment", {"content": "I love this, what a wonderful surprise!"})
    assert tone["sentiment"] in {"positive", "neutral"}
    language = await ann.post("/ai/detect-language", {"content": "We meet tomorrow at the station."})
    assert language["language"] == "en"
    asked = {"content": "Good morning", "targetLanguage": "de"}
    translated = await ann.rest("POST", "/ai/translate", asked)
    if tone["degraded"]:
        assert (translated.status, translated.code) == (501, "capability_unavailable")
        assert tone["sentiment"] == "positive"
    else:
        assert translated["translatedText"] == "<de> Good morning"


async def test_strangers_get_nothing(ai_people: People) -> None:
    ann, eve = await ai_people.connected("ann", "eve")
    garden = await ann.creates_group()
    await ann.sends(garden, "only for us")
    accepted = await eve.socket.call("request_smart_replies", groupId=garden)
    refused = await eve.receives("ai_error", requestId=accepted["requestId"])
    assert refused["code"] == "not_found"
    for path in ("smart-replies", "summarize", "topics"):
        assert (await eve.rest("POST", f"/ai/{path}", {"groupId": garden})).code == "not_found"


async def test_a_provider_is_shown_older_exchanges_that_went_alike(
    with_provider: ServerInThread, provider: FakeProvider
) -> None:
    """Once the search holds them; until then a reply is made without."""
    await ready(with_provider)
    async with people_of(with_provider.url) as people:
        ann, bob = await people.connected("ann", "bob")
        garden = await ann.creates_group(bob)
        await bob.sends(garden, "where is the marmalade")
        for number in range(12):
            await ann.sends(garden, f"something else {number}")
        await bob.sends(garden, "where is the marmalade now")
        for _ in range(50):
            await ann.post("/ai/smart-replies", {"groupId": garden})
            asked = [chat for chat in provider.chats if chat.task == "SmartReplies"][-1]
            if asked.input["similar"]:
                break
        assert asked.input["similar"][0]["text"] == "where is the marmalade"
        assert len(asked.input["messages"]) == 12
