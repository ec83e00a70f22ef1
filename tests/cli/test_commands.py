"""The other commands: users, token, doctor, demo, help."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from chatcore.cli.demo import PEOPLE, TALKS
from chatcore.client import Client
from chatcore.client.rest import dev_token, log_in
from chatcore.errors import BadCredentials
from tests.cli.terminal import run_command
from tests.live_server import LiveServer, clean_environment


async def test_an_account_made_on_a_running_server_can_sign_in_until_it_is_removed(
    live_server: LiveServer, tmp_path: Path
) -> None:
    home = {"CHATCORE_HOME": str(live_server.home)}
    status, output = await run_command(
        tmp_path, "users", "add", "Carla", "--role", "operator", typed="correct horse\n", **home
    )
    assert status == 0, output
    _, output = await run_command(tmp_path, "users", "list", **home)
    assert "Carla" in output
    assert "operator" in output
    status, token = await run_command(
        tmp_path, "token", "carla", "--password", "--url", live_server.url, typed="correct horse\n"
    )
    assert status == 0
    assert (await run_command(tmp_path, "users", "roles", "carla", "operator", "reviewer", **home))[0] == 0
    async with Client(live_server.url, token.strip()) as carla:
        assert carla.user.roles == ["operator"]
        audit = await carla.rest.request("GET", "/api/admin/audit")
        given = [one["facts"]["roles"] for one in audit["entries"] if one["target"] == carla.user.user_id]
        assert given == ["operator, reviewer", "operator"], "newest first: whoever gives power leaves a line"
    status, output = await run_command(tmp_path, "users", "password", "Carla", typed="battery staple\n", **home)
    assert status == 0, output
    with pytest.raises(BadCredentials):
        await log_in(live_server.url, "Carla", "correct horse")
    assert (await log_in(live_server.url, "Carla", "battery staple")).token
    assert (await run_command(tmp_path, "users", "remove", "Carla", "--yes", **home))[0] == 0
    with pytest.raises(BadCredentials):
        await log_in(live_server.url, "Carla", "battery staple")


async def test_accounts_can_be_made_before_the_first_start_of_a_server(tmp_path: Path) -> None:
    home = {"CHATCORE_HOME": str(tmp_path / "fresh")}
    status, output = await run_command(tmp_path, "users", "add", "Dora", typed="a long password\n", **home)
    assert status == 0, output
    assert "Dora can sign in" in output


async def test_mistakes_with_users_are_told_in_words(live_server: LiveServer, tmp_path: Path) -> None:
    home = {"CHATCORE_HOME": str(live_server.home)}
    for arguments, typed, words in (
        (["users", "add", "Eve"], "short\n", "A password has"),
        (["users", "add", "Eve", "--role", "king"], "long enough\n", "no role king"),
        (["users", "remove", "Nobody", "--yes"], "", "no account"),
    ):
        status, output = await run_command(tmp_path, *arguments, typed=typed, **home)
        assert status == 1
        assert words in output
        assert "Traceback" not in output


async def test_a_wrong_password_gives_no_token(live_server: LiveServer, tmp_path: Path) -> None:
    status, output = await run_command(tmp_path, "token", "frank", "-p", "--url", live_server.url, typed="guess\n")
    assert status == 1
    assert "wrong" in output


async def test_the_demo_can_be_repeated_without_saying_anything_twice(live_server: LiveServer, tmp_path: Path) -> None:
    contents = []
    for _ in range(2):
        status, output = await run_command(tmp_path, "demo", "--url", live_server.url)
        assert status == 0, output
        async with Client(live_server.url, (await dev_token(live_server.url, PEOPLE[0])).token) as ana:
            group = ana.find_group("general")
            assert group is not None
            contents.append((await ana.view(group.id, depth=None)).snapshot())
    assert contents[0] == contents[1]
    said = [line["content"] for line in contents[0]]
    for line in TALKS[0].lines:
        assert said.count(line.text) == 1
        if line.first_written:
            assert line.first_written not in said
    assert any(line["reactions"] for line in contents[0])
    assert any(line["replyTo"] for line in contents[0])


async def test_the_doctor_finds_a_running_server_healthy(live_server: LiveServer, tmp_path: Path) -> None:
    port = live_server.url.rpartition(":")[2]
    status, output = await run_command(tmp_path, "doctor", CHATCORE_HOME=str(live_server.home), PORT=port)
    assert status == 0, output
    assert "is running" in output
    assert "journaled write" in output


async def test_the_doctor_fails_on_wrong_settings_and_repeats_no_secret(tmp_path: Path) -> None:
    secret = "hunter2hunter2"
    status, output = await run_command(
        tmp_path, "doctor", CHATCORE_ENV="production", ENCRYPTION_SECRET_KEY=secret, ALLOWED_ORIGINS="*"
    )
    assert status == 1
    assert "ENCRYPTION_SECRET_KEY" in output
    assert "ALLOWED_ORIGINS" in output
    assert secret not in output


async def test_the_doctor_fails_where_another_program_holds_the_port(tmp_path: Path) -> None:
    other = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with other:
        port = str(other.sockets[0].getsockname()[1])
        status, output = await run_command(tmp_path, "doctor", CHATCORE_HOME=str(tmp_path / "home"), PORT=port)
    assert status == 1
    assert "set PORT" in output


async def test_the_doctor_fails_where_the_database_refuses_and_repeats_no_password(
    live_server: LiveServer, tmp_path: Path
) -> None:
    port = json.loads((live_server.home / "runtime.json").read_text())["databasePort"]
    uri = f"mongodb://chatcore:hunter2hunter2@127.0.0.1:{port}/?authSource=admin&directConnection=true"
    status, output = await run_command(tmp_path, "doctor", CHATCORE_HOME=str(tmp_path), MONGODB_URI=uri)
    assert status == 1
    assert "refuses the user name or the password" in output
    assert "hunter2" not in output


def test_help_does_not_wait_for_what_only_the_commands_need() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys, chatcore.cli; print(*sys.modules)"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"aiohttp", "pymongo", "pydantic", "prompt_toolkit"} & set(found)
