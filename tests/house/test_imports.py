"""Who may import whom: the rules hold for the tree, and each rule notices the import it is there to stop."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-logo"]

# contract, importing file, imported module: allowed when `allowed`, otherwise refused by exactly that contract.
REFUSED = [
    ("layers", "contract/messages.py", "chatcore.errors"),
    ("layers", "errors.py", "chatcore.ports"),
    ("layers", "ports.py", "chatcore.vault"),
    ("layers", "vault.py", "chatcore.groups"),
    ("layers", "ai/provider.py", "chatcore.messages"),
    ("layers", "groups/service.py", "chatcore.messages"),
    ("layers", "messages/service.py", "chatcore.transport"),
    ("layers", "transport/http.py", "chatcore.app"),
    ("layers", "app/chat.py", "chatcore.cli"),
    ("layers", "helpers.py", "json"),
    ("no-cycles", "vault.py", "chatcore.mongo"),
    ("sockets", "messages/service.py", "socketio"),
    ("sockets", "groups/service.py", "aiohttp"),
    ("sockets", "identity/service.py", "aiohttp"),
    ("sockets", "api/messages.py", "engineio"),
    ("database", "messages/service.py", "bson"),
    ("database", "transport/http.py", "pymongo"),
    ("database", "vault.py", "pymongo.errors"),
    ("models", "messages/service.py", "openai"),
    ("object-storage", "messages/service.py", "boto3"),
    ("workbench", "ai/provider.py", "pandas"),
    ("client-apart", "client/rest.py", "chatcore.groups.service"),
    ("client-apart", "client/rest.py", "chatcore.vault"),
    ("separate-process", "embedded/database.py", "secantus"),
]
ALLOWED = [
    ("layers", "messages/service.py", "chatcore.groups"),
    ("layers", "app/chat.py", "chatcore.transport"),
    ("no-cycles", "mongo.py", "chatcore.vault"),
    ("sockets", "transport/http.py", "aiohttp"),
    ("sockets", "identity/tokens.py", "aiohttp"),
    ("sockets", "app/serving.py", "aiohttp.web"),
    ("database", "messages/store.py", "pymongo.errors"),
    ("database", "mongo.py", "pymongo"),
    ("database", "embedded/database.py", "pymongo"),
    ("models", "ai/provider.py", "openai"),
    ("workbench", "lab/replay.py", "pandas"),
    ("client-apart", "client/rest.py", "chatcore.contract.messages"),
    ("client-apart", "client/rest.py", "chatcore.errors"),
    ("sockets", "client/rest.py", "aiohttp"),
]
HOUSE = [
    "__init__.py", "contract/__init__.py", "contract/messages.py", "errors.py", "ports.py", "vault.py", "mongo.py",
    "groups/__init__.py", "groups/service.py", "messages/__init__.py", "messages/service.py", "messages/store.py",
    "identity/__init__.py", "identity/service.py", "identity/tokens.py", "ai/__init__.py", "ai/provider.py",
    "client/__init__.py", "client/rest.py",
    "api/__init__.py", "api/messages.py", "transport/__init__.py", "transport/http.py", "embedded/__init__.py",
    "embedded/database.py",
    "app/__init__.py", "app/chat.py", "app/serving.py", "cli/__init__.py", "lab/__init__.py", "lab/replay.py",
]  # fmt: skip


def lint(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LINT, "--config", str(ROOT / "pyproject.toml"), "--no-cache", *arguments],
        cwd=folder, capture_output=True, check=False, text=True, timeout=100,
    )  # fmt: skip


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A tree with the shape of ours, in which `mongo` imports `vault` and nothing else is imported."""
    for name in HOUSE:
        path = tmp_path / "chatcore" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "chatcore" / "mongo.py").write_text("import chatcore.vault\n")
    return tmp_path


def test_the_tree_keeps_every_rule() -> None:
    checked = lint(ROOT)
    assert checked.returncode == 0, checked.stdout
    assert "0 broken" in checked.stdout


@pytest.mark.parametrize(("contract", "importer", "imported"), REFUSED)
def test_a_forbidden_import_is_refused(house: Path, contract: str, importer: str, imported: str) -> None:
    with (house / "chatcore" / importer).open("a") as file:
        file.write(f"import {imported}\n")
    assert lint(house, "--contract", contract).returncode == 1


def test_the_imports_that_the_rules_leave_open_pass(house: Path) -> None:
    for _, importer, imported in ALLOWED:
        with (house / "chatcore" / importer).open("a") as file:
            file.write(f"import {imported}\n")
    checked = lint(house)
    assert checked.returncode == 0, checked.stdout


def imported_names(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def beyond_the_lab(source: str) -> list[str]:
    """Imports of chatcore that a pipeline or a notebook may not make."""
    names = [name for name in imported_names(source) if name.split(".")[0] == "chatcore" and name != "chatcore"]
    return [name for name in names if not (name + ".").startswith("chatcore.lab.")]


def test_nothing_imports_the_entry_script() -> None:
    for path in (ROOT / "chatcore").rglob("*.py"):
        assert "server" not in {name.split(".")[0] for name in imported_names(path.read_text("utf-8"))}, path


def test_pipelines_know_the_lab_only() -> None:
    assert beyond_the_lab("from chatcore import app") == ["chatcore.app"]
    assert beyond_the_lab("from chatcore import lab\nimport chatcore.lab.runs") == []
    for path in (ROOT / "pipelines").rglob("*.py"):
        assert not beyond_the_lab(path.read_text("utf-8")), path
