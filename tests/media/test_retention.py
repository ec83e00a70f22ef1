"""What becomes of objects when messages and groups go: on memory stores, on a clock that moves when told."""

from collections.abc import AsyncIterator

import pytest

from chatcore.contract.groups import GroupPath
from chatcore.contract.media import MediaPath
from chatcore.contract.messages import MessagePath
from chatcore.ports import Caller
from tests.memory import Household


@pytest.fixture
async def house() -> AsyncIterator[Household]:
    async with Household(retention_days=30) as household:
        yield household


async def sends_file(house: Household, caller: Caller, group: str, content: bytes = b"x" * 100) -> tuple[str, str]:
    """The ids of the upload and of its message."""
    with house.media.spool() as spool:
        await spool.write(content)
        await spool.finish()
        media = await house.services.attachments.upload(caller, group, "x.txt", spool)
    sent = await house.sends(caller, group, "", type="file", media_id=media.id)
    return media.id, sent.message_id


async def test_a_deleted_messages_objects_go_when_its_content_is_erased(house: Household) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    media_id, message_id = await sends_file(house, ana, group)
    kept, _ = await sends_file(house, ana, group)
    await house.services.messages.delete(ana, MessagePath(group_id=group, message_id=message_id))
    house.pass_hours(30 * 24 - 1)
    await house.media.sweep()
    assert len(await house.media.objects.keys("")) == 2
    house.pass_hours(1)
    await house.media.sweep()
    await house.services.messages.erase_deleted()
    assert await house.media.objects.keys("") == [f"{group}/{kept}/original"]
    assert await house.media.find(media_id) is None


async def test_what_was_sent_outlives_every_sweep(house: Household) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    media_id, _ = await sends_file(house, ana, group)
    house.pass_hours(24 * 365)
    assert await house.media.sweep() == 0
    assert (await house.services.attachments.get(ana, MediaPath(media_id=media_id))).id == media_id


async def test_a_message_whose_objects_are_gone_is_still_shown(house: Household) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    media_id, message_id = await sends_file(house, ana, group)
    await house.media_store.forget([media_id])
    (message,) = [each for each in await house.reads(ana, group) if each.id == message_id]
    assert (message.type, message.media_url, message.media_metadata) == ("file", None, None)


async def test_a_deleted_groups_objects_go_with_the_next_sweep(house: Household) -> None:
    (ana,) = house.people("ana")
    group, other = await house.group(ana), await house.group(ana)
    await sends_file(house, ana, group)
    kept, _ = await sends_file(house, ana, other)
    await house.services.groups.delete(ana, GroupPath(group_id=group))
    await house.background.drain(5)
    await house.media.sweep()
    assert await house.media.objects.keys("") == [f"{other}/{kept}/original"]


async def test_who_left_during_an_upload_has_uploaded_nothing(house: Household) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    with house.media.spool() as spool:
        await spool.write(b"x")
        await spool.finish()
        await house.services.groups.leave_for_good(ben, GroupPath(group_id=group))
        assert await house.refusal(house.services.attachments.upload(ben, group, "x.txt", spool)) == "not_found"
    assert await house.media.objects.keys("") == []
