"""The project's own jobs: each is valid, and those that need no model run from the command line to their gate."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.console import SMALL, plan_of
from pipelines.schedule import trigger_of
from pipelines.specs import JOBS, find_specs, read_spec
from tests.pipelines.test_commands import ROOT, environment
from tests.pipelines.test_runs import carriers

SPECS = list(find_specs(ROOT / JOBS))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_job_is_valid_and_says_what_it_answers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    spec = read_spec(path)
    assert spec.job.name == path.stem
    assert "?" in spec.job.description
    assert plan_of(path, [])
    (small,) = plan_of(path, [], small=True)
    assert (small.matrix_key, small.job.gate, dict(small.parameters)) == (SMALL, (), {})
    if spec.job.schedule is not None:
        trigger_of(spec)


@pytest.mark.timeout(300)
def test_jobs_come_to_their_gate_by_the_command_line(tmp_path: Path) -> None:
    """The others are run by the tests of their notebooks, and the evaluation of a prompt by the loop's."""
    command = [sys.executable, "-m", "pipelines", "run", "quickstart", "conversation-replay", "--small", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(tmp_path), capture_output=True, check=False, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    records = json.loads(done.stdout)
    assert [record["status"] for record in records] == ["passed", "passed"]
    assert all(len(record["gates"]["judged"]) >= 5 for record in records)
    assert carriers({record["run_id"] for record in records}) == []
