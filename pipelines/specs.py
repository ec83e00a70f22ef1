"""Job specs: YAML in, checked jobs out. Every problem of a file is told at once, with its line and what was meant."""

import difflib
import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from chatcore.lab.runs import Gate

JOBS = Path("pipelines/jobs")
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: `on` is a key of alerts, and `no` a country."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


class BadSpec(Exception):
    """Lists every problem; the process ends with exit code 3."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__("\n".join(problems))


def _duration(value: object) -> object:
    if isinstance(value, str) and (found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", value.strip())):
        return timedelta(seconds=float(found[1]) * UNITS[found[2]])
    raise ValueError('a duration reads like "90s", "20m", "2h" or "30d"')


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Schedule(Part):
    cron: str
    timezone: str = "UTC"
    catchup: Literal["latest", "none"] = "latest"


class RunOptions(Part):
    timeout: Duration = timedelta(minutes=20)
    cell_timeout: Duration | None = None
    retries: int = Field(0, ge=0, le=10)
    concurrency: int = Field(1, ge=1, le=64)
    executor: Literal["inline", "process", "dask"] = "process"


class Artifacts(Part):
    store: str = Field(
        "", pattern=r"^(s3://.+)?\z", description="s3://bucket/prefix; empty: the folder of the runs alone"
    )
    keep: Duration = timedelta(days=30)


class Alerts(Part):
    on: tuple[Literal["gate_failed", "error", "recovered", "passed"], ...] = ("gate_failed", "error", "recovered")
    webhook: str


class Job(Part):
    """One file of `pipelines/jobs`."""

    api_version: Literal["chatcore/v1"] = Field(alias="apiVersion")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}\z")
    description: str = ""
    notebook: Path
    parameters: dict[str, Any] = Field(default_factory=dict)
    matrix: dict[str, list[Any]] = Field(default_factory=dict)
    schedule: Schedule | None = None
    run: RunOptions = RunOptions()
    secrets: tuple[str, ...] = ()
    requires: tuple[str, ...] = Field((), description="metrics that must be there for the run to count")
    artifacts: Artifacts = Artifacts()
    gate: tuple[Gate, ...] = ()
    alerts: Alerts | None = None


@dataclass(frozen=True)
class Planned:
    """One cell of a job's matrix: what one run is given."""

    job: Job
    parameters: Mapping[str, Any]
    matrix_key: str = ""
    spec_sha256: str = ""

    @property
    def title(self) -> str:
        return self.job.name + (f" [{self.matrix_key}]" if self.matrix_key else "")


@dataclass(frozen=True)
class SpecFile:
    path: Path
    job: Job
    sha256: str = field(default="")

    def plan(self, overrides: Mapping[str, Any] | None = None) -> list[Planned]:
        """Every combination of the matrix. An override fixes its parameter, and takes it out of the matrix."""
        fixed = dict(overrides or {})
        axes = {name: values for name, values in self.job.matrix.items() if name not in fixed}
        planned = []
        for combination in itertools.product(*axes.values()):
            chosen = dict(zip(axes, combination, strict=True))
            key = ",".join(f"{name}={value}" for name, value in chosen.items())
            planned.append(Planned(self.job, {**self.job.parameters, **chosen, **fixed}, key, self.sha256))
        return planned


def find_specs(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.glob("*.y*ml") if path.suffix in (".yaml", ".yml"))


def locate(name: str, folder: Path) -> Path:
    """A job by its name or as a path. Raises BadSpec."""
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return Path(name)
    known = {path.stem: path for path in find_specs(folder)}
    if name in known:
        return known[name]
    raise BadSpec([f'there is no job "{name}" in {folder}{suggest(name, known)}'])


def read_spec(path: Path) -> SpecFile:
    """Raises BadSpec with all problems."""
    try:
        content = path.read_bytes()
        node = yaml.compose(content, Loader=Loader)
        raw = yaml.load(content, Loader=Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise BadSpec([f"{path}: cannot be read: {error.strerror}"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadSpec(
            [f"{path}:{mark.line + 1 if mark else 1}: not YAML: {getattr(error, 'problem', error)}"]
        ) from None
    if not isinstance(raw, dict):
        raise BadSpec([f"{path}:1: a job is a mapping that starts with apiVersion: chatcore/v1"])
    problems = list(_repeated(node, path))
    try:
        job = Job.model_validate(raw)
    except ValidationError as error:
        raise BadSpec(problems + [_problem(path, node, item) for item in error.errors()]) from None
    problems += _own_rules(path, job)
    if problems:
        raise BadSpec(problems)
    return SpecFile(path, job, hashlib.sha256(content).hexdigest())


def suggest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.55)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(sorted(known))}" if known else ""


def _own_rules(path: Path, job: Job) -> list[str]:
    problems = [
        f'{path}: matrix.{name}: "{name}" is fixed under parameters too; keep one'
        for name in job.matrix
        if name in job.parameters
    ]
    problems += [
        f"{path}: matrix.{name}: an empty list leaves nothing to run" for name, on in job.matrix.items() if not on
    ]
    if not job.notebook.is_file():
        problems.append(f"{path}: notebook: {job.notebook} is not there (paths start at the project's root)")
    return problems


def _problem(path: Path, node: Any, item: Any) -> str:
    place = [
        part for part in item["loc"] if not (isinstance(part, str) and "-" in part and part.startswith("function"))
    ]
    where = ".".join(str(part) for part in place)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "unknown" + suggest(str(place[-1]), _fields(place[:-1]))
    elif item["type"] == "missing":
        message = "is missing"
    return f"{path}:{_line(node, place)}: {where}: {message}"


def _fields(place: list[Any]) -> list[str]:
    """Keys that the part at this place may have."""
    models: dict[str, type[BaseModel]] = {
        "schedule": Schedule, "run": RunOptions, "artifacts": Artifacts, "gate": Gate, "alerts": Alerts,
    }  # fmt: skip
    model = models.get(str(place[0])) if place else Job
    return [known.alias or name for name, known in model.model_fields.items()] if model else []


def _line(node: Any, place: list[Any]) -> int:
    """Of the deepest part of the place that is there."""
    line: int = node.start_mark.line + 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _repeated(node: Any, path: Path) -> Iterator[str]:
    """YAML lets a key appear twice and keeps the last; in a job that is a mistake."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield f"{path}:{key.start_mark.line + 1}: {key.value}: appears twice"
            seen.add(key.value)
            yield from _repeated(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value, path)
