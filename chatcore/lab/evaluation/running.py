"""Run a task over its samples and score what comes back."""

import asyncio
import inspect
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from chatcore.lab.datasets.vocabulary import Sample
from chatcore.lab.evaluation.answers import AnswerCache
from chatcore.lab.evaluation.tasks import Output, Report, Task
from chatcore.lab.loops import LoopThread

AT_ONCE = 8


def evaluate(
    task: Task, *, against: Task | Report | None = None, cache: Path | None = None, at_once: int = AT_ONCE
) -> Report:
    """Every sample in every epoch. `against` is the live version: the same samples, compared in pairs.

    `cache` is a file of answers: what is in it is not asked again. A solver or scorer that raises makes that sample
    missing data. Raises ValueError where `against` is about other data.
    """
    if against is not None:
        theirs = against.dataset.pinned if isinstance(against, Task) else against.dataset
        if theirs != task.dataset.pinned:
            raise ValueError(f"only the same data can be compared: {task.dataset.pinned} and {theirs}")
    answers = AnswerCache(cache) if cache is not None else None
    thread = LoopThread("chatcore-evaluation")
    try:
        other = thread.run(_run(against, answers, at_once)) if isinstance(against, Task) else against
        return replace(thread.run(_run(task, answers, at_once)), against=other)
    finally:
        thread.close()


async def _run(task: Task, answers: AnswerCache | None, at_once: int) -> Report:
    slots = asyncio.Semaphore(at_once)

    async def one(sample: Sample, epoch: int) -> dict[str, Any]:
        async with slots:
            return await _row(task, sample, epoch, answers)

    async with asyncio.TaskGroup() as group:
        rows = [group.create_task(one(sample, epoch)) for epoch in range(task.epochs) for sample in task.dataset]
    return Report(task.name, task.dataset.pinned, pd.DataFrame([row.result() for row in rows]), task.span)


async def _row(task: Task, sample: Sample, epoch: int, answers: AnswerCache | None) -> dict[str, Any]:
    key = AnswerCache.key(task.name, task.version, sample, epoch)
    known = answers.find(key) if answers is not None else None
    output, latency_ms, error = Output(None), math.nan, ""
    if known is not None:
        output, latency_ms = known
    else:
        begin = time.perf_counter()
        try:
            answered = task.solve(sample, epoch)
            output = await answered if inspect.isawaitable(answered) else answered
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is this sample's missing data
            error = f"{type(raised).__name__}: {raised}"[:500]
        latency_ms = (time.perf_counter() - begin) * 1000
        if not error and answers is not None:
            answers.keep(key, output, latency_ms)
    score, error = await _score(task, sample, output) if not error else (math.nan, error)
    return {
        "sample": sample.id, "epoch": epoch, "score": score, "error": error,
        "conversation": sample.conversation or sample.id, "sender": sample.sender or sample.id, **sample.slices,
        "text": sample.text, "answer": str(output.value), "evidence": output.evidence, "latency_ms": latency_ms,
        "tokens": output.tokens,
        "cost_usd": output.cost_usd, "degraded": output.degraded, "cached": known is not None,
    }  # fmt: skip


async def _score(task: Task, sample: Sample, output: Output) -> tuple[float, str]:
    try:
        scored = task.score(sample, output)
        return float(await scored if inspect.isawaitable(scored) else scored), ""
    except Exception as raised:  # noqa: BLE001 - as above
        return math.nan, f"scorer: {type(raised).__name__}: {raised}"[:500]
