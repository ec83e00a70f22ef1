"""Groups that keep messages for some days only."""

from collections.abc import AsyncIterator

import pytest

from chatcore.contract import groups as g
from chatcore.contract import messages as m
from chatcore.journal.rows import Row
from chatcore.messages import retention
from chatcore.messages.retention import Retention
from chatcore.ports import Caller
from tests.memory import Household


class Kept(Household):
    """A household with the sweep that a server runs each hour."""

    def retention(self) -> Retention:
        messages = self.services.messages
        return Retention(
            store=self.group_store, journal=self.journal, rooms=self.rooms, log=messages._log, media=self.media,
            fanout=self.fanout, changes=messages.changes, clock=self._clock,
        )  # fmt: skip

    async def sweeps(self) -> None:
        await self.retention().sweep()

    async def keeps(self, owner: Caller, group_id: str, days: int | None) -> None:
        settings = g.GroupSettingsChange(retention_days=days)
        await self.services.groups.update(owner, g.UpdateGroup(group_id=group_id, settings=settings))

    async def texts(self, caller: Caller, group_id: str) -> list[str]:
        return [each.content for each in await self.reads(caller, group_id) if each.type != "system"]

    def deletions(self) -> list[m.MessageDeleted]:
        return [shape for event, shape in self.fanout.pushed if isinstance(shape, m.MessageDeleted)]


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    async with Kept() as house:
        yield house


async def test_what_is_older_than_its_days_is_deleted_for_everybody_and_told(kept: Kept) -> None:
    ana, ben = kept.people("ana", "ben")
    group_id = await kept.group(ana, ben)
    await kept.keeps(ana, group_id, 7)
    old = await kept.sends(ben, group_id, "old")
    kept.pass_hours(24 * 6)
    await kept.sends(ben, group_id, "young")
    kept.pass_hours(24 * 1 + 1)
    await kept.sweeps()
    assert await kept.texts(ana, group_id) == ["", "young"]
    (told,) = kept.deletions()
    assert (told.message_id, told.message_seq, told.deleted_by) == (old.message_id, old.seq, "retention")


async def test_its_text_leaves_the_database_with_the_next_erasure(kept: Kept) -> None:
    (ana,) = kept.people("ana")
    group_id = await kept.group(ana)
    await kept.keeps(ana, group_id, 1)
    sent = await kept.sends(ana, group_id, "short-lived")
    kept.pass_hours(25)
    await kept.sweeps()
    await kept.services.messages.erase_deleted()
    row = (await kept.journal.by_ids([sent.message_id]))[sent.message_id]
    assert row.sealed is None


async def test_groups_without_the_setting_keep_everything(kept: Kept) -> None:
    (ana,) = kept.people("ana")
    group_id = await kept.group(ana)
    await kept.sends(ana, group_id, "for ever")
    kept.pass_hours(24 * 400)
    await kept.sweeps()
    assert await kept.texts(ana, group_id) == ["for ever"]


async def test_a_setting_taken_back_stops_it(kept: Kept) -> None:
    (ana,) = kept.people("ana")
    group_id = await kept.group(ana)
    await kept.keeps(ana, group_id, 1)
    await kept.sends(ana, group_id, "saved")
    kept.pass_hours(25)
    await kept.keeps(ana, group_id, None)
    await kept.sweeps()
    assert await kept.texts(ana, group_id) == ["saved"]


async def test_a_second_sweep_reads_on_from_where_the_first_ended(kept: Kept) -> None:
    (ana,) = kept.people("ana")
    group_id = await kept.group(ana)
    await kept.keeps(ana, group_id, 1)
    for number in range(5):
        await kept.sends(ana, group_id, f"line {number}")
    kept.pass_hours(25)
    await kept.sweeps()
    first = len(kept.deletions())
    ((_, seen_to),) = await kept.group_store.with_retention()
    assert (first, seen_to >= 5) == (5, True)
    await kept.sweeps()
    assert len(kept.deletions()) == 5


async def test_one_sweep_deletes_no_more_than_its_bound_and_the_next_goes_on(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MAX_OF_A_SWEEP", 3)
    (ana,) = kept.people("ana")
    group_id = await kept.group(ana)
    await kept.keeps(ana, group_id, 1)
    for number in range(5):
        await kept.sends(ana, group_id, f"line {number}")
    kept.pass_hours(25)
    counts = []
    for _ in range(4):
        await kept.sweeps()
        counts.append(len(kept.deletions()))
    assert counts[-1] == 5
    assert all(later - earlier <= 3 for earlier, later in zip([0, *counts], counts, strict=False))


async def test_a_message_that_somebody_else_deletes_meanwhile_is_passed_over(kept: Kept) -> None:
    (ana,) = kept.people("ana")
    group_id = await kept.group(ana)
    await kept.keeps(ana, group_id, 1)
    sent = [await kept.sends(ana, group_id, f"line {number}") for number in range(2)]
    kept.pass_hours(25)
    stale = await kept.journal.window(group_id, 0, 100)
    target = m.MessagePath(group_id=group_id, message_id=sent[0].message_id)
    await kept.services.messages.delete(ana, target)

    async def as_before(_: str, after: int, up_to: int) -> list[Row]:
        return [row for row in stale if after < row.seq <= up_to]

    sweep = kept.retention()
    sweep._journal = _Reading(kept.journal, as_before)  # type: ignore[assignment]
    await sweep.sweep()
    assert [told.deleted_by for told in kept.deletions()] == ["ana", "retention"]


class _Reading:
    """A journal whose windows show an older state: another process was faster."""

    def __init__(self, journal: object, window: object):
        self._journal, self.window = journal, window

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)
