"""`make help` tells every habit, and continuous integration runs the same ones."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[1].split()  # type: ignore[index]
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")


def make(*arguments: str) -> str:
    quiet = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["make", *arguments], cwd=ROOT, env=quiet, capture_output=True, check=False, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_make
def test_help_lists_every_habit() -> None:
    listed = re.findall(r"^  make (\S+) +\S", make("help"), re.MULTILINE)
    assert listed == TARGETS


@needs_make
def test_make_alone_shows_the_help() -> None:
    assert make() == make("help")


@pytest.mark.parametrize("target", TARGETS)
def test_every_habit_has_a_rule_with_a_comment(target: str) -> None:
    assert re.search(rf"^{target}:.*## \S", MAKEFILE, re.MULTILINE)


@needs_make
@pytest.mark.parametrize(("target", "command"), [("serve", "server.py"), ("test", "-m pytest")])
def test_a_fresh_clone_is_set_up_before_it_serves_or_tests(target: str, command: str, tmp_path: Path) -> None:
    steps = make("-n", target, f"VENV={tmp_path / 'venv'}")
    assert 0 < steps.index("-c requirements.lock -e") < steps.index(command)


@needs_make
def test_a_python_that_is_too_old_is_named_with_a_way_out(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT, capture_output=True, check=False, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Python 3.11 or newer" in done.stdout
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("workflow", ["checks.yml", "tests.yml"])
def test_workflows_run_only_habits(workflow: str) -> None:
    parsed = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text("utf-8"))
    commands = [step["run"] for job in parsed["jobs"].values() for step in job["steps"] if "run" in step]
    assert commands
    for command in commands:
        assert command == ".ci/run" or command.removeprefix("make ") in TARGETS


def test_the_ci_script_runs_the_checks_before_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text("utf-8")
    assert os.access(script, os.X_OK)
    assert 0 < text.index('make PYTHON="$PYTHON" check') < text.index('make PYTHON="$PYTHON" test')
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=60)
