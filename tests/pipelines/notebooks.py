"""Small notebooks made by the tests."""

import json
from pathlib import Path

PARAMETERS = """
seed: int = 0
score: float = 0.9  # what is measured
mode: str = "good"
"""


def write_notebook(path: Path, *cells: str, parameters: str | None = PARAMETERS) -> Path:
    """A code cell for each source, after a cell of parameters."""
    sources = [(["parameters"], parameters.strip())] if parameters is not None else []
    sources += [([], cell.strip()) for cell in cells]
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "cells": [
            {"id": f"c{number}", "cell_type": "code", "metadata": {"tags": tags}, "source": source,
             "outputs": [], "execution_count": None}
            for number, (tags, source) in enumerate(sources)
        ],
    }  # fmt: skip
    path.write_text(json.dumps(content), "utf-8")
    return path
