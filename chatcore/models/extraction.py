"""Summaries, topics, action items and answers, taken out of the messages themselves: nothing is invented."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chatcore.models.embedding import Embedder
from chatcore.models.shapes import (
    ActionItem,
    ActionItems,
    ActionItemsInput,
    AnswerFromMessages,
    AnswerFromMessagesInput,
    ExtractTopics,
    ExtractTopicsInput,
    SummarizeConversation,
    SummarizeConversationInput,
    Topic,
    Turn,
)
from chatcore.models.words import WordWeights, content_words, overlap, sentences_of, words_of

MIN_WORDS = 4  # a shorter sentence says little on its own
LEAD_BONUS = 0.15  # openings name the subject
REPEATS = 0.6  # likeness to a chosen sentence above which another says the same
WORDS_SHARE = 0.3  # of shared words in the likeness of a message to a question
# A second message is cited only where it answers nearly as well as the first. In six small conversations what was about
# the same thing had 70 % of its likeness and more, and what shared just a word with the question 59 % and less.
ALSO_SUPPORTS = 0.65
MOST_ANSWER_CANDIDATES = 40  # embedded anew for each question, about 10 ms each on a busy machine


@dataclass(frozen=True, slots=True)
class Sentence:
    turn: Turn
    text: str
    place: int


def summarize(asked: SummarizeConversationInput) -> SummarizeConversation:
    """The sentences nearest to the middle of the whole conversation, each unlike the others, in their order."""
    sentences = _sentences(asked.messages)
    long_enough = [sentence for sentence in sentences if len(words_of(sentence.text)) >= MIN_WORDS] or sentences
    weights = WordWeights(sentence.text for sentence in long_enough)
    vectors = {sentence.place: weights.vector(sentence.text) for sentence in long_enough}
    middle: dict[str, float] = defaultdict(float)
    for vector in vectors.values():
        for word, weight in vector.items():
            middle[word] += weight / len(vectors)

    def worth(sentence: Sentence) -> float:
        lead = LEAD_BONUS * max(0.0, 1 - sentence.place / max(len(sentences), 1)) if middle else 0.0
        return overlap(vectors[sentence.place], middle) + lead * max(middle.values(), default=0.0)

    chosen: list[Sentence] = []
    room = asked.parameters.max_characters
    for sentence in sorted(long_enough, key=lambda sentence: (-worth(sentence), sentence.place)):
        line = _line(sentence)
        repeats = any(overlap(vectors[sentence.place], vectors[other.place]) > REPEATS for other in chosen)
        if repeats or len(line) + 1 > room:
            continue
        chosen.append(sentence)
        room -= len(line) + 1
        if len(chosen) == asked.parameters.max_sentences:
            break
    chosen.sort(key=lambda sentence: sentence.place)
    return SummarizeConversation(
        summary="\n".join(_line(sentence) for sentence in chosen),
        message_ids=list(dict.fromkeys(sentence.turn.id for sentence in chosen)),
    )


def extract_topics(asked: ExtractTopicsInput) -> ExtractTopics:
    """Words, and pairs of words that occur together at least twice, that weigh most over all messages (TF-IDF)."""
    weights = WordWeights(turn.text for turn in asked.messages)
    total: dict[str, float] = defaultdict(float)
    where: dict[str, list[str]] = defaultdict(list)
    for turn in asked.messages:
        words = [word for word in content_words(turn.text) if not word[0].isdecimal()]  # a date is no subject
        for term in [*words, *(f"{first} {second}" for first, second in pairwise(words))]:
            total[term] += sum(weights.rarity(word) for word in term.split())
            if not where[term] or where[term][-1] != turn.id:
                where[term].append(turn.id)
    kept = {term: weight for term, weight in total.items() if " " not in term or len(where[term]) > 1}
    names: list[str] = []
    for term in sorted(kept, key=lambda term: (-kept[term], term)):
        if not any(set(term.split()) & set(name.split()) for name in names):
            names.append(term)
        if len(names) == asked.parameters.max_topics:
            break
    most = max((kept[name] for name in names), default=1.0)
    return ExtractTopics(
        topics=[Topic(name=name, score=round(kept[name] / most, 4), message_ids=where[name]) for name in names]
    )


_REQUEST = re.compile(
    r"\b(?:can|could|would|will) (?:you|every(?:one|body)|some(?:one|body)) (?!believe|imagine|see\b)"
    r"|\bplease\b|\bdon'?t forget\b|\bremember to\b"
    r"|\byou (?:should|need to|have to|must)\b|@\w+[,:]? (?:please|can|could)\b",
    re.IGNORECASE,
)
_PROMISE = re.compile(
    r"\b(?:i'll|i will|i'm going to|i am going to|i can take|i need to|i have to|let me)\s+"
    r"(?!be\b|see\b|think\b|know\b)\w+",
    re.IGNORECASE,
)
_PLAN = re.compile(
    r"\b(?:we (?:need to|have to|must|should)|let's|todo:?|to-do:?|action item:?|next step:?)\s+\w+", re.IGNORECASE
)
_DUE = re.compile(
    r"\b(?:(?:by|before|until|on|at|due) )?(?:today|tonight|tomorrow|(?:next |this )?(?:monday|tuesday|wednesday|"
    r"thursday|friday|saturday|sunday|week|month)|end of (?:the )?(?:day|week|month)|noon|"
    r"\d{1,2}(?::\d{2})? ?(?:am|pm)|\d{1,2}:\d{2}|\d{4}-\d{2}-\d{2})\b",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(?:^|\s)@([\w.-]+\w)|^([A-Z][\w-]+),? (?:please|can|could|will|would)\b")


def find_action_items(asked: ActionItemsInput) -> ActionItems:
    """Sentences that ask, promise or plan, by their wording; who is named, and the words that say until when."""
    items = []
    for sentence in _sentences(asked.messages):
        promise, request = _PROMISE.search(sentence.text), _REQUEST.search(sentence.text)
        if not (promise or request or _PLAN.search(sentence.text)) or len(words_of(sentence.text)) < MIN_WORDS:
            continue
        named, due = _NAMED.search(sentence.text), _DUE.search(sentence.text)
        assignee = next(filter(None, named.groups()), "") if named else ""
        if not assignee and promise and not request:
            assignee = sentence.turn.sender
        items.append(
            ActionItem(
                text=sentence.text,
                assignee=assignee,
                due=due.group().strip() if due else "",
                message_id=sentence.turn.id,
            )
        )
    return ActionItems(items=items)


def answer(asked: AnswerFromMessagesInput, embedder: Embedder) -> AnswerFromMessages:
    """Quotes the nearest messages that are not the question itself.

    Likeness is the cosine of MiniLM with a share of common rare words. Shared words choose the forty candidates that
    are embedded; the caller has retrieved by vector already.
    """
    parameters = asked.parameters
    weights = WordWeights(turn.text for turn in asked.messages)
    wanted = weights.vector(asked.question)
    same = words_of(asked.question)
    candidates = [
        (overlap(wanted, weights.vector(turn.text)), place)
        for place, turn in enumerate(asked.messages)
        if turn.text.strip() and words_of(turn.text) != same
    ]
    candidates = sorted(candidates, key=lambda pair: (-pair[0], pair[1]))[:MOST_ANSWER_CANDIDATES]
    if not candidates:
        return AnswerFromMessages(answer="", message_ids=[], answered=False, confidence=0)
    question = embedder.embed_one(asked.question)[0]
    near = embedder.embed([asked.messages[place].text for _, place in candidates]) @ question
    scored = [
        (cosine, (1 - WORDS_SHARE) * cosine + WORDS_SHARE * shared - _is_question(asked.messages[place].text), place)
        for (shared, place), cosine in zip(candidates, (float(cosine) for cosine in near), strict=True)
    ]
    good = [entry for entry in scored if max(entry[0], entry[1]) >= parameters.cosine_floor]
    ranked = sorted(good, key=lambda entry: (-entry[1], entry[2]))[: parameters.max_sentences]
    best = [entry for entry in ranked if entry is ranked[0] or entry[1] >= ALSO_SUPPORTS * ranked[0][1]]
    if not best:
        return AnswerFromMessages(answer="", message_ids=[], answered=False, confidence=0)
    quoted = [asked.messages[place] for _, _, place in best]
    return AnswerFromMessages(
        answer="\n".join(_quote(turn) for turn in quoted),
        message_ids=[turn.id for turn in quoted],
        answered=True,
        confidence=round(min(max(best[0][0], 0.0), 1.0), 4),
    )


def _is_question(text: str) -> float:
    """A small malus: another question rarely answers."""
    return 0.15 if text.rstrip().endswith("?") else 0.0


def _sentences(turns: Sequence[Turn]) -> list[Sentence]:
    pairs = [(turn, text) for turn in turns for text in sentences_of(turn.text)]
    return [Sentence(turn, text, place) for place, (turn, text) in enumerate(pairs)]


def _line(sentence: Sentence) -> str:
    return f"{sentence.turn.sender}: {sentence.text}" if sentence.turn.sender else sentence.text


def _quote(turn: Turn) -> str:
    return f"{turn.sender}: {turn.text.strip()}" if turn.sender else turn.text.strip()
