"""What every flow promises: a step may fail or hang, and the flow ends as it says."""

import asyncio
from typing import Any

import pytest
from langsmith.utils import tracing_is_enabled

from chatcore.ai.flows.graph import START, Fault, Flow, Progress, Step, Update
from chatcore.errors import NotFound, Unavailable

HANGS = asyncio.Event  # awaited and never set


class Talk(Progress, total=False):
    one: str
    two: str
    three: str
    together: str


def says(**update: str) -> Any:
    async def run(_: Talk) -> Update:
        return update

    return run


def fails(error: Exception) -> Any:
    async def run(_: Talk) -> Update:
        raise error

    return run


async def hangs(_: Talk) -> Update:
    await HANGS().wait()
    raise AssertionError


def flow(one: Any, two: Any, three: Any, *, needed: bool = False) -> Flow[Talk]:
    async def merge(state: Talk) -> Update:
        return {"together": "+".join(state.get(name, "-") for name in ("one", "two", "three"))}  # type: ignore[misc]

    return Flow(
        "talk",
        Talk,
        [
            Step("one", one, [START], 0.05, needed=needed),
            Step("two", two, ["one"], 0.05, otherwise={"two": "nothing"}),
            Step("three", three, ["one"], 0.05),
            Step("merge", merge, ["two", "three"], 1),
        ],
    )


async def test_steps_add_to_the_state() -> None:
    ended = await flow(says(one="1"), says(two="2"), says(three="3")).run({})
    assert ended["together"] == "1+2+3"
    assert ended.get("faults", []) == []


@pytest.mark.parametrize("broken", [fails(ValueError("secret")), fails(Unavailable()), hangs])
async def test_a_step_that_fails_or_hangs_is_done_without_and_its_neighbours_go_on(broken: Any) -> None:
    ended = await flow(says(one="1"), broken, says(three="3")).run({})
    assert ended["together"] == "1+nothing+3"
    assert ended["faults"] == [Fault("two", "unavailable")]


async def test_two_may_fail_at_once() -> None:
    ended = await flow(says(one="1"), hangs, fails(ValueError())).run({})
    assert ended["together"] == "1+nothing+-"
    assert {fault.step for fault in ended["faults"]} == {"two", "three"}


async def test_a_needed_step_ends_the_flow_with_its_own_refusal() -> None:
    reached: list[str] = []

    async def two(_: Talk) -> Update:
        reached.append("two")
        return {}

    with pytest.raises(NotFound, match="gone"):
        await flow(fails(NotFound("gone")), two, two, needed=True).run({})
    assert reached == []


@pytest.mark.parametrize("broken", [fails(ValueError("secret")), hangs])
async def test_a_needed_step_that_breaks_is_unavailable_and_tells_nothing(broken: Any) -> None:
    with pytest.raises(Unavailable) as refused:
        await flow(broken, says(), says(), needed=True).run({})
    assert "secret" not in refused.value.message


async def test_whoever_stops_waiting_stops_the_step() -> None:
    stopped = asyncio.Event()

    async def slow(_: Talk) -> Update:
        try:
            await HANGS().wait()
        finally:
            stopped.set()
        raise AssertionError

    talk = Flow("talk", Talk, [Step("one", slow, [START], 60)])
    await talk.warm()
    running = asyncio.create_task(talk.run({}))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stopped.is_set()


async def test_no_tracing_service_hears_of_it_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGCHAIN_TRACING_V2", "true")
    monkeypatch.setenv("LANGSMITH_API_KEY", "key")
    seen: list[object] = []

    async def look(_: Talk) -> Update:
        seen.append(tracing_is_enabled())
        return {}

    await Flow("talk", Talk, [Step("one", look, [START], 5)]).run({})
    assert seen == [False]


async def test_flows_at_once_do_not_see_each_other() -> None:
    async def echo(state: Talk) -> Update:
        await asyncio.sleep(0)
        return {"two": state["one"]}

    talk = Flow("talk", Talk, [Step("two", echo, [START], 5)])
    ended = await asyncio.gather(*(talk.run({"one": str(number)}) for number in range(20)))
    assert [each["two"] for each in ended] == [str(number) for number in range(20)]
