"""What no file of the repository may say."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# This file is the one that may say them.
REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.(org|com)|artifactory|devpi")
MACHINE = re.compile(r"(?<![\w.$})~-])/(work|root|tmp|var/tmp)(/|\b)(?!-)")
END_TO_END = re.compile(r"(?i)\b(end[- ]to[- ]end|e2e)\b[- ]?(encrypt|key|cipher|secur|privac)")
DENIED = re.compile(r"(?i)\b(not|never|no|nor|cannot|without|instead of|rather than)\b")
BINARY = {".png", ".jpg", ".jpeg", ".gif", ".ico", ".webp", ".woff2", ".zip", ".parquet", ".bson", ".pdf"}


def faults(text: str) -> list[str]:
    found = []
    lines = text.splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if REGISTRY.search(line):
            found.append(f"names a package registry: {line.strip()}")
        if MACHINE.search(line):
            found.append(f"names a path of one machine: {line.strip()}")
        if END_TO_END.search(line) and not DENIED.search(before + line):
            found.append(f"calls keys of the server end-to-end: {line.strip()}")
    return found


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=60, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git clone")
    paths = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


def test_no_file_names_a_registry_or_a_machine_or_flatters_its_keys() -> None:
    read = {path: path.read_text("utf-8", errors="replace") for path in tracked_files() if path != Path(__file__)}
    found = [f"{path.relative_to(ROOT)}: {fault}" for path, text in read.items() for fault in faults(text)]
    assert len(read) > 10
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "index = https://pypi.org/simple",
        '"resolved": "https://registry.npmjs.org/x/-/x-1.tgz"',
        "cd /work/main",
        'open("/tmp/x")',
        "Messages are end-to-end encrypted with AES.",
        "an E2E key",
    ],
)
def test_a_line_of_that_kind_is_found(line: str) -> None:
    assert faults(line)


@pytest.mark.parametrize(
    "line",
    [
        "This is not end-to-end encryption: the service can read it.",
        "latency measured end to end",
        "https://host/workshop and ./tmp/x and a/work/b",
        "mode `e2ee` per group",
    ],
)
def test_honest_lines_pass(line: str) -> None:
    assert not faults(line)
