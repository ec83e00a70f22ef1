"""What follows from scores: pure, the strictest tier wins, and nobody is silenced on hate or self-harm alone."""

# ruff: noqa: RUF001 - letters that look like others are the point here

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chatcore.errors import CapabilityUnavailable, ChatError, RateLimited, Unavailable
from chatcore.models.first_tier import FirstTier
from chatcore.moderation.decide import HIDDEN, Policy, decide, masked, rule
from chatcore.moderation.records import Evidence, Span, Subject
from chatcore.moderation.thresholds import DEFAULT, Limits, Thresholds
from chatcore.moderation.tiers import FirstLook

EVERYDAY = Path(__file__).parents[2] / "training" / "everyday_lines.txt"
SUBJECT = Subject("message", "ada", "0" * 24)
POLICY = Policy()


@dataclass
class Says:
    """A tier that says this, or fails like that."""

    tier: str
    scores: dict[str, float] = field(default_factory=dict)
    fails: ChatError | None = None
    only_gray: bool = False
    asked: int = 0

    async def look(self, text: str, subject: Subject) -> Evidence:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return Evidence(self.tier, self.scores)  # type: ignore[arg-type]


def seen(tier: str, **scores: float) -> Evidence:
    return Evidence(tier, {name.replace("_", "/").replace("selfharm", "self-harm"): s for name, s in scores.items()})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def first() -> FirstLook:
    tier = FirstLook()
    tier._tier = FirstTier.load()
    return tier


@pytest.mark.parametrize(
    ("tier", "category", "score", "action"),
    [
        ("embedded", "sexual", 0.69, "allow"),
        ("embedded", "sexual", 0.70, "flag"),
        ("embedded", "sexual", 0.93, "mask"),
        ("embedded", "sexual", 0.97, "block"),
        ("embedded", "violence", 0.97, "block"),
        ("embedded", "a category of next year", 1.0, "flag"),
        ("provider", "sexual/minors", 0.6, "block"),
        ("provider", "a category of next year", 0.97, "block"),
        ("first", "sexual", 0.97, "block"),
        ("first", "toxic", 1.0, "flag"),
    ],
)
def test_each_score_has_its_action(tier: str, category: str, score: float, action: str) -> None:
    assert rule("x", [Evidence(tier, {category: score})], POLICY).action == action  # type: ignore[arg-type]


@pytest.mark.parametrize("category", ["hate", "hate/threatening", "self-harm", "any"])
@pytest.mark.parametrize("tier", ["first", "embedded"])
def test_hate_and_self_harm_alone_go_to_a_person_and_are_never_silenced(tier: str, category: str) -> None:
    """Not even where a group asked for it: the guard is no number of the table."""
    wishes = Policy(overrides={category: {"block": 0.1, "mask": 0.1}})
    for policy in (POLICY, wishes):
        ruling = rule("x", [Evidence(tier, {category: 1.0})], policy)  # type: ignore[arg-type]
        assert (ruling.action, ruling.category) == ("flag", category)


def test_hate_beside_something_certain_is_blocked_for_that() -> None:
    ruling = rule("x", [seen("embedded", hate=1.0, violence=0.98)], POLICY)
    assert (ruling.action, ruling.category) == ("block", "violence")
    assert set(ruling.flags) == {"hate", "violence"}


def test_what_the_first_tier_suspects_counts_only_where_no_model_spoke() -> None:
    suspicion = seen("first", harassment=0.93)
    assert rule("x", [suspicion], POLICY).action == "flag"
    assert rule("x", [suspicion, seen("embedded", harassment=0.01)], POLICY).action == "allow"


def test_a_later_tier_frees_nobody() -> None:
    """A model that obeys the message it judges says that all is well."""
    flagged, blocked = seen("embedded", harassment=0.8), seen("first", sexual=0.99)
    obedient = Evidence("prompt", {"harassment": 0.0, "sexual": 0.0})
    assert rule("x", [flagged, obedient], POLICY).action == "flag"
    assert rule("x", [blocked, obedient], POLICY).action == "block"


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 7.0])
def test_scores_that_are_no_scores_go_to_the_strict_side(score: float) -> None:
    assert rule("x", [Evidence("provider", {"hate": score})], POLICY).action == "block"
    assert rule("x", [Evidence("provider", {"hate": -3.0})], POLICY).action == "allow"


def test_a_group_may_be_stricter_and_never_laxer() -> None:
    evidence = [seen("embedded", sexual=0.75)]
    assert rule("x", evidence, POLICY).action == "flag"
    assert rule("x", evidence, Policy(overrides={"sexual": {"block": 0.7}})).action == "block"
    assert rule("x", evidence, Policy(overrides={"sexual": {"flag": 0.99}})).action == "flag"
    assert rule("x", [seen("embedded", sexual=0.99)], Policy(overrides={"sexual": {"block": 1.0}})).action == "block"


def test_a_prompt_version_brings_limits_of_its_own_which_people_promoted() -> None:
    evidence = [seen("embedded", sexual=0.75)]
    assert rule("x", evidence, Policy(flags={"sexual": 0.9})).action == "allow"
    assert rule("x", evidence, Policy(flags={"sexual": 0.9}, overrides={"sexual": {"flag": 0.7}})).action == "flag"


def test_the_table_is_named_by_its_content() -> None:
    same = Thresholds(dict(DEFAULT.table), DEFAULT.mask_words)
    other = Thresholds(dict(DEFAULT.table) | {"embedded": {"*": Limits(0.71)}}, DEFAULT.mask_words)
    assert same.version == DEFAULT.version == rule("x", [], POLICY).thresholds_version
    assert len({DEFAULT.version, other.version, Thresholds(DEFAULT.table, 2.9).version}) == 3


def test_severe_words_are_covered_and_the_rest_of_the_text_stays() -> None:
    text = "well, blast and dangnab it"
    spans = (Span(6, 11, "harassment", 2.0), Span(16, 23, "hate", 3.0))
    ruling = rule(text, [Evidence("first", {}, spans), seen("embedded", hate=0.9)], POLICY)
    assert (ruling.action, ruling.category) == ("mask", "hate")
    assert masked(text, ruling) == "well, blast and ••••••• it"


def test_without_known_words_a_mask_hides_the_whole_text() -> None:
    ruling = rule("something", [seen("embedded", sexual=0.94)], POLICY)
    assert (ruling.action, masked("something", ruling)) == ("mask", HIDDEN)


def test_a_model_that_masks_hides_all_of_it_though_a_word_is_known_too() -> None:
    spans = (Span(0, 3, "sexual", 3.0),)
    ruling = rule("abc and worse", [Evidence("first", {}, spans), seen("embedded", sexual=0.94)], POLICY)
    assert masked("abc and worse", ruling) == HIDDEN


async def test_tiers_are_asked_by_cost_until_one_blocks() -> None:
    certain, never = Says("first", {"sexual": 0.99}), Says("embedded")
    ruling = await decide("x", SUBJECT, POLICY, [certain, never])
    assert (ruling.action, ruling.tiers, never.asked) == ("block", ("first",), 0)


async def test_the_prompt_is_asked_only_in_doubt() -> None:
    for score, asked in ((0.01, 0), (0.5, 1), (0.8, 1), (0.99, 0)):
        prompt = Says("prompt", only_gray=True)
        await decide("x", SUBJECT, POLICY, [Says("provider", {"sexual": score}), prompt])
        assert prompt.asked == asked, score


@pytest.mark.parametrize("failure", [Unavailable(), CapabilityUnavailable(), RateLimited()])
async def test_a_tier_without_an_answer_is_named_and_the_others_decide(failure: ChatError) -> None:
    ruling = await decide("x", SUBJECT, POLICY, [Says("first", {"harassment": 0.95}), Says("embedded", fails=failure)])
    assert (ruling.action, ruling.missing, ruling.tiers) == ("flag", failure.code, ("first",))


async def test_what_is_known_already_is_not_looked_at_again_and_rules_the_same() -> None:
    tiers = [Says("first", {"harassment": 0.5}), Says("embedded", {"sexual": 0.95})]
    live = await decide("x", SUBJECT, POLICY, tiers)
    known = [Evidence("first", {"harassment": 0.5}), Evidence("embedded", {"sexual": 0.95})]
    assert await decide("x", SUBJECT, POLICY, [], known) == live == rule("x", known, POLICY)


async def test_everyday_lines_are_neither_masked_nor_blocked_by_the_first_tier(first: FirstLook) -> None:
    lines = EVERYDAY.read_text("utf-8").splitlines()
    assert len(lines) >= 200
    ruled = {line: (await decide(line, SUBJECT, POLICY, [first])).action for line in lines}
    assert {line: action for line, action in ruled.items() if action != "allow"} == {}


XSS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "javascript:alert(1)",
    "<iframe src=javascript:alert(1)>", '"><script>alert(1)</script>', "<body onload=alert(1)>",
    "<a href=data:text/html,x>",
    "<math><mi//xlink:href='data:x,<script>'>", "{{constructor.constructor('x')()}}", "${7*7}", "<%= 7*7 %>",
    "\\u003cscript\\u003e", "&#60;script&#62;", "%3Cscript%3E", "<scr<script>ipt>", "<!--<script>-->", "]]><script>",
    "<style>@import'x'</style>", "expression(alert(1))", "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=x>",
    "<video><source onerror=x>", "<object data=x>", "<embed src=x>", "<base href=//x>", "<link rel=import href=x>",
    "<meta http-equiv=refresh content=0>", "<form action=javascript:x>", "<isindex type=image src=x onerror=x>",
]  # fmt: skip
OBFUSCATED = [
    "f\u200bu\u200bc\u200bk", "\uff46\uff55\uff43\uff4b", "f\u0335u\u0335c\u0335k\u0335", "ｆ*ck", "fυck", "ƒμ¢κ",
    "f.u.c.k",
    "F U C K", "fuuuuuuuuuck", "\u202ekcuf", "🅵🆄🅲🅺", "𝔣𝔲𝔠𝔨", "𝕗𝕦𝕔𝕜", "ⓕⓤⓒⓚ", "f\u00aduck", "\ufefffuck", "fu\u0000ck",
    "f" + "\u0301" * 500 + "uck", "\U0001f1eb\U0001f1fa", "\u0e01\u0e33" * 90,
    "\u2066fuck\u2069", "کُس", "操你", "くそ", "блядь", "\U000e0066\U000e0075", "👨‍👩‍👧‍👦" * 50,
    " " * 400, "\n" * 400, "a" * 4096,
    "\ud800", "@$$h0l3", "233333",
]  # fmt: skip


@pytest.mark.parametrize("text", [*XSS, *OBFUSCATED], ids=range(len(XSS) + len(OBFUSCATED)))
async def test_no_obfuscation_crashes_the_decision(first: FirstLook, text: str) -> None:
    assert len(XSS) + len(OBFUSCATED) >= 60
    ruling = await decide(text, SUBJECT, POLICY, [first])
    assert len(masked(text, ruling)) > 0 or not text
    assert all(0 <= score <= 1 for score in ruling.scores.values())


def test_any_spans_and_scores_rule_without_a_crash_and_the_same_twice() -> None:
    chance = random.Random(7)
    for _ in range(300):
        text = "".join(chance.choice("ab \u200b🅵<") for _ in range(chance.randrange(1, 60)))
        cuts = sorted(chance.sample(range(len(text) + 1), min(len(text) + 1, 4)))
        spans = tuple(Span(a, b, "hate", chance.uniform(1, 3)) for a, b in zip(cuts[::2], cuts[1::2], strict=False))
        names = ["sexual", "hate", "any", "new"]
        evidence = [Evidence("first", {name: chance.random() for name in names}, spans)]
        evidence.append(Evidence("embedded", {name: chance.random() for name in names}))
        ruling = rule(text, evidence, POLICY)
        assert ruling == rule(text, evidence, POLICY)
        if ruling.spans:
            assert len(masked(text, ruling)) == len(text)
