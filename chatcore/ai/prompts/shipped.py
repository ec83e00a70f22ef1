"""The prompts that come with this release: one file of `baml_src` for each function."""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from chatcore.ai.prompts.versions import PromptVersion, make_version

FUNCTION: Final = re.compile(r"^function\s+(\w+)\s*\(", re.MULTILINE)
_TEST: Final = re.compile(r"^test\s+\w+\s*\{", re.MULTILINE)
_RAW: Final = re.compile(r'(#+)".*?"\1', re.DOTALL)
_QUOTED: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def folder() -> Path:
    """In an installed package beside the code, in a clone at its root. Raises FileNotFoundError."""
    package = Path(str(files("chatcore")))
    for place in (package / "baml_src", package.parent / "baml_src"):
        if place.is_dir():
            return place
    raise FileNotFoundError("the prompts (baml_src) are not installed with this package")


@cache
def shipped() -> dict[str, PromptVersion]:
    """By function. Tests are no part of a version: editing one changes no prompt."""
    versions = {}
    for path in sorted(folder().glob("*.baml")):
        text = without_tests(path.read_text("utf-8"))
        for function in FUNCTION.findall(text):
            versions[function] = make_version(function, text, {}, origin="shipped")
    return versions


def without_tests(text: str) -> str:
    """BAML without its `test` blocks; braces inside of strings do not count."""
    masked = _QUOTED.sub(_blank, _RAW.sub(_blank, text))
    kept, at = [], 0
    for found in _TEST.finditer(masked):
        if found.start() < at:
            continue
        kept.append(text[at : found.start()].rstrip() + "\n")
        at = _end_of_block(masked, found.end())
    return ("".join(kept) + text[at:]).strip() + "\n"


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])


def _end_of_block(masked: str, start: int) -> int:
    depth = 1
    for position in range(start, len(masked)):
        depth += {"{": 1, "}": -1}.get(masked[position], 0)
        if depth == 0:
            return position + 1
    return len(masked)
