"""The whole-screen client, driven through a pipe instead of a keyboard, read from its layout."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from chatcore.cli.screen import Screen
from chatcore.client import Backoff, Client
from chatcore.client.rest import dev_token
from tests.live_server import LiveServer

# What is left for the transcript of the 40 rows that DummyOutput claims to have.
WIDTH, HEIGHT = 80, 36
QUICK = Backoff(first_seconds=0.05, longest_seconds=0.1)


class Viewer:
    """Types keys and reads rows."""

    def __init__(self, screen: Screen, keyboard: PipeInput):
        self.screen = screen
        self._keyboard = keyboard

    def rows(self, height: int = HEIGHT) -> list[str]:
        content = self.screen.transcript.create_content(WIDTH, height)
        return ["".join(part[1] for part in content.get_line(row)) for row in range(content.line_count)]

    def text(self) -> str:
        return "\n".join(self.rows())

    async def type(self, keys: str) -> None:
        self._keyboard.send_text(keys)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not condition():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(server: LiveServer, name: str, group: str) -> AsyncIterator[Viewer]:
    token = (await dev_token(server.url, name)).token
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        async with Client(server.url, token, backoff=QUICK) as client:
            screen = Screen(client)
            running = asyncio.create_task(screen.run(group))
            viewer = Viewer(screen, keyboard)
            try:
                await viewer.until(lambda: screen.application.is_running and screen.conversation.group is not None)
                yield viewer
            finally:
                await viewer.type("\x04")
                await asyncio.wait_for(running, 10)


@pytest.fixture
async def ben(live_server: LiveServer) -> AsyncIterator[Client]:
    async with AsyncExitStack() as stack:
        token = (await dev_token(live_server.url, "ben")).token
        yield await stack.enter_async_context(Client(live_server.url, token))


async def join(client: Client, name: str) -> str:
    found = await client.find_groups(name)
    await client.join(found.groups[0].id)
    return found.groups[0].id


async def test_what_is_typed_is_said_and_marked_when_it_is_read(live_server: LiveServer, ben: Client) -> None:
    async with watching(live_server, "ana", "screen-one") as ana:
        group_id = await join(ben, "screen-one")
        await ana.type("hello from the keyboard\r")
        await ana.until(lambda: "hello from the keyboard ✓" in ana.text())
        assert "✓✓" not in ana.text()
        view = await ben.view(group_id)
        await ben.mark_read(group_id, view.seq)
        await ana.until(lambda: "hello from the keyboard ✓✓" in ana.text())


async def test_edits_replies_reactions_and_deletions_change_the_screen_in_place(
    live_server: LiveServer, ben: Client
) -> None:
    async with watching(live_server, "ana", "screen-two") as ana:
        group_id = await join(ben, "screen-two")
        first = await ben.send(group_id, "a typpo")
        answer = await ben.send(group_id, "an answer", reply_to=first.message_id)
        await ben.edit(group_id, first.message_id, "a typo")
        await ben.react(group_id, first.message_id, "🎉")
        await ana.until(lambda: "a typo (edited)" in ana.text() and "🎉 1" in ana.text())
        assert "┌ ben: a typo" in ana.text()
        assert "typpo" not in ana.text()
        await ben.delete(group_id, answer.message_id)
        await ana.until(lambda: "(deleted)" in ana.text())
        assert "an answer" not in ana.text()


async def test_one_scrolls_up_and_stays_there_while_others_write(live_server: LiveServer, ben: Client) -> None:
    async with watching(live_server, "ana", "screen-three") as ana:
        group_id = await join(ben, "screen-three")
        for number in range(50):
            await ben.send(group_id, f"line {number}")
        await ana.until(lambda: "line 49" in ana.text())
        assert "line 0 " not in ana.text() + " "
        ana.screen.transcript.scroll(20)
        before = ana.rows()
        await ben.send(group_id, "news")
        await ana.until(lambda: ana.screen.conversation.view.messages[-1].content == "news")
        assert ana.rows() == before
        ana.screen.transcript.scroll(-1000)
        assert "news" in ana.rows()[-1]


async def test_commands_answer_on_the_screen(live_server: LiveServer) -> None:
    async with watching(live_server, "ana", "screen-four") as ana:
        await ana.type("/members\r")
        await ana.until(lambda: "● ana  owner, online" in ana.text())
        await ana.type("/nonsense\r")
        await ana.until(lambda: "There is no command /nonsense" in ana.text())


async def test_who_types_is_shown_and_gone_after_the_message(live_server: LiveServer, ben: Client) -> None:
    async with watching(live_server, "ana", "screen-five") as ana:
        group_id = await join(ben, "screen-five")
        await ben.typing(group_id)
        await ana.until(lambda: ana.screen.conversation.typing == ["ben"])
        await ben.send(group_id, "done")
        await ana.until(lambda: ana.screen.conversation.typing == [])


async def test_a_long_text_is_wrapped_within_the_window(live_server: LiveServer, ben: Client) -> None:
    async with watching(live_server, "ana", "screen-six") as ana:
        group_id = await join(ben, "screen-six")
        await ben.send(group_id, "word " * 60 + "日本語" * 40)
        await ana.until(lambda: "日本語" in ana.text())
        assert all(len(row) <= WIDTH for row in ana.rows())


async def test_an_outage_turns_the_bar_red_until_it_ends(live_server: LiveServer) -> None:
    async with watching(live_server, "ana", "screen-seven") as ana:
        states = []
        await ana.screen.conversation.client.interrupt()

        def came_back() -> bool:
            states.append(ana.screen.conversation.connection.state)
            return "reconnecting" in states and states[-1] == "connected"

        await ana.until(came_back)
