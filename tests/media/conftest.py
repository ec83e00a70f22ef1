"""A media service on a folder, with twins in memory."""

from pathlib import Path

import pytest

from tests.media.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)
