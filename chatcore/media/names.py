"""File names as people gave them, made safe to show, to save and to put into a header."""

import re
import unicodedata
from typing import Final
from urllib.parse import quote

MAX_NAME_BYTES: Final = 180
NAMELESS: Final = "file"
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?\Z", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
EXTENSIONS: Final[dict[str, tuple[str, ...]]] = {
    "image/jpeg": ("jpg", "jpeg", "jpe", "jfif"),
    "image/png": ("png", "apng"),
    "image/gif": ("gif",),
    "image/webp": ("webp",),
}


def safe_name(given: str | None, content_type: str = "") -> str:
    """The last part of a path without anything that hides, moves or runs: no control, bidirectional or invisible
    characters, no device names, at most 180 bytes. An image gets the ending of what it is where it has another."""
    text = unicodedata.normalize("NFC", (given or "").encode("utf-8", "ignore").decode("utf-8", "ignore"))
    text = re.split(r"[/\\]", text)[-1]
    text = "".join(each if _shows(each) else " " if each in "\t\n\r\v\f" else "" for each in text)
    text = _FORBIDDEN.sub("_", text)
    text = " ".join(text.split()).strip(". ")
    if _RESERVED.match(text):
        text = f"_{text}"
    return _shortened(text or NAMELESS, _ending(text, content_type))


def _shows(character: str) -> bool:
    """Neither control nor format characters (bidirectional marks, zero widths), private use or separators of lines."""
    return unicodedata.category(character) not in ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp")


def _ending(text: str, content_type: str) -> str:
    """What must be appended."""
    good = EXTENSIONS.get(content_type)
    if good is None or text.rpartition(".")[2].lower() in good:
        return ""
    return f".{good[0]}"


def _shortened(text: str, ending: str) -> str:
    room = MAX_NAME_BYTES - len(ending)
    if len(text.encode()) > room:
        stem, dot, extension = text.rpartition(".")
        kept = f"{dot}{extension}" if stem and len(extension.encode()) <= 16 else ""
        text = _cut(stem if kept else text, room - len(kept.encode())) + kept
    return text + ending


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode("utf-8", "ignore").rstrip(". ")


def disposition(name: str, *, inline: bool) -> str:
    """A Content-Disposition header (RFC 6266): an ASCII name for old clients, and the real one percent-encoded."""
    plain = "".join(each if each.isascii() and (each.isalnum() or each in " ._-()") else "_" for each in name)
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
