"""`python -m chatcore describe`: writes the generated references, or says which are stale."""

from pathlib import Path

import typer

from chatcore.describe.files import Generated, generated_files, stale


def run(*, check: bool, files: list[Generated] | None = None) -> None:
    files = generated_files() if files is None else files
    old = stale(files)
    if check:
        for path in old:
            print(f"{_shown(path)} is stale. Renew it with: python -m chatcore describe")
        raise typer.Exit(1 if old else 0)
    for file in files:
        if file.path in old:
            file.write()
        print(f"{'written' if file.path in old else 'fresh  '}  {_shown(file.path)}")


def _shown(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
