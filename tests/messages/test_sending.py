"""Sending a message: who gets it, in which order, and what a repeat does."""

import asyncio

import pytest

from tests.talking import People, Refused


async def test_a_message_reaches_the_others_and_the_senders_other_devices(people: People) -> None:
    ana, ben = await people.connected("ana", "ben")
    tablet = await ana.connects()
    group = await ana.creates_group(ben)
    receipt = await ana.sends(group, "  good morning  ", tempId="t1")
    for socket in (ben.socket, tablet):
        message = await socket.receives("new_message", content="good morning")
        assert message["_id"] == receipt["messageId"]
        assert message["seq"] == receipt["seq"]
        assert message["senderId"] == ana.user_id
        assert message["sender"]["name"] == ana.name
        assert message["type"] == "text"
        assert message["createdAt"] == receipt["createdAt"]
    assert receipt["tempId"] == "t1"
    assert receipt["duplicate"] is False
    assert await ana.receives("message_sent") == receipt
    await ana.socket.settled()
    assert not [data for event, data in ana.socket.heard if event == "new_message" and data["type"] == "text"]


async def test_nobody_outside_the_group_hears_it(people: People) -> None:
    ana, ben, eve = await people.connected("ana", "ben", "eve")
    group = await ana.creates_group(ben)
    await ana.sends(group)
    await ben.receives("new_message", type="text")
    assert await eve.socket.settled() == []
