"""The library, made at the first search: arrays take 25 MB that a server nobody searches on does without."""

import asyncio
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from chatcore.errors import CapabilityUnavailable

if TYPE_CHECKING:
    from chatcore.ai.search.library import Library


class Door:
    """`make` runs on the loop, after the modules it needs were imported in a thread."""

    def __init__(self, make: "Callable[[], Library]"):
        self._make = make
        self._library: Library | None = None
        self._turn = asyncio.Lock()

    @property
    def known(self) -> "Library | None":
        return self._library

    async def library(self) -> "Library":
        """Raises CapabilityUnavailable where numpy is not installed."""
        async with self._turn:
            if self._library is None:
                try:
                    await asyncio.to_thread(_import)
                except ImportError as error:
                    raise CapabilityUnavailable("Search needs the extra `ai` on this server") from error
                self._library = self._make()
            return self._library

    async def close(self) -> None:
        if self._library is not None:
            await self._library.close()


def _import() -> None:
    for name in ("library", "exact"):
        importlib.import_module(f"chatcore.ai.search.{name}")
