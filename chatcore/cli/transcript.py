"""Messages and notices laid out as lines of styled text for a window of a given width."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prompt_toolkit.data_structures import Point
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.controls import UIContent, UIControl
from prompt_toolkit.mouse_events import MouseEvent, MouseEventType
from prompt_toolkit.utils import get_cwidth

from chatcore.cli.conversation import Conversation
from chatcore.cli.wording import colour_of, content_of, printable
from chatcore.contract.messages import Message

if TYPE_CHECKING:
    from prompt_toolkit.key_binding.key_bindings import NotImplementedOrNone

NAME_WIDTH = 12
WHEEL_LINES = 3
Line = StyleAndTextTuples


@dataclass(frozen=True, slots=True)
class Notice:
    """For this person only; shown after the message at `after_seq`."""

    after_seq: int
    text: str


class Transcript(UIControl):
    """The newest lines at the bottom; `offset` is how many of them are scrolled away below."""

    def __init__(self, conversation: Conversation):
        self._conversation = conversation
        self.notices: list[Notice] = []
        self.offset = 0
        self.at_top = False
        self._height = 1

    def is_focusable(self) -> bool:
        return False

    def scroll(self, lines: int) -> None:
        """Up for positive numbers; the lay-out stops it at the ends."""
        self.offset = max(self.offset + lines, 0)

    def page(self, direction: int) -> None:
        self.scroll(direction * max(self._height - 2, 1))

    def mouse_handler(self, mouse_event: MouseEvent) -> "NotImplementedOrNone":
        if mouse_event.event_type is MouseEventType.SCROLL_UP:
            self.scroll(WHEEL_LINES)
        elif mouse_event.event_type is MouseEventType.SCROLL_DOWN:
            self.scroll(-WHEEL_LINES)
        else:
            return NotImplemented
        return None

    def create_content(self, width: int, height: int) -> UIContent:
        self._height = height
        lines = self._newest_lines(width, height + self.offset)
        self.at_top = len(lines) < height + self.offset
        self.offset = min(self.offset, max(len(lines) - height, 0))
        end = len(lines) - self.offset
        shown = lines[max(end - height, 0) : end]
        blank: Line = [("", "")]
        shown = [blank] * (height - len(shown)) + shown
        return UIContent(
            get_line=shown.__getitem__, line_count=len(shown), cursor_position=Point(0, 0), show_cursor=False
        )

    def _newest_lines(self, width: int, count: int) -> list[Line]:
        """At least the last `count` lines, if there are as many: what is far above is not laid out."""
        blocks: list[list[Line]] = [self._sending(width)]
        total = len(blocks[0])
        view = self._conversation.view
        messages = view.messages if view else []
        notices = list(self.notices)
        for place in range(len(messages) - 1, -1, -1):
            if total >= count:
                break
            message = messages[place]
            while notices and notices[-1].after_seq >= message.seq:
                blocks.append(notice_lines(notices.pop(), width))
                total += len(blocks[-1])
            blocks.append(self._message(message, messages[place - 1] if place else None, width))
            total += len(blocks[-1])
        while notices and total < count:
            blocks.append(notice_lines(notices.pop(), width))
            total += len(blocks[-1])
        return [line for block in reversed(blocks) for line in block]

    def _sending(self, width: int) -> list[Line]:
        return [
            [("class:dim", " " * (NAME_WIDTH + 14)), ("class:dim", row), ("class:dim", "  sending…")]
            for text in self._conversation.sending.values()
            for row in wrap(printable(text), width - NAME_WIDTH - 26)
        ]

    def _message(self, message: Message, previous: Message | None, width: int) -> list[Line]:
        lines = [] if previous and same_day(previous, message) else [day_line(message, width)]
        if message.type == "system":
            return [*lines, *notice_lines(Notice(message.seq, content_of(message)), width)]
        indent = NAME_WIDTH + 14
        again = bool(previous and not lines and continues(previous, message))
        if quoted := self._quote(message):
            lines.append([("", " " * indent), ("class:dim", cut(f"┌ {quoted}", width - indent))])
        style = "class:dim italic" if message.is_deleted else ""
        rows = wrap(content_of(message), width - indent - 10)
        head: Line = [
            ("class:dim", f"{'#' + str(message.seq):>6} "),
            ("class:dim", "     " if again else f"{message.created_at.astimezone():%H:%M}"),
            ("", " "),
            (f"bold {colour_of(message.sender_id)}", name_column("" if again else printable(message.sender.name))),
            ("", " "),
        ]
        body: list[Line] = [[(style, row)] for row in rows]
        body[-1] = body[-1] + self._marks(message)
        lines += [head + body[0], *([("", " " * indent), *row] for row in body[1:])]
        if message.reactions and not message.is_deleted:
            counts = "  ".join(f"{emoji} {count}" for emoji, count in sorted(message.reactions.items()) if count)
            lines.append([("", " " * indent), ("class:reaction", counts)])
        return lines

    def _quote(self, message: Message) -> str:
        if message.reply_to is None or self._conversation.view is None:
            return ""
        answered = self._conversation.view.find_message(message.reply_to)
        if answered is None:
            return "an earlier message"
        return f"{printable(answered.sender.name)}: {content_of(answered)}".replace("\n", " ")

    def _marks(self, message: Message) -> Line:
        """✓ stored, ✓✓ read by somebody, on one's own messages."""
        marks: Line = []
        if message.updated_at > message.created_at and not message.is_deleted:
            marks.append(("class:dim", " (edited)"))
        if message.sender_id == self._conversation.me and not message.is_deleted and self._conversation.view:
            read = bool(self._conversation.view.readers_of(message))
            marks.append(("class:read" if read else "class:dim", " ✓✓" if read else " ✓"))
        return marks


def same_day(one: Message, other: Message) -> bool:
    return one.created_at.astimezone().date() == other.created_at.astimezone().date()


def continues(previous: Message, message: Message) -> bool:
    """The same person within five minutes: the name is not said again."""
    close = (message.created_at - previous.created_at).total_seconds() < 300
    return close and previous.sender_id == message.sender_id and previous.type != "system" and not message.reply_to


def day_line(message: Message, width: int) -> Line:
    day = f" {message.created_at.astimezone():%A %-d %B} "
    return [("class:rule", day.center(max(width - 2, len(day)), "─"))]


def notice_lines(notice: Notice, width: int) -> list[Line]:
    return [[("class:notice", f"       {row}")] for row in wrap(notice.text, width - 8)]


def name_column(name: str) -> str:
    short = cut(name, NAME_WIDTH)
    return short + " " * (NAME_WIDTH - get_cwidth(short))


def cut(text: str, width: int) -> str:
    """At most `width` columns, the last a `…` where something is left out."""
    if get_cwidth(text) <= width:
        return text
    kept = ""
    for character in text:
        if get_cwidth(kept + character) > width - 1:
            break
        kept += character
    return f"{kept}…"


def wrap(text: str, width: int) -> list[str]:
    """Rows of at most `width` columns, broken at spaces where possible; at least one row."""
    width = max(width, 8)
    rows: list[str] = []
    for paragraph in text.split("\n"):
        row = ""
        for word in paragraph.split(" "):
            candidate = f"{row} {word}" if row else word
            if get_cwidth(candidate) <= width:
                row = candidate
                continue
            if row:
                rows.append(row)
            *full, row = pieces(word, width)
            rows += full
        rows.append(row)
    return rows


def pieces(word: str, width: int) -> list[str]:
    """A word that is wider than the window, in parts."""
    parts = [""]
    for character in word:
        if get_cwidth(parts[-1] + character) > width:
            parts.append("")
        parts[-1] += character
    return parts
