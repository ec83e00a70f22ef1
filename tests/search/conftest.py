from collections.abc import AsyncIterator

import pytest

from tests.search.house import SearchHouse


@pytest.fixture
async def house() -> AsyncIterator[SearchHouse]:
    async with SearchHouse() as house:
        yield house
