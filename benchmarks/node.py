"""Node's socket.io and ws, the thing a user would pick instead: installed once into a cache folder."""

import json
import shutil
import subprocess
from pathlib import Path

PACKAGES = ("socket.io@4.8.1", "ws@8.18.3")
INSTALL_SECONDS = 120


def installed(cache: Path) -> bool:
    """Whether the comparison can run; installs from the registry that npm knows where that is possible."""
    if (cache / "node_modules" / "socket.io").exists():
        return shutil.which("node") is not None
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return False
    cache.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(cache), *PACKAGES]
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def version(cache: Path) -> str:
    node = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True, timeout=10).stdout  # noqa: S607
    names = ("socket.io", "ws")
    found = [
        json.loads((cache / "node_modules" / name / "package.json").read_text("utf-8"))["version"] for name in names
    ]
    return f"Node {node.strip().removeprefix('v')} with " + ", ".join(map(" ".join, zip(names, found, strict=True)))
