"""A page of history with the log applied to it."""

from typing import Any

from chatcore.client.events import Event
from chatcore.client.rest import read_as
from chatcore.client.view import GroupView
from chatcore.contract.messages import MessagePage

GROUP = "a" * 24


def message(seq: int, content: str, **more: Any) -> dict[str, Any]:
    ana = {"userId": "ana", "name": "ana"}
    moment = "2026-01-02T03:04:05.000Z"
    return {
        "_id": f"{seq:024x}", "groupId": GROUP, "seq": seq, "n": seq, "senderId": "ana", "sender": ana,
        "content": content, "type": "text", "createdAt": moment, "updatedAt": moment,
    } | more  # fmt: skip


def page(latest_seq: int, *messages: dict[str, Any], has_more: bool = False) -> MessagePage:
    return read_as(MessagePage, {"messages": list(messages), "latestSeq": latest_seq, "hasMore": has_more})


def event(name: str, seq: int, **data: Any) -> Event:
    return Event(name, {"groupId": GROUP, **data, "seq": seq}, GROUP, seq)


def new_message(seq: int, content: str) -> Event:
    return Event("new_message", message(seq, content), GROUP, seq)


def edited(seq: int, message_seq: int, content: str) -> Event:
    return event("message_updated", seq, messageSeq=message_seq, message=message(message_seq, content))


def contents(view: GroupView) -> list[str]:
    return [found.content for found in view.messages]


def test_an_event_that_the_history_already_holds_does_not_bring_the_old_text_back() -> None:
    view = GroupView(GROUP)
    view.start(page(2, message(1, "corrected")))
    view.apply(new_message(1, "wrong"))
    assert contents(view) == ["corrected"]


def test_events_that_come_before_the_history_are_applied_on_top_of_it() -> None:
    view = GroupView(GROUP)
    for early in (new_message(3, "three"), edited(4, 1, "one, corrected"), new_message(2, "two")):
        view.apply(early)
    view.start(page(2, message(1, "one"), message(2, "two")))
    assert contents(view) == ["one, corrected", "two", "three"]
    assert view.seq == 4


def test_an_edit_of_a_message_that_is_not_shown_shows_nothing() -> None:
    view = GroupView(GROUP)
    view.start(page(9, message(9, "nine"), has_more=True))
    view.apply(edited(10, 3, "three"))
    assert contents(view) == ["nine"]
    view.add_earlier(page(10, message(3, "three"), message(4, "four")))
    assert contents(view) == ["three", "four", "nine"]


def test_reactions_are_counted_as_the_log_says_and_vanish_at_zero() -> None:
    view = GroupView(GROUP)
    view.start(page(1, message(1, "one")))
    for seq, count in ((2, 1), (3, 2), (4, 1)):
        view.apply(event("reaction_changed", seq, messageId=f"{1:024x}", emoji="🎉", userId="bo", count=count))
    assert view.messages[0].reactions == {"🎉": 1}
    view.apply(event("reaction_changed", 5, messageId=f"{1:024x}", emoji="🎉", userId="bo", count=0))
    assert view.messages[0].reactions == {}


def test_a_deleted_message_keeps_its_place_without_its_text() -> None:
    view = GroupView(GROUP)
    view.start(page(2, message(1, "one"), message(2, "two")))
    view.apply(event("message_deleted", 3, messageId=f"{1:024x}", messageSeq=1, deletedBy="ana"))
    assert contents(view) == ["", "two"]
    assert view.messages[0].is_deleted


def test_read_marks_never_go_back_and_one_does_not_read_ones_own() -> None:
    view = GroupView(GROUP)
    view.start(page(2, message(1, "one"), message(2, "two")))
    view.mark_read("bo", 2)
    view.mark_read("bo", 1)
    view.mark_read("ana", 2)
    assert view.readers_of(view.messages[1]) == ["bo"]


async def test_one_can_wait_for_a_place() -> None:
    view = GroupView(GROUP)
    view.start(page(1, message(1, "one")))
    await view.reached(1)
    view.apply(new_message(2, "two"))
    await view.reached(2)
