"""Numbers for Prometheus: on a port of their own, or on the main one to whoever has the token."""

from pathlib import Path

import aiohttp
import pytest

from chatcore.app import open_chat
from chatcore.settings import Settings
from tests.servers import ServerInThread


async def test_the_metrics_port_answers_without_a_token_and_counts_commands(tmp_path: Path, database_uri: str) -> None:
    settings = Settings(
        _env_file=None,
        chatcore_home=tmp_path,
        mongodb_uri=database_uri,
        database_name="metrics_test",
        port=0,
        metrics_port=0,
        log_level="error",
    )
    async with open_chat(settings) as chat, aiohttp.ClientSession() as http:
        assert (await http.get(f"{chat.url}/metrics")).status == 404
        async with http.get(f"{chat.url}/api/me") as refused:
            assert refused.status == 401
        async with http.get(chat.metrics_url) as scraped:
            text = await scraped.text()
    assert 'chatcore_commands_total{code="token_missing",event="GET /api/me"} 1.0' in text


@pytest.mark.parametrize(("given", "status"), [("Bearer scrape", 200), ("Bearer wrong", 403), ("", 403)])
async def test_the_main_port_gives_numbers_to_the_bearer_of_the_token_only(
    server: ServerInThread, given: str, status: int
) -> None:
    async with aiohttp.ClientSession() as http:
        answer = await http.get(f"{server.chat.url}/metrics", headers={"Authorization": given})
    assert answer.status == status
