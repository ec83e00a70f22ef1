"""Fetching an export from a server: `lab.export(folder, purpose=...)`."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from chatcore.client.rest import Rest, calls_for_many
from chatcore.lab.datasets.exported import Manifest, write
from chatcore.lab.decisions import door
from chatcore.lab.live import LiveChat
from chatcore.lab.loops import run_apart
from chatcore.lab.pages import facts

MOST_MESSAGES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Exported:
    """Where it is: `lab.conversations(f"export:{folder}")` and `lab.dataset(...)` read it until it expires."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return f"export:{self.folder}"

    def _repr_html_(self) -> str:
        told = self.manifest
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in sorted(told.left_out.items())) or "nothing"
        redacted = ", ".join(f"{count:,} {kind}" for kind, count in sorted(told.redacted.items())) or "nothing"
        about = {
            "messages": f"{told.messages:,}", "groups": f"{told.groups:,}", "left out": left_out, "redacted": redacted,
            "purpose": told.purpose, "expires": told.expires_at[:10], "in": str(self.folder),
        }  # fmt: skip
        return facts(f"Export {told.export_id}", about)


def export(
    folder: str | Path,
    *,
    purpose: str,
    chat: LiveChat | None = None,
    groups: list[str] | None = None,
    days: int = 30,
) -> Exported:
    """From the chat given or the server at CHATCORE_URL, with an analyst's CHATCORE_TOKEN; the audit names `purpose`.

    Only what people agreed to, under pseudonyms; for at most 30 days. Raises ChatError, LinkLost, LedgerNotThere.
    """
    url, token = door(chat)
    body: dict[str, Any] = {"purpose": purpose, "days": days} | ({"groupIds": groups} if groups is not None else {})
    place = Path(folder).expanduser().resolve()
    about, messages = run_apart(_fetch(url, token, body))
    return Exported(place, write(place, about, messages))


async def _fetch(url: str, token: str, body: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    async with calls_for_many(url, at_once=1) as rest_of:
        rest = rest_of(token)
        made = await rest.request("POST", "/api/admin/exports", body=body)
        messages, left_out, redacted = await _pages(rest, made["exportId"])
    about = {
        "export_id": made["exportId"],
        "server": url,
        "purpose": made["purpose"],
        "created_by": made["createdBy"],
        "created_at": made["createdAt"],
        "expires_at": made["expiresAt"],
        "groups": made["groups"],
        "left_out": dict(left_out),
        "redacted": dict(redacted),
    }
    return about, messages


async def _pages(rest: Rest, export_id: str) -> tuple[list[dict[str, Any]], Counter[str], Counter[str]]:
    messages, left_out, redacted = list[dict[str, Any]](), Counter[str](), Counter[str]()
    position: str | None = "0:0"
    while position is not None:
        path = f"/api/admin/exports/{quote(export_id, safe='')}/messages"
        page = await rest.request("GET", path, query={"position": position})
        messages += page["messages"]
        left_out.update(page["leftOut"])
        redacted.update(page["redacted"])
        if len(messages) > MOST_MESSAGES:
            raise ValueError(f"more than {MOST_MESSAGES:,} messages: export fewer groups at a time")
        position = page.get("next")
    return messages, left_out, redacted
