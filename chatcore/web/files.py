"""The page's files in memory, under names that change with their content, so that browsers may keep them for ever.

All files of one state share one folder, named by the hash of them all: relative imports then need no rewriting, and a
page never mixes modules of two versions.
"""

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from chatcore.web.libraries import FILES, folder_in

PAGE: Final = Path(__file__).parent / "page"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
WORTH_PACKING_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class File:
    """One file as it goes out; `packed` is its gzip form, where that is smaller."""

    body: bytes
    packed: bytes | None
    content_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class Page:
    """`entry` is the HTML, `assets` are below `/assets/<build>/`, `roots` have fixed paths at the root."""

    build: str
    entry: File
    assets: Mapping[str, File]
    roots: Mapping[str, File]


def read_page(libraries: Path, facts: Mapping[str, Any]) -> Page:
    """Every file, once. `facts` is what the page must know of this server before anybody has signed in.

    Raises FileNotFoundError where the libraries are not installed.
    """
    folder = folder_in(libraries)
    sources = {f"lib/{name}": (folder / name).read_bytes() for name in FILES}
    for path in sorted(PAGE.rglob("*")):
        if path.is_file() and path.parent != PAGE:
            sources[path.relative_to(PAGE).as_posix()] = path.read_bytes()
    build = _hash(*(part for name in sorted(sources) for part in (name.encode(), sources[name])))
    assets = {name: as_file(body, Path(name).suffix) for name, body in sources.items()}
    roots = {
        f"/{path.name}": as_file(_filled(path.read_text("utf-8"), build, {}).encode(), path.suffix)
        for path in sorted(PAGE.iterdir())
        if path.is_file() and path.suffix != ".html"
    }
    entry = as_file(_filled((PAGE / "index.html").read_text("utf-8"), build, facts, assets).encode(), ".html")
    return Page(build=build, entry=entry, assets=assets, roots=roots)


def missing_page() -> File:
    """What stands at `/` until the libraries are there: what to run, in plain words."""
    return as_file((PAGE / "missing.html").read_bytes(), ".html")


def as_file(body: bytes, suffix: str) -> File:
    packed = gzip.compress(body, 9, mtime=0) if len(body) >= WORTH_PACKING_BYTES and suffix != ".png" else None
    if packed is not None and len(packed) >= len(body):
        packed = None
    return File(body, packed, TYPES[suffix], f'"{_hash(body)}"')


def script_bytes(page: Page) -> int:
    """All script of the page as it goes over the wire."""
    return sum(len(file.packed or file.body) for name, file in page.assets.items() if name.endswith(".js"))


def _filled(text: str, build: str, facts: Mapping[str, Any], assets: Mapping[str, File] | None = None) -> str:
    """Modules are named ahead of use, so that a browser fetches them side by side instead of import by import."""
    ahead = "\n".join(
        f'<link rel="modulepreload" href="/assets/{build}/{name}">'
        for name in sorted(assets or {})
        if name.endswith(".js")
    )
    styles = "\n".join(
        f'<link rel="stylesheet" href="/assets/{build}/{name}">'
        for name in sorted(assets or {})
        if name.endswith(".css")
    )
    filling = {
        "%build%": build,
        "%facts%": escape(json.dumps(facts, separators=(",", ":"))),
        "%modules%": ahead,
        "%styles%": styles,
    }
    for mark, value in filling.items():
        text = text.replace(mark, value)
    return text


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:16]
