"""The run that a notebook is: its parameters, seeds, folder, metrics and gates."""

import os
import random
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import orjson

from chatcore import __version__
from chatcore.lab.datasets.vocabulary import Dataset
from chatcore.lab.pages import Table, facts, number, preview
from chatcore.lab.runs.gates import Gate, GateReport, judge
from chatcore.lab.runs.metrics import Better, Measured, Metric, metric
from chatcore.settings import named_variables

D = TypeVar("D")
FOLDER_VARIABLE = "CHATCORE_RUN"
METRICS_FILE = "metrics.json"
SECRET_NAME = re.compile(r"(?i)(^|_)(key|token|secret|password|credentials?)($|_)")
PLAIN = (bool, int, float, str, list, tuple, dict, type(None))
OF_THE_SHELL = {"In", "Out", "exit", "quit"}


class GateFailed(AssertionError):
    """A gate of the notebook does not hold. Under `python -m pipelines` it is written down and decides there."""


class SecretAsParameter(Exception):
    """Parameters are kept in notebooks and reports; a secret belongs in the environment."""


class Run:
    """`record` keeps a number, `gate` decides on those that were recorded with a bound."""

    def __init__(self, parameters: Mapping[str, Any], folder: Path, *, supervised: bool):
        self.parameters = dict(parameters)
        self.folder = folder
        self.supervised = supervised
        self.metrics: dict[str, Metric] = {}
        self._gates: list[Gate] = []
        self._datasets: list[str] = []
        self._prompt = self._against = ""
        self._finished = False

    def uses(self, data: D) -> D:
        """Note down which version of the data this run is about: a Dataset, or a frame of `lab.conversations`."""
        pinned = data.pinned if isinstance(data, Dataset) else str(getattr(data, "attrs", {}).get("dataset", ""))
        if not pinned:
            raise ValueError("these data have no version; take them from lab.dataset or lab.conversations")
        if pinned not in self._datasets:
            self._datasets.append(pinned)
        return data

    def about(self, version_id: str, *, against: str = "") -> None:
        """Which prompt version this run is evidence for, and which it is compared with: what a promotion asks for."""
        self._prompt, self._against = version_id, against

    def record(
        self,
        name: str,
        measured: Measured,
        *,
        better: Better = "",
        unit: str = "",
        at_least: float | None = None,
        at_most: float | None = None,
        advisory: bool = False,
    ) -> Metric:
        """A bound becomes a gate on the interval's near side, or on the value where there is no interval.

        None and NaN are missing data. A name can be recorded once.
        """
        if name in self.metrics:
            raise ValueError(f"{name} is recorded already")
        kept = self.metrics[name] = metric(name, measured, better=better, unit=unit)
        if at_least is not None:
            side = "ci_low" if kept.has_interval else "value"
            self._gates.append(Gate(metric=name, bound=side, op=">=", value=at_least, advisory=advisory))
        if at_most is not None:
            side = "ci_high" if kept.has_interval else "value"
            self._gates.append(Gate(metric=name, bound=side, op="<=", value=at_most, advisory=advisory))
        self._write(GateReport())
        return kept

    def gate(self) -> GateReport:
        """The verdict on all bounds. Raises GateFailed unless each holds, or pipelines watches and decides."""
        report = judge(self._gates, self.metrics)
        self._finished = True
        self._write(report)
        if self._gates and not report.passed and not self.supervised:
            raise GateFailed(f"the gate is not passed:\n{report}")
        return report

    def _write(self, report: GateReport) -> None:
        content = {
            "formatVersion": 1,
            "chatcore": __version__,
            "finished": self._finished,
            "parameters": {name: _jsonable(value) for name, value in self.parameters.items()},
            "datasets": self._datasets,
            "prompt": self._prompt,
            "against": self._against,
            "metrics": [one.model_dump() for one in self.metrics.values()],
            "gates": [one.model_dump() for one in report.judged],
        }
        path = self.folder / METRICS_FILE
        partial = path.with_suffix(".partial")
        partial.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        partial.replace(path)

    def _repr_html_(self) -> str:
        rows = [[name, preview(repr(value), 100)] for name, value in self.parameters.items()]
        told = {"chatcore": __version__, "cores": str(os.cpu_count()), "folder": self.folder.name}
        measured = [
            [one.name, number(one.value), number(one.low), number(one.high), one.unit] for one in self.metrics.values()
        ]
        page = facts("Run", told) + (Table(["parameter", "value"], rows).html() if rows else "")
        if measured:
            page += Table(["metric", "value", "low", "high", "unit"], measured, frozenset({1, 2, 3})).html()
        return page


def start(names: Mapping[str, Any] | None = None) -> Run:
    """Call it as `lab.start(globals())` right after the parameters: they are echoed, and `seed` seeds Python and numpy.

    Outside of pipelines the run's folder is a temporary one. Raises SecretAsParameter.
    """
    parameters = {
        name: value
        for name, value in (names or {}).items()
        if isinstance(value, PLAIN) and not name.startswith("_") and name not in OF_THE_SHELL
    }
    if secret := [name for name in parameters if SECRET_NAME.search(name)]:
        raise SecretAsParameter(f"{', '.join(secret)}: a secret is no parameter; set it in the environment")
    seed = parameters.get("seed", 0)
    if not isinstance(seed, int):
        raise TypeError(f"seed is {seed!r}, and must be a whole number")
    import numpy as np  # noqa: PLC0415 - the pipelines' command line needs runs without it

    random.seed(seed)
    np.random.seed(seed)  # notebooks and libraries still draw from the shared generator
    given = named_variables([FOLDER_VARIABLE]).get(FOLDER_VARIABLE)
    folder = Path(given) if given else Path(tempfile.mkdtemp(prefix="chatcore-run-"))
    return Run(parameters, folder, supervised=bool(given))


def _jsonable(value: Any) -> Any:
    try:
        orjson.dumps(value)
    except TypeError:
        return repr(value)
    return value
