"""One look at a conversation each: the function that is asked, and what of its answer the messages bear out.

A model may say anything. What is let through names messages of the window, people and times that stand in them, and
no link that does not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chatcore.ai.analysis.records import Look
from chatcore.ai.calls import Feature
from chatcore.ai.context import Line
from chatcore.ai.flows.reply import share
from chatcore.ai.flows.safety import clean, without_unknown_links

MOST_SUMMARY, MOST_LABEL, MOST_TASK = 4_000, 80, 280
MOST_TOPICS, MOST_TASKS = 20, 50
TONES: Final = ("positive", "neutral", "negative")
Value = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """`check` gives what is let through; `nothing` is the answer where there are no messages."""

    look: Look
    function: str
    feature: Feature
    check: Callable[[Value, Sequence[Line]], dict[str, Any]]
    nothing: Value


def check_summary(value: Value, lines: Sequence[Line]) -> dict[str, Any]:
    text = "\n".join(filter(None, (clean(part) for part in str(value.get("summary", "")).splitlines())))
    text = without_unknown_links(text, [line.text for line in lines])[:MOST_SUMMARY]
    return {"summary": text, "message_ids": _known(value.get("message_ids"), lines) if text else []}


def check_topics(value: Value, lines: Sequence[Line]) -> dict[str, Any]:
    """Those with messages, each label once, in the model's order."""
    texts = [line.text for line in lines]
    topics: dict[str, dict[str, Any]] = {}
    for topic in _rows(value, "topics"):
        label = without_unknown_links(clean(str(topic.get("name", ""))), texts)[:MOST_LABEL].strip()
        message_ids = _known(topic.get("message_ids"), lines)
        if label and message_ids:
            told = {"label": label, "share": share(topic.get("score")), "message_ids": message_ids}
            topics.setdefault(label.casefold(), told)
    return {"topics": list(topics.values())[:MOST_TOPICS]}


def check_action_items(value: Value, lines: Sequence[Line]) -> dict[str, Any]:
    """Those whose message is there; a name or a time that nobody mentioned is left out."""
    by_id = {line.message_id: line for line in lines}
    senders = {line.sender_name.casefold() for line in lines}
    items: dict[tuple[str, str], dict[str, Any]] = {}
    for item in _rows(value, "items"):
        line = by_id.get(str(item.get("message_id", "")))
        if line is None:
            continue
        text = without_unknown_links(clean(str(item.get("text", ""))), [line.text])[:MOST_TASK].strip()
        assignee, due = clean(str(item.get("assignee") or "")), clean(str(item.get("due") or ""))
        said = line.text.casefold()
        told = {
            "text": text,
            "assignee": assignee
            if assignee and (assignee.casefold() in senders or assignee.casefold() in said)
            else None,
            "due": due if due and due.casefold() in said else None,
            "message_id": line.message_id,
        }
        if text:
            items.setdefault((line.message_id, text.casefold()), told)
    return {"items": list(items.values())[:MOST_TASKS]}


def check_mood(value: Value, lines: Sequence[Line]) -> dict[str, Any]:
    """Counts messages of the window, each once, by the tone that was told of it."""
    known = {line.message_id for line in lines}
    tones = {
        str(each.get("message_id")): tone_of(each.get("label"))
        for each in _rows(value, "messages")
        if str(each.get("message_id")) in known
    }
    counts = {tone: sum(each == tone for each in tones.values()) for tone in TONES}
    return {"sentiment": tone_of(value.get("label")), "score": signed(value.get("score")), **counts}


QUESTIONS: Final[dict[Look, Question]] = {
    "summary": Question(
        "summary", "SummarizeConversation", "summary", check_summary, {"summary": "", "message_ids": []}
    ),
    "topics": Question("topics", "ExtractTopics", "topics", check_topics, {"topics": []}),
    "action_items": Question("action_items", "ActionItems", "action_items", check_action_items, {"items": []}),
    "mood": Question(
        "mood", "AnalyzeSentiment", "sentiment", check_mood, {"label": "neutral", "score": 0.0, "messages": []}
    ),
}


def tone_of(label: object) -> str:
    """BAML names the members of an enum with a capital."""
    told = str(label).lower()
    return told if told in TONES else "neutral"


def signed(score: object) -> float:
    """From -1 to 1, whatever a model said."""
    return round(min(max(float(score), -1.0), 1.0), 4) if isinstance(score, int | float) else 0.0


def _rows(value: Value, name: str) -> list[Value]:
    return [row for row in value.get(name) or [] if isinstance(row, Mapping)]


def _known(message_ids: object, lines: Sequence[Line]) -> list[str]:
    """Those of the window, each once, in the order of the conversation."""
    told = set(map(str, message_ids)) if isinstance(message_ids, list) else set()
    return [line.message_id for line in lines if line.message_id in told]
