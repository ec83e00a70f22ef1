"""What listeners are told of messages."""

from collections.abc import AsyncIterator

import pytest

from chatcore.contract import messages as m
from chatcore.messages.changes import Change
from tests.memory import Household


@pytest.fixture
async def house() -> AsyncIterator[Household]:
    async with Household() as house:
        yield house


async def test_listeners_hear_of_new_edited_and_deleted_messages_in_log_order(house: Household) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    heard: list[Change] = []
    house.services.messages.changes.listen(heard.append)
    sent = await house.sends(ben, group, "first")
    await house.services.messages.edit(ben, m.EditMessage(group_id=group, message_id=sent.message_id, content="second"))
    await house.services.messages.delete(ana, m.MessagePath(group_id=group, message_id=sent.message_id))
    assert [(change.kind, change.content, change.actor_id) for change in heard] == [
        ("new", "first", "ben"),
        ("edited", "second", "ben"),
        ("deleted", "", "ana"),
    ]
    assert {(change.row.id, change.row.seq, change.room.id) for change in heard} == {(sent.message_id, sent.seq, group)}
    assert heard[-1].row.is_deleted


async def test_a_retry_and_an_edit_to_the_same_text_are_told_to_nobody(house: Household) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = await house.sends(ana, group, "once", temp_id="t1")
    heard: list[Change] = []
    house.services.messages.changes.listen(heard.append)
    again = await house.sends(ana, group, "once", temp_id="t1")
    await house.services.messages.edit(ana, m.EditMessage(group_id=group, message_id=sent.message_id, content="once"))
    assert again.duplicate
    assert heard == []


async def test_a_refused_message_is_told_to_nobody(house: Household) -> None:
    ana, eve = house.people("ana", "eve")
    group = await house.group(ana)
    heard: list[Change] = []
    house.services.messages.changes.listen(heard.append)
    assert await house.refusal(house.sends(eve, group, "let me in")) == "not_found"
    assert await house.refusal(house.sends(ana, group, "x" * 5000)) == "message_too_long"
    assert heard == []


async def test_a_listener_that_fails_concerns_nobody_else(house: Household) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    heard: list[str] = []

    def broken(_: Change) -> None:
        raise RuntimeError

    house.services.messages.changes.listen(broken)
    house.services.messages.changes.listen(lambda change: heard.append(change.content))
    sent = await house.sends(ana, group, "still there")
    assert heard == ["still there"]
    assert [message.id for message in await house.reads(ana, group) if message.type == "text"] == [sent.message_id]
