"""What a token may look like and what it may say, whoever signed it (RFC 7515, 7519 and 8725)."""

import base64
import binascii
import functools
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Never, get_args

from chatcore.contract.people import ServerRole
from chatcore.errors import TokenExpired, TokenMissing, Unauthenticated
from chatcore.identity.records import Profile

MAX_TOKEN_BYTES: Final = 8192
LEEWAY_SECONDS: Final = 5
MAX_NAME: Final = 100
MAX_TIME: Final = 253_402_300_799  # the last second of the year 9999, where datetime ends
SERVER_ROLES: Final = frozenset(get_args(ServerRole))

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")
# A key, or where to fetch one, named by the token itself; extensions that we would have to understand.
_REFUSED_HEADERS = frozenset({"jwk", "jku", "x5u", "crit", "b64", "zip", "enc"})
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True)
class Claims:
    """A verified token. `session_id` is 24 hex characters, the same for every token of one sign-in on one device.

    `renewable`: the issuer gives many tokens to one session (`sid`), so the session outlives this token.
    """

    sub: str
    issuer: str
    session_id: str
    issued_at: float
    expires_at: datetime
    profile: Profile = field(default_factory=Profile)
    roles: frozenset[str] = field(default_factory=frozenset)
    renewable: bool = False
    development: bool = False


@dataclass(frozen=True, slots=True)
class UncheckedToken:
    """A token of the right form. Nothing in it is to be believed."""

    text: str
    header: Mapping[str, Any]
    payload: Mapping[str, Any]
    signature: bytes

    @property
    def signed(self) -> bytes:
        """What the signature is over."""
        return self.text.rpartition(".")[0].encode()

    @property
    def issuer(self) -> object:
        return self.payload.get("iss")

    @property
    def key_id(self) -> str | None:
        return self.header.get("kid")


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What one issuer's tokens must say.

    An empty `audience` is not looked at. `authorized_parties` is, in tokens that carry `azp`; None leaves it out.
    """

    issuer: str
    audience: str = ""
    authorized_parties: Collection[str] | None = None
    roles_claim: str = "roles"
    fractional_iat: bool = False

    def check(self, token: UncheckedToken, now: float) -> Claims:
        """Raises Unauthenticated; TokenExpired only when nothing else is wrong."""
        payload, signature = token.payload, token.text.rpartition(".")[2]
        if payload.get("iss") != self.issuer:
            refuse("The token is from another issuer")
        sub = _text(payload, "sub", 255)
        if not sub:
            refuse("The token names no user")
        issued_at, expires_at = self._times(payload, now)
        self._check_parties(payload)
        if payload.get("sts", "active") != "active":
            refuse("The issuer has not finished this sign-in")
        claims = Claims(
            sub=sub,
            issuer=self.issuer,
            session_id=session_id_of(self.issuer, sub, _handle(payload, signature)),
            issued_at=issued_at,
            expires_at=datetime.fromtimestamp(expires_at, UTC),
            profile=_profile(payload),
            roles=_roles(payload, self.roles_claim),
            renewable=bool(_text(payload, "sid", 255)),
            development=payload.get("dev") is True,
        )
        if expires_at + LEEWAY_SECONDS <= now:
            raise TokenExpired()
        return claims

    def _times(self, payload: Mapping[str, Any], now: float) -> tuple[float, int]:
        exp, iat, nbf = payload.get("exp"), payload.get("iat"), payload.get("nbf", 0)
        kinds: tuple[type, ...] = (int, float) if self.fractional_iat else (int,)
        if type(exp) is not int or type(iat) not in kinds or type(nbf) is not int:
            refuse("The token's times are missing or not numbers")
        assert isinstance(exp, int)
        assert isinstance(iat, int | float)
        if not (0 <= exp <= MAX_TIME and 0 <= iat <= now + LEEWAY_SECONDS and nbf <= now + LEEWAY_SECONDS):
            refuse("The token is not valid yet, or its times are impossible")
        return iat, exp

    def _check_parties(self, payload: Mapping[str, Any]) -> None:
        party, audience = payload.get("azp"), payload.get("aud")
        allowed = self.authorized_parties
        if "azp" in payload and allowed is not None and (not isinstance(party, str) or party not in allowed):
            refuse("The token was made for another application")
        audiences = audience if isinstance(audience, list) else [audience]
        if self.audience and self.audience not in audiences:
            refuse("The token was made for another service")


def parse(token: str) -> UncheckedToken:
    """Refuse every form but the one: three base64url parts without padding, one plain header, JSON without doubles."""
    if not token:
        raise TokenMissing()
    if len(token) > MAX_TOKEN_BYTES or not _COMPACT.match(token):
        refuse("The token is not a JWT of at most 8 KB")
    header_part, payload_part, signature_part = token.split(".")
    signature = _decode(signature_part)
    header, payload = _header(header_part), _object(payload_part)
    if not _REFUSED_HEADERS.isdisjoint(header):
        refuse("The token's header asks for something that is not done here")
    kid, kind = header.get("kid"), header.get("typ", "JWT")
    if kid is not None and (not isinstance(kid, str) or not 0 < len(kid) <= 255):
        refuse("The token's key id is not a short text")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        refuse("The token is of another type")
    return UncheckedToken(token, header, payload, signature)


def session_id_of(issuer: str, sub: str, handle: str) -> str:
    """Never the issuer's own session id: that stays between the issuer and the device."""
    parts = "".join(f"{len(part)}:{part}" for part in (issuer, sub, handle))
    return hashlib.sha256(parts.encode()).hexdigest()[:24]


def refuse(message: str) -> Never:
    raise Unauthenticated(message)


def _decode(part: str) -> bytes:
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        refuse("The token is not base64url")
    # One text per content: otherwise a revoked token could be spelled differently.
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        refuse("The token is not base64url")
    return decoded


@functools.lru_cache(maxsize=16)
def _header(part: str) -> Mapping[str, Any]:
    """Nearly all tokens begin with the same one."""
    return MappingProxyType(_object(part))


def _object(part: str) -> dict[str, Any]:
    try:
        found = _JSON.decode(_decode(part).decode("utf-8"))
    except (ValueError, RecursionError):
        refuse("The token is not made of JSON objects")
    if not isinstance(found, dict):
        refuse("The token is not made of JSON objects")
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(object_pairs_hook=_without_doubles, parse_constant=_no_constant)


def _text(payload: Mapping[str, Any], name: str, limit: int) -> str:
    """ "" where the claim is absent; a claim of another type, too long or not storable refuses the token."""
    value = payload.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > limit or not storable(value):
        refuse(f"The token's `{name}` is not a text of at most {limit} characters")
    return value


def storable(text: str) -> bool:
    """JSON lets NUL and half surrogate pairs through; BSON does not."""
    if "\x00" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _handle(payload: Mapping[str, Any], signature: str) -> str:
    return _text(payload, "sid", 255) or _text(payload, "jti", 255) or signature


def _profile(payload: Mapping[str, Any]) -> Profile:
    def first(*names: str, limit: int = 1000) -> str:
        return next((text for name in names if (text := _text(payload, name, limit).strip())), "")

    image = first("picture", "image_url", "image", limit=2048)
    return Profile(
        name=first("name", "full_name")[:MAX_NAME],
        first_name=first("given_name", "first_name")[:MAX_NAME],
        last_name=first("family_name", "last_name")[:MAX_NAME],
        username=first("preferred_username", "username")[:MAX_NAME],
        image_url=image if image.startswith("https://") else "",
        email=first("email")[:320],
    )


def _roles(payload: Mapping[str, Any], path: str) -> frozenset[str]:
    """A list or a spaced text under `path`: the claim of that name, or else a way through nested objects by dots."""
    found: Any = payload.get(path)
    if found is None:
        found = payload
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
    names = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    return frozenset(name for name in names if isinstance(name, str) and name in SERVER_ROLES)
