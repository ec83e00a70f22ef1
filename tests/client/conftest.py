"""The real server, beside the small one that shows faults. Without rate limits: a storm is not what they are for."""

from collections.abc import Iterator

import pytest

from tests.live_server import LiveServer, serving


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with serving(tmp_path_factory.mktemp("live"), RATE_LIMITS="off") as server:
        yield server
