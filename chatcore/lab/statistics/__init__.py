"""Whether a difference is real: paired by sample, clustered by conversation, never a bare number."""

from chatcore.lab.statistics.intervals import Interval, clustered_mean, event_rate, rule_of_three, wilson
from chatcore.lab.statistics.judges import JudgeCalibration, calibrate_judge, corrected_rate
from chatcore.lab.statistics.paired import Difference, by_sample, difference_by_slice, holm, paired_difference
from chatcore.lab.statistics.power import minimum_detectable_effect, samples_needed
from chatcore.lab.statistics.ranking import auprc, bootstrap, ndcg, recall_at
from chatcore.lab.statistics.sequential import always_valid, always_valid_difference, sample_ratio_p
from chatcore.lab.statistics.verdicts import Verdict, at_least, at_most, better_than_live, not_worse

__all__ = [
    "Difference",
    "Interval",
    "JudgeCalibration",
    "Verdict",
    "always_valid",
    "always_valid_difference",
    "at_least",
    "at_most",
    "auprc",
    "better_than_live",
    "bootstrap",
    "by_sample",
    "calibrate_judge",
    "clustered_mean",
    "corrected_rate",
    "difference_by_slice",
    "event_rate",
    "holm",
    "minimum_detectable_effect",
    "ndcg",
    "not_worse",
    "paired_difference",
    "recall_at",
    "rule_of_three",
    "sample_ratio_p",
    "samples_needed",
    "wilson",
]
