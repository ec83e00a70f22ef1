"""The conversation on a whole terminal screen."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from prompt_toolkit.application import Application
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import Float, FloatContainer, HSplit, Layout, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.styles import Style

from chatcore.cli.commands import COMMANDS, Quit, obey
from chatcore.cli.conversation import Conversation, who_types
from chatcore.cli.transcript import Notice, Transcript
from chatcore.cli.wording import colour_of, name_of, printable
from chatcore.client import Client, Event
from chatcore.contract.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

STYLE = Style.from_dict(
    {
        "bar": "reverse",
        "bar.bad": "reverse #d75f5f bold",
        "dim": "#808080",
        "rule": "#808080",
        "notice": "italic #808080",
        "read": "#5f87d7 bold",
        "reaction": "#af8700",
        "typing": "italic #808080",
        "presence": "#00875f",
        "completion-menu": "bg:#303030 #d0d0d0",
        "completion-menu.completion.current": "bg:#5f87d7 #ffffff",
        "completion-menu.meta.completion": "bg:#303030 #808080",
        "completion-menu.meta.completion.current": "bg:#5f87d7 #ffffff",
    }
)


class CommandCompleter(Completer):
    """Commands after a slash, and names of groups after `/join`."""

    def __init__(self, conversation: Conversation):
        self._conversation = conversation

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> "Iterable[Completion]":
        text = document.text_before_cursor
        if text.startswith("/join "):
            typed = text.removeprefix("/join ").casefold()
            names = sorted(group.name for group in self._conversation.client.groups)
            yield from (Completion(name, -len(typed)) for name in names if name.casefold().startswith(typed))
        elif text.startswith("/") and " " not in text:
            for command in COMMANDS:
                if command.name.startswith(text[1:]):
                    yield Completion(f"/{command.name} ", -len(text), display=command.usage, display_meta=command.says)


class Screen:
    """A bar with the group, the transcript, who types, the input line, who is here."""

    def __init__(self, client: Client):
        self.conversation = Conversation(client, self)
        self.transcript = Transcript(self.conversation)
        self._input = Buffer(
            completer=CommandCompleter(self.conversation),
            complete_while_typing=True,
            history=InMemoryHistory(),
            auto_suggest=AutoSuggestFromHistory(),
            accept_handler=self._entered,
            on_text_changed=self._typed,
            multiline=False,
        )
        self.application: Application[None] = Application(
            layout=self._layout(), key_bindings=self._keys(), style=STYLE, full_screen=True, mouse_support=True
        )
        # Typing and "retry in n s" pass by themselves.
        self.application.refresh_interval = 1.0

    def note(self, text: str) -> None:
        view = self.conversation.view
        self.transcript.notices.append(Notice(view.messages[-1].seq if view and view.messages else 0, text))
        self.refresh()

    def logged(self, event: Event) -> None:
        if event.name == "new_message" and self.transcript.offset:
            self.transcript.scroll(1)

    def recalled(self, messages: list[Message]) -> None:
        self.transcript.page(1)

    def refresh(self) -> None:
        self.application.invalidate()

    def _layout(self) -> Layout:
        window = Window(BufferControl(self._input, input_processors=[BeforeInput("> ", "bold")]), height=1)
        body = HSplit(
            [
                Window(FormattedTextControl(self._head), height=1, style="class:bar"),
                Window(self.transcript, always_hide_cursor=True),
                Window(FormattedTextControl(self._below), height=1),
                window,
                Window(FormattedTextControl(self._foot), height=1, style="class:bar"),
            ]
        )
        menu = Float(CompletionsMenu(max_height=8), xcursor=True, ycursor=True)
        return Layout(FloatContainer(body, [menu]), focused_element=window)

    def _head(self) -> StyleAndTextTuples:
        group = self.conversation.group
        if group is None:
            return [("class:bar", " chatcore — in no group; /join NAME enters one")]
        count = len(self.conversation.view.roles) if self.conversation.view else group.member_count
        title = f" {printable(group.name)}  {count} member{'s' if count != 1 else ''}"
        about = f"  {printable(group.description)}" if group.description else ""
        return [("class:bar bold", title), ("class:bar", about)]

    def _below(self) -> StyleAndTextTuples:
        if self.transcript.offset:
            return [("class:typing", f"  {self.transcript.offset} lines below; PgDn or End goes back")]
        return [("class:typing", f"  {who_types(self.conversation.typing)}")]

    def _foot(self) -> StyleAndTextTuples:
        conversation = self.conversation
        link = conversation.connection
        if link.state == "reconnecting":
            return [("class:bar.bad", f" reconnecting… ({printable(link.reason)})")]
        me = conversation.client.user
        others = sorted((conversation.online - {conversation.me}), key=lambda user: name_of(user, conversation.names))
        foot: StyleAndTextTuples = [("class:bar", " ● "), (f"class:bar bold {colour_of(me.user_id)}", me.name)]
        for user_id in others[:8]:
            foot.append((f"class:bar {colour_of(user_id)}", f"  ● {name_of(user_id, conversation.names)}"))
        if len(others) > 8:
            foot.append(("class:bar", f"  and {len(others) - 8} more"))
        names = {group.id: group.name for group in conversation.client.groups}
        for group_id, count in sorted(conversation.unread.items()):
            foot.append(("class:bar bold", f"  {printable(names.get(group_id, '?'))}: {count} new"))
        return [*foot, ("class:bar", "  /help")]

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        @keys.add("c-d")
        def _(event: KeyPressEvent) -> None:
            event.app.exit()

        @keys.add("pageup")
        def _(event: KeyPressEvent) -> None:
            view = self.conversation.view
            if self.transcript.at_top and view is not None and view.has_earlier:
                self.conversation.in_background(self.conversation.client.load_earlier(view))
            self.transcript.page(1)

        @keys.add("pagedown")
        def _(event: KeyPressEvent) -> None:
            self.transcript.page(-1)

        @keys.add("end")
        def _(event: KeyPressEvent) -> None:
            self.transcript.offset = 0
            self._input.cursor_position = len(self._input.text)

        return keys

    def _typed(self, _: Buffer) -> None:
        self.conversation.in_background(self.conversation.typed(self._input.text))

    def _entered(self, buffer: Buffer) -> bool:
        self.transcript.offset = 0
        self.conversation.in_background(self._obey(buffer.text))
        return False

    async def _obey(self, line: str) -> None:
        with suppress(asyncio.CancelledError):
            try:
                await obey(self.conversation, line)
            except Quit:
                self.application.exit()

    async def run(self, group: str) -> None:
        """Until the person goes or the server sends them away."""
        listening = asyncio.create_task(self.conversation.listen())
        listening.add_done_callback(lambda _: self.application.is_running and self.application.exit())
        try:
            await asyncio.sleep(0)
            await self.conversation.enter(group)
            await self.application.run_async()
            if listening.done():
                await listening
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
