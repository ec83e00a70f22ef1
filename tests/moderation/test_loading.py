"""The first tier is loaded when somebody comes: until then a server is smaller, and there is nobody to moderate."""

import asyncio
from pathlib import Path

import pytest

from chatcore.app import open_core
from chatcore.contract.people import DevTokenRequest
from chatcore.errors import Unauthenticated
from chatcore.identity.sessions import Connection
from chatcore.settings import Settings


async def test_the_first_tier_is_loaded_by_the_first_true_token(
    tmp_path: Path, database_uri: str, database_name: str
) -> None:
    settings = Settings(
        _env_file=None,
        chatcore_home=tmp_path,
        mongodb_uri=database_uri,
        database_name=database_name,
        encryption_secret_key="0123456789abcdefghijklmnopqrstuvwxyz",
    )
    async with open_core(settings) as core:
        identity = core.services.identity
        core.moderation.start_chores(core.background, identity.somebody_came)
        with pytest.raises(Unauthenticated):
            await identity.authenticate("not.a.token", Connection())
        await asyncio.sleep(0.5)
        assert not core.moderation.first.ready
        assert core.accounts is not None
        token = core.accounts.dev_token(DevTokenRequest(name="ana"))
        await identity.authenticate(token.token, Connection())
        async with asyncio.timeout(30):
            while not core.moderation.first.ready:
                await asyncio.sleep(0.02)
        assert core.moderation.first.look_now("good morning") is not None
