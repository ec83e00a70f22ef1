from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.proof.processes import ServerProcess


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """On a home of its own, with the embedded database; not started."""
    process = ServerProcess(tmp_path / "home")
    yield process
    await process.close()
