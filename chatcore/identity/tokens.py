"""Verifying tokens: an issuer's by its published keys, local ones by a key of our own."""

import json
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import aiohttp
import jwt

from chatcore.contract.people import TokenIssued
from chatcore.errors import Unauthenticated
from chatcore.identity.claims import ClaimRules, Claims, UncheckedToken, parse, refuse
from chatcore.identity.keys import KeyCache
from chatcore.identity.records import Profile

FETCH_TIMEOUT_SECONDS: Final = 5.0
MAX_DOCUMENT_BYTES: Final = 256 * 1024
LOCAL_AUDIENCE: Final = "chatcore"
MIN_LOCAL_KEY_BYTES: Final = 32

_ALGORITHMS = {name: jwt.get_algorithm_by_name(name) for name in ("HS256", "RS256")}


class TokenVerifier(Protocol):
    async def verify(self, token: str) -> Claims:
        """Raises TokenMissing, TokenExpired, Unauthenticated, or Unavailable when the issuer's keys cannot be had."""


class Issuer(TokenVerifier, Protocol):
    async def check(self, token: UncheckedToken) -> Claims:
        """The same for a token that was taken apart already."""


class JwksVerifier:
    """Tokens of an issuer that publishes its keys: Clerk, or any OpenID Connect provider. RS256 only.

    Without `jwks_url` the issuer's discovery document names it, read once. `authorized_parties` is the allow-list for
    `azp`, where a token carries one; native clients send none, and an empty list refuses all that do. `allow_http` is
    for an issuer on 127.0.0.1 in development.
    """

    def __init__(
        self,
        issuer: str,
        *,
        audience: str = "",
        authorized_parties: Collection[str] = (),
        roles_claim: str = "roles",
        jwks_url: str | None = None,
        allow_http: bool = False,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._issuer = issuer
        self._allow_http = allow_http
        self._require_safe(issuer)
        self._jwks_url = jwks_url
        self._rules = ClaimRules(issuer, audience, frozenset(authorized_parties), roles_claim)
        self._now = now
        self._keys = KeyCache(self._fetch_keys, clock)

    @property
    def issuer(self) -> str:
        return self._issuer

    async def verify(self, token: str) -> Claims:
        return await self.check(parse(token))

    async def check(self, token: UncheckedToken) -> Claims:
        if token.issuer != self._issuer:
            refuse("The token is from another issuer")
        _check_signature(token, await self._keys.key(token.key_id), "RS256")
        return self._rules.check(token, self._now())

    async def _fetch_keys(self) -> bytes:
        if self._jwks_url is None:
            self._jwks_url = await self._discover()
        self._require_safe(self._jwks_url)
        return await _fetch(self._jwks_url)

    async def _discover(self) -> str:
        document = json.loads(await _fetch(self._issuer.rstrip("/") + "/.well-known/openid-configuration"))
        if not isinstance(document, dict) or document.get("issuer") != self._issuer:
            raise ValueError("the discovery document is about another issuer")
        url = document.get("jwks_uri")
        if not isinstance(url, str):
            raise ValueError("the discovery document names no keys")
        return url

    def _require_safe(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (
            self._allow_http and parts.scheme == "http" and parts.hostname == "127.0.0.1"
        ):
            raise ValueError("an issuer and its keys are reached by https only")


class LocalIssuer:
    """Signs and verifies tokens of accounts that this server keeps itself: HS256 with a random key of 32 bytes or more.

    `development` tokens name anybody; they are made and believed only where the settings allow it.
    """

    def __init__(
        self, key: bytes, *, issuer: str, development_tokens: bool = False, now: Callable[[], float] = time.time
    ):
        if len(key) < MIN_LOCAL_KEY_BYTES:
            raise ValueError("the local issuer's key needs 32 bytes")
        self._key = key
        self.development_tokens = development_tokens
        self._now = now
        self._rules = ClaimRules(issuer, LOCAL_AUDIENCE, fractional_iat=True)

    @property
    def issuer(self) -> str:
        return self._rules.issuer

    def issue(
        self,
        user_id: str,
        profile: Profile,
        lifetime: timedelta,
        *,
        roles: Collection[str] = (),
        development: bool = False,
    ) -> TokenIssued:
        """A token with a session of its own. `iat` has fractions, to tell it from tokens revoked just before."""
        if development and not self.development_tokens:
            raise Unauthenticated("Development tokens are off on this server")
        now = self._now()
        expires_at = int(now + lifetime.total_seconds())
        payload: dict[str, Any] = {
            "iss": self.issuer,
            "aud": LOCAL_AUDIENCE,
            "sub": user_id,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": expires_at,
            "roles": sorted(roles),
            **_profile_claims(profile),
        }
        if development:
            payload["dev"] = True
        token = jwt.encode(payload, self._key, algorithm="HS256")
        return TokenIssued(token=token, user_id=user_id, expires_at=datetime.fromtimestamp(expires_at, UTC))

    async def verify(self, token: str) -> Claims:
        return await self.check(parse(token))

    async def check(self, token: UncheckedToken) -> Claims:
        _check_signature(token, self._key, "HS256")
        claims = self._rules.check(token, self._now())
        if claims.development and not self.development_tokens:
            refuse("Development tokens are off on this server")
        return claims


class OneOf:
    """Several issuers, by name. The token's own `iss` only chooses who verifies it, in full."""

    def __init__(self, issuers: Mapping[str, Issuer]):
        self._issuers = dict(issuers)

    async def verify(self, token: str) -> Claims:
        unchecked = parse(token)
        issuer = self._issuers.get(unchecked.issuer) if isinstance(unchecked.issuer, str) else None
        if issuer is None:
            refuse("The token is from another issuer")
        return await issuer.check(unchecked)


def _check_signature(token: UncheckedToken, key: Any, algorithm: str) -> None:
    """By this algorithm, never by the token's choice: a public key must not be taken for an HMAC secret."""
    if token.header.get("alg") != algorithm or not _ALGORITHMS[algorithm].verify(token.signed, key, token.signature):
        refuse("The token's signature is wrong")


async def _fetch(url: str) -> bytes:
    """OSError, TimeoutError or ValueError on any failure. Redirects are failures: they could lead to plain HTTP."""
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError(f"the issuer answered {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise ValueError("the issuer's document is too large")
    except aiohttp.ClientError as error:
        raise OSError("the issuer does not answer") from error
    return bytes(body)


def _profile_claims(profile: Profile) -> dict[str, str]:
    named = {
        "name": profile.name,
        "given_name": profile.first_name,
        "family_name": profile.last_name,
        "preferred_username": profile.username,
        "picture": profile.image_url,
        "email": profile.email,
    }
    return {name: value for name, value in named.items() if value}
