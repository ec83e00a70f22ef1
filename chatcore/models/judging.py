"""Judging replies offline, by likeness alone: weak, and good for seeing that an evaluation runs.

It knows neither order nor tone nor truth. Whether it may be trusted is for the calibration against people to say.
"""

from chatcore.models.embedding import Embedder
from chatcore.models.shapes import (
    JudgePair,
    JudgePairInput,
    JudgeReply,
    JudgeReplyInput,
    Turn,
)

NOTHING_SHARED, SAME = 0.0, 0.7
"""Cosines that stand for 0 and for 1: short messages that answer one another seldom reach more."""
A_TIE = 0.02


def judge_reply(asked: JudgeReplyInput, embedder: Embedder) -> JudgeReply:
    """How near the reply is to the reference, or without one to the last turn."""
    score = _score(asked.messages, asked.reply, asked.reference, embedder)
    return JudgeReply(score=score, faults=[], reason=f"likeness to {_measure(asked.reference)} alone")


def judge_pair(asked: JudgePairInput, embedder: Embedder) -> JudgePair:
    """The one with the higher score; nearly the same is a tie."""
    first, second = (_score(asked.messages, one, asked.reference, embedder) for one in (asked.first, asked.second))
    near = abs(first - second) < A_TIE
    return JudgePair(
        winner="tie" if near else "first" if first > second else "second",
        reason=f"likeness to {_measure(asked.reference)} alone: {first:.2f} and {second:.2f}",
    )


def _score(messages: list[Turn], reply: str, reference: str, embedder: Embedder) -> float:
    against = reference or next((turn.text for turn in reversed(messages) if turn.text.strip()), "")
    if not reply.strip() or not against.strip():
        return 0.0
    near = float(embedder.embed_one(reply)[0] @ embedder.embed_one(against)[0])
    return round(min(max((near - NOTHING_SHARED) / (SAME - NOTHING_SHARED), 0.0), 1.0), 4)


def _measure(reference: str) -> str:
    return "the reference" if reference else "the last turn"
