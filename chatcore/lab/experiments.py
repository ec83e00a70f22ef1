"""Versions on live traffic: who got which, what people made of it, and whether the difference may be believed.

A canary answers a sticky share of the people, so people are what is compared, not answers. A shadow answers the same
questions unseen, so there answers are compared in pairs.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from chatcore.client.rest import Rest, calls_for_many
from chatcore.lab.decisions import LedgerNotThere
from chatcore.lab.drift.watching import DISLIKED, TAKEN, ratings_of
from chatcore.lab.live import LiveChat
from chatcore.lab.loops import run_apart
from chatcore.lab.pages import Table, facts, number
from chatcore.lab.plots import COLOURS, INK, finished
from chatcore.lab.statistics.estimates import LEVEL, Difference, Interval
from chatcore.lab.statistics.intervals import clustered_mean
from chatcore.lab.statistics.paired import paired_difference
from chatcore.lab.statistics.sequential import always_valid, always_valid_difference, sample_ratio_p
from chatcore.lab.surroundings import settings
from chatcore.lab.versions import find_version

FUNCTION: Final = "SmartReplies"
FEATURE: Final = "smart_reply"
BROKEN_BELOW: Final = 0.001
"""A sample ratio less likely than this means a broken experiment (Fabijan et al., KDD 2019), whatever it says else."""
SHARPEST_AT: Final = 200
GUARDRAILS: Final[Mapping[str, float]] = {"disliked": 0.05, "nothing": 0.05, "fallback": 0.05}
"""How much more of each is still fine, as a share of a person's answers."""


@dataclass(frozen=True, slots=True)
class Arms:
    """The versions that answer people now; `share` of them get the canary."""

    live: str
    canary: str
    share: float
    shadows: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        rows = [["live", self.live[:30], f"{1 - self.share:.0%} of the people"],
                ["canary", self.canary[:30], f"{self.share:.0%} of the people"]]  # fmt: skip
        rows += [["shadow", one[:30], "nobody sees it"] for one in self.shadows]
        return Table(["arm", "version", "answers"], rows).html()


class NoExperiment(Exception):
    """No canary is under way; the message says how to start one."""


def begin(chat: LiveChat, candidate: str, *, share: float = 0.5, shadow: str = "") -> Arms:
    """On a chat of one's own: `candidate` answers a share of the people, `shadow` runs beside the live version.

    Both as in `lab.find_version`. On a server in use, an operator does this.
    """
    trying = [find_version(FUNCTION, one) for one in (candidate, shadow) if one]
    run_apart(_moved(chat.url, chat.token_of("operator"), trying, share))
    return arms(chat)


def arms(chat: LiveChat | None = None) -> Arms:
    """Of the chat given, or of the server at CHATCORE_URL. Raises NoExperiment where no canary is under way."""
    ours = settings()
    url, token = (
        (chat.url, chat.token_of("analyst")) if chat else (ours.chatcore_url, ours.chatcore_token.get_secret_value())
    )
    if not token:
        raise LedgerNotThere("set CHATCORE_URL and an analyst's CHATCORE_TOKEN")
    told = run_apart(_listed(url, token))
    by_state = {state: [one for one in told if one["state"] == state] for state in ("live", "canary", "shadow")}
    if not by_state["canary"]:
        raise NoExperiment(f"no version of {FUNCTION} is a canary: `python -m chatcore prompts canary` starts one")
    canary = by_state["canary"][0]
    shadows = tuple(one["versionId"] for one in by_state["shadow"])
    return Arms(by_state["live"][0]["versionId"], canary["versionId"], float(canary["share"]), shadows)


def exposures(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each live answer to a person: decision_id, at, person, arm, prompt, shown, taken, accepted, edited,
    disliked, dismissed, ignored, nothing, fallback (all 0 or 1), latency_ms.

    Every answer counts, also one that offered nothing: leaving those out would praise a version for its silence.
    """
    kept = rows[(rows["feature"] == FEATURE) & (rows["mode"] == "live") & (rows["person"] != "")]
    told = kept["exposure"].map(ratings_of)
    found = kept[["decision_id", "at", "person", "arm", "prompt", "latency_ms"]].copy()
    for name in ("shown", "accepted", "edited", "dismissed"):
        found[name] = told.map(lambda one, name=name: float(name in one))
    found["taken"] = told.map(lambda one: float(bool(one & set(TAKEN))))
    found["disliked"] = told.map(lambda one: float(bool(one & set(DISLIKED))))
    found["ignored"] = found["shown"] * (1 - found[["taken", "dismissed"]].max(axis=1))
    found["nothing"] = (kept["action"] == "nothing").astype(float)
    found["fallback"] = (kept["fallback"] != "").astype(float)
    return found.reset_index(drop=True)


@dataclass(frozen=True)
class Experiment:
    """`people`: one row for each, in the order of their first answer, with means over their answers. `taken`: canary
    minus live. `path`: the same after each further person. `other_versions`: answers of neither version, left out."""

    arms: Arms
    people: pd.DataFrame
    ratio_p: float
    in_two_arms: int
    other_versions: int
    taken: Interval
    guardrails: pd.DataFrame
    path: pd.DataFrame

    @property
    def sound(self) -> bool:
        """Whether the split is what it was meant to be; without that nothing else may be read."""
        return self.ratio_p >= BROKEN_BELOW and self.in_two_arms == 0

    @property
    def harmed(self) -> int:
        """Guardrails that the canary worsens for certain, beyond their margin."""
        return int(self.guardrails["harmed"].sum())

    @property
    def sentence(self) -> str:
        counted = self.people["arm"].value_counts()
        size = f"{counted.get('canary', 0)} people with the canary, {counted.get('live', 0)} with the live version"
        if not self.sound:
            split = f"p = {self.ratio_p:.2g}, {self.in_two_arms} people in two arms"
            return f"{size}: the split is broken ({split}). Nothing else may be read."
        told = self.taken
        found = "better" if told.low > 0 else "worse" if told.high < 0 else "not told apart yet"
        reach = "not bounded yet" if math.isinf(told.high) else f"{told.low:+.3f} to {told.high:+.3f} at all times"
        harm = f"; {self.harmed} guardrails are broken" if self.harmed else "; no guardrail is broken"
        return f"{size} (p = {self.ratio_p:.2g}): suggestions taken {told.estimate:+.3f} ({reach}), {found}{harm}."

    def _repr_html_(self) -> str:
        said = {"people": f"{len(self.people):,}", "sample ratio p": number(self.ratio_p, digits=2),
                "in two arms": str(self.in_two_arms), "of other versions": str(self.other_versions)}  # fmt: skip
        rows = [
            [row.what, f"{row.live:.3f}", f"{row.canary:.3f}", f"{row.difference:+.3f}", number(row.low, digits=2),
             number(row.high, digits=2), row.verdict]
            for row in self.guardrails.itertuples()
        ]  # fmt: skip
        means = self.people.groupby("arm")["taken"].mean()
        first = ["taken", f"{means.get('live', math.nan):.3f}", f"{means.get('canary', math.nan):.3f}",
                 f"{self.taken.estimate:+.3f}", number(self.taken.low, digits=2), number(self.taken.high, digits=2),
                 "what is compared"]  # fmt: skip
        head = ["share of a person's answers", "live", "canary", "difference", "low", "high", ""]
        return facts("Live against canary", said) + Table(head, [first, *rows], frozenset(range(1, 6))).html()


def compare(exposed: pd.DataFrame, arms: Arms, *, sharpest_at: int = SHARPEST_AT) -> Experiment:
    """By person, with intervals that hold however often one looks. Raises ValueError where an arm has nobody.

    Whoever got both versions is counted and left out: what they did belongs to neither.
    """
    versions = {arms.live: "live", arms.canary: "canary"}
    ours = exposed[exposed["prompt"].isin(versions)].assign(arm=lambda one: one["prompt"].map(versions))
    both = ours.groupby("person")["arm"].nunique()
    twice = set(both[both > 1].index)
    ours = ours[~ours["person"].isin(twice)]
    wanted = {"arm": "first", "at": "min", "decision_id": "size", "taken": "mean", "latency_ms": "mean"}
    people = ours.groupby("person").agg(wanted | dict.fromkeys(GUARDRAILS, "mean")).reset_index()
    people = people.rename(columns={"decision_id": "answers"}).sort_values(["at", "person"], ignore_index=True)
    counts = {arm: int((people["arm"] == arm).sum()) for arm in ("live", "canary")}
    if not all(counts.values()):
        raise ValueError(
            f"{counts['live']} people with the live version, {counts['canary']} with the canary: too early"
        )
    return Experiment(
        arms=arms,
        people=people,
        ratio_p=sample_ratio_p(counts, {"live": 1 - arms.share, "canary": arms.share}),
        in_two_arms=len(twice),
        other_versions=int((~exposed["prompt"].isin(versions)).sum()),
        taken=_difference(people, "taken", sharpest_at),
        guardrails=pd.DataFrame([_guardrail(people, what, sharpest_at) for what in GUARDRAILS]),
        path=_path(people, sharpest_at),
    )


def shadowed(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each shadow's answer beside the live one: sample, group, person, version, and for both sides
    tokens, latency_ms, fallback; with `lab.ledger(content=True)` also `overlap`, the share of the live version's
    replies that the shadow gave too."""
    live = rows[rows["mode"] == "live"].set_index("decision_id")
    shadows = rows[(rows["mode"] == "shadow") & (rows["feature"] == FEATURE) & rows["shadow_of"].isin(live.index)]
    found = []
    for row in shadows.to_dict("records"):
        seen = live.loc[row["shadow_of"]]
        told = {"sample": row["shadow_of"], "group": row["group"], "person": seen["person"], "version": row["prompt"]}
        for side, one in (("shadow", row), ("live", seen)):
            told[f"{side}_tokens"] = float(one["prompt_tokens"] + one["completion_tokens"])
            told[f"{side}_latency_ms"] = float(one["latency_ms"])
            told[f"{side}_fallback"] = float(one["fallback"] != "")
        if "output" in rows.columns:
            told["overlap"] = _overlap(seen["output"], row["output"])
        found.append(told)
    return pd.DataFrame(found)


@dataclass(frozen=True)
class Beside:
    """Shadow minus live on the same questions; empty where no shadow ran."""

    questions: int
    measured: Mapping[str, Difference | Interval]

    def _repr_html_(self) -> str:
        if not self.measured:
            return facts("Shadow beside the live version", {"": "no shadow ran"})
        rows = [
            [name, number(one.estimate, digits=3), number(one.low, digits=3), number(one.high, digits=3)]
            for name, one in self.measured.items()
        ]
        said = {"questions answered by both": f"{self.questions:,}"}
        head = ["shadow minus live", "found", "low", "high"]
        return facts("Shadow beside the live version", said) + Table(head, rows, frozenset({1, 2, 3})).html()


def beside(pairs: pd.DataFrame) -> Beside:
    """`tokens`, `latency_ms` and `fallback` as differences paired by question and clustered by group; `overlap`, where
    content was read, as the share of the live version's replies that the shadow gave too."""
    if pairs.empty:
        return Beside(0, {})
    found: dict[str, Difference | Interval] = {
        what: _shadow_difference(pairs, what) for what in ("tokens", "latency_ms", "fallback")
    }
    if "overlap" in pairs.columns:
        found["overlap"] = clustered_mean(pairs["overlap"], clusters=[pairs["group"]])
    return Beside(pairs["sample"].nunique(), found)


def _shadow_difference(pairs: pd.DataFrame, what: str) -> Difference:
    sides = [
        pairs[["sample"]].assign(score=pairs[f"{side}_{what}"], conversation=pairs["group"])
        for side in ("shadow", "live")
    ]
    return paired_difference(sides[0], sides[1], span=max(1.0, float(pairs[f"live_{what}"].max())))


def path_chart(found: Experiment) -> Figure:
    """The difference after each person. One may stop whenever the band leaves the line at zero."""
    figure, axes = plt.subplots(figsize=(8, 3.0))
    told = found.path
    known = told[np.isfinite(told["high"])]
    axes.fill_between(
        known["people"], known["low"], known["high"], color=COLOURS[0], alpha=0.2, lw=0, label="at all times"
    )
    axes.plot(told["people"], told["estimate"], color=COLOURS[0], lw=1.6)
    axes.axhline(0, color=INK, lw=1)
    axes.set(xlabel="people", ylabel="taken: canary minus live", ylim=(-1, 1), title=_title(known))
    if len(known):
        axes.legend(frameon=False)
    return finished(figure)


def outcome_bars(exposed: pd.DataFrame, arms: Arms) -> Figure:
    """What became of the answers, by arm."""
    names = ("accepted", "edited", "ignored", "dismissed", "nothing")
    figure, axes = plt.subplots(figsize=(8, 1.8))
    left = np.zeros(2)
    places = [exposed[exposed["prompt"] == version] for version in (arms.canary, arms.live)]
    for name, colour in zip(names, (COLOURS[2], "#7cc4a8", "#c9cdd4", COLOURS[1], "#6b7280"), strict=True):
        shares = np.array([float(part[name].mean()) if len(part) else 0.0 for part in places])
        axes.barh(
            [f"canary ({len(places[0])})", f"live ({len(places[1])})"], shares, left=left, color=colour, label=name
        )
        left += shares
    axes.set(xlim=(0, 1), xlabel="share of answers")
    axes.legend(frameon=False, ncol=5, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return finished(figure)


def _title(known: pd.DataFrame) -> str:
    return "Suggestions taken" if len(known) else "Suggestions taken (too few people for an interval yet)"


def _arms_of(people: pd.DataFrame, what: str) -> tuple[list[float], list[float]]:
    canary, live = (people.loc[people["arm"] == arm, what].tolist() for arm in ("canary", "live"))
    return canary, live


def _difference(people: pd.DataFrame, what: str, sharpest_at: int) -> Interval:
    canary, live = (_spread(values) for values in _arms_of(people, what))
    return always_valid_difference(canary, live, sharpest_at=sharpest_at)


def _spread(values: list[float]) -> list[float]:
    """Where everybody is at the same value nothing is known of the spread, and no guardrail could ever break: one
    person at either end of the scale is added, as for a judge that never errs."""
    return [0.0, 1.0, *values] if len(set(values)) == 1 else values


def _guardrail(people: pd.DataFrame, what: str, sharpest_at: int) -> dict[str, Any]:
    canary, live = _arms_of(people, what)
    found = _difference(people, what, sharpest_at)
    harmed = found.low > GUARDRAILS[what]
    safe = found.high <= GUARDRAILS[what]
    return {"what": what, "live": float(np.mean(live)), "canary": float(np.mean(canary)), "difference": found.estimate,
            "low": found.low, "high": found.high, "harmed": harmed,
            "verdict": "failed" if harmed else "passed" if safe else "no harm seen"}  # fmt: skip


def _path(people: pd.DataFrame, sharpest_at: int) -> pd.DataFrame:
    canary, live = (
        always_valid(values, level=(1 + LEVEL) / 2, sharpest_at=sharpest_at) for values in _arms_of(people, "taken")
    )
    is_canary = (people["arm"] == "canary").to_numpy()
    rows = []
    for place, (left, right) in enumerate(zip(is_canary.cumsum(), (~is_canary).cumsum(), strict=True), start=1):
        if left and right:
            ours, theirs = canary[left - 1], live[right - 1]
            gap, reach = ours.estimate - theirs.estimate, ours.half_width + theirs.half_width
            rows.append({"people": place, "estimate": gap, "low": gap - reach, "high": gap + reach})
    return pd.DataFrame(rows, columns=["people", "estimate", "low", "high"])


def _overlap(live: Any, shadow: Any) -> float:
    """NaN where the live version said nothing, or its content is gone."""
    texts, others = _texts(live), _texts(shadow)
    return len(texts & others) / len(texts) if texts else math.nan


def _texts(output: Any) -> set[str]:
    answer = output.get("answer", {}) if isinstance(output, dict) else {}
    return {str(reply.get("text", "")) for reply in answer.get("replies", ())}


async def _moved(url: str, token: str, versions: list[Any], share: float) -> None:
    async with calls_for_many(url, at_once=1) as rest_of:
        rest: Rest = rest_of(token)
        for place, version in enumerate(versions):
            body = {"function": version.function, "text": version.text, "parameters": dict(version.parameters)}
            added = await rest.request("POST", "/api/admin/prompts", body=body)
            path = f"/api/admin/prompts/{quote(added['versionId'], safe='@')}"
            await rest.request("POST", f"{path}/shadow", body={})
            if place == 0:
                await rest.request("POST", f"{path}/canary", body={"share": share})


async def _listed(url: str, token: str) -> list[dict[str, Any]]:
    async with asyncio.timeout(30), calls_for_many(url, at_once=1) as rest_of:
        told = await rest_of(token).request("GET", "/api/admin/prompts", query={"function": FUNCTION})
        return list(told["prompts"])
