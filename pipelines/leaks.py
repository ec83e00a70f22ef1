"""Secrets and marked texts in what a run wrote: found, taken out, and told by place and kind, never by content."""

import html
import json
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
            if forms:
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


def guard(secrets: Iterable[str]) -> Guard:
    """For a job that was given these secrets, with all those of the settings and CHATCORE_CANARIES."""
    values = {value: f"the value of {name}" for name, value in known_secrets(secrets).items()}
    values |= dict.fromkeys(marked_texts(), "a text of CHATCORE_CANARIES")
    longest_first = sorted(values.items(), key=lambda pair: -len(pair[0]))
    return Guard({value: called for value, called in longest_first if len(value) >= LEAST_SECRET})


def withhold(folder: Path, guard_: Guard) -> list[str]:
    """Clean every file that a run wrote there; a sentence for each place that had something to hide."""
    told: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.name == OUTPUT:
            told += _notebook(path, guard_)
            continue
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        cleaned, found = guard_.clean(text)
        if found:
            path.write_bytes(cleaned.encode("utf-8", "surrogateescape"))
            told += [f"{'the log' if path.name == LOG else path.name} has {what}" for what in found]
    return told


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
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1), "utf-8")
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
