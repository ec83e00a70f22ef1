"""When connections must end, by one heap for all of them."""

from datetime import UTC, datetime

import pytest

from chatcore.identity.guards import Policy, SocketExpiry
from tests.identity.conftest import Clock


class Watch:
    def __init__(self, clock: Clock, policy: Policy = "token"):
        self.clock = clock
        self.warned: list[tuple[str, datetime]] = []
        self.closed: list[str] = []
        self.expiry = SocketExpiry(
            expiring=lambda who, when: self.warned.append((who, when)),
            close=self.closed.append,
            policy=policy,
            now=clock,
        )

    def hold(self, connection_id: str, seconds: float) -> datetime:
        return self.expiry.watch(connection_id, datetime.fromtimestamp(self.clock() + seconds, UTC))

    async def after(self, seconds: float) -> tuple[list[str], list[str]]:
        self.clock.pass_seconds(seconds)
        await self.expiry.sweep()
        return [who for who, _ in self.warned], self.closed


async def test_the_warning_comes_fifteen_seconds_before_and_the_end_sixty_after(clock: Clock) -> None:
    watch = Watch(clock)
    ends = watch.hold("c1", 100)
    assert await watch.after(84.9) == ([], [])
    assert await watch.after(0.2) == (["c1"], [])
    assert watch.warned == [("c1", ends)]
    assert await watch.after(74.8) == (["c1"], [])
    assert await watch.after(0.2) == (["c1"], ["c1"])
    assert len(watch.expiry) == 0


async def test_a_late_sweep_still_warns_before_it_closes(clock: Clock) -> None:
    watch = Watch(clock)
    watch.hold("c1", 100)
    assert await watch.after(1000) == (["c1"], ["c1"])


async def test_a_renewal_moves_both(clock: Clock) -> None:
    watch = Watch(clock)
    watch.hold("c1", 100)
    await watch.after(90)
    watch.hold("c1", 100)
    assert await watch.after(84) == (["c1"], [])
    assert await watch.after(2) == (["c1", "c1"], [])
    assert await watch.after(75) == (["c1", "c1"], ["c1"])


async def test_a_shorter_token_moves_both_nearer(clock: Clock) -> None:
    watch = Watch(clock)
    watch.hold("c1", 10_000)
    watch.hold("c1", 20)
    assert await watch.after(81) == (["c1"], ["c1"])


async def test_a_connection_that_has_gone_is_left_alone(clock: Clock) -> None:
    watch = Watch(clock)
    watch.hold("c1", 100)
    watch.expiry.forget("c1")
    watch.expiry.forget("never seen")
    assert await watch.after(1000) == ([], [])


@pytest.mark.parametrize("token_lifetime", [60, 10**6])
async def test_under_the_policy_session_a_connection_lives_twelve_hours(clock: Clock, token_lifetime: int) -> None:
    watch = Watch(clock, "session")
    watch.hold("c1", token_lifetime)
    assert await watch.after(12 * 3600 - 16) == ([], [])
    assert await watch.after(2) == (["c1"], [])
    assert await watch.after(75) == (["c1"], ["c1"])


async def test_many_renewals_do_not_fill_the_heap(clock: Clock) -> None:
    watch = Watch(clock)
    for round_ in range(100):
        for number in range(20):
            watch.hold(f"c{number}", 600 + round_)
    assert len(watch.expiry._heap) <= 2 * 20 + 65
    assert sorted((await watch.after(2000))[1]) == sorted(f"c{number}" for number in range(20))
