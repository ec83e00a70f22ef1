"""Measure every target of the embedded models: `python -m training.evaluation`; writes chatcore/models/EVALUATION.md.

Ends with 1 when a target is missed. Numbers of quality do not depend on the machine; times do and are only printed.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from sklearn.metrics import average_precision_score, roc_auc_score

import chatcore.models
from chatcore.models.categories import CATEGORIES, OPENAI_NAMES
from chatcore.models.first_tier import FirstTier
from chatcore.models.loaded import Models
from chatcore.models.shapes import SmartRepliesInput, Turn
from training import evaluate_replies
from training.moderation import cross_validate, gather, surge_halves
from training.public_data import NoPublicData, davidson_samples, explain_and_exit

PAGE = Path(chatcore.models.__file__).with_name("EVALUATION.md")
EVERYDAY = Path(__file__).with_name("everyday_lines.txt")
TARGETS = {"any": 0.80, "S": 0.90, "SH": 0.75}
TOXIC_TARGET, REPLY_TARGET = 0.90, 0.22
ROUNDS = 60


@dataclass(frozen=True, slots=True)
class Result:
    what: str
    measured: float
    target: float | None
    at_most: bool = False
    digits: int = 3

    @property
    def missed(self) -> bool:
        if self.target is None:
            return False
        return self.measured > self.target if self.at_most else self.measured < self.target

    def row(self) -> str:
        bound = "" if self.target is None else f"{'<=' if self.at_most else '>='} {self.target:g}"
        verdict = "" if self.target is None else ("missed" if self.missed else "reached")
        return f"| {self.what} | {self.measured:.{self.digits}f} | {bound} | {verdict} |"


def moderation_results() -> list[Result]:
    """AUPRC of cross-validated scores over the samples whose label is known."""
    material = gather()
    scores = cross_validate(material)
    results = []
    for head in ("any", *CATEGORIES):
        places, labels = material.known(head)
        found = float(average_precision_score(labels, scores[head][places]))
        name = OPENAI_NAMES.get(head, "any category")
        what = f"AUPRC {name} ({labels.sum()} of {len(labels)} positive)"
        results.append(Result(what, found, TARGETS.get(head)))
    return results


def toxicity_results(models: Models) -> list[Result]:
    """Of the weights that ship, on comments that they did not learn from."""
    held_out = surge_halves()[1]
    labels = [label for _, label in held_out]
    auprc = float(average_precision_score(labels, [_score(models, text, "toxic") for text, _ in held_out]))
    tweets = davidson_samples(200)
    offensive = [int(label != "neither") for _, label in tweets]
    hateful = [(text, int(label == "hate")) for text, label in tweets if label != "neither"]
    toxic_auc = float(roc_auc_score(offensive, [_score(models, text, "toxic") for text, _ in tweets]))
    hate_auc = float(
        roc_auc_score([hate for _, hate in hateful], [_score(models, text, "hate") for text, _ in hateful])
    )
    return [
        Result(
            f"AUPRC toxic, the half of surge-toxicity not trained on ({sum(labels)} of {len(labels)})",
            auprc,
            TOXIC_TARGET,
        ),
        Result(
            "ROC AUC toxic, 600 tweets of Davidson (hate or offensive against neither), never trained on",
            toxic_auc,
            None,
        ),
        Result("ROC AUC hate, 400 of these tweets (hate against merely offensive), never trained on", hate_auc, None),
    ]


def _score(models: Models, text: str, name: str) -> float:
    return models.moderation.look(text, models.embedder).scores[name]


def false_alarms(models: Models) -> Result:
    lines = EVERYDAY.read_text("utf-8").splitlines()
    alarms = sum(models.moderation.look(line, models.embedder).flagged for line in lines)
    return Result(
        f"false alarms on {len(lines)} everyday lines of our own, not trained on", alarms, 0, at_most=True, digits=0
    )


def reply_results() -> list[Result]:
    return [
        Result(f"R@1 of 100, Topical-Chat, {way}", recall, REPLY_TARGET if "default" in way else None)
        for way, recall in evaluate_replies.results().items()
    ]


def times(models: Models) -> list[str]:
    tier = FirstTier.load()
    # Another line each time: one that was seen before would come from a cache.
    jobs: dict[str, Callable[[str], object]] = {
        "embedding of a line": models.embedder.embed_one,
        "moderation of a line": lambda text: _score(models, text, "any"),
        "three smart replies": lambda text: models.suggest(SmartRepliesInput(messages=[Turn(id="1", text=text)])),
        "first tier of a line": tier.look,
    }
    rows = [
        f"| {name} | {' | '.join(f'{taken:.2f}' for taken in _percentiles(hour, job))} |"
        for hour, (name, job) in enumerate(jobs.items(), start=7)
    ]
    memory = psutil.Process().memory_info().rss / 1e6
    load = psutil.getloadavg()[0]
    return [
        f"Milliseconds here ({psutil.cpu_count()} cores, load {load:.1f} at the time; this process: {memory:.0f} MB):",
        "",
        "| what | p50 | p95 |",
        "|---|---|---|",
        *rows,
    ]


def _percentiles(hour: int, job: Callable[[str], object]) -> tuple[float, float]:
    taken = []
    for minute in range(ROUNDS):
        text = f"I think we should meet at the station tomorrow at {hour}:{minute:02}, what do you think?"
        began = time.perf_counter()
        job(text)
        taken.append((time.perf_counter() - began) * 1000)
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 95))


def page(results: list[Result], timing: list[str]) -> str:
    lines = [
        "# What the embedded models can and cannot do",
        "",
        "Written by `python -m training.evaluation`; the public data is named in `training/public_data.py`.",
        "",
        "| what | measured | target | |",
        "|---|---|---|---|",
        *(result.row() for result in results),
        "",
        *timing,
        "",
        *MEANING,
    ]
    return "\n".join(lines) + "\n"


MEANING = """## How to read this

- **AUPRC** is the area under precision and recall: 1 is perfect, the share of positives is chance. The categories are
  cross-validated on OpenAI's moderation samples in five folds that keep near-duplicates (MiniLM cosine above .85)
  together; each label that is missing in the data counts as unknown, not as 0, and samples without any label are left
  out. The domain is the same in all folds, so these numbers are not comparable with published zero-shot results on the
  same data (.856 OpenAI, .847 Llama Guard, .787 Perspective). The weights that ship learned from all folds.
  A few settings (strengths, weights of everyday talk) were chosen on these same folds, which flatters them slightly.
  Self-harm, which has 51 examples there, also learns from 27 lines of our own (`training/crisis_lessons.txt` and what
  the reply bank knows people in need by), in each fold, and so does any category, of which self-harm is one; none of
  these lines is measured on. The size of self-harm's error is about .05. Whether any category learns from them was
  chosen on five other partitions into folds (mean .8012 with them, .8001 without; here .8007 and .7998): a partition
  moves the number more than that, so it stands at its target and not above it. Means of logits instead of scores ranked
  better still, and was not taken: limits rose with it, and plain threats were no longer flagged.
- The scores are those of whole texts; what ships also reads longer ones piece by piece and disguised ones as they
  are meant (`chatcore/models/readings.py`), and takes the highest score.
- **toxic** and **false alarms** are measured with the weights that ship. The everyday lines use words of violence,
  sex, illness and groups of people harmlessly; other such lines (`training/everyday_lessons.txt`) were learned from.
  The least threshold (.7) was chosen with the everyday lines in view, so their count is not an estimate for other
  lines.
- **Hate is weak.** Among offensive tweets, hate is hardly told from mere swearing (the ROC AUC above; .5 is chance),
  as small models do on HateCheck too. So the embedded mode never blocks on hate alone: a person decides.
- **Not covered**: sexual content about minors, threats outside hate, instructions, anything but English. The answers
  say so (`not_covered`, and no input type applied).
- **R@1 of 100**: how often the true next turn ranks first among 99 turns of other conversations. Half of the
  conversations are measured; a quarter (every fourth, from the first) chose what counts and how much, in round numbers,
  and a quarter only tells which turns are common (near to everything) and which words are rare. Nothing was learned
  from this data. The size of error is about .009.
- **What the last gain is.** The target is reached only with the manner in which the person who asks has written before
  (length, sentences, capitals, marks: `chatcore/models/manner.py`). It is open to the ranking when it answers, and it
  tells people apart more than answers: by meaning alone it is what stands at "without manner", below the target. Our
  bank is written in one manner, so what people see of this gain is little, mostly length and exclamation marks.
""".splitlines()


def main() -> None:
    try:
        models = Models.load()
        results = [*moderation_results(), *toxicity_results(models), false_alarms(models), *reply_results()]
    except NoPublicData as missing:
        explain_and_exit(missing)
        return
    text = page(results, times(models))
    PAGE.write_text(text, "utf-8")
    print(text)
    if any(result.missed for result in results):
        sys.exit("a target was missed")


if __name__ == "__main__":
    main()
