"""Who and what is in an export, and for how long."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from chatcore.contract import exports as e
from chatcore.contract import groups as g
from chatcore.contract import messages as m
from chatcore.contract import people as p
from chatcore.errors import Forbidden, Invalid, NotFound
from chatcore.exports import people, service
from chatcore.ports import Caller
from tests.memory import Household


class World:
    """Ana, Ben and Cleo agree, Dan does not; their garden takes part. Rita is the analyst."""

    def __init__(self, house: Household):
        self.house = house
        self.ana, self.ben, self.cleo, self.dan, rita = house.people("ana", "ben", "cleo", "dan", "rita")
        self.rita = replace(rita, roles=frozenset({"analyst"}))

    async def furnish(self) -> "World":
        for person in (self.ana, self.ben, self.cleo):
            await self.agrees(person)
        self.garden = await self.house.group(self.ana, self.ben, self.cleo, self.dan)
        await self.takes_part(self.garden, self.ana)
        return self

    async def agrees(self, person: Caller, consent: bool = True) -> None:
        change = p.UserSettingsChange(consent=consent)
        await self.house.services.identity.update_me(person, p.UpdateMe(settings=change))

    async def takes_part(self, group_id: str, owner: Caller, consent: bool = True) -> None:
        change = g.GroupSettingsChange(consent=consent)
        await self.house.services.groups.update(owner, g.UpdateGroup(group_id=group_id, settings=change))

    async def export(self, **fields: Any) -> e.Export:
        return await self.house.exports.create(self.rita, e.CreateExport(purpose="a test", **fields))

    async def page(self, export: e.Export, position: str = "0:0") -> e.ExportedPage:
        request = e.ReadExport(export_id=export.export_id, position=position)
        return await self.house.exports.page(self.rita, request)

    async def read(self, export: e.Export) -> list[e.ExportedMessage]:
        found, position = list[e.ExportedMessage](), "0:0"
        while True:
            page = await self.page(export, position)
            found += page.messages
            if page.next is None:
                return found
            position = page.next


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with Household() as house:
        yield await World(house).furnish()


async def test_messages_come_in_order_under_pseudonyms_and_without_names(world: World) -> None:
    first = await world.house.sends(world.ana, world.garden, "Ben, mail me at ana@example.org")
    await world.house.sends(world.ben, world.garden, "sure @cleo", reply_to=first.message_id)
    export = await world.export()
    asked, answer = await world.read(export)
    assert [asked.text, answer.text] == ["[name], mail me at [email]", "sure [mention]"]
    assert (asked.n, answer.n) == (1, 2)
    assert answer.reply_to == asked.message
    assert asked.conversation == answer.conversation
    assert asked.sender != answer.sender
    assert asked.people == 4
    shown = f"{asked!r} {answer!r}".lower()
    for true in ("ana", "ben", "cleo", world.garden, first.message_id):
        assert true not in shown.replace("banana", "")


async def test_pseudonyms_stay_in_one_export_and_differ_in_another(world: World) -> None:
    for _ in range(2):
        await world.house.sends(world.ana, world.garden)
    one, other = await world.export(), await world.export()
    senders = [{message.sender for message in await world.read(export)} for export in (one, one, other)]
    assert len(senders[0]) == 1
    assert senders[0] == senders[1]
    assert senders[0] != senders[2]


async def test_who_did_not_agree_is_left_out_and_so_is_what_was_deleted(world: World) -> None:
    await world.house.sends(world.ana, world.garden, "stays")
    await world.house.sends(world.dan, world.garden, "never asked")
    gone = await world.house.sends(world.ben, world.garden, "regretted")
    path = m.MessagePath(group_id=world.garden, message_id=gone.message_id)
    await world.house.services.messages.delete(world.ben, path)
    page = await world.page(await world.export())
    assert [message.text for message in page.messages] == ["stays"]
    assert page.left_out == {"no consent": 1, "deleted": 1}


async def test_consent_taken_back_counts_at_once(world: World) -> None:
    await world.house.sends(world.ana, world.garden, "mine")
    await world.house.sends(world.ben, world.garden, "yours")
    export = await world.export()
    await world.agrees(world.ana, False)
    assert [message.text for message in await world.read(export)] == ["yours"]
    await world.takes_part(world.garden, world.ana, False)
    page = await world.page(export)
    assert (page.messages, page.left_out) == ([], {"group": 1})


async def test_a_group_that_does_not_take_part_or_is_too_small_is_not_in_it(world: World) -> None:
    silent = await world.house.group(world.ana, world.ben, world.cleo)
    small = await world.house.group(world.ana, world.ben)
    await world.takes_part(small, world.ana)
    for group_id in (silent, small):
        await world.house.sends(world.ana, group_id, "not for you")
    export = await world.export(group_ids=[silent, small, world.garden])
    assert (export.groups, export.left_out) == (2, 1)
    assert await world.read(export) == []
    with pytest.raises(Invalid, match="consent"):
        await world.export(group_ids=[silent])


async def test_a_group_left_by_all_but_two_is_not_in_it_any_more(world: World) -> None:
    await world.house.sends(world.ana, world.garden)
    export = await world.export()
    assert len(await world.read(export)) == 1
    for person in (world.cleo, world.dan):
        await world.house.services.groups.leave_for_good(person, g.GroupPath(group_id=world.garden))
    assert await world.read(export) == []


async def test_pages_are_bounded_and_lead_through_all_groups(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PAGE_ROWS", 4)
    yard = await world.house.group(world.ben, world.ana, world.cleo)
    await world.takes_part(yard, world.ben)
    for group_id in (world.garden, yard):
        for number in range(10):
            await world.house.sends(world.ana, group_id, f"words {number}")
    export = await world.export()
    found = await world.read(export)
    assert [message.text for message in found] == [f"words {number}" for number in range(10)] * 2
    assert len((await world.page(export)).messages) <= 4


async def test_only_a_span_of_time_is_in_it_if_that_was_asked(world: World) -> None:
    await world.house.sends(world.ana, world.garden, "before")
    world.house.pass_hours(1)
    since = world.house.now
    await world.house.sends(world.ana, world.garden, "within")
    world.house.pass_hours(1)
    until = world.house.now
    await world.house.sends(world.ana, world.garden, "after")
    export = await world.export(since=since, until=until)
    page = await world.page(export)
    assert [message.text for message in page.messages] == ["within"]
    assert page.left_out == {"other time": 2}
    with pytest.raises(Invalid):
        await world.export(since=until, until=since)


async def test_an_export_ends_by_itself_and_when_it_is_told_to(world: World) -> None:
    short, other = await world.export(days=1), await world.export()
    world.house.pass_hours(24)
    with pytest.raises(NotFound, match="expired"):
        await world.page(short)
    listed = await world.house.exports.living(world.rita)
    assert [export.export_id for export in listed.exports] == [other.export_id]
    await world.house.exports.end(world.rita, e.ExportPath(export_id=other.export_id))
    with pytest.raises(NotFound):
        await world.page(other)
    with pytest.raises(NotFound):
        await world.house.exports.end(world.rita, e.ExportPath(export_id=other.export_id))


async def test_a_place_beyond_the_export_is_refused(world: World) -> None:
    with pytest.raises(Invalid):
        await world.page(await world.export(), "1:0")


async def test_making_reading_and_ending_stand_in_the_audit(world: World) -> None:
    await world.house.sends(world.ana, world.garden)
    export = await world.export()
    await world.read(export)
    await world.house.exports.end(world.rita, e.ExportPath(export_id=export.export_id))
    deeds = [link.deed for link in world.house.audit_store.links]
    assert [(deed.actor, deed.action, deed.target) for deed in deeds] == [
        ("rita", action, export.export_id) for action in ("export.create", "export.read", "export.end")
    ]
    assert deeds[0].facts["purpose"] == "a test"


async def test_it_takes_the_role_analyst(world: World) -> None:
    export = await world.export()
    path = e.ExportPath(export_id=export.export_id)
    for attempt in (
        world.house.exports.create(world.ana, e.CreateExport(purpose="curious")),
        world.house.exports.living(world.ana),
        world.house.exports.page(world.ana, e.ReadExport(export_id=export.export_id)),
        world.house.exports.end(world.ana, path),
    ):
        with pytest.raises(Forbidden):
            await attempt


@pytest.mark.parametrize("position", ["0:0", "0:1"])
async def test_no_page_is_read_without_the_audit(world: World, position: str) -> None:
    for _ in range(2):
        await world.house.sends(world.ana, world.garden)
    export = await world.export()
    assert (await world.page(export, position)).messages
    deed = world.house.audit_store.links[-1].deed
    assert (deed.action, deed.target, deed.facts) == ("export.read", export.export_id, {"position": position})


async def test_who_left_and_does_not_agree_is_not_named_by_those_who_stay(world: World) -> None:
    await world.house.sends(world.dan, world.garden, "I am off")
    await world.house.sends(world.ana, world.garden, "farewell dan")
    await world.house.services.groups.leave_for_good(world.dan, g.GroupPath(group_id=world.garden))
    (message,) = await world.read(await world.export())
    assert message.text == "farewell [name]"


async def test_who_left_is_named_on_no_page_however_long_ago(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dan never wrote, and his coming and going is on another page than what is said of him."""
    monkeypatch.setattr(service, "PAGE_ROWS", 2)
    monkeypatch.setattr(people, "ROWS_AT_ONCE", 3)
    await world.house.services.groups.leave_for_good(world.dan, g.GroupPath(group_id=world.garden))
    for _ in range(5):
        await world.house.sends(world.ana, world.garden, "nothing")
    export = await world.export()
    await world.house.sends(world.ana, world.garden, "i miss dan, dans bike too")
    assert (await world.read(export))[-1].text == "i miss [name], [name]s bike too"


async def test_a_log_is_read_once_for_its_people(world: World) -> None:
    journal = world.house.journal
    ever_there, before = people.EverThere(journal), journal.rows_read
    head = world.house.services.groups.rooms.head(world.garden).seq
    for _ in range(2):
        assert await ever_there.people(world.garden, first_seq=1, head=head) == {"ana", "ben", "cleo", "dan"}
    assert journal.rows_read - before == head
    await world.house.sends(world.ana, world.garden)
    await ever_there.people(world.garden, first_seq=1, head=head + 1)
    assert journal.rows_read - before == head + 1


@pytest.mark.parametrize("since", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_that_nobody_can_place_is_refused(since: str) -> None:
    with pytest.raises(ValidationError):
        e.CreateExport.model_validate({"purpose": "a test", "since": since})
