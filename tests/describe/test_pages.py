"""The served references: strict policy, nothing from elsewhere, no inline code, revalidated by ETag."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from chatcore.api import BY_EVENT, EVENTS
from chatcore.describe.documents import documents
from chatcore.describe.openapi import openapi
from tests.servers import ServerInThread

PAGES = ("/docs", "/docs/events")


class Parts(HTMLParser):
    """What a page loads, links to, and does inline."""

    def __init__(self, text: str):
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.inline: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids |= {given["id"] or ""} if "id" in given else set()
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []
        if tag == "a":
            self.links.append(given.get("href") or "")
        elif tag in ("script", "link", "img"):
            self.loaded.append(given.get("src") or given.get("href") or "")


@pytest.fixture
async def browser(server: ServerInThread) -> AsyncIterator[ClientSession]:
    async with ClientSession(server.url) as session:
        yield session


async def parts(browser: ClientSession, path: str) -> Parts:
    async with browser.get(path) as answer:
        assert answer.status == 200
        return Parts(await answer.text())


@pytest.mark.parametrize(("path", "kind"), [(path, document.content_type) for path, document in documents().items()])
async def test_a_document_is_served_with_its_type_and_a_strict_policy(
    browser: ClientSession, path: str, kind: str
) -> None:
    async with browser.get(path) as answer:
        assert (answer.status, answer.content_type) == (200, kind)
        assert await answer.read() == documents()[path].path.read_bytes()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy


@pytest.mark.parametrize("path", documents())
async def test_a_browser_that_has_a_document_is_not_sent_it_again(browser: ClientSession, path: str) -> None:
    async with browser.get(path) as first:
        assert first.headers["Cache-Control"] == "no-cache"
        known = first.headers["ETag"]
    async with browser.get(path, headers={"If-None-Match": known}) as again:
        assert again.status == 304
    async with browser.get(path, headers={"If-None-Match": '"another"'}) as changed:
        assert changed.status == 200


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_only_files_of_this_server_and_has_nothing_inline(browser: ClientSession, path: str) -> None:
    page = await parts(browser, path)
    assert page.inline == []
    loaded = [place for place in page.loaded if place != "data:,"]
    assert loaded
    for place in loaded:
        assert re.match(r"/(?!/)", place), place
        async with browser.get(place) as answer:
            assert answer.status == 200, place


async def test_every_link_of_the_events_page_leads_somewhere(browser: ClientSession) -> None:
    page = await parts(browser, "/docs/events")
    assert {*BY_EVENT, *EVENTS} <= page.ids
    assert [link for link in page.links if link.startswith("#") and link[1:] not in page.ids] == []
    for link in {link for link in page.links if not link.startswith("#")}:
        async with browser.get(link) as answer:
            assert answer.status == 200, link


async def test_links_of_the_http_reference_into_the_events_page_lead_somewhere(browser: ClientSession) -> None:
    ids = (await parts(browser, "/docs/events")).ids
    linked = re.findall(r"/docs/events#(\w+)", str(openapi()))
    assert linked
    assert set(linked) <= ids


async def test_the_served_paths_are_the_described_paths(browser: ClientSession) -> None:
    """A route that the reference does not have, or has too much, is found here."""
    described = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path)) for path, ways in openapi()["paths"].items() for method in ways
    }
    assert described == served_routes()


def served_routes() -> set[tuple[str, str]]:
    """Those of the running server's own router, without the second prefix, HEAD and what the pages load."""
    from chatcore.metrics import Metrics  # noqa: PLC0415
    from chatcore.transport.http import HttpApi  # noqa: PLC0415
    from chatcore.transport.ops import Ops  # noqa: PLC0415

    ops = Ops(
        metrics=Metrics([]), accounts=None, dev_tokens=False, webhooks=None, ready_checks={}, documents=documents()
    )
    api = HttpApi(None, None, None, ops, addresses=None, origins=(), production=False)  # type: ignore[arg-type]
    parts_of_pages = set(documents()) - {"/docs", "/docs/events", "/openapi.json", "/asyncapi.json"}
    app: web.Application = api.application()
    return {
        (route.method, re.sub(r"\{\w+\}", "{}", route.resource.canonical))
        for route in app.router.routes()
        if route.resource is not None
        and route.method != "HEAD"
        and not route.resource.canonical.startswith("/api/v1/")
        and route.resource.canonical not in parts_of_pages
    }


def test_serving_documents_imports_no_generator(tmp_path: Path) -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    code = "import sys, chatcore.app; print(*[name for name in sys.modules if name.startswith('chatcore.describe')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["chatcore.describe", "chatcore.describe.documents"]
