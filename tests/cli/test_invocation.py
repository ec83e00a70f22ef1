"""Commands that the program advises can be typed as they are printed."""

import os
import sys
from pathlib import Path

import pytest

from chatcore.cli.invocation import typed


def _python_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    python = folder / "python"
    python.symlink_to(Path(sys.executable).resolve())
    return python


def test_an_activated_environment_is_called_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = _python_in(tmp_path / ".venv" / "bin")
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", f"{python.parent}{os.pathsep}{os.environ['PATH']}")
    assert typed() == "python -m chatcore"


def test_another_python_in_the_path_is_never_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(_python_in(tmp_path / ".venv" / "bin")))
    monkeypatch.setenv("PATH", str(_python_in(tmp_path / "system").parent))
    monkeypatch.chdir(tmp_path)
    assert typed() == ".venv/bin/python -m chatcore"
    monkeypatch.chdir(tmp_path / "system")
    assert typed() == f"{tmp_path}/.venv/bin/python -m chatcore"


def test_without_a_python_in_the_path_the_whole_path_is_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(_python_in(tmp_path / ".venv" / "bin")))
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    assert typed() == ".venv/bin/python -m chatcore"
