"""What is served at `/openapi.json`, `/asyncapi.json` and `/docs`: files, read when somebody asks for them.

Imported by the running server: nothing here may import a generator. The HTTP page is Swagger UI, from the files of the
package `offapi`; that package is looked up and never imported.
"""

from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final

from chatcore.transport.ops import Document

REFERENCE: Final = Path(__file__).parents[1] / "reference"
PAGES: Final = Path(__file__).parent / "pages"
# No inline script or style, nothing from elsewhere. Swagger UI keeps its icons in `data:` URLs.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REVALIDATED: Final = {"Cache-Control": "no-cache"}
PAGE_HEADERS: Final = MappingProxyType({**REVALIDATED, "Content-Security-Policy": PAGE_POLICY})
DATA_HEADERS: Final = MappingProxyType(REVALIDATED)


def documents() -> dict[str, Document]:
    """By path. Where `offapi` is not installed there is no `/docs`, and all else is served."""
    found = {
        "/openapi.json": _data("openapi.json", "application/json"),
        "/asyncapi.json": _data("asyncapi.json", "application/json"),
        "/docs/schema.json": _data("schema.json", "application/schema+json"),
        "/docs/chatcore.d.ts": _data("chatcore.d.ts", "text/plain"),
        "/docs/events": Document(REFERENCE / "events.html", "text/html", PAGE_HEADERS),
        "/docs/pages.css": Document(PAGES / "pages.css", "text/css", DATA_HEADERS),
    }
    viewer = _viewer_folder()
    if viewer is not None:
        found["/docs"] = Document(PAGES / "http.html", "text/html", PAGE_HEADERS)
        found["/docs/http.js"] = Document(PAGES / "http.js", "text/javascript", DATA_HEADERS)
        found["/docs/swagger-ui.js"] = Document(viewer / "swagger_bundle.js", "text/javascript", DATA_HEADERS)
        found["/docs/swagger-ui.css"] = Document(viewer / "swagger_style.css", "text/css", DATA_HEADERS)
    return found


def _data(name: str, content_type: str) -> Document:
    return Document(REFERENCE / name, content_type, DATA_HEADERS)


def _viewer_folder() -> Path | None:
    package = find_spec("offapi")
    return Path(package.origin).parent if package is not None and package.origin else None
