"""Search as a solver for `lab.Task`: what the server's ranking finds in recorded conversations."""

import math
from typing import TYPE_CHECKING

from chatcore.lab import statistics as st
from chatcore.lab.datasets.vocabulary import Sample
from chatcore.lab.evaluation.tasks import Output, Scorer
from chatcore.lab.searching.corpus import Corpus, NoVectors, Rank, relevant

if TYPE_CHECKING:
    import pandas as pd

DEPTH = 10


class SearchSolver:
    """Answers with the names of the messages found, best first."""

    def __init__(self, corpus: Corpus, rank: Rank):
        self.corpus = corpus
        self.rank = rank

    async def __call__(self, sample: Sample, epoch: int = 0) -> Output:
        """Raises NoVectors and what models raise: missing data, never an empty ranking."""
        called = await self.corpus.asked(sample.text)
        served = called.served
        if served.fallback or served.model != self.corpus.served.model:
            raise NoVectors(f"the query's vector is of {served.model}, those of the messages are not")
        found = self.corpus.ranked(sample.text, called.value[0], self.rank)[:DEPTH]
        cost = math.nan if served.cost_usd is None else served.cost_usd
        return Output(found, f"{served.provider} {served.model}", served.degraded, served.prompt_tokens, cost)


def search(within: "Corpus | pd.DataFrame", *, rank: Rank = "hybrid") -> SearchSolver:
    """A solver over a corpus, or over `lab.conversations(...)`, which becomes one.

    `rank`: the server's `hybrid`, or `words` or `meaning` alone.
    """
    return SearchSolver(within if isinstance(within, Corpus) else Corpus(within), rank)


def ndcg(k: int = DEPTH) -> Scorer:
    """nDCG of the first k, where a target names a conversation and the places of the right messages in it."""

    def score(sample: Sample, output: Output) -> float:
        right = relevant(sample)
        return st.ndcg([float(name in right) for name in output.value], k, all_gains=[1.0] * len(right))

    return score
