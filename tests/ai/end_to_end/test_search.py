"""Search and questions over REST, with the models that ship and with a provider: words, parts, scripts, meaning."""

import asyncio

from tests.ai.end_to_end.conftest import ready
from tests.servers import ServerInThread, people_of
from tests.talking import People, Person

TALK = (
    "Shall we finally plan the hiking trip on the 14th?",
    "I can drive, my car has room for four.",
    "Ben, please check the tyres by Friday.",
    "The train back leaves at 18:40 in case it rains.",
    "I was so tired of the office lately.",
    "明天开会议",
)
FOUND = {"room": TALK[1], "tyre": TALK[2], "hik": TALK[0], "会议": TALK[5], "18:40": TALK[3]}


async def talked(people: People) -> tuple[Person, Person, str]:
    ann, bob = await people.connected("ann", "bob")
    group = await ann.creates_group(bob)
    for text in TALK:
        await bob.sends(group, text)
    return ann, bob, group


async def best(person: Person, group: str, query: str) -> str:
    """What is found first, or ""."""
    found = (await person.post("/ai/search", {"query": query, "groupId": group}))["results"]
    return found[0]["content"] if found else ""


async def test_messages_are_found_by_words_and_their_parts_in_any_script(ai_people: People) -> None:
    ann, _, group = await talked(ai_people)
    for query, found in FOUND.items():
        hits = (await ann.post("/ai/search", {"query": query, "groupId": group}))["results"]
        assert hits[0]["content"] == found, query
        assert {"score", "seq", "senderName", "createdAt", "messageId"} <= hits[0].keys()


async def test_a_message_is_found_by_its_meaning(own_models: ServerInThread) -> None:
    await ready(own_models)
    async with people_of(own_models.url) as people:
        ann, _, group = await talked(people)
        async with asyncio.timeout(20):
            while await best(ann, group, "automobile") != TALK[1]:  # once its vectors are made
                await asyncio.sleep(0.1)
        assert await best(ann, group, "exhausted employee") == TALK[4]


async def test_a_question_is_answered_with_the_message_that_says_so(ai_people: People) -> None:
    ann, _, group = await talked(ai_people)
    texts = {message["_id"]: message["content"] for message in await ann.reads(group)}
    answer = await ann.post("/ai/ask", {"question": "When does the train leave?", "groupId": group})
    assert answer["answered"]
    assert answer["citations"]
    assert set(answer["citations"]) <= set(texts)
    if answer["degraded"]:
        assert "18:40" in answer["answer"]
        assert texts[answer["citations"][0]] == TALK[3]
    eve = await ai_people.person("eve")
    refused = await eve.rest("POST", "/ai/ask", {"question": "When does the train leave?", "groupId": group})
    assert refused.code == "not_found"


async def test_what_nobody_said_is_not_answered(own_models: ServerInThread) -> None:
    await ready(own_models)
    async with people_of(own_models.url) as people:
        ann, _, group = await talked(people)
        answer = await ann.post("/ai/ask", {"question": "Who is the president of France?", "groupId": group})
        assert (answer["answered"], answer["citations"]) == (False, [])
