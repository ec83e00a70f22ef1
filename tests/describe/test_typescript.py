"""Outside judges of the references: the TypeScript compiler with socket.io-client, and AsyncAPI's own JSON Schema.

They come by npm under tests/describe/node/package-lock.json; where npm or its registry is not there, these tests are
skipped and say so.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from chatcore.describe.asyncapi import asyncapi
from chatcore.describe.typescript import typescript

NODE = Path(__file__).parent / "node"
INSTALL = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]


@pytest.fixture(scope="module")
def node_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages installed and the types beside the program."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not here")
    folder = tmp_path_factory.mktemp("node") / "project"
    shutil.copytree(NODE, folder, ignore=shutil.ignore_patterns("node_modules"))
    try:
        done = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, timeout=90, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not get the packages within 90 s")
    if done.returncode != 0:
        pytest.skip(f"npm cannot get the packages: {done.stderr.strip().splitlines()[-1:]}")
    (folder / "chatcore.d.ts").write_text(typescript(), "utf-8")
    return folder


def compiled(folder: Path, program: str) -> str:
    """What the compiler has to say; nothing when all is well."""
    (folder / "tried.ts").write_text(program, "utf-8")
    done = subprocess.run(
        [str(folder / "node_modules" / ".bin" / "tsc"), "--project", "."],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_program_with_socket_io_client_compiles_in_strict_mode(node_project: Path) -> None:
    assert compiled(node_project, (NODE / "program.ts").read_text("utf-8")) == ""


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ('socket.emit("send_mesage", { groupId }, () => {});', "send_mesage"),
        ('socket.emit("send_message", { groupId, contents: "x" }, () => {});', "contents"),
        ('socket.emit("send_message", { content: "x" }, () => {});', "groupId"),
        ('socket.on("new_message", (message) => message.sequence);', "sequence"),
        ('socket.emitWithAck("sync", { groups: [] }).then((answer) => answer.data);', "data"),
    ],
)
def test_a_program_that_breaks_the_contract_does_not_compile(node_project: Path, wrong: str, complaint: str) -> None:
    start = (NODE / "program.ts").read_text("utf-8")
    (line,) = compiled(node_project, f'{start}\nconst groupId = "a";\n{wrong}\n').strip().splitlines()[:1]
    assert "error TS" in line
    assert complaint in line


def test_the_socket_reference_is_valid_by_asyncapi_s_own_schema(node_project: Path) -> None:
    path = node_project / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0-without-$id.json"
    validator = Draft7Validator(json.loads(path.read_text("utf-8")))
    assert [error.message[:200] for error in validator.iter_errors(asyncapi())] == []
    broken: dict[str, Any] = asyncapi()
    broken["operations"]["sync"]["action"] = "ask"
    assert list(validator.iter_errors(broken))
