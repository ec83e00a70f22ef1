"""AI switched off by a group or for oneself: over REST and sockets nobody asks a model, and it is said why."""

import asyncio

import pytest

from tests.ai.end_to_end.conftest import ready
from tests.ai.fake_provider import FakeProvider
from tests.servers import ServerInThread, people_of
from tests.talking import Person

OWN, GROUP = "You have switched AI off in your settings", "AI is switched off in this group"


def questions(group: str) -> list[tuple[str, dict[str, object]]]:
    """Everything that a member can ask about a group, but for search, which goes on by words."""
    return [
        ("/ai/smart-replies", {"groupId": group}),
        ("/ai/typing-suggestions", {"groupId": group, "currentText": "shall we"}),
        ("/ai/summarize", {"groupId": group}),
        ("/ai/topics", {"groupId": group}),
        ("/ai/ask", {"question": "When is lunch?", "groupId": group}),
    ]


async def is_refused(person: Person, path: str, body: dict[str, object], why: str) -> None:
    refused = await person.rest("POST", path, body)
    assert (refused.status, refused.code, refused["detail"]) == (501, "capability_unavailable", why), path


@pytest.mark.parametrize(("switch", "why"), [("own", OWN), ("group", GROUP)])
async def test_no_model_is_asked(with_provider: ServerInThread, provider: FakeProvider, switch: str, why: str) -> None:
    await ready(with_provider)
    async with people_of(with_provider.url) as people:
        ann, bob = await people.connected("ann", "bob")
        garden = await ann.creates_group(bob)
        if switch == "own":
            await bob.patch("/me", {"settings": {"ai": False}})
        else:
            await ann.patch(f"/groups/{garden}", {"settings": {"ai": False}})
        word = f"lunch{garden}"
        await bob.sends(garden, f"Shall we have {word} tomorrow?")
        for path, body in questions(garden):
            await is_refused(bob, path, body, why)
        insights = await bob.rest("GET", f"/ai/insights/{garden}")
        assert (insights.code, insights["detail"]) == ("capability_unavailable", why)
        accepted = await bob.socket.call("request_smart_replies", groupId=garden)
        told = await bob.receives("ai_error", requestId=accepted["requestId"])
        assert (told["code"], told["message"]) == ("capability_unavailable", why)
        found = await bob.post("/ai/search", {"query": word, "groupId": garden})
        assert (len(found["results"]), found["provider"]) == (1, "rules")
        await asyncio.sleep(1)  # what comes after the commit, such as vectors, had its chance
        asked = [each.path for each in provider.requests if word in each.text]
        # Nobody opts out of moderation for oneself; a group keeps its texts from every model.
        assert set(asked) <= ({"/moderations"} if switch == "own" else set())


async def test_who_has_switched_it_off_gets_no_answer_about_a_text_either(with_provider: ServerInThread) -> None:
    async with people_of(with_provider.url) as people:
        (ann,) = await people.persons("ann")
        await ann.patch("/me", {"settings": {"ai": False}})
        for path in ("/ai/sentiment", "/ai/detect-language"):
            await is_refused(ann, path, {"content": "I love it"}, OWN)
        await is_refused(ann, "/ai/translate", {"content": "I love it", "targetLanguage": "de"}, OWN)
        await ann.patch("/me", {"settings": {"ai": True}})
        assert (await ann.post("/ai/sentiment", {"content": "I love it"}))["provider"] == "compatible"
