"""The first tier is there before anybody comes: until then texts pass unseen and names unasked."""

import asyncio
from pathlib import Path

from chatcore.app import open_core
from chatcore.settings import Settings


async def test_the_first_tier_is_loaded_with_nobody_signed_in(
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
        core.moderation.start_chores(core.background)
        async with asyncio.timeout(30):
            while not core.moderation.first.ready:
                await asyncio.sleep(0.02)
        assert core.moderation.first.look_now("good morning") is not None
