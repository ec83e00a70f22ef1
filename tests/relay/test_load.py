"""The load test on two processes of one installation, as the benchmarks run it."""

import psutil
import pytest

from benchmarks.processes import placed
from chatcore.loadtest.conductor import conducting
from chatcore.loadtest.people import gather_people
from chatcore.loadtest.plan import Plan
from tests.relay.conftest import Town

CLIENTS, GROUPS = 12, 3


@pytest.mark.parametrize("mixed", [False, True])
async def test_every_view_equals_the_log_and_the_cost_of_both_processes_is_counted(town: Town, mixed: bool) -> None:
    first, second = town.pair.first, town.pair.second
    plan = Plan(first.url, CLIENTS, GROUPS, rate=30, seconds=2, warmup_seconds=0.5)
    cast = await gather_people(plan, (), f"two-{mixed}", lambda what, done, total: None)
    cast = placed(cast, [first.url, second.url], mixed=mixed)
    for group in range(GROUPS):
        addresses = {person.url for person in cast.people if person.index % GROUPS == group}
        assert len(addresses) == (2 if mixed else 1)
    assert {person.url for person in cast.people} == {first.url, second.url}
    async with conducting(plan, cast, f"two-{mixed}", lambda step, counts: None) as conductor:
        await conductor.connect()
        result = await conductor.perform()
        counted = conductor.watch.read()["server"].rss_bytes
    assert result["verdict"]["clean"]
    assert result["verdict"]["views"] == CLIENTS
    assert result["messages"]["acked"] == result["messages"]["sent"] == 75
    assert result["messages"]["delivered"] == 75 * 3
    alone = [psutil.Process(server.process.pid).memory_info().rss for server in (first, second)]
    assert counted > 1.5 * max(alone)
