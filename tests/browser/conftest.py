"""The page in a real Chromium. Where Chromium, npm or its registry are missing, the tests are skipped and say why."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, sync_playwright

from chatcore.settings import Settings
from chatcore.web.libraries import CannotInstall, fetch, find_npm, install
from tests.browser.servers import KillableServer
from tests.browser.visitor import Api, Visitor
from tests.servers import ServerInThread

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "chatcore-tests"
NAMES = ("chromium", "chromium-browser", "google-chrome")
# As root in a container there is no sandbox to be had; the pages are our own.
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


@pytest.fixture(scope="session")
def libraries() -> None:
    """The page's libraries, as `python -m chatcore web install` fetches them."""
    try:
        install(Settings(_env_file=None).web_libraries)
    except CannotInstall as error:
        pytest.skip(f"the page's libraries are not there: {error}")


@pytest.fixture(scope="session")
def axe() -> Path:
    lock = HERE / "package-lock.json"
    kept = CACHE / f"axe-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}.js"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
                fetch(find_npm(), HERE / "package.json", lock, Path(scratch))
                Path(scratch, "node_modules", "axe-core", "axe.min.js").replace(kept)
        except CannotInstall as error:
            pytest.skip(f"axe-core is not there: {error}")
    return kept


@pytest.fixture(scope="module")
def chromium(libraries: None) -> Iterator[Browser]:
    """One for each file: while it is there this thread has a running event loop, in which no other test could run."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("there is no Chromium here; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(chromium: Browser, server: ServerInThread) -> Iterator[Visit]:
    """Opens a window of its own for each visitor. At the end no page may have logged an error or broken its policy."""
    visitors: list[Visitor] = []

    def open_window(name: str = "", url: str = server.url, axe: Path | None = None, **options: Any) -> Visitor:
        context = chromium.new_context(locale="en-GB", **({"viewport": {"width": 1280, "height": 800}} | options))
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=_origin(url))
        visitor = Visitor(context, url, axe)
        visitors.append(visitor)
        if name:
            visitor.signs_in(name)
        return visitor

    yield open_window
    problems = [problem for visitor in visitors for problem in visitor.problems]
    for visitor in visitors:
        visitor.context.close()
    assert problems == []


@pytest.fixture
def api(server: ServerInThread) -> Api:
    return Api(server.url)


@pytest.fixture
def killable(tmp_path: Path, libraries: None) -> Iterator[KillableServer]:
    running = KillableServer(tmp_path)
    running.start()
    yield running
    running.stop()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
