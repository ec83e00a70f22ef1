"""Whether a difference is real: paired by sample, clustered by conversation, never a bare number."""

from typing import TYPE_CHECKING

from chatcore.lab.lazily import lazily

if TYPE_CHECKING:
    from chatcore.lab.statistics.estimates import Difference, Interval
    from chatcore.lab.statistics.intervals import clustered_mean, event_rate, rule_of_three, wilson
    from chatcore.lab.statistics.judges import JudgeCalibration, calibrate_judge, corrected_rate
    from chatcore.lab.statistics.paired import by_sample, difference_by_slice, holm, paired_difference
    from chatcore.lab.statistics.power import minimum_detectable_effect, samples_needed
    from chatcore.lab.statistics.ranking import auprc, bootstrap, ndcg, recall_at
    from chatcore.lab.statistics.sequential import always_valid, always_valid_difference, sample_ratio_p
    from chatcore.lab.statistics.verdicts import Verdict, at_least, at_most, better_than_live, not_worse

# Loaded at the first use of a name: scipy alone takes a second.
_PLACES = {
    "Difference": "estimates",
    "Interval": "estimates",
    "JudgeCalibration": "judges",
    "Verdict": "verdicts",
    "always_valid": "sequential",
    "always_valid_difference": "sequential",
    "at_least": "verdicts",
    "at_most": "verdicts",
    "auprc": "ranking",
    "better_than_live": "verdicts",
    "bootstrap": "ranking",
    "by_sample": "paired",
    "calibrate_judge": "judges",
    "clustered_mean": "intervals",
    "corrected_rate": "judges",
    "difference_by_slice": "paired",
    "event_rate": "intervals",
    "holm": "paired",
    "minimum_detectable_effect": "power",
    "ndcg": "ranking",
    "not_worse": "verdicts",
    "paired_difference": "paired",
    "recall_at": "ranking",
    "rule_of_three": "intervals",
    "sample_ratio_p": "sequential",
    "samples_needed": "power",
    "wilson": "intervals",
}


__getattr__ = lazily(__name__, _PLACES)


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
