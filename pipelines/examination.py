"""What runs need of a machine."""

import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from pipelines.parameters import read_parameters
from pipelines.specs import BadSpec, find_specs, read_spec

NEEDED = (
    "papermill",
    "ipykernel",
    "nbclient",
    "pandas",
    "scipy",
    "statsmodels",
    "sklearn",
    "matplotlib",
    "apscheduler",
)
FREE_BYTES = 1 << 30


def examine(jobs: Path, runs: Path) -> Iterator[tuple[bool, str]]:
    """One finding after another: whether it is well, and what it is."""
    absent = [name for name in NEEDED if find_spec(name) is None]
    yield (
        not absent,
        f"libraries: {', '.join(absent) + ' missing; install chatcore[notebooks]' if absent else 'all there'}",
    )
    problems = []
    paths = list(find_specs(jobs))
    for path in paths:
        try:
            read_parameters(read_spec(path).job.notebook)
        except BadSpec as bad:
            problems += bad.problems
    yield bool(paths) and not problems, f"jobs in {jobs}: {'; '.join(problems) or f'{len(paths)} good'}"
    yield _writable(runs)
    free = shutil.disk_usage(runs if runs.exists() else Path.cwd()).free
    yield free > FREE_BYTES, f"disk: {free / 1e9:.1f} GB free"


def examine_cluster(address: str, tls: Path | None, *, plain_tcp: bool) -> tuple[bool, str]:
    """Whether jobs with `executor: dask` could be sent, as far as this machine can tell."""
    if find_spec("distributed") is None:
        return False, f"cluster {address}: install chatcore[cluster]"
    from pipelines.executors.cluster import security_of  # noqa: PLC0415 - an extra

    try:
        security_of(address, tls, plain_tcp=plain_tcp)
    except BadSpec as bad:
        return False, f"cluster {'; '.join(bad.problems)}"
    return True, f"cluster {address}"


def _writable(folder: Path) -> tuple[bool, str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True, f"folder of the runs: {folder} can be written"
    except OSError as error:
        return False, f"folder of the runs: {folder}: {error.strerror}; set CHATCORE_RUNS"
