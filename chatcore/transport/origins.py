"""Which web pages may open a session (browsers apply no same-origin rule to WebSockets by themselves)."""

from urllib.parse import urlsplit

from aiohttp import web


class Origins:
    """`allowed` None: only pages of this very server. `("*",)`: any page."""

    def __init__(self, allowed: tuple[str, ...] | None) -> None:
        self._allowed = None if allowed is None else frozenset(origin.rstrip("/").lower() for origin in allowed)

    def admit(self, request: web.Request) -> bool:
        origin = request.headers.get("Origin")
        if origin is None:
            return True
        if self._allowed is None:
            return _is_same_origin(origin, request)
        return "*" in self._allowed or origin.lower() in self._allowed

    def headers(self, request: web.Request) -> dict[str, str]:
        """Of every answer to an admitted request."""
        origin = request.headers.get("Origin")
        if origin is None:
            return {}
        headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        if self._allowed is None or "*" not in self._allowed:
            headers["Access-Control-Allow-Credentials"] = "true"
        return headers

    def preflight_headers(self, request: web.Request) -> dict[str, str]:
        headers = self.headers(request)
        headers["Access-Control-Allow-Methods"] = "GET, POST"
        if asked := request.headers.get("Access-Control-Request-Headers"):
            headers["Access-Control-Allow-Headers"] = asked
        return headers


def _is_same_origin(origin: str, request: web.Request) -> bool:
    """A TLS proxy in front hides the scheme from us: a page over https is the same site, one over http is not."""
    parts = urlsplit(origin.lower())
    scheme_fits = parts.scheme == "https" or (parts.scheme == "http" and not request.secure)
    return scheme_fits and parts.netloc == (request.host or "").lower()
