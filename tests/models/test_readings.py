"""Disguised texts are read as they are meant; plain ones are left alone."""

# ruff: noqa: RUF001 - letters that look like others are the point here

from pathlib import Path

import pytest

from chatcore.models.first_tier import FirstTier, Lexicon, NgramHeads, fingerprint
from chatcore.models.loaded import Models
from chatcore.models.readings import LONG, MOST_PIECES, readings, undisguised

EVERYDAY = Path(__file__).parents[2] / "training" / "everyday_lines.txt"
THREAT = "You are a worthless stupid idiot and I hate you"
SMALL_TALK = "We took the train to the lake and had lunch by the water. My sister brought a cake with plums. "


@pytest.mark.parametrize(
    "disguised",
    [
        "y\u200bou st\u200bup\u00adid fo\u3164ol",
        "уоu ѕtuріd fооl",
        "you stup1d f00l",
        "you s.t.u.p.i.d f-o-o-l",
        "y o u   s t u p i d   f o o l",
        "you stuuuuupid fool",
        "ｙｏｕ ｓｔｕｐｉｄ ｆｏｏｌ",
        "ʏᴏᴜ ꜱᴛᴜᴘɪᴅ ꜰᴏᴏʟ",
        "\u202eloof diputs uoy\u202c",
        "y\u0336o\u0301u\u0301 s\u0308tu\u0331p\u0336id f\u0300o\u0308ol",
    ],
)
def test_a_disguise_is_read_as_it_is_meant(disguised: str) -> None:
    assert undisguised(disguised).text.split() == ["you", "stupid", "fool"]
    assert len(readings(disguised)) == 2


@pytest.mark.parametrize(
    "plain",
    [
        "233333",
        "Meet @bob at 3pm in room B12",
        "1 2 3 4",
        "привет, как дела",
        "https://example.com/a1b2c3",
        "mail anna1b@example.com",
        "我爱你",
        "Ωμέγα",
    ],
)
def test_numbers_names_addresses_and_other_scripts_stay_what_they_are(plain: str) -> None:
    found = readings(plain)
    assert found[0].text == plain
    assert all(not any(letter.isascii() and letter.isalpha() for letter in one.text) for one in found[1:])


def test_everyday_lines_have_one_reading() -> None:
    """Each further one would cost an embedding."""
    lines = EVERYDAY.read_text("utf-8").splitlines()
    assert sum(len(readings(line)) > 1 for line in lines) <= len(lines) // 50


def test_a_reading_knows_where_its_letters_stand() -> None:
    text = "so s.t.u.p.i.d!"
    reading = readings(text)[1]
    start = reading.text.index("stupid")
    assert text[slice(*reading.span(start, start + 6))] == "s.t.u.p.i.d"
    turned = readings("\u202ediputs\u202c")[1]
    assert turned.span(0, 6) == (1, 7)


def test_pieces_of_a_long_text_cover_all_of_it_and_are_not_too_many() -> None:
    for text in (SMALL_TALK * 3, SMALL_TALK * 40, "xy" * 25_000, "word " * 20_000, "No. " * 2_000, "a\n" * 3_000):
        pieces = readings(text)[1:]
        covered = {place for piece in pieces for place in piece.places}
        assert len(covered) >= len(text.strip())
        assert len(pieces) <= 2 * MOST_PIECES + 2
    assert len(readings("go " * (LONG // 3 - 1))) == 1


@pytest.mark.parametrize("where", [SMALL_TALK * 3 + THREAT, SMALL_TALK * 2 + THREAT + " " + SMALL_TALK])
def test_a_threat_amid_small_talk_is_seen(models: Models, where: str) -> None:
    assert models.moderation.look(THREAT, models.embedder).flagged
    assert not models.moderation.look(SMALL_TALK * 3, models.embedder).flagged
    assert models.moderation.look(where, models.embedder).flagged
    assert not models.moderation.judge(where, models.embedder.embed_one(where)[0]).flagged


def test_a_reading_only_adds() -> None:
    tier = FirstTier.load()
    plain, disguised = tier.look(THREAT), tier.look(THREAT.replace("o", "о"))
    alone = NgramHeads.score(tier._heads, THREAT.replace("o", "о"))
    assert disguised.scores["toxic"] >= float(alone[tier._heads.names.index("toxic")])
    assert disguised.scores == pytest.approx(plain.scores, abs=0.05)


def test_known_words_are_covered_where_they_were_written() -> None:
    first = frozenset([fingerprint("dangnab")])
    tier = FirstTier(FirstTier.load()._heads, Lexicon({fingerprint("dangnab"): ("strong", 2.5)}, first))
    text = "you d a n g n a b, you DANGNAB, you d\u0430ngn\u0430b"
    assert [text[one.start : one.end] for one in tier.look(text).matches] == [
        "d a n g n a b", "DANGNAB", "d\u0430ngn\u0430b"]  # fmt: skip
