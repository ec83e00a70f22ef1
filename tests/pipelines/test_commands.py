"""`python -m pipelines` as a person or CI meets it: what it says, and its exit codes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.pipelines.notebooks import write_notebook
from tests.pipelines.test_runs import GATE, RECORD, START, carriers

ROOT = Path(__file__).parents[2]
SPEC = """\
apiVersion: chatcore/v1
name: demo
description: Is the score good?
notebook: {notebook}
matrix: {{score: [0.9, 0.4]}}
run: {{timeout: 90s, concurrency: 2}}
gate:
  - {{metric: score, op: ">=", value: 0.3}}
"""


def environment(folder: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CHATCORE_", "MONGODB_", "PYTEST"))
    }
    return kept | {"CHATCORE_RUNS": str(folder / "runs"), "COLUMNS": "200"}


def pipelines(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=ROOT, capture_output=True, check=False, text=True, timeout=115, env=environment(folder),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("commands")
    (made / "jobs").mkdir()
    notebook = write_notebook(made / "n.ipynb", START, RECORD, GATE)
    (made / "jobs" / "demo.yaml").write_text(SPEC.format(notebook=notebook))
    return made


@pytest.fixture(scope="module")
def ran(folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """Both cells of the matrix once: one passes, one fails its gate."""
    files = ["--junit", str(folder / "junit.xml"), "--markdown", str(folder / "summary.md")]
    done = pipelines(folder, "run", "demo", "--jobs", str(folder / "jobs"), "--json", *files)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_failed_gate_ends_with_1_and_says_which(ran: tuple[int, list[dict[str, Any]]]) -> None:
    code, records = ran
    assert code == 1
    assert {record["matrix_key"]: record["status"] for record in records} == {
        "score=0.9": "passed",
        "score=0.4": "failed",
    }
    assert next(r["reason"] for r in records if r["status"] == "failed") == "score = 0.4: >= 0.5 does not hold"


def test_ci_gets_junit_and_markdown(folder: Path, ran: tuple[int, list[dict[str, Any]]]) -> None:
    suite = ET.parse(folder / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "0")
    summary = (folder / "summary.md").read_text()
    assert "| demo [score=0.4] | score >= 0.5 | **failed** |" in summary


def test_a_run_can_be_shown_compared_and_kept(folder: Path, ran: tuple[int, list[dict[str, Any]]]) -> None:
    good, bad = sorted(ran[1], key=lambda record: str(record["status"]), reverse=True)
    shown = pipelines(folder, "show", good["run_id"])
    assert "passed" in shown.stdout
    changed = json.loads(pipelines(folder, "diff", good["run_id"], bad["run_id"], "--json").stdout)
    assert {"what": "score", "before": "0.9", "after": "0.4"} in changed
    assert pipelines(folder, "baseline", good["run_id"]).returncode == 0
    refused = pipelines(folder, "baseline", bad["run_id"])
    assert (refused.returncode, "only a passed run" in refused.stderr) == (3, True)


def test_a_run_that_is_not_fit_is_not_promoted(folder: Path, ran: tuple[int, list[dict[str, Any]]]) -> None:
    good, bad = sorted(ran[1], key=lambda record: str(record["status"]), reverse=True)
    assert pipelines(folder, "promote", bad["run_id"]).returncode == 1
    about_nothing = pipelines(folder, "promote", good["run_id"])
    assert (about_nothing.returncode, "no parameter `prompt`" in about_nothing.stderr) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "dmo"), 'there is no job "dmo"'),
        (("run", "demo", "--set", "scor=1"), 'did you mean "score"?'),
        (("run", "demo", "--set", "score=high"), "score is float"),
        (("show", "nothing"), 'there is no run "nothing"'),
    ],
)
def test_a_typo_ends_with_3_before_anything_runs(folder: Path, arguments: tuple[str, ...], told: str) -> None:
    jobs = ("--jobs", str(folder / "jobs")) if arguments[0] == "run" else ()
    done = pipelines(folder, *arguments, *jobs)
    assert (done.returncode, told in done.stderr) == (3, True), done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupt_ends_with_130_and_leaves_no_process(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", START, "import time; time.sleep(300)", RECORD, GATE)
    spec = tmp_path / "slow.yaml"
    spec.write_text(f"apiVersion: chatcore/v1\nname: slow\nnotebook: {notebook}\n")
    running = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "run", str(spec)], cwd=ROOT, env=environment(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    assert "cell 1" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    rest, _ = running.communicate(timeout=60)
    assert running.returncode == 130, rest
    (record,) = json.loads(pipelines(tmp_path, "history", "--json").stdout)
    assert record["status"] == "interrupted"
    assert carriers({record["run_id"]}) == []
