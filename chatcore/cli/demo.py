"""`python -m chatcore demo`: groups, people and talk to look at."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from chatcore.cli.demo_talk import LIVE_REACTIONS, PEOPLE, SMALL_TALK, TALKS, Talk
from chatcore.cli.invocation import typed
from chatcore.cli.sign_in import CannotStart, explain, sign_in, stop
from chatcore.client import Client, LinkLost
from chatcore.contract.groups import Group
from chatcore.errors import ChatError

People = dict[str, Client]
console = Console(highlight=False)
# A person reads, thinks and types: pauses of `--live`, in seconds.
PAUSE = (2.0, 7.0)
TYPING = (1.0, 3.0)


def run(*, url: str, live: bool) -> None:
    try:
        asyncio.run(_demo(url, live=live))
    except CannotStart as reason:
        raise stop(str(reason)) from None
    except KeyboardInterrupt:
        console.print("Everybody has gone quiet.")


async def _demo(url: str, *, live: bool) -> None:
    signed_in = [await sign_in(name=name, url=url, with_password=False) for name in PEOPLE]
    url = signed_in[0].url
    try:
        async with AsyncExitStack() as stack:
            people = {
                name: await stack.enter_async_context(Client(url, entry.token, renew=entry.renew))
                for name, entry in zip(PEOPLE, signed_in, strict=True)
            }
            groups = await fill(people)
            names = ", ".join(talk.group for talk in TALKS)
            console.print(f"[bold]{len(PEOPLE)} people[/bold] talk in [bold]{names}[/bold].")
            console.print(f"Look in: [cyan]{typed()} chat --as you --group general[/cyan]")
            if live:
                console.print("They keep talking until Ctrl-C.")
                await keep_talking(people, groups)
    except (LinkLost, ChatError) as error:
        raise CannotStart(explain(error, url)) from None


async def fill(people: People, *, show: bool = True) -> list[Group]:
    """All talks, in order. A repeat finds every line there already and changes nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not show) as progress:
        task = progress.add_task("People talk", total=sum(len(talk.lines) for talk in TALKS))
        return [await hold(talk, people, lambda: progress.advance(task)) for talk in TALKS]


async def hold(talk: Talk, people: People, advance: Callable[[], None]) -> Group:
    """One talk in its group, which is made when there is none."""
    group = await _gather_people(talk, people)
    sent: dict[str, str] = {}
    last_seq = half_seq = 0
    for number, said in enumerate(talk.lines):
        speaker = people[said.who]
        receipt = await speaker.send(
            group.id,
            said.first_written or said.text,
            temp_id=f"demo-{talk.group}-{number}",
            reply_to=sent.get(said.answers),
        )
        last_seq = receipt.seq
        if number <= len(talk.lines) // 2:
            half_seq = receipt.seq
        if said.label:
            sent[said.label] = receipt.message_id
        if not receipt.duplicate:
            if said.first_written:
                await speaker.edit(group.id, receipt.message_id, said.text)
            for emoji, name in said.each_reaction():
                await people[name].react(group.id, receipt.message_id, emoji)
            if said.pinned:
                await people[talk.people[0]].pin(group.id, receipt.message_id)
        advance()
    for name in talk.people:
        await people[name].mark_read(group.id, last_seq if name in talk.read_to_the_end else half_seq)
    return group


async def _gather_people(talk: Talk, people: People) -> Group:
    first = people[talk.people[0]]
    group = first.find_group(talk.group)
    if group is None:
        found = await first.find_groups(talk.group)
        group = next((group for group in found.groups if group.name == talk.group), None)
        if group is None:
            group = await first.create_group(talk.group, description=talk.description, join_policy="open")
    for name in talk.people:
        if people[name].find_group(group.id) is None:
            await people[name].join(group.id)
    return group


async def keep_talking(people: People, groups: list[Group]) -> None:
    """Small talk at a gentle pace: somebody types, says something, and now and then somebody reacts."""
    chance = random.Random()  # noqa: S311
    while True:
        await asyncio.sleep(chance.uniform(*PAUSE))
        talk, group = chance.choice(list(zip(TALKS, groups, strict=True)))
        name = chance.choice(talk.people)
        await people[name].typing(group.id)
        await asyncio.sleep(chance.uniform(*TYPING))
        receipt = await people[name].send(group.id, chance.choice(SMALL_TALK))
        for other in talk.people:
            if other != name and chance.random() < 0.6:
                await people[other].mark_read(group.id, receipt.seq)
        if chance.random() < 0.4:
            other = chance.choice([other for other in talk.people if other != name])
            await people[other].react(group.id, receipt.message_id, chance.choice(LIVE_REACTIONS))
