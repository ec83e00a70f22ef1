"""What goes to a browser is what RFC 8291 says, and who sends it what RFC 8292 says."""

import time

import jwt
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec

from chatcore.push.sealing import padded, seal
from chatcore.push.vapid import GOOD_FOR_SECONDS, Vapid, as_bytes, as_text
from tests.push.conftest import Browser

# The worked example of RFC 8291, appendix A.
PLAIN = b"When I grow up, I want to be a watermelon"
POINT = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
SECRET = "BTBZMqHH6r4Tts7J_aSIgg"
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
SEALED = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
    "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_the_example_of_the_standard_is_sealed_byte_for_byte() -> None:
    own = ec.derive_private_key(int.from_bytes(as_bytes(SENDER), "big"), ec.SECP256R1())
    sealed = seal(PLAIN + b"\x02", as_bytes(POINT), as_bytes(SECRET), own=own, salt=as_bytes(SALT))
    assert as_text(sealed) == SEALED


def test_a_browser_opens_what_was_sealed_for_it_and_no_other_does() -> None:
    browser, other = Browser("a"), Browser("b")
    sealed = seal(padded(b"hello"), browser.point, browser.secret)
    assert browser.opens(sealed) == b"hello"
    with pytest.raises(InvalidTag):
        other.opens(sealed)


@pytest.mark.parametrize("length", [0, 1, 254, 255, 256, 700])
def test_the_length_tells_only_in_which_256_bytes_it_lies(length: int) -> None:
    assert len(padded(bytes(length))) == (length // 256 + 1) * 256


def test_more_than_one_record_is_refused() -> None:
    browser = Browser("a")
    with pytest.raises(ValueError, match="one record"):
        seal(bytes(4_081), browser.point, browser.secret)


def test_the_key_of_an_installation_is_the_same_at_each_start() -> None:
    one, again, other = Vapid(b"a" * 32), Vapid(b"a" * 32), Vapid(b"b" * 32)
    assert one.public_key == again.public_key != other.public_key
    assert len(as_bytes(one.public_key)) == 65


def test_a_word_for_a_push_service_is_signed_once_and_renewed_before_it_ends() -> None:
    now = time.time()
    vapid = Vapid(b"a" * 32, "mailto:ops@example.org", now=lambda: now)
    first = vapid.authorization("https://push.example.org/send/1")
    assert vapid.authorization("https://push.example.org/send/2") == first
    assert vapid.authorization("https://other.example.org/send/1") != first
    word = first.removeprefix("vapid t=").partition(",")[0]
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), as_bytes(vapid.public_key))
    claims = jwt.decode(word, key, algorithms=["ES256"], audience="https://push.example.org")
    assert claims == {
        "aud": "https://push.example.org",
        "exp": int(now + GOOD_FOR_SECONDS),
        "sub": "mailto:ops@example.org",
    }
    now += GOOD_FOR_SECONDS - 3_599
    assert vapid.authorization("https://push.example.org/send/1") != first


def test_a_topic_is_of_one_group_and_tells_nothing_of_it() -> None:
    vapid, group = Vapid(b"a" * 32), "65f1a2b3c4d5e6f708192a3b"
    assert vapid.topic(group) == vapid.topic(group) != vapid.topic(group[::-1])
    assert len(vapid.topic(group)) == 32
    assert group not in vapid.topic(group)
