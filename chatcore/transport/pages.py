"""The chat page at `/`: files from memory, with ETags, immutable names and a strict content-security policy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from chatcore.errors import NotFound
from chatcore.web.files import File, Page, missing_page, read_page

FOR_EVER: Final = "public, max-age=31536000, immutable"
# Scripts and styles are files of this server; previews and pictures of messages are blobs, as they need the token.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types chatcore-worker"
)
PAGE_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
ENTRIES: Final = ("/", "/invite/{code}")


class Pages:
    """Answers `/`, the page's files, and the few files that browsers want at the root."""

    def __init__(self, libraries: Path, facts: Mapping[str, Any], *, media_origin: str = ""):
        """`media_origin` is where links to pictures and files lead that are not on this server."""
        policy = POLICY.replace("connect-src 'self'", f"connect-src 'self' {media_origin}".rstrip())
        self._headers = PAGE_HEADERS | {"Content-Security-Policy": policy}
        self._libraries = libraries
        self._facts = facts
        self._page: Page | None = None

    def add_routes(self, app: web.Application) -> None:
        for path in ENTRIES:
            app.router.add_get(path, self._entry)
        app.router.add_get("/assets/{build}/{name:.+}", self._asset)
        for path in ("/manifest.webmanifest", "/icon.svg", "/favicon.ico", "/service-worker.js"):
            app.router.add_get(path, self._root)

    @property
    def page(self) -> Page | None:
        """Read at the first request, and again at later ones until the libraries are there."""
        if self._page is None:
            try:
                self._page = read_page(self._libraries, self._facts)
            except FileNotFoundError:
                return None
        return self._page

    async def _entry(self, request: web.Request) -> web.Response:
        page = self.page
        return _answer(request, missing_page() if page is None else page.entry, self._headers)

    async def _asset(self, request: web.Request) -> web.Response:
        page = self.page
        build, name = request.match_info["build"], request.match_info["name"]
        if page is None or build != page.build or name not in page.assets:
            raise NotFound("The page has no such file; load it again")
        return _answer(request, page.assets[name], {"Cache-Control": FOR_EVER})

    async def _root(self, request: web.Request) -> web.Response:
        path = "/icon.svg" if request.path == "/favicon.ico" else request.path
        page = self.page
        if page is None:
            raise NotFound("The page's libraries are not installed")
        return _answer(request, page.roots[path], {"Cache-Control": "no-cache"})


def _answer(request: web.Request, file: File, headers: Mapping[str, str]) -> web.Response:
    """304 to a browser that has it; gzip to one that takes it."""
    answer = {**headers, "ETag": file.etag, "Vary": "Accept-Encoding"}
    if file.etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=answer)
    answer["Content-Type"] = file.content_type
    if file.packed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=file.packed, headers={**answer, "Content-Encoding": "gzip"})
    return web.Response(body=file.body, headers=answer)
