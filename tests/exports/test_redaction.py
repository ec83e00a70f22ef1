"""What tells who is meant goes; what people say stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcore.exports.redaction import Redactor

NAMES = ("Ana Lindqvist", "ana", "maria_del-mar.99", "Jörg", "O'Neil", "Li", "田中")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("write to ana.l+x@mail.example.org!", "write to [email]!"),
        ("see https://example.org/a?b=c#d now", "see [url] now"),
        ("see www.example.org.", "see [url]"),
        ("call +49 (0)170 123-45 67 or 0170/1234567", "call [number] or [number]"),
        ("card 4111 1111 1111 1111", "card [number]"),
        ("from 192.168.10.23 it works", "from [address] it works"),
        ("DE89 3704 0044 0532 0130 00 please", "[iban] please"),
        ("@ana can you? also @nobody.else", "[mention] can you? also [mention]"),
        ("0171-22-33-44 and 123456789012345678901234", "[number] and [number]"),
        ("電話は0901234567です、@anaさん、anaさん", "電話は[number]です、[mention]、[name]さん"),
        ("田中さんは来る", "[name]さんは来る"),
        ("Jo\u0308rg", "[name]"),
        ("ANA and jörg met o'neil, Lindqvist and Li", "[name] and [name] met [name], [name] and [name]"),
        ("Maria, the mar is calm", "[name], the [name] is calm"),
        ("Ana Lindqvist's bike", "[name]'s bike"),
        ("banana, anagram, Lisbon, Jörgen", "banana, anagram, Lisbon, Jörgen"),
        ("at 10:30 on 2026-01-02, 3.5 km, version 1.2.3", "at 10:30 on 2026-01-02, 3.5 km, version 1.2.3"),
    ],
)  # fmt: skip
def test_what_names_people_is_taken_out(text: str, shown: str) -> None:
    assert Redactor(NAMES).redact(text)[0] == shown


def test_counts_say_what_was_taken_out() -> None:
    assert Redactor(NAMES).redact("ana: a@b.co, c@d.co, www.x.y")[1] == {"name": 1, "email": 2, "url": 1}


def test_without_names_there_is_nothing_but_the_patterns() -> None:
    assert Redactor([]).redact("ana a@b.co") == ("ana [email]", {"email": 1})


@given(st.text(max_size=200), st.sampled_from(["secret.person@example.org", "+49 170 1234567", "Lindqvist"]))
def test_it_is_found_between_any_words(around: str, secret: str) -> None:
    assert secret not in Redactor(NAMES).redact(f"{around} {secret} {around}")[0]
