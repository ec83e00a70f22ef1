"""The Terraform configuration as data."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "terraform"
Block = dict[str, Any]


def plain(value: Any) -> Any:
    """The parser keeps the quotes of strings; comparing is easier without."""
    if isinstance(value, str):
        return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items() if key != "__is_block__"}
    return value


def text() -> str:
    return "\n".join(path.read_text() for path in sorted(FOLDER.glob("*.tf")))


@cache
def files() -> list[Block]:
    return [plain(hcl2.loads(path.read_text())) for path in sorted(FOLDER.glob("*.tf"))]


def blocks(kind: str) -> Iterator[tuple[str, Block]]:
    """`variable`, `output`: name and body."""
    for file in files():
        for block in file.get(kind, []):
            yield from block.items()


def resources(wanted: str) -> dict[str, Block]:
    return {
        name: body
        for file in files()
        for resource in file.get("resource", [])
        for kind, named in resource.items()
        if kind == wanted
        for name, body in named.items()
    }


def kinds() -> set[str]:
    return {kind for file in files() for resource in file.get("resource", []) for kind in resource}


def names_in_environment(source: str) -> set[str]:
    return set(re.findall(r"^\s+([A-Z][A-Z0-9_]+)\s*=", source, re.MULTILINE))
