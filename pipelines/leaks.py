"""Secrets and marked texts in what a run wrote: found, taken out, and told by place and kind, never by content."""

import base64
import functools
import html
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chatcore.lab.surroundings import known_secrets, marked_texts
from pipelines.executors import LOG, OUTPUT

WITHHELD = "[withheld]"
LEAST_SECRET = 8  # shorter ones are words that stand in any text
SHAPES = {
    "a token": re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    "an API key": re.compile(r"\bsk-[\w-]{20,}"),
    "an access key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key": re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[\s\S]{0,10000}?-----END [A-Z ]*PRIVATE KEY-----|[\w+/=\s\\]*)"
    ),
    "a database's password": re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"),
}


@dataclass(frozen=True)
class Guard:
    """`values` maps what must not be shown to what it is called; `SHAPES` are looked for besides."""

    values: Mapping[str, str]

    def clean(self, text: str) -> tuple[str, list[str]]:
        """The text without them, and what was in it."""
        found: list[str] = []
        for value, called in self.values.items():
            forms = [form for form in _written(value) if form in text]
            for form in forms:
                text = text.replace(form, WITHHELD)
            text, times = _encoded(value).subn(WITHHELD, text)
            if forms or times:
                found.append(called)
        for called, shape in SHAPES.items():
            text, times = shape.subn(WITHHELD, text)
            if times:
                found.append(called)
        return text, found


def _written(value: str) -> list[str]:
    """As itself, and as JSON, HTML and addresses write it; each once, the longest first."""
    as_json = [json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
    forms = {value, *as_json, html.escape(value), html.escape(value, quote=False), quote(value), quote(value, safe="")}
    return sorted(forms, key=len, reverse=True)


@functools.cache
def _encoded(value: str) -> re.Pattern[str]:
    """In hexadecimal, and in base64 of either alphabet, wherever in a longer text the value begins; also broken into
    lines. Of base64 what depends on the neighbours is left out, which is a part of one byte at each end."""
    content = value.encode()
    hexadecimal = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in content.hex())
    inner = [_base64_inside(content, before) for before in range(3)]
    forms = [_over_lines(part.replace("+", "-").replace("/", "_")) for part in inner if set(part) & {"+", "/"}]
    return re.compile("|".join([hexadecimal, *map(_over_lines, inner), *forms]))


def _base64_inside(content: bytes, before: int) -> str:
    """Its letters where `before` bytes of others come first, but for those that hold bits of its neighbours."""
    letters = base64.b64encode(bytes(before) + content).decode().rstrip("=")
    whole = (before + len(content)) * 8 // 6
    return letters[-(-before * 8 // 6) : whole]


def _over_lines(letters: str) -> str:
    return r"(?:\s|\\[rn])*".join(map(re.escape, letters))


def guard(secrets: Iterable[str]) -> Guard:
    """For a job that was given these secrets, with all those of the settings and CHATCORE_CANARIES."""
    values = {value: f"the value of {name}" for name, value in known_secrets(secrets).items()}
    values |= dict.fromkeys(marked_texts(), "a text of CHATCORE_CANARIES")
    longest_first = sorted(values.items(), key=lambda pair: -len(pair[0]))
    return Guard({value: called for value, called in longest_first if len(value) >= LEAST_SECRET})


def withhold(folder: Path, guard_: Guard) -> list[str]:
    """Clean every file that a run wrote there; a sentence for each place that had something to hide.

    Links that lead out of the folder are taken out, and what they lead to is neither read nor changed, nor is a file
    that has another name elsewhere.
    """
    told = _without_ways_out(folder)
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        if path.name == OUTPUT:
            told += _notebook(path, guard_)
            continue
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        cleaned, found = guard_.clean(text)
        if found:
            _put_in_place(path, cleaned.encode("utf-8", "surrogateescape"))
            told += [f"{'the log' if path.name == LOG else path.name} has {what}" for what in found]
    return told


def _without_ways_out(folder: Path) -> list[str]:
    """A link to elsewhere would be kept, hashed and uploaded as if the run had written what is there."""
    root, told = folder.resolve(), list[str]()
    for place, folders, files in os.walk(folder, followlinks=False):
        for path in sorted(Path(place) / name for name in (*folders, *files)):
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                path.unlink()
                told.append(f"{path.name} is a link out of the run's folder")
    return told


def _put_in_place(path: Path, content: bytes) -> None:
    """By another file, so that nothing is written through a second name."""
    fresh = path.with_name(f".{path.name}.clean")
    fresh.write_bytes(content)
    fresh.replace(path)


def _notebook(path: Path, guard_: Guard) -> list[str]:
    try:
        content = json.loads(path.read_text("utf-8"))
        cells = list(content["cells"])
    except (ValueError, KeyError, TypeError):
        path.unlink()  # broken, so that nobody can say what is in it; the verdict says so anyway
        return []
    looked = [_inside(cell, guard_) for cell in cells]
    told = [
        f"cell {number} shows {what}"
        for number, (_, found) in enumerate(looked, start=1)
        for what in dict.fromkeys(found)
    ]
    if told:
        content["cells"] = [cell for cell, _ in looked]
        _put_in_place(path, json.dumps(content, ensure_ascii=False, indent=1).encode())
    return told


def _inside(value: Any, guard_: Guard) -> tuple[Any, list[str]]:
    """Whatever JSON holds, texts that are kept line by line as one."""
    if isinstance(value, str):
        return guard_.clean(value)
    if isinstance(value, list):
        if value and all(isinstance(line, str) for line in value):
            text, found = guard_.clean("".join(value))
            return (text.splitlines(keepends=True), found) if found else (value, [])
        parts = [_inside(each, guard_) for each in value]
        return [each for each, _ in parts], [what for _, found in parts for what in found]
    if isinstance(value, dict):
        pairs = [(guard_.clean(name), _inside(each, guard_)) for name, each in value.items()]
        return {name: each for (name, _), (each, _) in pairs}, [
            what for (_, in_name), (_, found) in pairs for what in (*in_name, *found)
        ]
    return value, []
