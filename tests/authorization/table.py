"""Who may do what: every command of the table and every route beside it, against every kind of caller.

The group takes people by invitation; the message is one that the plain member Vic wrote. A former member has left, a
banned one was thrown out. Outcomes are "ok" or the code of the refusal.
"""

from dataclasses import dataclass, field
from typing import Any, Final

ACTORS: Final = ("anonymous", "outsider", "former", "banned", "member", "moderator", "admin", "owner")
RANKS: Final = ACTORS[4:]
STRANGERS: Final = ("outsider", "former", "banned")
Outcomes = dict[str, str]


@dataclass(frozen=True)
class Row:
    """`command` names a row of COMMANDS. `fields` are the payload: words in braces stand for ids of the world.

    `changes` says that the same command of the next caller would meet another state, so that it needs a fresh group.
    """

    command: str
    outcomes: Outcomes
    fields: dict[str, Any] = field(default_factory=dict)
    changes: bool = False
    case: str = ""

    @property
    def name(self) -> str:
        return f"{self.command}-{self.case}" if self.case else self.command


def members(least: str = "member", **other: str) -> Outcomes:
    """Strangers see nothing, members below this role are refused, the rest may."""
    allowed = RANKS[RANKS.index(least) :]
    told = {actor: "ok" if actor in allowed else "access_denied" for actor in RANKS}
    return {"anonymous": "token_missing"} | dict.fromkeys(STRANGERS, "not_found") | told | other


def anybody(outcome: str = "ok", **other: str) -> Outcomes:
    """Whoever is signed in."""
    return {"anonymous": "token_missing"} | dict.fromkeys(ACTORS[1:], outcome) | other


GROUP: Final = {"groupId": "{group}"}
MESSAGE: Final = GROUP | {"messageId": "{message}"}
OWN: Final = GROUP | {"messageId": "{own}"}
REACT: Final = MESSAGE | {"emoji": "\U0001f44d"}
VIC: Final = GROUP | {"userId": "{vic}"}
NO_MODELS: Final = dict.fromkeys(RANKS, "capability_unavailable")
NOT_THERE: Final = dict.fromkeys(RANKS[1:], "not_found")

REPORT: Final = {
    "reportId": "run-1", "prompt": f"SmartReplies@{'0' * 64}", "job": "smart-reply", "status": "passed", "gates": [],
    "startedAt": "2026-01-05T09:00:00.000Z", "finishedAt": "2026-01-05T09:01:00.000Z", "sha256": "0" * 64,
}  # fmt: skip
BROWSER: Final = {
    "endpoint": "https://push.example.org/send/1",
    "keys": {
        # The example of RFC 8291.
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}

COMMAND_ROWS: Final[tuple[Row, ...]] = (
    Row("send_message", members(), GROUP | {"content": "hello"}),
    Row("post_message", members(), GROUP | {"content": "hello"}),
    Row("edit_message", members(), OWN | {"content": "new"}, case="own"),
    Row("edit_message", members() | dict.fromkeys(RANKS, "access_denied"), MESSAGE | {"content": "new"}, case="others"),
    Row("patch_message", members(), {"messageId": "{own}", "content": "new"}, case="own"),
    Row(
        "patch_message",
        members() | dict.fromkeys(RANKS, "access_denied"),
        {"messageId": "{message}", "content": "new"},
        case="others",
    ),
    Row("delete_message", members(), OWN, case="own"),
    Row("delete_message", members("moderator"), MESSAGE, case="others"),
    Row("delete_message_by_id", members(), {"messageId": "{own}"}, case="own"),
    Row("delete_message_by_id", members("moderator"), {"messageId": "{message}"}, case="others"),
    Row("message_history", members(), GROUP),
    Row("mark_message_read", members(), MESSAGE),
    Row("mark_messages_read", members(), GROUP | {"messageIds": ["{message}"]}, case="ids"),
    Row("mark_messages_read", members(), GROUP | {"upToSeq": 1}, case="position"),
    Row("message_receipts", members(), {"messageId": "{message}"}),
    Row("sync", members(), {"groups": [{"groupId": "{group}", "since": 0}]}),
    Row("add_reaction", members(), REACT),
    Row("remove_reaction", members(), REACT),
    Row("pin_message", members("moderator"), MESSAGE),
    Row("unpin_message", members("moderator"), MESSAGE),
    Row("group_pins", members(), GROUP),
    Row("report_message", members(), MESSAGE | {"reason": "unkind"}),
    Row("get_media", members(), {"mediaId": "{media}"}, case="sent"),
    Row("get_media", members() | NOT_THERE | {"member": "not_found"}, {"mediaId": "{unsent}"}, case="others-unsent"),
    Row("delete_media", members(), {"mediaId": "{own_media}"}, case="own"),
    Row("delete_media", members() | dict.fromkeys(RANKS, "conflict"), {"mediaId": "{media}"}, case="sent"),
    Row("join_group", members(), GROUP, case="by-invitation"),
    Row("join_group", anybody(banned="banned"), {"groupId": "{open}"}, case="open"),
    Row("leave_group", members(), GROUP, case="the-room"),
    Row("leave_group", members(owner="conflict"), GROUP | {"membership": True}, case="for-good"),
    Row("leave_membership", members(owner="conflict"), GROUP),
    Row("get_group_members", members(), GROUP),
    # The server of these tests has no models; who may not read a group is told so first.
    Row("request_smart_replies", members(**NO_MODELS), GROUP),
    Row("request_typing_suggestions", members(**NO_MODELS), GROUP | {"currentText": "See you at the "}),
    Row("rate_ai_suggestion", anybody("not_found"), {"suggestionId": "{group}", "rating": "shown"}),
    Row("summarize", members(**NO_MODELS), GROUP),
    Row("topics", members(**NO_MODELS), GROUP),
    Row("insights", members(**NO_MODELS), GROUP),
    Row("sentiment", anybody("capability_unavailable"), {"content": "How lovely!"}),
    Row("translate", anybody("capability_unavailable"), {"content": "Good morning", "targetLanguage": "de"}),
    Row("detect_language", anybody("capability_unavailable"), {"content": "Good morning"}),
    Row("my_groups", anybody()),
    Row("create_group", anybody(), {"name": "Mine"}),
    Row("get_group", members(), {"id": "{group}"}, case="group"),
    Row("get_group", anybody(), {"id": "{self}"}, case="oneself"),
    Row("get_group", anybody("not_found"), {"id": "{vic}"}, case="somebody-else"),
    Row("update_group", members("admin"), GROUP | {"description": "new"}),
    Row("delete_group", members("owner"), GROUP),
    Row("create_invite", members("moderator"), GROUP),
    Row("accept_invite", anybody(banned="banned"), {"code": "{code}"}),
    Row("transfer_ownership", members("owner"), VIC),
    Row("add_member", members("admin"), GROUP | {"userId": "{newcomer}"}, case="newcomer"),
    Row(
        "add_member",
        members("admin", admin="banned", owner="banned"),
        GROUP | {"userId": "{banned}"},
        case="banned",
    ),
    Row("change_role", members("admin"), VIC | {"role": "moderator"}, case="moderator"),
    Row("change_role", members("owner"), VIC | {"role": "admin"}, case="admin"),
    Row("change_role", members("owner"), GROUP | {"userId": "{admin}", "role": "member"}, case="of-an-admin"),
    Row(
        "change_role",
        members() | dict.fromkeys(RANKS, "access_denied"),
        GROUP | {"userId": "{owner}", "role": "member"},
        case="of-the-owner",
    ),
    Row("kick_member", members("moderator"), VIC, case="member", changes=True),
    Row("kick_member", members("admin"), GROUP | {"userId": "{moderator}"}, case="moderator", changes=True),
    Row("kick_member", members("owner"), GROUP | {"userId": "{admin}"}, case="admin"),
    Row(
        "kick_member",
        members() | dict.fromkeys(RANKS, "access_denied"),
        GROUP | {"userId": "{owner}"},
        case="owner",
    ),
    Row(
        "kick_member",
        members("moderator") | NOT_THERE,
        GROUP | {"userId": "{outsider}"},
        case="outsider",
    ),
    Row("group_bans", members("moderator"), GROUP),
    Row("ban_user", members("moderator"), VIC, case="member", changes=True),
    Row("ban_user", members("owner"), GROUP | {"userId": "{admin}"}, case="admin"),
    Row("ban_user", members("moderator"), GROUP | {"userId": "{newcomer}"}, case="newcomer"),
    Row("unban_user", members("moderator"), GROUP | {"userId": "{banned}"}, changes=True),
    Row("direct_message", anybody(), {"userId": "{vic}"}),
    Row("find_groups", anybody(), {"query": "x"}),
    Row("typing_start", members(), GROUP),
    Row("typing_stop", members(), GROUP),
    Row("get_online_users", members(), GROUP),
    Row("change_status", anybody(), {"status": "away"}),
    Row("me", anybody()),
    Row("list_decisions", anybody("access_denied")),
    Row("get_decision", anybody("access_denied"), {"decisionId": "{nothing}"}),
    Row("list_prompts", anybody("access_denied")),
    Row("get_prompt", anybody("access_denied"), {"versionId": "SmartReplies"}),
    Row("add_prompt", anybody("access_denied"), {"function": "SmartReplies", "text": "x"}),
    Row("shadow_prompt", anybody("access_denied"), {"versionId": "SmartReplies"}),
    Row("canary_prompt", anybody("access_denied"), {"versionId": "SmartReplies", "share": 0.1}),
    Row("add_report", anybody("access_denied"), REPORT),
    Row("get_report", anybody("access_denied"), {"reportId": "run-1"}),
    Row("promote_prompt", anybody("access_denied"), {"versionId": "SmartReplies", "reportId": "run-1"}),
    Row("rollback_prompt", anybody("access_denied"), {"versionId": "SmartReplies"}),
    Row("create_export", anybody("access_denied"), {"purpose": "to see whether one may"}),
    Row("list_exports", anybody("access_denied")),
    Row("read_export", anybody("access_denied"), {"exportId": "{nothing}"}),
    Row("end_export", anybody("access_denied"), {"exportId": "{nothing}"}),
    Row("update_me", anybody(), {"settings": {"ai": False}}),
    Row("my_push_subscriptions", anybody()),
    Row("make_push_subscription", anybody(), BROWSER),
    Row("remove_push_subscription", anybody("not_found"), {"subscriptionId": "{nothing}"}),
    Row("export_me", anybody()),
    Row("my_devices", anybody()),
    Row("revoke_device", anybody("not_found"), {"sessionId": "{vics_session}"}, case="somebody-elses"),
    Row("revoke_device", anybody(), {"sessionId": "{own_session}"}, case="own"),
    Row("find_users", anybody(), {"query": "x"}),
    Row("moderate_content", anybody("capability_unavailable"), {"content": "hello"}),
    Row("make_appeal", anybody("not_found"), {"decisionId": "{group}", "reason": "a joke"}),
    Row("my_appeals", anybody()),
    Row("find_reviews", anybody("access_denied")),
    Row("assign_review", anybody("access_denied"), {"reviewId": "{group}"}),
    Row("resolve_review", anybody("access_denied"), {"reviewId": "{group}", "resolution": "remove"}),
    Row("find_appeals", anybody("access_denied")),
    Row("resolve_appeal", anybody("access_denied"), {"appealId": "{group}", "outcome": "upheld"}),
    Row("read_audit", anybody("access_denied")),
    Row("search_messages", members(), {"query": "hello", "groupId": "{group}"}, case="one-group"),
    Row("search_messages", anybody(), {"query": "hello"}, case="all-of-ones-own"),
    Row("ask_group", members(**NO_MODELS), {"question": "Who said hello?", "groupId": "{group}"}),
    Row("erase_me", anybody()),
)


@dataclass(frozen=True)
class Route:
    """A hand-written route. The same answer for everybody: none of these looks at who is signed in."""

    method: str
    path: str
    status: int
    code: str | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


OTHER_ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/health", 200),
    Route("GET", "/health/live", 200),
    Route("GET", "/health/ready", 200),
    Route("GET", "/info", 200),
    Route("GET", "/metrics", 403, "access_denied"),
    Route("GET", "/openapi.json", 200),
    Route("GET", "/asyncapi.json", 200),
    Route("GET", "/docs", 200),
    Route("GET", "/docs/events", 200),
    Route("POST", "/api/auth/login", 401, "bad_credentials", {"name": "nobody", "password": "wrong-password"}),
    Route("POST", "/api/auth/dev-token", 200, None, {"name": "somebody"}),
    Route("POST", "/api/webhooks/clerk", 404, "not_found", {"type": "user.deleted"}),
)


@dataclass(frozen=True)
class ByteRoute:
    """A hand-written route that looks at who asks; `media` is a picture that Vic has sent."""

    method: str
    path: str
    outcomes: Outcomes

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


BYTE_ROUTES: Final[tuple[ByteRoute, ...]] = (
    ByteRoute("POST", "/api/media/upload", members()),
    ByteRoute("GET", "/api/media/{media}/download", members()),
    ByteRoute("GET", "/api/media/{media}/thumbnail", members()),
    ByteRoute("GET", "/api/admin/metrics", anybody("access_denied")),
)
