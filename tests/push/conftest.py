"""A push service on this machine that reads as a browser would: it checks who sends, and opens what was sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chatcore.push.sealing import written_point
from chatcore.push.vapid import as_bytes, as_text

Json = dict[str, Any]


@dataclass(frozen=True)
class Browser:
    """The receiving side of RFC 8291, on its own: nothing here is taken from the sending side but the point's form."""

    path: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    secret: bytes = b"0123456789abcdef"

    @property
    def point(self) -> bytes:
        return written_point(self.key.public_key())

    def given(self, url: str, **more: Any) -> Json:
        """As `PushSubscription.toJSON()` has it."""
        keys = {"p256dh": as_text(self.point), "auth": as_text(self.secret)}
        return {"endpoint": f"{url}/{self.path}", "expirationTime": None, "keys": keys} | more

    def opens(self, body: bytes) -> bytes:
        salt, size, theirs = body[:16], int.from_bytes(body[16:20], "big"), body[21 : 21 + body[20]]
        assert len(body) - 21 - len(theirs) <= size
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
        info = b"WebPush: info\x00" + self.point + theirs
        material = HKDF(SHA256(), 32, self.secret, info).derive(shared)
        key = HKDF(SHA256(), 16, salt, b"Content-Encoding: aes128gcm\x00").derive(material)
        nonce = HKDF(SHA256(), 12, salt, b"Content-Encoding: nonce\x00").derive(material)
        plain, mark, _ = AESGCM(key).decrypt(nonce, body[21 + len(theirs) :], None).rpartition(b"\x02")
        assert mark
        return plain


@dataclass(frozen=True)
class Pushed:
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class PushService:
    """Answers 201, or what a test told it for a path, in turn."""

    url: str = ""
    pushed: list[Pushed] = field(default_factory=list)
    answers: dict[str, list[web.Response]] = field(default_factory=dict)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    hanging: set[str] = field(default_factory=set)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        path = request.path.lstrip("/")
        self.pushed.append(Pushed(path, dict(request.headers), await request.read()))
        self.came.set()
        if path in self.hanging:
            await self.release.wait()
        waiting = self.answers.get(path, [])
        return waiting.pop(0) if waiting else web.Response(status=201)

    async def got(self, count: int) -> list[Pushed]:
        """Once so many have come."""
        async with asyncio.timeout(10):
            while len(self.pushed) < count:
                self.came.clear()
                await self.came.wait()
        return self.pushed

    def sender_of(self, pushed: Pushed, public_key: str) -> Json:
        """What the sender signed, after checking it as a push service must."""
        scheme, _, rest = pushed.headers["Authorization"].partition(" ")
        said = dict(part.strip().split("=", 1) for part in rest.split(","))
        assert (scheme, said["k"]) == ("vapid", public_key)
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), as_bytes(said["k"]))
        claims: Json = jwt.decode(said["t"], key, algorithms=["ES256"], audience=self.url)
        return claims

    def read(self, pushed: Pushed, browser: Browser) -> Json:
        content: Json = json.loads(browser.opens(pushed.body))
        return content


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    service = PushService()
    app = web.Application()
    app.router.add_post("/{path:.*}", service.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        service.release.set()
        await runner.cleanup()
