"""Sign-in that does not come to an end."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from chatcore.identity.records import Profile
from chatcore.identity.tokens import LocalIssuer, OneOf
from chatcore.limits import RateLimits
from chatcore.metrics import Metrics
from chatcore.transport.fanout import SocketFanout
from chatcore.transport.options import SocketOptions
from chatcore.transport.socket import SocketHandlers
from tests.memory import Household
from tests.transport.talk import Application, serving


async def test_who_is_not_in_by_the_deadline_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer, fanout = LocalIssuer(b"k" * 32, issuer="local"), SocketFanout()
    async with Household() as house:
        house.people("ana")
        monkeypatch.setattr(house.identity, "_verifier", OneOf({"local": issuer}))

        async def stuck(user_id: str) -> list[str]:
            """A database that does not answer."""
            return await asyncio.get_running_loop().create_future()

        monkeypatch.setattr(house.group_store, "group_ids_of", stuck)
        handlers = SocketHandlers(house.services, fanout, RateLimits(), Metrics())
        options = SocketOptions(authenticate_deadline_seconds=0.1)
        async with serving(cast(Application, handlers), options) as served:
            fanout.server = served.server
            _, websocket = await served.handshake()
            await websocket.next()
            token = issuer.issue("ana", Profile(name="ana"), timedelta(hours=1)).token
            websocket.send(f'40{{"token":"{token}"}}')
            answer: Any = await websocket.next()
            assert answer.startswith("44")
            assert len(fanout) == 0
            assert len(cast(Any, house.identity)._sessions) == 0
