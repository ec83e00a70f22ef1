"""The workbench: all that a notebook or a pipeline may import of chatcore.

from chatcore import lab
run = lab.start(globals())
chat = lab.live_chat()
log = lab.replay(lab.conversations(), into=chat)
run.record("lost", log.violations.lost, at_most=0)
run.gate()
"""

from typing import TYPE_CHECKING

from chatcore.lab.datasets import Dataset, Sample, Turn, conversations, dataset
from chatcore.lab.lazily import lazily
from chatcore.lab.runs import Run, start

if TYPE_CHECKING:
    from chatcore.lab import plots, statistics
    from chatcore.lab.calibration import answers_of_people, calibrate, judge_beside_people, judged_rate
    from chatcore.lab.comparing import ladder, versus
    from chatcore.lab.contests import Arena, arena
    from chatcore.lab.decisions import ledger
    from chatcore.lab.evaluation import Output, Report, Task, contains, evaluate, exact, labels
    from chatcore.lab.exporting import export
    from chatcore.lab.judging import Judge, judge
    from chatcore.lab.live import LiveChat, live_chat
    from chatcore.lab.moderating import moderate
    from chatcore.lab.replaying import ReplayLog, answers_in, suggested
    from chatcore.lab.replaying.replay import replay
    from chatcore.lab.replies import ReplySolver, changed, line_up, reply
    from chatcore.lab.searching.corpus import needles, search_corpus
    from chatcore.lab.searching.served import served_search
    from chatcore.lab.searching.solving import ndcg, search
    from chatcore.lab.searching.tuning import measure_indexes
    from chatcore.lab.versions import PromptVersion, find_version, parameters_of

__all__ = [
    "Arena",
    "Dataset",
    "Judge",
    "LiveChat",
    "Output",
    "PromptVersion",
    "ReplayLog",
    "ReplySolver",
    "Report",
    "Run",
    "Sample",
    "Task",
    "Turn",
    "answers_in",
    "answers_of_people",
    "arena",
    "calibrate",
    "changed",
    "contains",
    "conversations",
    "dataset",
    "evaluate",
    "exact",
    "export",
    "find_version",
    "judge",
    "judge_beside_people",
    "judged_rate",
    "labels",
    "ladder",
    "ledger",
    "line_up",
    "live_chat",
    "measure_indexes",
    "moderate",
    "ndcg",
    "needles",
    "parameters_of",
    "plots",
    "replay",
    "reply",
    "search",
    "search_corpus",
    "served_search",
    "start",
    "statistics",
    "suggested",
    "versus",
]

# Loaded at the first use of a name: the server and scipy take a second each.
_PLACES = {
    **dict.fromkeys(("Output", "Report", "Task", "contains", "evaluate", "exact", "labels"), "evaluation"),
    **dict.fromkeys(("ReplySolver", "changed", "line_up", "reply"), "replies"),
    **dict.fromkeys(("PromptVersion", "find_version", "parameters_of"), "versions"),
    **dict.fromkeys(("answers_of_people", "calibrate", "judge_beside_people", "judged_rate"), "calibration"),
    **dict.fromkeys(("Arena", "arena"), "contests"),
    **dict.fromkeys(("Judge", "judge"), "judging"),
    "ladder": "comparing",
    "versus": "comparing",
    "LiveChat": "live",
    "export": "exporting",
    "ledger": "decisions",
    **dict.fromkeys(("ReplayLog", "answers_in", "suggested"), "replaying"),
    "live_chat": "live",
    "moderate": "moderating",
    "replay": "replaying",
    "measure_indexes": "searching.tuning",
    **dict.fromkeys(("needles", "search_corpus"), "searching.corpus"),
    **dict.fromkeys(("ndcg", "search"), "searching.solving"),
    "served_search": "searching.served",
}


__getattr__ = lazily(__name__, _PLACES, {"plots", "statistics"})
