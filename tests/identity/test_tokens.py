"""Tokens of an issuer with published keys: which are believed, and what the keys cost."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from chatcore.errors import ChatError, TokenExpired, TokenMissing, Unauthenticated, Unavailable
from chatcore.identity.claims import parse
from chatcore.identity.keys import read_keys
from chatcore.identity.records import Profile
from chatcore.identity.tokens import JwksVerifier, LocalIssuer, OneOf
from tests.identity.conftest import Clock
from tests.identity.issuer import Issuer, jwk, part, public_pem, rsa_key, sign, signed

ORIGIN = "https://chat.example.org"


def verifier(issuer: Issuer, **options: Any) -> JwksVerifier:
    settings: dict[str, Any] = {"authorized_parties": [ORIGIN], "jwks_url": issuer.jwks_url, "allow_http": True}
    return JwksVerifier(issuer.url, **(settings | options))


async def code_of(checked: JwksVerifier | LocalIssuer | OneOf, token: str) -> str:
    try:
        await checked.verify(token)
    except ChatError as error:
        return error.code
    return "accepted"


async def test_a_good_token_tells_who_it_is(issuer: Issuer) -> None:
    token = issuer.token(
        name="Ada Lovelace", given_name="Ada", email="ada@example.org", picture="https://example.org/a.png",
        roles=["reviewer", "emperor"], azp=ORIGIN,
    )  # fmt: skip
    claims = await verifier(issuer).verify(token)
    assert claims.sub == "user_1"
    assert claims.profile == Profile(
        name="Ada Lovelace", first_name="Ada", email="ada@example.org", image_url="https://example.org/a.png"
    )
    assert claims.roles == {"reviewer"}
    assert claims.renewable


async def test_all_tokens_of_one_session_share_an_id_that_does_not_show_the_issuers(issuer: Issuer) -> None:
    checked = verifier(issuer)
    first = await checked.verify(issuer.token(iat=int(time.time()) - 5))
    second = await checked.verify(issuer.token())
    other = await checked.verify(issuer.token(sid="sess_2"))
    stranger = await checked.verify(issuer.token(sub="user_2"))
    assert first.session_id == second.session_id
    assert len({first.session_id, other.session_id, stranger.session_id}) == 3
    assert "sess" not in first.session_id


@pytest.mark.parametrize("path", ["realm_access.roles", "https://example.org/roles"])
async def test_roles_stand_in_the_configured_claim_nested_or_with_dots_in_its_name(issuer: Issuer, path: str) -> None:
    claims = {"realm_access": {"roles": ["operator"]}, "https://example.org/roles": "operator analyst"}
    found = await verifier(issuer, roles_claim=path).verify(issuer.token(**claims))
    assert "operator" in found.roles


def _hs256_with_the_public_key(issuer: Issuer) -> str:
    body = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1'})}.{part(issuer.payload())}"
    return f"{body}.{part(hmac.digest(public_pem(rsa_key('k1')), body.encode(), hashlib.sha256))}"


def _own_key_in(header: dict[str, Any]) -> Callable[[Issuer], str]:
    return lambda issuer: signed({"alg": "RS256", "kid": "k1"} | header, issuer.payload(), rsa_key("thief"))


def _truly_signed_with(header: dict[str, Any]) -> Callable[[Issuer], str]:
    return lambda issuer: issuer.token(headers=header)


def _claims(**changes: object) -> Callable[[Issuer], str]:
    return lambda issuer: issuer.token(**changes)


def _raw_payload(text: str) -> Callable[[Issuer], str]:
    return lambda issuer: signed(
        {"alg": "RS256", "kid": "k1"}, text.replace("ISSUER", issuer.url).encode(), rsa_key("k1")
    )


def _padded(issuer: Issuer) -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"k1"}').decode()
    assert header.endswith("=")
    return sign(f"{header}.{part(issuer.payload())}", rsa_key("k1"))


def _respelled(issuer: Issuer) -> str:
    """The same bytes in other letters: the last letter of a 256-byte signature has unused bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = issuer.token()
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


NOW = int(time.time())
HOSTILE: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "nothing": (lambda _: "", "token_missing"),
    "words": (lambda _: "let me in", "token_invalid"),
    "two parts": (lambda i: i.token().rpartition(".")[0], "token_invalid"),
    "four parts": (lambda i: i.token() + ".e30", "token_invalid"),
    "an empty signature": (lambda i: i.token().rpartition(".")[0] + ".", "token_invalid"),
    "alg none without a signature": (lambda i: f"{part({'alg': 'none'})}.{part(i.payload())}.", "token_invalid"),
    "alg none with a signature": (_truly_signed_with({"alg": "none"}), "token_invalid"),
    "alg NONE": (_truly_signed_with({"alg": "NONE"}), "token_invalid"),
    "no alg": (lambda i: signed({"kid": "k1"}, i.payload(), rsa_key("k1")), "token_invalid"),
    "alg as a list": (_truly_signed_with({"alg": ["RS256"]}), "token_invalid"),
    "alg RS512": (_truly_signed_with({"alg": "RS512"}), "token_invalid"),
    "HS256 with the public key as the secret": (_hs256_with_the_public_key, "token_invalid"),
    "another's key under a known kid": (_own_key_in({}), "token_invalid"),
    "own key in jwk": (_own_key_in({"jwk": jwk("k1", rsa_key("thief"))}), "token_invalid"),
    "own key behind jku": (_own_key_in({"jku": "http://127.0.0.1:9/keys"}), "token_invalid"),
    "own key behind x5u": (_own_key_in({"x5u": "http://127.0.0.1:9/cert"}), "token_invalid"),
    "jwk beside a true signature": (_truly_signed_with({"jwk": jwk("k1", rsa_key("k1"))}), "token_invalid"),
    "an unknown critical extension": (_truly_signed_with({"crit": ["exp"]}), "token_invalid"),
    "an unencoded payload": (_truly_signed_with({"b64": False}), "token_invalid"),
    "a compressed payload": (_truly_signed_with({"zip": "DEF"}), "token_invalid"),
    "kid as a path": (_truly_signed_with({"kid": "../../../../dev/null"}), "token_invalid"),
    "kid as a query": (_truly_signed_with({"kid": "' UNION SELECT 'k1"}), "token_invalid"),
    "kid as an object": (_truly_signed_with({"kid": {"$ne": ""}}), "token_invalid"),
    "kid of 10,000 characters": (_truly_signed_with({"kid": "k" * 5_000}), "token_invalid"),
    "typ of a logout token": (_truly_signed_with({"typ": "logout+jwt"}), "token_invalid"),
    "a header that is a list": (lambda i: f"{part([1])}.{part(i.payload())}.AAAA", "token_invalid"),
    "a header of nested lists": (lambda i: f"{part(b'[' * 5_000)}.{part(i.payload())}.AAAA", "token_invalid"),
    "padding": (_padded, "token_invalid"),
    "another spelling of the signature": (_respelled, "token_invalid"),
    "a line feed at the end": (lambda i: i.token() + "\n", "token_invalid"),
    "a NUL": (lambda i: i.token() + "\x00", "token_invalid"),
    "a lone surrogate": (lambda i: i.token() + "\ud800", "token_invalid"),
    "more than 8 KB": (lambda i: i.token(padding="x" * 8_000), "token_invalid"),
    "exp as a string": (_claims(exp=str(NOW + 600)), "token_invalid"),
    "exp as a fraction": (_claims(exp=NOW + 600.5), "token_invalid"),
    "exp as true": (_claims(exp=True), "token_invalid"),
    "exp missing": (_claims(exp=...), "token_invalid"),
    "exp after the end of time": (_claims(exp=10**18), "token_invalid"),
    "exp of 5,000 digits": (
        _raw_payload('{"iss":"ISSUER","sub":"u","iat":1,"exp":' + "9" * 5_000 + "}"), "token_invalid"
    ),
    "exp not a number": (_raw_payload('{"iss":"ISSUER","sub":"u","iat":1,"exp":NaN}'), "token_invalid"),
    "two subjects": (
        _raw_payload(f'{{"iss":"ISSUER","sub":"u","sub":"admin","iat":1,"exp":{NOW + 600}}}'), "token_invalid"
    ),
    "expired": (_claims(iat=NOW - 600, exp=NOW - 60), "token_expired"),
    "expired and for another application": (_claims(exp=NOW - 60, azp="https://evil.example"), "token_invalid"),
    "not yet valid": (_claims(nbf=NOW + 600), "token_invalid"),
    "issued in the future": (_claims(iat=NOW + 600, exp=NOW + 900), "token_invalid"),
    "iat missing": (_claims(iat=...), "token_invalid"),
    "iat as a string": (_claims(iat=str(NOW)), "token_invalid"),
    "sub missing": (_claims(sub=...), "token_invalid"),
    "sub empty": (_claims(sub=""), "token_invalid"),
    "sub as an operator": (_claims(sub={"$gt": ""}), "token_invalid"),
    "sub with half a surrogate pair": (_claims(sub="user_\ud800"), "token_invalid"),
    "sub with a NUL": (_claims(sub="user\x00"), "token_invalid"),
    "sub of 300 characters": (_claims(sub="u" * 300), "token_invalid"),
    "name as an object": (_claims(name={"$set": 1}), "token_invalid"),
    "email with half a surrogate pair": (_claims(email="a\udfff@example.org"), "token_invalid"),
    "iss missing": (_claims(iss=...), "token_invalid"),
    "iss of another": (_claims(iss="https://evil.example"), "token_invalid"),
    "iss with a slash more": (lambda i: i.token(iss=i.url + "/"), "token_invalid"),
    "iss as a list": (lambda i: i.token(iss=[i.url]), "token_invalid"),
    "azp of another": (_claims(azp="https://evil.example"), "token_invalid"),
    "azp null": (_claims(azp=None), "token_invalid"),
    "azp as a list": (_claims(azp=[ORIGIN]), "token_invalid"),
    "a sign-in that the issuer has not finished": (_claims(sts="pending"), "token_invalid"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_token_is_refused_with_its_code(issuer: Issuer, name: str) -> None:
    make, code = HOSTILE[name]
    checked = verifier(issuer)
    assert await code_of(checked, issuer.token()) == "accepted"
    assert await code_of(checked, make(issuer)) == code
    assert issuer.fetches <= 1, "a token chose what we fetch"


@pytest.mark.parametrize(
    ("audience", "code"),
    [("chat", "accepted"), (["x", "chat"], "accepted")]
    + [(wrong, "token_invalid") for wrong in ("other", ..., [], {"chat": 1}, None)],
)  # fmt: skip
async def test_a_configured_audience_is_required(issuer: Issuer, audience: object, code: str) -> None:
    assert await code_of(verifier(issuer, audience="chat"), issuer.token(aud=audience)) == code


async def test_an_azp_needs_an_allow_list_that_names_it(issuer: Issuer) -> None:
    assert await code_of(verifier(issuer, authorized_parties=()), issuer.token(azp=ORIGIN)) == "token_invalid"
    assert await code_of(verifier(issuer, authorized_parties=()), issuer.token()) == "accepted"


@pytest.mark.parametrize(("late", "code"), [(4, "accepted"), (6, "token_expired")])
async def test_expiry_has_a_leeway_of_five_seconds(issuer: Issuer, late: int, code: str) -> None:
    now = time.time()
    token = issuer.token(exp=int(now) + 30)
    assert await code_of(verifier(issuer, now=lambda: int(now) + 30 + late), token) == code


@pytest.mark.parametrize(
    "entry",
    [
        jwk("weak", rsa_key("weak", 1024)),
        jwk("weak", rsa_key("k2"), use="enc"),
        jwk("weak", rsa_key("k2"), alg="RS512"),
        jwk("weak", rsa_key("k2"), kty="EC"),
        jwk("weak", rsa_key("k2"), n="!"),
        {"kty": "oct", "kid": "weak", "k": "AAAA"},
        "weak",
    ],
    ids=["1024 bits", "for encryption", "for RS512", "another type", "broken", "symmetric", "text"],
)
async def test_a_published_key_that_is_not_for_rs256_of_2048_bits_is_no_key(issuer: Issuer, entry: Any) -> None:
    issuer.keys = [jwk("k1", rsa_key("k1")), entry]
    name = "weak" if isinstance(entry, dict) and entry.get("n") == jwk(None, rsa_key("weak", 1024))["n"] else "k2"
    assert await code_of(verifier(issuer), issuer.token(kid="weak", key=name)) == "token_invalid"
    assert await code_of(verifier(issuer), issuer.token()) == "accepted"


async def test_a_token_may_leave_out_the_kid_of_a_lone_key_only(issuer: Issuer) -> None:
    assert await code_of(verifier(issuer), issuer.token(kid=None)) == "accepted"
    issuer.keys.append(jwk("k2", rsa_key("k2")))
    assert await code_of(verifier(issuer), issuer.token(kid=None)) == "token_invalid"


async def test_a_rotated_key_is_found_at_once_and_old_keys_go(issuer: Issuer, clock: Clock) -> None:
    checked = verifier(issuer, clock=clock)
    await checked.verify(issuer.token())
    clock.pass_seconds(31)
    issuer.keys = [jwk("k2", rsa_key("k2"))]
    await checked.verify(issuer.token(kid="k2", key="k2"))
    assert issuer.fetches == 2
    assert await code_of(checked, issuer.token()) == "token_invalid"


async def test_keys_are_fetched_once_in_an_hour(issuer: Issuer, clock: Clock) -> None:
    checked = verifier(issuer, clock=clock)
    for _ in range(5):
        await checked.verify(issuer.token())
        clock.pass_seconds(1000)
    assert issuer.fetches == 2


async def test_a_storm_of_first_tokens_makes_one_fetch(issuer: Issuer) -> None:
    checked = verifier(issuer)
    await asyncio.gather(*(checked.verify(issuer.token(sub=f"user_{number}")) for number in range(50)))
    assert issuer.fetches == 1


async def test_a_storm_of_unknown_keys_makes_one_fetch_in_thirty_seconds(issuer: Issuer, clock: Clock) -> None:
    checked = verifier(issuer, clock=clock)
    await checked.verify(issuer.token())
    clock.pass_seconds(60)
    for burst in range(3):
        tokens = [issuer.token(kid=f"made-up-{burst}-{number}") for number in range(30)]
        assert set(await asyncio.gather(*(code_of(checked, token) for token in tokens))) == {"token_invalid"}
        clock.pass_seconds(14)
    assert issuer.fetches == 2
    clock.pass_seconds(31)
    assert await code_of(checked, issuer.token(kid="made-up")) == "token_invalid"
    assert issuer.fetches == 3


async def test_stale_keys_serve_a_day_of_outage_and_no_longer(issuer: Issuer, clock: Clock) -> None:
    checked = verifier(issuer, clock=clock)
    await checked.verify(issuer.token())
    issuer.failing = True
    clock.pass_seconds(23 * 3600)
    assert await code_of(checked, issuer.token()) == "accepted"
    clock.pass_seconds(3601)
    assert await code_of(checked, issuer.token()) == "unavailable"
    issuer.failing = False
    clock.pass_seconds(6)
    assert await code_of(checked, issuer.token()) == "accepted"


async def test_an_outage_at_the_start_is_not_remembered(issuer: Issuer) -> None:
    issuer.failing = True
    checked = verifier(issuer)
    with pytest.raises(Unavailable):
        await checked.verify(issuer.token())
    issuer.failing = False
    assert (await checked.verify(issuer.token())).sub == "user_1"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"keys": []}', b'{"keys": {}}', b'{"keys": [1]}', b"[" * 100_000, b" " * 300_000]
)
async def test_a_broken_key_set_never_replaces_a_good_one(issuer: Issuer, clock: Clock, body: bytes) -> None:
    checked = verifier(issuer, clock=clock)
    await checked.verify(issuer.token())
    issuer.body = body
    clock.pass_seconds(3700)
    assert await code_of(checked, issuer.token()) == "accepted"
    assert issuer.fetches == 2


async def test_a_key_set_larger_than_any_is_not_read(issuer: Issuer) -> None:
    issuer.body = json.dumps({"keys": issuer.keys}).encode() + b" " * 300_000
    assert await code_of(verifier(issuer), issuer.token()) == "unavailable"


def test_only_strong_signing_keys_are_read_and_a_nameless_one_only_alone() -> None:
    good, weak, nameless = jwk("k1", rsa_key("k1")), jwk("weak", rsa_key("weak", 1024)), jwk(None, rsa_key("k2"))
    assert set(read_keys(json.dumps({"keys": [good, weak]}).encode())) == {"k1", None}
    assert set(read_keys(json.dumps({"keys": [good, nameless]}).encode())) == {"k1"}
    with pytest.raises(ValueError, match="no usable key"):
        read_keys(json.dumps({"keys": [weak]}).encode())


@pytest.mark.parametrize("name", ["padding", "another spelling of the signature", "a line feed at the end"])
async def test_there_is_one_spelling_of_a_token_whatever_the_library_thinks(issuer: Issuer, name: str) -> None:
    with pytest.raises(Unauthenticated):
        parse(HOSTILE[name][0](issuer))


async def test_a_caller_that_hangs_up_does_not_take_the_fetch_from_the_others(issuer: Issuer) -> None:
    checked = verifier(issuer)
    first = asyncio.create_task(checked.verify(issuer.token()))
    await asyncio.sleep(0)
    second = asyncio.create_task(checked.verify(issuer.token()))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).sub == "user_1"
    assert issuer.fetches == 1


async def test_a_redirect_of_the_keys_is_not_followed(issuer: Issuer) -> None:
    issuer.redirects = True
    assert await code_of(verifier(issuer), issuer.token()) == "unavailable"


async def test_discovery_names_the_keys_and_is_asked_once(issuer: Issuer, clock: Clock) -> None:
    checked = verifier(issuer, jwks_url=None, clock=clock)
    await checked.verify(issuer.token())
    clock.pass_seconds(4000)
    await checked.verify(issuer.token())
    assert (issuer.discoveries, issuer.fetches) == (1, 2)


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"jwks_uri": "http://10.0.0.1/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://localhost:PORT/.well-known/jwks.json"},
        {"jwks_uri": 7},
    ],
)  # fmt: skip
async def test_discovery_cannot_lead_astray(issuer: Issuer, document: dict[str, Any]) -> None:
    port = issuer.url.rpartition(":")[2]
    document = {
        name: value.replace("PORT", port) if isinstance(value, str) else value for name, value in document.items()
    }
    issuer.discovery = {"issuer": issuer.url, "jwks_uri": issuer.jwks_url} | document
    assert await code_of(verifier(issuer, jwks_url=None), issuer.token()) == "unavailable"
    assert issuer.fetches == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://issuer.example", "ftp://127.0.0.1", "issuer"])
def test_an_issuer_without_https_is_refused_outright(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        JwksVerifier(url)


# --- the local issuer

KEY = bytes(range(32))
LOCAL = "chatcore-local"


def test_a_short_local_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        LocalIssuer(b"short", issuer=LOCAL)


async def test_a_local_token_comes_back_as_it_was_issued(clock: Clock) -> None:
    local = LocalIssuer(KEY, issuer=LOCAL, now=clock)
    issued = local.issue("user_7", Profile(name="Ada", username="ada"), timedelta(hours=1), roles=["operator"])
    claims = await local.verify(issued.token)
    assert (claims.sub, claims.roles, claims.expires_at) == ("user_7", {"operator"}, issued.expires_at)
    assert claims.profile == Profile(name="Ada", username="ada")


async def test_each_local_token_is_a_session_of_its_own(clock: Clock) -> None:
    local = LocalIssuer(KEY, issuer=LOCAL, now=clock)
    tokens = [local.issue("user_7", Profile(), timedelta(hours=1)).token for _ in range(2)]
    first, second = [await local.verify(token) for token in tokens]
    assert first.session_id != second.session_id


async def test_a_local_token_expires(clock: Clock) -> None:
    local = LocalIssuer(KEY, issuer=LOCAL, now=clock)
    token = local.issue("user_7", Profile(), timedelta(hours=1)).token
    clock.pass_seconds(3606)
    with pytest.raises(TokenExpired):
        await local.verify(token)


async def test_a_local_token_of_another_server_is_refused(clock: Clock) -> None:
    theirs = LocalIssuer(bytes(32), issuer=LOCAL, now=clock).issue("user_7", Profile(), timedelta(hours=1))
    assert await code_of(LocalIssuer(KEY, issuer=LOCAL, now=clock), theirs.token) == "token_invalid"


async def test_a_development_token_is_neither_made_nor_believed_where_they_are_off(clock: Clock) -> None:
    lenient = LocalIssuer(KEY, issuer=LOCAL, development_tokens=True, now=clock)
    token = lenient.issue("dev_ada", Profile(), timedelta(hours=1), development=True).token
    strict = LocalIssuer(KEY, issuer=LOCAL, now=clock)
    assert await code_of(lenient, token) == "accepted"
    assert await code_of(strict, token) == "token_invalid"
    with pytest.raises(Unauthenticated):
        strict.issue("dev_ada", Profile(), timedelta(hours=1), development=True)


async def test_the_issuer_named_by_a_token_chooses_the_verifier_and_nothing_else(issuer: Issuer, clock: Clock) -> None:
    local = LocalIssuer(KEY, issuer=LOCAL)
    both = OneOf({LOCAL: local, issuer.url: verifier(issuer)})
    ours = local.issue("user_7", Profile(), timedelta(hours=1)).token
    assert (await both.verify(ours)).issuer == LOCAL
    assert (await both.verify(issuer.token())).issuer == issuer.url
    forged = signed({"alg": "RS256", "kid": "k1"}, issuer.payload(iss=LOCAL, aud="chatcore"), rsa_key("k1"))
    assert await code_of(both, forged) == "token_invalid"
    assert await code_of(both, issuer.token(iss="https://third.example")) == "token_invalid"
    with pytest.raises(TokenMissing):
        await both.verify("")
