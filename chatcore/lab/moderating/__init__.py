"""Moderation on the workbench: the server's own decision as a solver, thresholds from costs, and attacks on both."""

from typing import TYPE_CHECKING

from chatcore.lab.lazily import lazily

if TYPE_CHECKING:
    from chatcore.lab.moderating.attacks import ATTACKS, Attack, attacked
    from chatcore.lab.moderating.charts import attack_bars, cost_bars, precision_recall, slice_bars
    from chatcore.lab.moderating.costs import Costs, Recommendation, cost_difference, recommend
    from chatcore.lab.moderating.judgements import Judgements, caution, judgements
    from chatcore.lab.moderating.redteam import Siege, besiege
    from chatcore.lab.moderating.solver import Moderator, NotDecided, moderate

# Loaded at the first use of a name: plots and statistics take a second each.
_PLACES = {
    **dict.fromkeys(("ATTACKS", "Attack", "attacked"), "attacks"),
    **dict.fromkeys(("attack_bars", "cost_bars", "precision_recall", "slice_bars"), "charts"),
    **dict.fromkeys(("Costs", "Recommendation", "cost_difference", "recommend"), "costs"),
    **dict.fromkeys(("Judgements", "caution", "judgements"), "judgements"),
    **dict.fromkeys(("Siege", "besiege"), "redteam"),
    **dict.fromkeys(("Moderator", "NotDecided", "moderate"), "solver"),
}


__getattr__ = lazily(__name__, _PLACES)


__all__ = [
    "ATTACKS",
    "Attack",
    "Costs",
    "Judgements",
    "Moderator",
    "NotDecided",
    "Recommendation",
    "Siege",
    "attack_bars",
    "attacked",
    "besiege",
    "caution",
    "cost_bars",
    "cost_difference",
    "judgements",
    "moderate",
    "precision_recall",
    "recommend",
    "slice_bars",
]
