"""The real server inside a notebook, and people to talk to it, without a word of asyncio."""

import asyncio
import atexit
import secrets
import tempfile
from collections import Counter
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd

from chatcore.app import Chat, open_chat
from chatcore.client import Client, Event
from chatcore.client.events import Subscription
from chatcore.client.rest import dev_token, log_in
from chatcore.contract.groups import Group
from chatcore.contract.messages import MessageSent
from chatcore.contract.people import ServerRole
from chatcore.embedded.models import EmbeddedModels
from chatcore.lab.loops import LoopThread
from chatcore.lab.pages import facts
from chatcore.settings import Settings

START_SECONDS = 90.0
SETTLE_SECONDS = 60.0


class Person:
    """Somebody who is connected. Methods wait for the server's answer; `waits_for` takes what was pushed to them."""

    def __init__(self, chat: "LiveChat", client: Client, happenings: Subscription, name: str):
        self.name = name
        self.client = client
        self._chat = chat
        self._happenings = happenings
        self._taken: list[Event] = []
        self._untaken: list[Event] = []

    @property
    def user_id(self) -> str:
        return self.client.user.user_id

    def creates_group(self, name: str, *others: "Person") -> Group:
        """An open group that the others join."""
        group: Group = self._chat.run(self.client.create_group(name, join_policy="open"))
        for other in others:
            other.joins(group.id)
        return group

    def joins(self, group_id: str) -> None:
        self._chat.run(self.client.join(group_id))

    def sends(self, group_id: str, text: str) -> MessageSent:
        """Returns once the message is stored."""
        receipt: MessageSent = self._chat.run(self.client.send(group_id, text))
        return receipt

    def types(self, group_id: str, *, active: bool = True) -> None:
        self._chat.run(self.client.typing(group_id, active=active))

    def reads(self, group_id: str, up_to_seq: int) -> None:
        self._chat.run(self.client.mark_read(group_id, up_to_seq))

    def reacts(self, group_id: str, message_id: str, emoji: str) -> None:
        self._chat.run(self.client.react(group_id, message_id, emoji))

    def history(self, group_id: str, limit: int = 50) -> pd.DataFrame:
        """The newest messages, oldest first: seq, sender, text, at, message_id."""
        page = self._chat.run(self.client.history(group_id, limit=limit))
        rows = [
            {"seq": one.seq, "sender": one.sender.name, "text": one.content, "at": one.created_at, "message_id": one.id}
            for one in page.messages
        ]
        return pd.DataFrame(rows, columns=["seq", "sender", "text", "at", "message_id"])

    def command(self, event: str, **payload: Any) -> Any:
        """Any command of the contract, by its event's name; fields as on the wire."""
        return self._chat.run(self.client.command(event, payload))

    def waits_for(self, event: str, *, timeout_seconds: float = 10.0, **fields: Any) -> dict[str, Any]:
        """The data of the first such event that was not taken yet. Raises TimeoutError that tells what came instead."""
        try:
            data: dict[str, Any] = self._chat.run(self._wait_for(event, fields), timeout_seconds=timeout_seconds)
        except TimeoutError:
            came = ", ".join(dict.fromkeys(one.name for one in self._untaken)) or "nothing"
            raise TimeoutError(f"{self.name} heard no {event} {fields or ''}; untaken: {came}") from None
        return data

    def heard(self) -> pd.DataFrame:
        """How often each event came, as far as somebody waited."""
        counted = Counter(one.name for one in (*self._taken, *self._untaken))
        return pd.DataFrame(sorted(counted.items()), columns=["event", "times"])

    async def _wait_for(self, event: str, fields: dict[str, Any]) -> dict[str, Any]:
        def fits(one: Event) -> bool:
            return one.name == event and all(one.data.get(key) == value for key, value in fields.items())

        if found := next((one for one in self._untaken if fits(one)), None):
            self._untaken.remove(found)
            self._taken.append(found)
            return found.data
        async for happening in self._happenings:
            if isinstance(happening, Event):
                if fits(happening):
                    self._taken.append(happening)
                    return happening.data
                self._untaken.append(happening)
        raise ConnectionError(f"{self.name} was disconnected while waiting for {event}")


class LiveChat:
    """A server on a free port of this machine, with an embedded database on a temporary folder."""

    def __init__(self, *, ai: bool = False):
        self._home = tempfile.TemporaryDirectory(prefix="chatcore-lab-")
        # Whatever the environment says: a notebook's server is its own, and reaches nobody else's data.
        self._settings = Settings(
            _env_file=None,
            chatcore_env="development", chatcore_home=Path(self._home.name), host="127.0.0.1", port=0,
            mongodb_uri="", redis_url="", clerk_jwt_issuer="", oidc_issuer="", local_accounts=True,
            master_keys="", encryption_secret_key="", rate_limits=False, workers=1, log_level="error", ai=ai,
        )  # fmt: skip
        self._thread = LoopThread("chatcore-lab")
        self._context: AbstractAsyncContextManager[Chat] = open_chat(self._settings)
        self._people: list[Person] = []
        self._tokens: dict[ServerRole, str] = {}
        self._open = True
        try:
            self._chat = self._thread.run(self._context.__aenter__(), timeout_seconds=START_SECONDS)
            if ai:
                self._thread.run(self._load_models(), timeout_seconds=START_SECONDS)
        except BaseException:
            self._thread.close()
            self._home.cleanup()
            raise
        atexit.register(self.close)

    async def _load_models(self) -> None:
        """Until its models are there a server answers by rules, and a notebook would measure those."""
        core = self._chat.core
        if isinstance(core.ai.embedded, EmbeddedModels):
            await core.ai.embedded.wait_ready(START_SECONDS)
        await core.flows.warm()

    @property
    def url(self) -> str:
        return self._chat.url

    def run(self, work: Any, *, timeout_seconds: float | None = 60.0) -> Any:
        """A coroutine on the server's loop; its result."""
        return self._thread.run(work, timeout_seconds=timeout_seconds)

    def person(self, name: str) -> Person:
        """Somebody new of this name, connected."""

        async def connect() -> tuple[Client, Subscription]:
            issued = await dev_token(self.url, f"{name}-{secrets.token_hex(3)}")
            client = Client(self.url, issued.token)
            happenings = client.events()
            await client.start()
            return client, happenings

        client, happenings = self.run(connect())
        person = Person(self, client, happenings, name)
        self._people.append(person)
        return person

    def people(self, *names: str) -> list[Person]:
        return [self.person(name) for name in names]

    def settles(self, *, timeout_seconds: float = SETTLE_SECONDS) -> None:
        """Waits for what goes on after the answers: moderation behind the commit, shadows, rows of the ledger.

        Raises TimeoutError where that is not over in time.
        """

        async def wait() -> None:
            core = self._chat.core
            while len(core.moderation.later) or core.background.busy:  # noqa: ASYNC110 - two parts, and nobody waits long
                await asyncio.sleep(0.02)
            await core.ai.ledger.flush()

        self.run(wait(), timeout_seconds=timeout_seconds)

    def token_of(self, role: ServerRole) -> str:
        """Of an account with this role on the server, made at the first use; for its admin API."""
        if role not in self._tokens:

            async def sign_up() -> str:
                accounts = self._chat.core.accounts
                assert accounts is not None, "local accounts are on in a notebook's server"
                name, password = f"{role}-{secrets.token_hex(3)}", secrets.token_urlsafe(24)
                await accounts.add_account(name, password, [role])
                return (await log_in(self.url, name, password)).token

            self._tokens[role] = self.run(sign_up())
        return self._tokens[role]

    def close(self) -> None:
        """Hangs up, drains the server, stops its database and removes its folder. A repeat does nothing."""
        if not self._open:
            return
        self._open = False
        atexit.unregister(self.close)
        try:
            for person in self._people:
                self.run(person.client.close())
            self.run(self._context.__aexit__(None, None, None))
        finally:
            self._thread.close()
            self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        state = "listening" if self._open else "closed"
        said = {
            "address": self.url,
            "state": state,
            "people": str(len(self._people)),
            "AI": "on" if self._settings.ai else "off",
        }
        return facts("Live chat", said)


def live_chat(*, ai: bool = False) -> LiveChat:
    """The real server, started for this notebook. Close it, use `with`, or leave it to the kernel's end."""
    return LiveChat(ai=ai)
