"""The server's numbers as JSON, for the operations page of people with a role. The same that Prometheus scrapes."""

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from chatcore import __version__
from chatcore.contract.base import iso_milliseconds
from chatcore.limits import Bucket
from chatcore.metrics import Metrics
from chatcore.ports import Caller

Admit = Callable[[web.Request, Bucket], Awaitable[Caller]]


class OperationsRoute:
    """`GET /api/admin/metrics`: of the process that answers, as counters since its start; rates are differences."""

    def __init__(self, metrics: Metrics, *, admit: Admit):
        self._metrics = metrics
        self._admit = admit

    def add_routes(self, app: web.Application, prefix: str) -> None:
        app.router.add_get(f"{prefix}/admin/metrics", self._numbers)

    async def _numbers(self, request: web.Request) -> web.Response:
        caller = await self._admit(request, "read")
        caller.require_role("operator", "analyst")
        body = {
            "at": iso_milliseconds(datetime.now(UTC)),
            "version": __version__,
            "process": os.getpid(),
            "series": series_of(self._metrics),
        }
        return web.Response(body=orjson.dumps(body), content_type="application/json")


def series_of(metrics: Metrics) -> dict[str, list[dict[str, Any]]]:
    """Every sample under its name without `chatcore_`; the moments of creation are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                name = sample.name.removeprefix("chatcore_")
                found.setdefault(name, []).append({"labels": dict(sample.labels), "value": sample.value})
    return found
