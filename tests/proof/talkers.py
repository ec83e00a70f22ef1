"""People who talk, retry and write down all that they hear, on real servers that may die at any moment."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from chatcore.client import Backoff, Client, ConnectionChanged, Event, LinkLost
from chatcore.client.events import LOG_SHAPES, Subscription
from chatcore.contract.messages import SyncedGroup
from chatcore.errors import ChatError
from tests.proof.checker import Ack, Device, History, LogEntry, Sent

QUICK = Backoff(first_seconds=0.02, longest_seconds=0.25)
CONVERGE_SECONDS = 20.0
REPEAT_SHARE = 0.1


@dataclass(eq=False)
class Talker:
    """One person with two devices: one follows the log, one writes down every push as it comes."""

    name: str
    user_id: str
    url: str
    token: str
    history: History
    following: Client
    raw: Client
    ordinal: int = 0
    drain_notices: int = 0
    refusals: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def say(self, group_id: str, *, dice: random.Random) -> Sent:
        """One message, tried until there is an answer that is final; now and then once more after that."""
        self.ordinal += 1
        sent = Sent(self.name, self.ordinal)
        self.history.sends.append(sent)
        while not sent.acks or (len(sent.acks) == 1 and dice.random() < REPEAT_SHARE):
            try:
                receipt = await self.following.send(group_id, sent.content, temp_id=f"{self.name}-{self.ordinal}")
            except ChatError as refused:
                if not refused.retryable:
                    sent.refused = refused.code
                    break
                self.refusals += 1
                await asyncio.sleep(0.03)
            else:
                sent.acks.append(Ack(receipt.message_id, receipt.seq, receipt.duplicate))
        return sent

    async def talk(self, group_id: str, until: asyncio.Event, *, pause_seconds: float = 0.01) -> None:
        """Until then, or no longer a member."""
        dice = random.Random(self.name)
        while not until.is_set() and not (await self.say(group_id, dice=dice)).refused:
            await asyncio.sleep(pause_seconds)

    def watch(self, group_id: str) -> None:
        device = Device(self.user_id, began=self.following.places.get(group_id, 0))
        self.history.devices.append(device)
        view, pushes = self.following.events(), self.raw.events()
        self._tasks.append(asyncio.create_task(self._note_view(view, group_id, device)))
        self._tasks.append(asyncio.create_task(self._note_pushes(pushes, group_id, device)))

    @staticmethod
    async def _note_view(view: Subscription, group_id: str, device: Device) -> None:
        async for happening in view:
            if isinstance(happening, Event) and happening.group_id == group_id and happening.seq is not None:
                device.view.append(LogEntry.of(happening.seq, happening.name, happening.data))

    async def _note_pushes(self, pushes: Subscription, group_id: str, device: Device) -> None:
        device.pushed.append([])
        async for happening in pushes:
            if isinstance(happening, ConnectionChanged) and happening.state == "connected":
                device.pushed.append([])
            elif isinstance(happening, Event) and happening.name in LOG_SHAPES and happening.group_id == group_id:
                assert happening.seq is not None
                device.pushed[-1].append(LogEntry.of(happening.seq, happening.name, happening.data))
            elif isinstance(happening, Event) and happening.name == "server_draining":
                self.drain_notices += 1

    async def log(self, group_id: str) -> list[LogEntry]:
        """The whole log as stored, read with `sync` from the beginning."""
        found: list[LogEntry] = []
        while True:
            synced: SyncedGroup = await self.following.sync(group_id, found[-1].seq if found else 0)
            found += [LogEntry.of(entry.seq, entry.event, entry.data) for entry in synced.events]
            if not synced.has_more:
                return found

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(self.following.close(), self.raw.close())


@dataclass(eq=False)
class Talk:
    """One group, its people, and the history that is being written."""

    group_id: str
    talkers: list[Talker]
    history: History

    async def _read_log(self, reader: Talker) -> None:
        """The reader's server may be some moments behind another that acknowledged the last messages."""
        promised = max((ack.seq for send in self.history.sends for ack in send.acks), default=0)
        with suppress(TimeoutError):
            async with asyncio.timeout(CONVERGE_SECONDS):
                while not self.history.stored or self.history.stored[-1].seq < promised:
                    self.history.stored = await reader.log(self.group_id)
                    await asyncio.sleep(0.1)

    async def conclude(self) -> History:
        """The server is up again: read the log, and give every view its time to get to its end."""
        owner = self.talkers[0]
        await self._read_log(owner)
        async with asyncio.timeout(60):
            members = await owner.following.members(self.group_id)
        self.history.members = {member.user_id for member in members.members}
        latest = self.history.stored[-1].seq
        with suppress(TimeoutError):
            async with asyncio.timeout(CONVERGE_SECONDS):
                for talker in self.talkers:
                    while (
                        talker.user_id in self.history.members
                        and talker.following.places.get(self.group_id, 0) < latest
                    ):
                        await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)  # what must not come gets its time
        return self.history


async def sign_in(http: aiohttp.ClientSession, url: str, name: str) -> tuple[str, str]:
    """User id and token of a development user."""
    async with http.post(f"{url}/api/auth/dev-token", json={"name": name}) as answer:
        told: dict[str, Any] = await answer.json()
        return told["userId"], told["token"]


@asynccontextmanager
async def talking(*places: tuple[str, str], outsiders: int = 0) -> AsyncIterator[Talk]:
    """People by (name, url of their server) in one new open group, all watching; the first one owns it.

    Outsiders are connected and watch as well, but never join.
    """
    history = History()
    everyone = [*places, *((f"outsider{number}", places[0][1]) for number in range(outsiders))]
    talkers: list[Talker] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        for name, url in everyone:
            user_id, token = await sign_in(http, url, name)
            clients = [await Client.connect(url, token, follow=follow, backoff=QUICK) for follow in (True, False)]
            talkers.append(Talker(name, user_id, url, token, history, *clients))
        try:
            owner, *others = talkers[: len(places)]
            group = await owner.following.create_group("proof", join_policy="open")
            for talker in others:
                await talker.following.join(group.id)
            for talker in talkers:
                talker.watch(group.id)
                if talker not in (owner, *others):
                    history.devices[-1].follows = False
            yield Talk(group.id, talkers[: len(places)], history)
        finally:
            await asyncio.gather(*(talker.close() for talker in talkers))


@asynccontextmanager
async def busy(talk: Talk, talkers: int = 5, *, renames: bool = True) -> AsyncIterator[None]:
    """Everybody talks as soon as they are answered; the owner renames the group, so that there are transactions too."""
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for talker in talk.talkers[:talkers]:
            tasks.create_task(talker.talk(talk.group_id, enough))
        if renames:
            tasks.create_task(_rename(talk, enough))
        try:
            yield
        finally:
            enough.set()


async def _rename(talk: Talk, until: asyncio.Event) -> None:
    rest = talk.talkers[0].following.rest
    number = 0
    while not until.is_set():
        number += 1
        with suppress(ChatError, LinkLost):
            await rest.request("PATCH", f"/api/groups/{talk.group_id}", body={"name": f"proof {number}"})
        await asyncio.sleep(0.05)


def acknowledged(talk: Talk) -> int:
    return sum(bool(send.acks) for send in talk.history.sends)


async def until_acknowledged(talk: Talk, more: int) -> None:
    """Until so many messages more have an ack."""
    wanted = acknowledged(talk) + more
    async with asyncio.timeout(60):
        while acknowledged(talk) < wanted:
            await asyncio.sleep(0.01)
