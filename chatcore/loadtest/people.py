"""Who takes part: tokens by dev-token or from a file, and groups that are made for the test and taken away after it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from chatcore.client import LinkLost
from chatcore.client.rest import Rest, calls_for_many
from chatcore.errors import ChatError, NotFound
from chatcore.loadtest.plan import LoadRefused, Person, Plan

AT_ONCE = 16
# A group's content goes with it, row by row: many at once would only wait for each other.
DELETES_AT_ONCE = 2
Calls = Callable[[str], Rest]
Say = Callable[[str, int, int], None]
"""What is going on, how much of it is done, of how much."""


@dataclass(frozen=True, slots=True)
class Cast:
    """The people of a test, in order of their index; `owners` made a group each and may delete it."""

    people: tuple[Person, ...]
    owners: tuple[Person, ...]


async def gather_people(plan: Plan, tokens: Iterable[str], run: str, say: Say) -> Cast:
    """Tokens for all clients, then a fresh open group for each `plan.groups`-th of them. Raises LoadRefused."""
    given = list(tokens)
    if given and len(given) < plan.clients:
        raise LoadRefused(f"the token file holds {len(given)} tokens, for {plan.clients} clients")
    async with calls_for_many(plan.url, at_once=AT_ONCE) as calls:
        try:
            if not given:
                given = await _dev_tokens(calls, plan, say)
            groups = await _make_groups(calls, plan, given, run, say)
            people = [Person(i, given[i], groups[i % plan.groups]) for i in range(plan.clients)]
            await _join(calls, plan, people, say)
        except LinkLost as lost:
            raise LoadRefused(str(lost)) from None
        except ChatError as refusal:
            raise LoadRefused(f"the server refuses: {refusal.message}") from None
    return Cast(tuple(people), tuple(people[: plan.groups]))


async def disband(plan: Plan, cast: Cast, say: Say) -> int:
    """Delete the test's groups and with them their messages; how many could not be deleted."""
    left = 0
    async with calls_for_many(plan.url, at_once=DELETES_AT_ONCE) as calls:

        async def delete(owner: Person) -> None:
            nonlocal left
            try:
                await calls(owner.token).request("DELETE", f"/api/groups/{owner.group_id}")
            except (LinkLost, ChatError):
                left += 1

        await _all("deleting the groups", cast.owners, delete, say, at_once=DELETES_AT_ONCE)
    return left


async def _dev_tokens(calls: Calls, plan: Plan, say: Say) -> list[str]:
    rest = calls("")

    async def fetch(index: int) -> str:
        issued = await rest.request("POST", "/api/auth/dev-token", body={"name": f"load-{index:05d}"})
        return str(issued["token"])

    try:
        return await _all("getting tokens", range(plan.clients), fetch, say)
    except NotFound:
        raise LoadRefused("this server gives no tokens for the asking: use --token-file, one token a line") from None


async def _make_groups(calls: Calls, plan: Plan, tokens: list[str], run: str, say: Say) -> list[str]:
    async def make(index: int) -> str:
        body = {"name": f"load test {run} {index:03d}", "joinPolicy": "open"}
        made = await calls(tokens[index]).request("POST", "/api/groups", body=body)
        return str(made["_id"])

    return await _all("making groups", range(plan.groups), make, say)


async def _join(calls: Calls, plan: Plan, people: list[Person], say: Say) -> None:
    async def join(person: Person) -> None:
        rest = calls(person.token)
        await rest.request("POST", f"/api/groups/{person.group_id}/join")

    await _all("joining", people[plan.groups :], join, say)


async def _all(
    what: str, items: Iterable[Any], action: Callable[[Any], Awaitable[Any]], say: Say, *, at_once: int = AT_ONCE
) -> list[Any]:
    """In order of the items, `at_once` at a time; the first failure ends it."""
    todo = list(items)
    gate = asyncio.Semaphore(at_once)
    done = 0

    async def one(item: Any) -> Any:
        nonlocal done
        async with gate:
            outcome = await action(item)
        done += 1
        say(what, done, len(todo))
        return outcome

    tasks = [asyncio.create_task(one(item)) for item in todo]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
