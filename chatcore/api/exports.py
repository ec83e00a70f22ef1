"""Commands on research exports: REST alone, for the role analyst."""

from typing import Any

from chatcore.api.command import Command, Rest, done
from chatcore.contract import exports as e
from chatcore.contract.base import Empty
from chatcore.errors import Forbidden, NotFound


def _export(name: str, **fields: Any) -> Command:
    return Command(name=name, **({"tag": "admin", "limit": "read", "refuses": (Forbidden, NotFound)} | fields))


COMMANDS: tuple[Command, ...] = (
    _export(
        "create_export",
        rest=Rest("POST", "/admin/exports", 201),
        request=e.CreateExport,
        reply=e.Export,
        answer=lambda s, c, r: s.exports.create(c, r),
        limit="export",
        refuses=(Forbidden,),
        summary="Open conversations of groups and people who agreed for research, for a time. For the role analyst.",
    ),
    _export(
        "list_exports",
        rest=Rest("GET", "/admin/exports"),
        request=Empty,
        reply=e.Exports,
        answer=lambda s, c, r: s.exports.living(c),
        refuses=(Forbidden,),
        summary="Exports that can still be read, newest first. For the role analyst.",
    ),
    _export(
        "read_export",
        rest=Rest("GET", "/admin/exports/{exportId}/messages"),
        request=e.ReadExport,
        reply=e.ExportedPage,
        answer=lambda s, c, r: s.exports.page(c, r),
        summary="Messages under pseudonyms and without what names people, page by page. For the role analyst.",
    ),
    _export(
        "end_export",
        rest=Rest("DELETE", "/admin/exports/{exportId}"),
        request=e.ExportPath,
        reply=Empty,
        answer=lambda s, c, r: done(s.exports.end(c, r)),
        limit="groups",
        summary="End an export before its time. For the role analyst.",
    ),
)
