"""What is put on a terminal, and where it is broken into rows."""

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from chatcore.cli.commands import emoji_of
from chatcore.cli.conversation import who_types
from chatcore.cli.transcript import cut, wrap
from chatcore.cli.wording import colour_of, listing, printable

widths = st.integers(8, 60)


@given(st.text())
def test_nothing_that_a_terminal_would_obey_is_left(text: str) -> None:
    shown = printable(text)
    assert not any(ord(character) < 32 and character != "\n" for character in shown)
    assert not any(0x7F <= ord(character) < 0xA0 for character in shown)
    assert not any(0x202A <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069 for c in shown)


def test_text_that_people_write_stays_as_it_is() -> None:
    for text in ("plain", "zwei Zeilen\nÄÖÜ", "日本語", "👩‍👩‍👧 ❤️", "مرحبا"):
        assert printable(text) == text
    assert printable("a\tb\r\nc") == "a    b\nc"


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs", "Cf", "Mn", "Me", "Mc"))), widths)
def test_no_row_is_wider_than_the_window_and_no_letter_is_lost(text: str, width: int) -> None:
    rows = wrap(text, width)
    assert rows
    assert all(get_cwidth(row) <= width for row in rows)
    assert "".join(rows).replace(" ", "") == text.replace(" ", "").replace("\n", "")


def test_rows_break_at_spaces() -> None:
    assert wrap("one two three four", 9) == ["one two", "three", "four"]
    assert wrap("first\n\nthird", 20) == ["first", "", "third"]


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs", "Cf", "Mn"))), widths)
def test_what_is_cut_fits(text: str, width: int) -> None:
    assert get_cwidth(cut(text, width)) <= width


def test_several_people_are_counted() -> None:
    assert listing(["ana"]) == "ana"
    assert listing(["ana", "bo", "cy"]) == "ana, bo and cy"
    assert listing(["ana", "bo", "cy", "di", "ed"]) == "ana, bo and 3 others"
    assert who_types([]) == ""
    assert who_types(["ana"]) == "ana is typing…"
    assert who_types(["ana", "bo"]) == "ana and bo are typing…"


def test_an_emoji_is_taken_by_name_or_as_itself() -> None:
    assert emoji_of("tada") == emoji_of(":tada:") == emoji_of("🎉") == "🎉"


def test_a_person_has_one_colour() -> None:
    assert colour_of("ana") == colour_of("ana")
    assert len({colour_of(f"user{number}") for number in range(100)}) > 5
