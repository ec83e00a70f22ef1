"""Watching for drift: control charts over the decision ledger, their alarms, and a history to try them on."""

from typing import TYPE_CHECKING

from chatcore.lab.lazily import lazily

if TYPE_CHECKING:
    from chatcore.lab.drift.charts import control_charts
    from chatcore.lab.drift.history import WHATS, Change, changes, synthetic_history
    from chatcore.lab.drift.limits import Chart, TooLittle, ewma_chart, most_by_chance, p_chart, psi, psi_chart, u_chart
    from chatcore.lab.drift.trial import CHART_OF, Trial, tried
    from chatcore.lab.drift.watching import Watch, watch

# Loaded at the first use of a name: plots and statistics take a second each.
_PLACES = {
    **dict.fromkeys(("CHART_OF", "Trial", "tried"), "trial"),
    **dict.fromkeys(
        ("Chart", "TooLittle", "ewma_chart", "most_by_chance", "p_chart", "psi", "psi_chart", "u_chart"), "limits"
    ),
    **dict.fromkeys(("Change", "WHATS", "changes", "synthetic_history"), "history"),
    **dict.fromkeys(("Watch", "watch"), "watching"),
    "control_charts": "charts",
}


__getattr__ = lazily(__name__, _PLACES)


__all__ = [
    "CHART_OF",
    "WHATS",
    "Change",
    "Chart",
    "TooLittle",
    "Trial",
    "Watch",
    "changes",
    "control_charts",
    "ewma_chart",
    "most_by_chance",
    "p_chart",
    "psi",
    "psi_chart",
    "synthetic_history",
    "tried",
    "u_chart",
    "watch",
]
