"""The terminal client in plain lines, against the real server."""

from pathlib import Path

from chatcore.client import Client
from chatcore.client.rest import dev_token
from tests.cli.terminal import chatting, run_command
from tests.live_server import LiveServer
from tests.tcp_proxy import tcp_proxy


async def test_two_people_chat(live_server: LiveServer, tmp_path: Path) -> None:
    async with (
        chatting(live_server.url, tmp_path, "--as", "ana", "--group", "kitchen") as ana,
        chatting(live_server.url, tmp_path, "--as", "ben", "--group", "kitchen") as ben,
    ):
        await ana.sees(r"\* ben joined")
        await ana.type("is there coffee?")
        place = (await ana.sees(r"ana: is there coffee\?")).split()[1]
        await ben.sees(rf"\] {place} ana: is there coffee\?")
        await ana.sees(rf"\* ben has read up to {place}")
        await ben.type("/reply plenty")
        await ana.sees(r"ben: plenty")
        await ben.type(f"/react {place} coffee")
        await ana.sees(rf"\* ben: ☕ on {place} \(1\)")
        await ana.type(f"/edit {place} is there tea?")
        await ben.sees(r"ana: is there tea\? \(edited\)")
        await ana.type(f"/delete {place}")
        await ben.sees(rf"\* ana deleted {place}")


async def test_a_message_sent_from_a_pipe_is_delivered_before_the_program_ends(
    live_server: LiveServer, tmp_path: Path
) -> None:
    status, output = await run_command(
        tmp_path, "chat", "--url", live_server.url, "--as", "ana", "--group", "pipe", typed="built in 12 s\n"
    )
    assert status == 0, output
    async with chatting(live_server.url, tmp_path, "--as", "ben", "--group", "pipe") as ben:
        await ben.sees(r"ana: built in 12 s")


async def test_an_outage_is_told_and_what_was_missed_is_shown_after_it(live_server: LiveServer, tmp_path: Path) -> None:
    async with (
        tcp_proxy(live_server.url) as network,
        chatting(live_server.url, tmp_path, "--as", "ben", "--group", "tunnel") as ben,
        chatting(network.url, tmp_path, "--as", "ana", "--group", "tunnel") as ana,
    ):
        await ben.sees(r"\* ana joined")
        network.down = True
        network.cut()
        await ana.sees(r"\* reconnecting")
        await ben.type("said during the outage")
        await ben.sees("said during the outage")
        await ana.type("typed during the outage")
        network.down = False
        await ana.sees(r"ben: said during the outage")
        await ben.sees(r"ana: typed during the outage")
        await ana.leave()
        assert not any("typed during" in line for line in ana.seen[1:]), "shown twice"


async def test_escape_sequences_of_others_do_not_reach_the_terminal(live_server: LiveServer, tmp_path: Path) -> None:
    async with chatting(live_server.url, tmp_path, "--as", "ana", "--group", "safe") as ana:
        async with Client(live_server.url, (await dev_token(live_server.url, "mallory")).token) as mallory:
            group = (await mallory.find_groups("safe")).groups[0]
            await mallory.join(group.id)
            await mallory.send(group.id, "red \x1b[31m and \x9b2J and \u202eturned")
        line = await ana.sees("mallory: red")
    assert not set(line) & {"\x1b", "\x9b", "\u202e"}
    assert "and turned" in line


async def test_typing_is_shown(live_server: LiveServer, tmp_path: Path) -> None:
    token = (await dev_token(live_server.url, "ben")).token
    async with (
        chatting(live_server.url, tmp_path, "--as", "ana", "--group", "slow") as ana,
        Client(live_server.url, token) as ben,
    ):
        group = (await ben.find_groups("slow")).groups[0]
        await ben.join(group.id)
        await ben.typing(group.id)
        await ana.sees(r"\* ben is typing")


async def test_refusals_and_unknown_commands_are_told_and_the_talk_goes_on(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with chatting(live_server.url, tmp_path, "--as", "ana", "--group", "strict") as ana:
        await ana.type("/dance")
        await ana.sees(r"not done: There is no command /dance")
        await ana.type("/edit 9999 x")
        await ana.sees(r"not done: No message #9999")
        await ana.type("x" * 5000)
        await ana.sees(r"not done: .*4096")
        await ana.type("//help is a command")
        await ana.sees(r"ana: /help is a command")
        await ana.type("/quit")
        assert await ana.leave() == 0


async def test_without_a_server_one_is_told_how_to_start_it(tmp_path: Path) -> None:
    status, output = await run_command(tmp_path, "chat", "--as", "ana", "--url", "http://127.0.0.1:9")
    assert status == 1
    assert "make serve" in output
    assert "Traceback" not in output


async def test_two_people_who_open_the_same_new_group_meet_in_it(live_server: LiveServer, tmp_path: Path) -> None:
    async with (
        chatting(live_server.url, tmp_path, "--as", "ana", "--group", "Meeting") as ana,
        chatting(live_server.url, tmp_path, "--as", "ben", "--group", "meeting") as ben,
    ):
        await ben.type("found you")
        await ana.sees("ben: found you")


async def test_a_server_that_stops_for_good_leaves_the_program_waiting_not_broken(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with (
        tcp_proxy(live_server.url) as network,
        chatting(network.url, tmp_path, "--as", "ana", "--group", "gone") as ana,
    ):
        network.down = True
        network.cut()
        await ana.sees("reconnecting")
        await ana.sees("reconnecting")
        assert await ana.leave() == 0
