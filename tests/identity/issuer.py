"""A real issuer on loopback: RSA keys, a JWK set over HTTP, and tokens of any shape."""

import base64
import json
import time
from functools import cache
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Made once for each name; 1024 bits take milliseconds, 2048 some tenths of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def jwk(kid: str | None, key: rsa.RSAPrivateKey, **more: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    found |= {"use": "sig", "alg": "RS256"} | more
    return found | ({"kid": kid} if kid is not None else {})


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: dict[str, Any], payload: object, key: rsa.RSAPrivateKey) -> str:
    """Any header and payload under a true RS256 signature."""
    return sign(f"{part(header)}.{part(payload)}", key)


def sign(body: str, key: rsa.RSAPrivateKey) -> str:
    return f"{body}.{part(RSAAlgorithm(RSAAlgorithm.SHA256).sign(body.encode(), key))}"


class Issuer:
    """`fetches` counts requests for the keys; `failing` makes them answer 500."""

    def __init__(self) -> None:
        self.keys = [jwk("k1", rsa_key("k1"))]
        self.fetches = 0
        self.discoveries = 0
        self.failing = False
        self.body: bytes | None = None
        self.discovery: dict[str, Any] | None = None
        self.redirects = False
        self.url = ""
        self._runner: web.AppRunner | None = None

    @property
    def jwks_url(self) -> str:
        return f"{self.url}/.well-known/jwks.json"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/.well-known/jwks.json", self._jwks)
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def payload(self, **changes: object) -> dict[str, Any]:
        """Good claims; a change to `...` takes the claim out."""
        now = int(time.time())
        claims: dict[str, Any] = {"iss": self.url, "sub": "user_1", "iat": now, "exp": now + 60, "sid": "sess_1"}
        claims |= changes
        return {name: value for name, value in claims.items() if value is not ...}

    def token(
        self, *, kid: str | None = "k1", key: str = "k1", headers: dict[str, Any] | None = None, **changes: object
    ) -> str:
        header = {"alg": "RS256", "typ": "JWT"} | ({"kid": kid} if kid is not None else {}) | (headers or {})
        return signed(header, self.payload(**changes), rsa_key(key))

    async def _jwks(self, request: web.Request) -> web.Response:
        self.fetches += 1
        if self.redirects and not request.query:
            raise web.HTTPFound(f"{self.jwks_url}?redirected")
        if self.failing:
            raise web.HTTPInternalServerError
        return web.Response(body=self.body or json.dumps({"keys": self.keys}).encode(), content_type="application/json")

    async def _discovery(self, request: web.Request) -> web.Response:
        self.discoveries += 1
        return web.json_response(self.discovery or {"issuer": self.url, "jwks_uri": self.jwks_url})
