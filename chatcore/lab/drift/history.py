"""A history to try the watch on where no server is given: drawn by chance, and said so wherever it is shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from chatcore.lab.decisions import frame, pinned

What = Literal["flags", "lengths", "languages", "acceptance", "overrides"]
WHATS: Final[tuple[What, ...]] = ("flags", "lengths", "languages", "acceptance", "overrides")
FIRST_DAY: Final = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
LANGUAGES: Final = {"en": 0.84, "de": 0.09, "es": 0.05, "fr": 0.02}
CATEGORIES: Final = ("harassment", "sexual", "violence", "self-harm")
EMBEDDED: Final = {"provider": "embedded", "model": "synthetic", "degraded": True}


@dataclass(frozen=True, slots=True)
class Change:
    """From `day` on one thing is different: flags triple, texts get a third longer, a tenth of the talk is in a
    language that was not there, suggestions are taken half as often, or reviewers overrule twice as often."""

    what: What
    day: int


def synthetic_history(
    days: int = 56, *, messages_a_day: int = 160, changes: tuple[Change, ...] = (), seed: int = 0
) -> pd.DataFrame:
    """Rows as `lab.ledger` gives them, with `language` besides; quieter at weekends, and no day quite like another."""
    if unknown := [one.what for one in changes if one.what not in WHATS]:
        raise ValueError(f"nothing of a history is called {', '.join(unknown)}; there are {', '.join(WHATS)}")
    dice = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for day in range(days):
        rows += _Day(day, {one.what for one in changes if day >= one.day}, dice).rows(messages_a_day)
    found = frame(rows)
    languages = {row["decisionId"]: row["language"] for row in rows}
    found["language"] = found["decision_id"].map(languages)
    found.attrs["dataset"] = pinned("synthetic-history", found[["decision_id", "language"]])
    found.attrs["synthetic"] = True
    return found


class _Day:
    """What one day brings. Shares wander from day to day by a tenth, as those of real days do."""

    def __init__(self, day: int, changed: set[str], dice: np.random.Generator):
        self._day, self._changed, self._dice = day, changed, dice
        self._weekend = (FIRST_DAY + timedelta(days=day)).weekday() >= 5
        self._flags = self._wandering(0.06) * (3.0 if "flags" in changed else 1.0)
        self._takes = self._wandering(0.34) * (0.5 if "acceptance" in changed else 1.0)
        self._overrules = self._wandering(0.22) * (2.2 if "overrides" in changed else 1.0)

    def rows(self, messages: int) -> list[dict[str, Any]]:
        count = int(self._dice.poisson(messages * (0.6 if self._weekend else 1.0)))
        moments = sorted(self._dice.uniform(7 * 3_600, 23 * 3_600, count))
        return [row for number, second in enumerate(moments) for row in self._message(number, float(second))]

    def _wandering(self, share: float) -> float:
        return float(np.clip(share * self._dice.normal(1.0, 0.1), 0.001, 0.999))

    def _message(self, number: int, second: float) -> Iterator[dict[str, Any]]:
        at = FIRST_DAY + timedelta(days=self._day, seconds=second)
        language = str(self._dice.choice(list(LANGUAGES), p=list(LANGUAGES.values())))
        if "languages" in self._changed and self._dice.random() < 0.1:
            language = "pt"
        tokens = int(self._dice.lognormal(4.6, 0.5) * (1.35 if "lengths" in self._changed else 1.0))
        person = f"person-{self._dice.integers(60):02}"
        plain = {"at": at.isoformat(), "mode": "live", "arm": "live", "person": person, "language": language,
                 "groupId": f"group-{self._dice.integers(12):02}", "inputSha256": f"{self._day}-{number}"}  # fmt: skip
        yield plain | self._moderated(number)
        if self._dice.random() < 0.45:
            yield plain | self._suggested(number, tokens, at)

    def _moderated(self, number: int) -> dict[str, Any]:
        flagged = bool(self._dice.random() < self._flags)
        scores = {name: float(self._dice.beta(1.2, 14)) for name in CATEGORIES}
        if flagged:
            scores[str(self._dice.choice(CATEGORIES, p=(0.6, 0.15, 0.2, 0.05)))] = float(self._dice.uniform(0.6, 1.0))
        row = {"decisionId": f"m-{self._day:03}-{number:04}", "messageId": f"{self._day:03}-{number:04}",
               "feature": "moderation", "action": "flag" if flagged else "allow", "scores": scores,
               "served": self._served(0, 0)}  # fmt: skip
        if flagged:
            row["human"] = {"agrees": bool(self._dice.random() >= self._overrules), "resolution": "synthetic"}
        return row

    def _suggested(self, number: int, tokens: int, at: datetime) -> dict[str, Any]:
        ratings = {"shown": at.isoformat()}
        if self._dice.random() < self._takes:
            ratings |= {"accepted": at.isoformat()} | ({"positive": ""} if self._dice.random() < 0.3 else {})
        elif self._dice.random() < 0.2:
            ratings |= {"dismissed": at.isoformat()} | ({"negative": ""} if self._dice.random() < 0.3 else {})
        items = [{"suggestionId": "", "place": 0, "ratings": ratings, "feedback": False}]
        return {"decisionId": f"s-{self._day:03}-{number:04}", "feature": "smart_reply", "action": "suggested",
                "served": self._served(tokens, 30), "exposure": {"items": items}}  # fmt: skip

    def _served(self, prompt: int, completion: int) -> dict[str, Any]:
        fallback = "timeout" if self._dice.random() < 0.01 else None
        return {**EMBEDDED, "latencyMs": float(self._dice.gamma(4, 10)), "promptTokens": prompt,
                "completionTokens": completion, "costUsd": 0.0, "fallback": fallback}  # fmt: skip


def changes(names: str, day: int) -> tuple[Change, ...]:
    """From a notebook's parameter.

    >>> changes("languages, flags", 40)
    (Change(what='languages', day=40), Change(what='flags', day=40))
    """
    told = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := sorted(set(told) - set(WHATS)):
        raise ValueError(f"nothing of a history is called {', '.join(unknown)}; there are {', '.join(WHATS)}")
    return tuple(Change(what, day) for name in told for what in WHATS if what == name)
