"""All generated files: what they should hold, which are stale, writing them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chatcore.describe.asyncapi import asyncapi
from chatcore.describe.documents import REFERENCE
from chatcore.describe.events_page import events_page
from chatcore.describe.openapi import openapi
from chatcore.describe.setting_files import env_example, with_table
from chatcore.describe.shapes import Schema, definitions
from chatcore.describe.typescript import typescript

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Generated:
    """A file and what it should hold, given what it holds now (empty where it is missing)."""

    path: Path
    made: Callable[[str], str]

    def content_now(self) -> str:
        return self.path.read_text("utf-8") if self.path.exists() else ""

    def is_stale(self) -> bool:
        now = self.content_now()
        return self.made(now) != now

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.made(self.content_now()), "utf-8")


def generated_files(root: Path = ROOT, reference: Path = REFERENCE) -> list[Generated]:
    """Those of the package, and in a clone of the repository also `.env.example` and the README's table."""
    files = [
        Generated(reference / "openapi.json", lambda _: _json(openapi())),
        Generated(reference / "asyncapi.json", lambda _: _json(asyncapi())),
        Generated(reference / "schema.json", lambda _: _json(schema())),
        Generated(reference / "chatcore.d.ts", lambda _: typescript()),
        Generated(reference / "events.html", lambda _: events_page()),
    ]
    if (root / "pyproject.toml").exists():
        files.append(Generated(root / ".env.example", lambda _: env_example()))
        files.append(Generated(root / "README.md", with_table))
    return files


def schema() -> Schema:
    """All shapes in one document; there is no shape of the whole."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chatcore shapes",
        "description": "Every shape on the wire, by name under $defs.",
        "$defs": definitions(),
    }


def stale(files: list[Generated]) -> list[Path]:
    return [file.path for file in files if file.is_stale()]


def _json(document: Schema) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
