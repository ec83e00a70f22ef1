"""Train the moderation heads: `python -m training.moderation` (about three minutes on a free core).

Writes chatcore/models/data/moderation.{ngrams,vectors,lexicon}.npz and their lines in the manifest. Data: the samples
of OpenAI's moderation release, one half of surge-toxicity (the other half is for evaluation), surge-profanity, our
own reply bank and lessons as everyday talk, and our own lines of people in need. Davidson's tweets are not learned:
their labels call a dialect offensive.
"""

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold
from sklearn.svm import SVC

from chatcore.models.embedding import Embedder
from chatcore.models.files import DATA
from chatcore.models.first_tier import LEXICON_FILE, NGRAM_FILE, fingerprint, fold_word
from chatcore.models.moderation import CATEGORIES, GAMMA, HEADS, MARGIN_SCALE, VECTOR_FILE, with_any
from chatcore.models.ngrams import BUCKETS, count_ngrams, fold
from chatcore.models.replies import ReplyBank
from training.manifest import record
from training.public_data import (
    NoPublicData,
    Sample,
    explain_and_exit,
    file_hash,
    openai_samples,
    surge_profanity,
    surge_toxicity,
)
from training.vectors import CACHE, embed_cached

Array = npt.NDArray[np.float64]
EASY_WEIGHT, LESSON_WEIGHT = 0.1, 0.5  # everyday lines are many and easy; the lessons use dangerous words harmlessly
LESSONS = Path(__file__).with_name("everyday_lessons.txt")
CRISIS_LESSONS = Path(__file__).with_name("crisis_lessons.txt")
CRISIS_INTENT, CRISIS_HEADS = "crisis", ("SH", "any")
VECTOR_C, NGRAM_C, KERNEL_C = 3.0, 10.0, 5.0
FOLDS = 5
NEAR_DUPLICATE = 0.85  # cosine
WANTED_PRECISION, TOXIC_PRECISION = 0.8, 0.95
LEAST_THRESHOLD = 0.7  # below it everyday lines raise alarms; cross-validated precision alone would allow less
MILD = 1.5  # severity; below, words are no reason to look twice
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Texts:
    """Vectors and n-gram rows of the same texts."""

    vectors: Array
    ngrams: sparse.csr_matrix

    def at(self, places: npt.NDArray[np.intp]) -> "Texts":
        return Texts(self.vectors[places], self.ngrams[places])

    def plus(self, other: "Texts") -> "Texts":
        return Texts(np.concatenate([self.vectors, other.vectors]), sparse.vstack([self.ngrams, other.ngrams]).tocsr())


@dataclass(frozen=True, slots=True)
class Material:
    samples: list[Sample]
    openai: Texts
    everyday: Texts
    everyday_weights: Array
    crisis: Texts
    toxic: Texts
    is_toxic: npt.NDArray[np.int64]
    rarity: npt.NDArray[np.float32]

    def known(self, head: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
        """Places and labels of the samples whose label for this head is known."""
        labels = np.array([label_of(sample, head) for sample in self.samples])
        places = np.flatnonzero(labels != UNKNOWN)
        return places, labels[places]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Estimators of one head; `any` has a kernel machine for its vectors."""

    vector: LogisticRegression | SVC
    ngram: LogisticRegression

    def score(self, texts: Texts) -> Array:
        if isinstance(self.vector, SVC):
            first = 1 / (1 + np.exp(-MARGIN_SCALE * self.vector.decision_function(texts.vectors)))
        else:
            first = self.vector.predict_proba(texts.vectors)[:, 1]
        return np.asarray((first + self.ngram.predict_proba(texts.ngrams)[:, 1]) / 2)


def label_of(sample: Sample, head: str) -> int:
    """1, 0 or UNKNOWN; `any` is known when any category is."""
    if head == "any":
        return max(sample.labels.values(), default=UNKNOWN)
    return sample.labels.get(head, UNKNOWN)


def surge_halves() -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """(for training, for evaluation): by the parity of the text's fingerprint, so that order does not matter."""
    rows = surge_toxicity()
    return [row for row in rows if fingerprint(row[0]) % 2 == 0], [row for row in rows if fingerprint(row[0]) % 2 == 1]


def gather() -> Material:
    embedder = Embedder()
    samples, toxic = openai_samples(), surge_halves()[0]
    easy, lessons = everyday_talk(), LESSONS.read_text("utf-8").splitlines()
    everyday = easy + lessons
    texts = [[sample.text for sample in samples], everyday, [text for text, _ in toxic]]
    counts = [_count_rows(group) for group in texts]
    occurs = np.bincount(sparse.vstack(counts).indices, minlength=BUCKETS)
    total = sum(len(group) for group in texts)
    rarity = (np.log((1 + total) / (1 + occurs)) + 1).astype(np.float16).astype(np.float32)
    weights = np.concatenate([np.full(len(easy), EASY_WEIGHT), np.full(len(lessons), LESSON_WEIGHT)])
    judged, calm, insults = [
        Texts(embed_cached(embedder, name, group).astype(np.float64), weigh_rows(rows, rarity))
        for name, group, rows in zip(("openai", "own", "surge-half"), texts, counts, strict=True)
    ]
    need = crisis_talk()
    crisis = Texts(embed_cached(embedder, "crisis", need).astype(np.float64), weigh_rows(_count_rows(need), rarity))
    return Material(samples, judged, calm, weights, crisis, insults, np.array([label for _, label in toxic]), rarity)


def everyday_talk() -> list[str]:
    """The reply bank, without what it answers to people in need."""
    bank = ReplyBank.read(DATA / "replies.en.toml")
    calm = [intent for intent in bank.intents if intent.name != CRISIS_INTENT]
    return sorted({text for intent in calm for text in (*intent.triggers, *intent.replies)})


def crisis_talk() -> list[str]:
    """What people in need write: our own lines, and what the reply bank knows them by. Examples of self-harm, of which
    the labelled samples have 51 only."""
    bank = ReplyBank.read(DATA / "replies.en.toml")
    known = {text for intent in bank.intents if intent.name == CRISIS_INTENT for text in intent.triggers}
    return sorted({*known, *CRISIS_LESSONS.read_text("utf-8").splitlines()})


def _count_rows(texts: Sequence[str]) -> sparse.csr_matrix:
    rows = [count_ngrams(fold(text)) for text in texts]
    ends = np.cumsum([0, *(len(buckets) for buckets, _ in rows)])
    damped = np.concatenate([1 + np.log(counts) for _, counts in rows])
    return sparse.csr_matrix((damped, np.concatenate([buckets for buckets, _ in rows]), ends), (len(texts), BUCKETS))


def weigh_rows(rows: sparse.csr_matrix, rarity: npt.NDArray[np.float32]) -> sparse.csr_matrix:
    weighed = (rows @ sparse.diags(rarity)).tocsr()
    lengths = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    return (sparse.diags(1 / np.maximum(lengths, 1e-9)) @ weighed).tocsr()


def fit(head: str, texts: Texts, labels: npt.NDArray[np.int64], material: Material) -> Fitted:
    """Everyday talk is an example of nothing for every head, and talk of people in need one of self-harm, so of
    any category too."""
    all_texts = texts.plus(material.everyday)
    all_labels = np.concatenate([labels, np.zeros(len(material.everyday_weights), np.int64)])
    weights = np.concatenate([np.ones(len(labels)), material.everyday_weights])
    if head in CRISIS_HEADS:
        more = len(material.crisis.vectors)
        all_texts, all_labels = all_texts.plus(material.crisis), np.append(all_labels, np.ones(more, np.int64))
        weights = np.append(weights, np.full(more, LESSON_WEIGHT))
    vector = SVC(C=KERNEL_C, gamma=GAMMA, class_weight="balanced") if head == "any" else _logistic(VECTOR_C)
    return Fitted(
        vector.fit(all_texts.vectors, all_labels, sample_weight=weights),
        _logistic(NGRAM_C).fit(all_texts.ngrams, all_labels, sample_weight=weights),
    )


def _logistic(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, class_weight="balanced", solver="liblinear", max_iter=300, random_state=0)


def near_duplicates(vectors: Array) -> npt.NDArray[np.int32]:
    """The group of each text: chains of texts whose vectors are closer than NEAR_DUPLICATE."""
    alike = sparse.csr_matrix(vectors @ vectors.T > NEAR_DUPLICATE)
    return csgraph.connected_components(alike, directed=False)[1]


def cross_validate(material: Material) -> dict[str, Array]:
    """Scores of the samples by heads that saw neither them nor their near-duplicates; each head learns from the
    samples of the other folds whose label it knows. `any` is mixed as at run time."""
    scores = {head: np.zeros(len(material.samples)) for head in ("any", *CATEGORIES)}
    for learn, judge in _folds(material):
        for head, judged in _judge_fold(material, learn, judge).items():
            scores[head][judge] = judged
    mixed = [with_any({head: scores[head][place] for head in scores})["any"] for place in range(len(material.samples))]
    return scores | {"any": np.array(mixed)}


def _judge_fold(material: Material, learn: npt.NDArray[np.intp], judge: npt.NDArray[np.intp]) -> dict[str, Array]:
    """Kept in the cache by what it was made from, so that an evaluation does not repeat the training's work."""
    path = CACHE / f"fold-{_made_from(material, learn, judge)}.npz"
    if path.exists():
        with np.load(path) as kept:
            return dict(kept)
    judged = {}
    for head in ("any", *CATEGORIES):
        places, labels = material.known(head)
        seen = np.isin(places, learn)
        fitted = fit(head, material.openai.at(places[seen]), labels[seen], material)
        judged[head] = fitted.score(material.openai.at(judge))
    np.savez(path, **judged)
    return judged


def _made_from(material: Material, learn: npt.NDArray[np.intp], judge: npt.NDArray[np.intp]) -> str:
    """Of settings, examples, and the very lines of code that fit and score: another choice never meets old scores."""
    settings = (VECTOR_C, NGRAM_C, KERNEL_C, GAMMA, MARGIN_SCALE, LESSON_WEIGHT, CRISIS_HEADS)
    code = [inspect.getsource(part) for part in (fit, _logistic, Fitted)]
    labels = [sorted(sample.labels.items()) for sample in material.samples]
    made = hashlib.sha256(repr((settings, code, labels, learn.tolist(), judge.tolist())).encode())
    for texts in (material.openai, material.everyday, material.crisis):
        made.update(texts.vectors.tobytes())
        made.update(texts.ngrams.data.tobytes())
    made.update(material.everyday_weights.tobytes())
    return made.hexdigest()[:16]


def _folds(material: Material) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    groups = near_duplicates(material.openai.vectors)
    return GroupKFold(FOLDS).split(material.openai.vectors, groups=groups)


def cross_validate_toxic(material: Material) -> Array:
    scores = np.zeros(len(material.is_toxic))
    for learn, judge in KFold(FOLDS, shuffle=True, random_state=0).split(scores):
        fitted = fit("toxic", material.toxic.at(learn), material.is_toxic[learn], material)
        scores[judge] = fitted.score(material.toxic.at(judge))
    return scores


def choose_threshold(scores: Array, labels: npt.NDArray[np.int64], wanted: float = WANTED_PRECISION) -> float:
    """The lowest score above which the wanted precision holds, else the best F1; never below LEAST_THRESHOLD."""
    order = np.argsort(-scores)
    hits = np.cumsum(labels[order])
    precision = hits / np.arange(1, len(order) + 1)
    good = np.flatnonzero((precision >= wanted) & (np.arange(len(order)) >= 4))
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + labels.sum())
    place = int(good[-1]) if len(good) else int(np.argmax(f1))
    return float(max(scores[order][place], LEAST_THRESHOLD))


def train(material: Material) -> dict[str, Fitted]:
    heads = {}
    for head in HEADS:
        if head == "toxic":
            heads[head] = fit(head, material.toxic, material.is_toxic, material)
        else:
            places, labels = material.known(head)
            heads[head] = fit(head, material.openai.at(places), labels, material)
    return heads


def thresholds_of(material: Material, scores: dict[str, Array]) -> dict[str, float]:
    """From cross-validated scores."""
    chosen = {"toxic": choose_threshold(cross_validate_toxic(material), material.is_toxic, TOXIC_PRECISION)}
    for head, judged in scores.items():
        places, labels = material.known(head)
        chosen[head] = choose_threshold(judged[places], labels)
    return chosen


def write_heads(material: Material, heads: dict[str, Fitted], thresholds: dict[str, float]) -> None:
    kernel = heads["any"].vector
    lines = [heads[head].vector for head in HEADS[1:]]
    np.savez_compressed(
        DATA / VECTOR_FILE,
        names=np.array(HEADS),
        thresholds=np.array([thresholds[head] for head in HEADS], np.float32),
        support=kernel.support_vectors_.astype(np.float16),
        shares=kernel.dual_coef_[0].astype(np.float32),
        offset=np.float32(kernel.intercept_[0]),
        weights=np.stack([line.coef_[0] for line in lines], axis=1).astype(np.float32),
        bias=np.array([line.intercept_[0] for line in lines], np.float32),
    )
    grams = [heads[head].ngram for head in HEADS]
    np.savez_compressed(
        DATA / NGRAM_FILE,
        names=np.array(HEADS),
        rarity=material.rarity.astype(np.float16),
        weights=np.stack([gram.coef_[0] for gram in grams], axis=1).astype(np.float16),
        bias=np.array([gram.intercept_[0] for gram in grams], np.float32),
    )


def write_lexicon() -> None:
    """Fingerprints of words and phrases; numbers and mild words are left out."""
    rows: dict[int, tuple[str, float]] = {}
    first_words = set()
    for text, category, severity in surge_profanity():
        phrase = " ".join(fold_word(text).split())
        if severity >= MILD and not phrase.isdecimal() and len(phrase.split()) <= 3:
            rows[fingerprint(phrase)] = (category, severity)
            first_words.add(fingerprint(phrase.split()[0]))
    categories = sorted({category for category, _ in rows.values()})
    marks = sorted(rows)
    np.savez_compressed(
        DATA / LEXICON_FILE,
        prints=np.array(marks, np.uint64),
        first_words=np.array(sorted(first_words), np.uint64),
        categories=np.array(categories),
        category=np.array([categories.index(rows[mark][0]) for mark in marks], np.uint8),
        severity=np.array([rows[mark][1] for mark in marks], np.float16),
    )


def main() -> None:
    try:
        material = gather()
        thresholds = thresholds_of(material, cross_validate(material))
        write_heads(material, train(material), thresholds)
        write_lexicon()
        data = {
            name: file_hash(name)
            for name in ("openai-moderation-samples.jsonl.gz", "surge-toxicity-en.csv", "surge-profanity-en.csv")
        }
    except NoPublicData as missing:
        explain_and_exit(missing)
        return
    for name in (VECTOR_FILE, NGRAM_FILE, LEXICON_FILE):
        record(name, source="python -m training.moderation", licence="MIT", data=data)
    print({head: round(threshold, 3) for head, threshold in thresholds.items()})


if __name__ == "__main__":
    main()
