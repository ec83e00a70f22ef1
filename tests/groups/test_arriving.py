"""What a connection is told when it signs in, and what it hears from then on, leave nothing out between them."""

from collections.abc import Sequence
from dataclasses import replace

from chatcore.contract.groups import Group
from chatcore.groups.records import Room
from tests.memory import Household


async def test_a_connection_is_in_its_rooms_before_it_is_told_where_their_logs_stand() -> None:
    async with Household() as house:
        ana, ben = house.people("ana", "ben")
        group_id = await house.group(ana, ben)
        attendance, groups = house.services.attendance, house.services.groups
        told, entered = groups.as_seen_by, house.fanout.enter
        happened: list[str] = []

        def enter(group: str, **who: str | None) -> None:
            happened.append("entered")
            entered(group, **who)

        async def as_seen_by(user_id: str, rooms: Sequence[Room]) -> list[Group]:
            happened.append("told")
            return await told(user_id, rooms)

        house.fanout.enter, groups.as_seen_by = enter, as_seen_by
        seen = await attendance.arrive(replace(ben, connection_id="tablet"))

    assert happened == ["entered", "told"]
    assert [group.id for group in seen] == [group_id]
