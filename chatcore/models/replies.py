"""Smart replies: our own bank of intents and replies, ranked against the last turns of a conversation."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chatcore.models.embedding import Embedder, Vectors
from chatcore.models.files import DATA, require_file
from chatcore.models.manner import manners_apart, manners_of
from chatcore.models.shapes import RankingWeights, Reply, SmartReplies, SmartRepliesInput
from chatcore.models.words import WordWeights, overlaps, sentences_of, words_of

TEMPLATE_SCORE = 0.0
SHORT_WORDS = 2
NEAREST = 10
TOO_ALIKE = 0.9  # cosine of two replies that say the same
ANY_INTENT = "any"
TOLD_BY_WORDING = frozenset({"request", "proposal", "offer"})
NEVER_COMPLETED = frozenset({"crisis"})
GRAVE = {"crisis": 0.5, "condolence": 0.7}  # the likeness from which one may answer so; "Grandma is ill" has .67
SURE, SUSPECTED = (
    0.5,
    0.3,
)  # likeness: fit for small talk although something grave is near; so near that it may be meant


@dataclass(frozen=True, slots=True)
class Intent:
    name: str
    triggers: tuple[str, ...]
    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplyBank:
    """One language. `templates` by the kind of the last turn, see `kind_of`."""

    language: str
    intents: tuple[Intent, ...]
    templates: dict[str, tuple[str, ...]]

    @classmethod
    def read(cls, path: Path) -> "ReplyBank":
        told = tomllib.loads(path.read_text("utf-8"))
        intents = tuple(
            Intent(entry["name"], tuple(entry["triggers"]), tuple(entry["replies"])) for entry in told["intent"]
        )
        return cls(told["language"], intents, {kind: tuple(texts) for kind, texts in told["templates"].items()})

    @property
    def triggers(self) -> list[str]:
        return [trigger for intent in self.intents for trigger in intent.triggers]

    @property
    def replies(self) -> list[str]:
        return [reply for intent in self.intents for reply in intent.replies]

    @property
    def phrases(self) -> list[str]:
        """What people may be helped to type. Nobody is led to words of despair, though they must be recognised."""
        fit = [intent for intent in self.intents if intent.name not in NEVER_COMPLETED]
        return [text for intent in fit for text in (*intent.replies, *intent.triggers)]


def bank_languages() -> list[str]:
    return sorted(path.name.split(".")[1] for path in DATA.glob("replies.*.toml"))


@dataclass(frozen=True, slots=True)
class Likenesses:
    """Of candidates to a conversation, all of one shape; `common` and `apart` (in manner) speak against a candidate."""

    last_turn: Vectors
    last_sentence: Vectors
    context: Vectors
    words: Vectors
    common: Vectors
    apart: Vectors


def rank(weights: RankingWeights, found: Likenesses) -> Vectors:
    """Likenesses of candidates to a conversation, weighted; the intent's share is added by Replies."""
    near = weights.last_turn * found.last_turn + weights.last_sentence * found.last_sentence
    near = near + weights.context * found.context + weights.words * found.words
    return np.asarray(near - weights.common * found.common - weights.manner * found.apart, np.float32)


def commonness(candidates: Vectors, turns: Vectors) -> Vectors:
    """The mean cosine of each candidate to its ten nearest among turns of all kinds (its hubness, as in CSLS)."""
    cosines = candidates @ turns.T
    nearest = min(NEAREST, len(turns))
    return np.asarray(np.partition(cosines, -nearest, axis=1)[:, -nearest:].mean(axis=1), np.float32)


class Replies:
    """Ranks one bank with vectors that were made beforehand (`python -m training.reply_vectors`)."""

    def __init__(self, bank: ReplyBank, triggers: Vectors, replies: Vectors, openings: Vectors):
        if (len(bank.triggers), len(bank.replies), len(bank.replies)) != (len(triggers), len(replies), len(openings)):
            raise ValueError("the vectors belong to another reply bank; run `python -m training.reply_vectors`")
        self._bank, self._triggers, self._replies, self._openings = bank, triggers, replies, openings
        self._texts = bank.replies
        self._intent_of_trigger = _owners(len(intent.triggers) for intent in bank.intents)
        self._intent_of_reply = _owners(len(intent.replies) for intent in bank.intents)
        self._weights = WordWeights(bank.triggers + self._texts)
        self._words = [self._weights.vector(text) for text in self._texts]
        self._common = commonness(replies, triggers)
        self._manners = manners_of(self._texts)
        self._least = np.array([GRAVE.get(intent.name, -1.0) for intent in bank.intents], np.float32)

    @classmethod
    def load(cls, language: str = "en") -> "Replies":
        bank = ReplyBank.read(require_file(f"replies.{language}.toml"))
        with np.load(require_file(f"replies.{language}.npz")) as stored:
            return cls(bank, *(stored[part].astype(np.float32) for part in ("triggers", "replies", "openings")))

    def suggest(self, asked: SmartRepliesInput, embedder: Embedder) -> SmartReplies:
        """At most `limit` replies that differ; templates of the last turn's kind when no intent is near enough."""
        turns = [turn.text for turn in asked.messages if turn.text.strip()]
        if not turns:
            return SmartReplies(replies=[], confidence=0)
        last = embedder.embed_one(turns[-1])[0]
        near = self._intent_likeness(last)
        best = float(near.max())
        if best < _floor(turns[-1], asked.parameters.cosine_floor) or self._perhaps_grave(near):
            return self._templates(turns[-1], asked.limit)
        own = [turn.text for turn in asked.messages if turn.own and turn.text.strip()]
        found = self._likenesses(turns, own, last, asked.parameters.context_turns, embedder)
        scores = self._score(near, found, asked.parameters.ranking_weights)
        fit = np.flatnonzero(np.isfinite(scores))
        order = fit[np.argsort(-scores[fit], kind="stable")][: asked.parameters.candidate_limit]
        said = {" ".join(words_of(turn)) for turn in turns}
        chosen = self._different([int(place) for place in order], said, asked.limit)
        replies = [self._reply(place, float(scores[place])) for place in chosen]
        return SmartReplies(replies=replies, confidence=_share(best))

    def _intent_likeness(self, last: Vectors) -> Vectors:
        """The nearest trigger of each intent."""
        near = np.full(len(self._bank.intents), -1.0, np.float32)
        np.maximum.at(near, self._intent_of_trigger, self._triggers @ last)
        return near

    def _perhaps_grave(self, near: Vectors) -> bool:
        """Near to death or despair, not surely that and not surely anything else: neither condolences nor small talk
        would do."""
        doubtful = (near >= SUSPECTED) & (near < self._least)
        return bool(doubtful.any() and (near.max() < SURE or doubtful[near.argmax()]))

    def _likenesses(
        self, turns: Sequence[str], own: Sequence[str], last: Vectors, context_turns: int, embedder: Embedder
    ) -> Likenesses:
        context = context_of(np.stack([*embedder.embed(turns[-context_turns:-1]), last]))
        return Likenesses(
            last_turn=self._replies @ last,
            last_sentence=self._openings @ embedder.embed_one(edges_of(turns[-1])[1])[0],
            context=self._replies @ context,
            words=np.array(overlaps(self._weights.vector(turns[-1]), self._words), np.float32),
            common=self._common,
            apart=manners_apart(manners_of(own), self._manners),
        )

    def _score(self, near: Vectors, found: Likenesses, weights: RankingWeights) -> Vectors:
        total = weights.intent + weights.last_turn + weights.last_sentence + weights.context + weights.words
        ranked = weights.intent * near[self._intent_of_reply] + rank(weights, found)
        amiss = (near < self._least)[self._intent_of_reply]
        return np.where(amiss, -np.inf, ranked / max(total, 1e-9)).astype(np.float32)

    def _different(self, order: Sequence[int], said: set[str], limit: int) -> list[int]:
        """The best ones, without echoes of what was just said and without two that say the same."""
        chosen: list[int] = []
        for place in order:
            echo = " ".join(words_of(self._texts[place])) in said
            if echo or any(float(self._replies[place] @ self._replies[other]) > TOO_ALIKE for other in chosen):
                continue
            chosen.append(place)
            if len(chosen) == limit:
                break
        return chosen

    def _reply(self, place: int, score: float) -> Reply:
        intent = self._bank.intents[int(self._intent_of_reply[place])]
        return Reply(text=self._texts[place], score=_share(score), intent=intent.name)

    def _templates(self, last_turn: str, limit: int) -> SmartReplies:
        texts = self._bank.templates[kind_of(last_turn)][:limit]
        replies = [Reply(text=text, score=TEMPLATE_SCORE, intent=ANY_INTENT) for text in texts]
        return SmartReplies(replies=replies, confidence=0)


_REQUEST = re.compile(
    r"^(?:\w+, ?)?(?:please\b|(?:can|could|would|will) (?:you|everyone|everybody|somebody|someone)\b)"
)
_PROPOSAL = re.compile(r"^(?:shall we|let's|how about|what about|why don't we|should we)\b")
_OFFER = re.compile(r"^(?:i'll|i will|i can|let me|leave it to me)\b")
_REFUSAL = re.compile(r"\bnot\b|n't\b|\bnever\b")
_QUESTION = re.compile(
    r"^(?:who|what|when|where|why|which|how|is|are|am|was|were|do|does|did|can|could|would|should|will|shall|may)\b"
)
_ASKING = ("request", "proposal", "question", "offer")  # what wants an answer most comes first


def kind_of(turn: str) -> str:
    """request, proposal, question, offer, exclamation, short or statement: of several sentences what one of them wants.

    >>> kind_of("Ben, could you check the tyres? Last time we had a flat one.")
    'request'
    >>> kind_of("I will not come")
    'statement'
    """
    kinds = {_wants(sentence) for sentence in sentences_of(turn)}
    asked = next((kind for kind in _ASKING if kind in kinds), None)
    if asked is not None:
        return asked
    if turn.strip().endswith(("!", "！")):  # noqa: RUF001 - the full-width mark is meant
        return "exclamation"
    return "short" if len(words_of(turn)) <= SHORT_WORDS else "statement"


def _wants(sentence: str) -> str | None:
    """Chats leave question marks out, so that without any mark the first word tells; a full stop says it is none."""
    said = sentence.strip().lower().replace("\u2019", "'")
    if _REQUEST.match(said):
        return "request"
    if _PROPOSAL.match(said):
        return "proposal"
    unmarked = not said.endswith((".", "!", "。", "！")) and len(words_of(said)) > SHORT_WORDS  # noqa: RUF001
    if said.endswith(("?", "？")) or (unmarked and _QUESTION.match(said)):  # noqa: RUF001
        return "question"
    return "offer" if _OFFER.match(said) and not _REFUSAL.search(said) else None


def edges_of(turn: str) -> tuple[str, str]:
    """The first and the last sentence: an answer begins with what was said last.

    >>> edges_of("Me too. I saw it twice! Did you?")
    ('Me too.', 'Did you?')
    """
    sentences = sentences_of(turn) or [turn.strip()]
    return sentences[0], sentences[-1]


def context_of(turns: Vectors) -> Vectors:
    """One direction for several turns: their mean, of length 1."""
    mean = turns.mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def _floor(turn: str, asked: float) -> float:
    """Where the wording says what is wanted, a template answers that, and an intent half near something else."""
    return max(asked, SURE) if kind_of(turn) in TOLD_BY_WORDING else asked


def _owners(sizes: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.array([owner for owner, size in enumerate(sizes) for _ in range(size)], np.int64)


def _share(score: float) -> float:
    return round(min(max(score, 0.0), 1.0), 4)
