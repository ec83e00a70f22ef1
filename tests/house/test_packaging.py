"""The lock, the extras and the conda file agree, and name no place on any network or machine."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import chatcore

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCK_LINES = (ROOT / "requirements.lock").read_text("utf-8").splitlines()

# What the product promises to people who come with conda.
NAMED_FOR_CONDA = {
    "jupyterlab", "papermill", "python-socketio", "aiohttp", "pymongo", "pandas", "openai", "langgraph", "baml-py",
    "cryptography", "pyjwt", "boto3", "pytest", "nbval",
}  # fmt: skip


def locked_versions() -> dict[str, list[Version]]:
    versions: dict[str, list[Version]] = {}
    for line in LOCK_LINES:
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        versions.setdefault(canonicalize_name(requirement.name), []).append(Version(pin.version))
    return versions


@pytest.mark.parametrize("line", LOCK_LINES)
def test_a_line_of_the_lock_is_a_name_and_a_version(line: str) -> None:
    assert re.fullmatch(r"[a-z0-9_.-]+==[A-Za-z0-9_.+!-]+( ; [A-Za-z0-9_.'<>=! ()-]+)?", line), line


@pytest.mark.parametrize("wanted", [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)])
def test_every_dependency_is_locked_at_a_version_it_allows(wanted: str) -> None:
    requirement = Requirement(wanted)
    versions = locked_versions()[canonicalize_name(requirement.name)]
    assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)


@pytest.mark.parametrize("name", ["python-socketio", "python-engineio", "aiohttp"])
def test_libraries_with_private_hooks_are_pinned_exactly(name: str) -> None:
    (line,) = (line for line in PROJECT["dependencies"] if Requirement(line).name == name)
    assert [pin.operator for pin in Requirement(line).specifier] == ["=="]


def test_the_server_alone_needs_no_workbench_and_no_database_server() -> None:
    names = {Requirement(line).name for line in PROJECT["dependencies"]}
    extras = {Requirement(line).name for name, lines in EXTRAS.items() for line in lines if name != "dev"}
    assert not names & extras


def test_conda_users_get_the_named_packages_under_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    (by_pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert "pip" in environment["dependencies"]
    assert "-c requirements.lock" in by_pip
    assert {line for line in by_pip if not line.startswith("-")} == NAMED_FOR_CONDA
    assert locked_versions().keys() >= NAMED_FOR_CONDA


def test_the_extras_that_conda_installs_exist_and_hold_the_named_packages() -> None:
    text = (ROOT / "environment.yml").read_text("utf-8")
    (editable,) = re.findall(r"- -e \.\[([a-z,]+)\]", text)
    wanted = [line for extra in editable.split(",") for line in EXTRAS[extra]] + PROJECT["dependencies"]
    assert {Requirement(line).name for line in wanted} >= NAMED_FOR_CONDA


def test_the_package_says_its_version_and_its_licence() -> None:
    assert Version(chatcore.__version__).release >= (0, 1, 0)
    licence = (ROOT / "LICENSE").read_text("utf-8")
    assert PROJECT["license"] == "MIT"
    assert licence.startswith("MIT License")
    assert "chatcore contributors" in licence
    assert (ROOT / "chatcore" / "py.typed").exists()


OUR_OWN = {"benchmarks", "chatcore", "tests", "pipelines"}


def imported_distributions(folder: str) -> dict[str, set[str]]:
    """Third-party distributions by the files of `folder` that import them."""
    installed = packages_distributions()
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            else:
                continue
            for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names - OUR_OWN:
                for distribution in installed.get(top, [top])[:1]:
                    found.setdefault(canonicalize_name(distribution), set()).add(str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize(("folder", "extras"), [("chatcore", set(EXTRAS) - {"dev"}), ("tests", set(EXTRAS))])
def test_every_imported_package_is_a_declared_dependency(folder: str, extras: set[str]) -> None:
    wanted = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    declared = {canonicalize_name(Requirement(line).name) for line in wanted}
    imported = imported_distributions(folder)
    assert imported
    assert {name: files for name, files in imported.items() if name not in declared} == {}
