"""Every notebook runs, is thin, and is kept without outputs."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.parameters import read_parameters
from pipelines.specs import JOBS, find_specs, read_spec

ROOT = Path(__file__).parents[2]
START = ROOT / "notebooks" / "start.ipynb"  # what JupyterLab opens with: it asks nothing and has no gate
NOTEBOOKS = sorted(set((ROOT / "notebooks").glob("*.ipynb")) - {START})
GOLDEN = sorted((ROOT / "notebooks" / "golden").glob("*.ipynb"))  # kept with their outputs, which are compared
STRIP = ["nbstripout", "--verify", "--keep-id", "--extra-keys",
         "metadata.papermill cell.metadata.papermill cell.metadata.execution"]  # fmt: skip


def code_cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", [*NOTEBOOKS, START], ids=lambda path: path.stem)
def test_a_notebook_runs_and_its_gate_holds(path: Path, tmp_path: Path) -> None:
    """A gate that does not hold raises here, as nobody watches the run."""
    done = nbval(path, tmp_path, "--nbval-lax")
    assert done.returncode == 0, done.stdout[-4_000:]


def nbval(path: Path, folder: Path, *how: str) -> subprocess.CompletedProcess[str]:
    common = ["--nbval-current-env", "--nbval-cell-timeout=60", "-p", "no:cacheprovider", "-q"]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("CHATCORE_RUN", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder), *how, *common, str(path)],
        cwd=folder, capture_output=True, check=False, text=True, timeout=110, env=variables,
    )  # fmt: skip


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_notebook_comes_out_as_it_is_kept(path: Path, tmp_path: Path) -> None:
    done = nbval(path, tmp_path, "--nbval", f"--nbval-sanitize-with={path.parent / 'sanitize.cfg'}")
    assert done.returncode == 0, done.stdout[-4_000:]


def test_another_outcome_of_a_golden_notebook_is_noticed(tmp_path: Path) -> None:
    changed = json.loads(GOLDEN[0].read_text("utf-8"))
    outputs = [output for cell in changed["cells"] for output in cell.get("outputs", ()) if "text" in output]
    outputs[0]["text"] = "something else\n"
    place = tmp_path / "changed.ipynb"
    place.write_text(json.dumps(changed), "utf-8")
    assert nbval(place, tmp_path, "--nbval").returncode == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_thin(path: Path) -> None:
    cells = code_cells(path)
    assert len(cells) <= 12
    assert all(len("".join(cell["source"]).splitlines()) <= 15 for cell in cells)
    assert cells[0]["metadata"]["tags"] == ["parameters"]
    for parameter in read_parameters(path).values():
        assert parameter.kind, f"{parameter.name} has no type"
        assert parameter.comment or parameter.name == "seed", f"{parameter.name} has no comment"
    source = "\n".join("".join(cell["source"]) for cell in cells)
    assert "lab.start(globals())" in source
    assert "run.gate()" in source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_knows_the_lab_only(path: Path) -> None:
    for cell in code_cells(path):
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chatcore"):
                assert node.module == "chatcore.lab" or [alias.name for alias in node.names] == ["lab"]


def test_notebooks_are_kept_without_outputs(tmp_path: Path) -> None:
    assert NOTEBOOKS
    command = [sys.executable, "-m", *STRIP]
    assert subprocess.run([*command, *NOTEBOOKS, START], check=False, timeout=60).returncode == 0
    dirty = json.loads(NOTEBOOKS[0].read_text("utf-8"))
    next(cell for cell in dirty["cells"] if cell["cell_type"] == "code")["execution_count"] = 3
    (tmp_path / "dirty.ipynb").write_text(json.dumps(dirty), "utf-8")
    assert subprocess.run([*command, tmp_path / "dirty.ipynb"], check=False, timeout=60).returncode != 0


def test_every_notebook_has_a_job() -> None:
    assert {read_spec(path).job.notebook.name for path in find_specs(JOBS)} >= {path.name for path in NOTEBOOKS}
