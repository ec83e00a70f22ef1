"""Commands on oneself, and finding people."""

from typing import Any

from chatcore.api.command import Command, Rest, done
from chatcore.contract import people as p
from chatcore.contract.base import Empty, Shape
from chatcore.errors import Conflict, NotFound


def _me(name: str, **fields: Any) -> Command:
    return Command(name=name, **({"tag": "me", "limit": "read"} | fields))


COMMANDS: tuple[Command, ...] = (
    _me(
        "me",
        refuses=(NotFound,),
        rest=Rest("GET", "/me"),
        request=Empty,
        reply=p.Me,
        answer=lambda s, c, r: s.identity.me(c),
        summary="Oneself.",
    ),
    _me(
        "update_me",
        refuses=(NotFound,),
        rest=Rest("PATCH", "/me"),
        request=p.UpdateMe,
        reply=p.Me,
        answer=lambda s, c, r: s.identity.update_me(c, r),
        limit="groups",
        summary="Change one's settings: receipts, AI, consent.",
    ),
    _me(
        "erase_me",
        refuses=(Conflict,),
        rest=Rest("DELETE", "/me"),
        request=Empty,
        reply=Empty,
        answer=lambda s, c, r: done(s.identity.erase(c)),
        limit="export",
        summary="Erase one's account; one leaves every group.",
    ),
    _me(
        "export_me",
        refuses=(NotFound,),
        rest=Rest("GET", "/me/export"),
        request=Empty,
        reply=p.MyExport,
        answer=lambda s, c, r: s.identity.export_me(c),
        limit="export",
        summary="Everything kept about oneself.",
    ),
    _me(
        "my_devices",
        rest=Rest("GET", "/me/sessions"),
        request=Empty,
        reply=p.Devices,
        answer=lambda s, c, r: s.identity.devices(c),
        summary="One's devices.",
    ),
    _me(
        "revoke_device",
        refuses=(NotFound,),
        rest=Rest("DELETE", "/me/sessions/{sessionId}"),
        request=p.SessionPath,
        reply=Empty,
        answer=lambda s, c, r: done(s.identity.revoke(c, r.session_id)),
        limit="groups",
        summary="Sign a device out; its token is refused from then on.",
    ),
    _me(
        "find_users",
        rest=Rest("GET", "/directory/users"),
        request=p.FindUsers,
        reply=p.Users,
        answer=lambda s, c, r: s.identity.find_users(c, r),
        limit="search",
        tag="groups",
        summary="Users whose name begins so.",
    ),
)

EVENTS: dict[str, type[Shape]] = {
    "authentication_success": p.AuthenticationSuccess,
    "token_expiring": p.TokenExpiring,
}
