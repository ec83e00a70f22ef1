"""Commands on moderation: appeals for everybody, reviews for `reviewer`, the audit for `operator` and `reviewer`."""

from typing import Any

from chatcore.api.command import Command, Rest
from chatcore.contract import moderation as m
from chatcore.contract.base import Shape
from chatcore.contract.messages import MessageRejectedNotice
from chatcore.errors import CapabilityUnavailable, Conflict, Forbidden, NotFound, RateLimited, Unavailable


def _moderation(name: str, **fields: Any) -> Command:
    return Command(name=name, **({"tag": "moderation", "limit": "read"} | fields))


COMMANDS: tuple[Command, ...] = (
    _moderation(
        "moderate_content",
        refuses=(CapabilityUnavailable, RateLimited, Unavailable),
        rest=Rest("POST", "/ai/moderate-content"),
        request=m.ModerateContent,
        reply=m.ModeratedContent,
        answer=lambda s, c, r: s.moderation.moderate(c, r),
        limit="ai",
        tag="ai",
        summary="What moderation would decide on a text; nothing follows from it.",
    ),
    _moderation(
        "make_appeal",
        refuses=(NotFound, Conflict),
        rest=Rest("POST", "/appeals", 201),
        request=m.MakeAppeal,
        reply=m.Appeal,
        answer=lambda s, c, r: s.moderation.appeal(c, r),
        limit="report",
        summary="Object to a decision on one's own text; once for each, a repeat gives the first.",
    ),
    _moderation(
        "my_appeals",
        rest=Rest("GET", "/appeals"),
        request=m.MyAppeals,
        reply=m.Appeals,
        answer=lambda s, c, r: s.moderation.my_appeals(c, r),
        summary="One's own appeals, oldest first.",
    ),
    _moderation(
        "find_reviews",
        refuses=(Forbidden,),
        rest=Rest("GET", "/admin/reviews"),
        request=m.FindReviews,
        reply=m.Reviews,
        answer=lambda s, c, r: s.reviews.find(c, r),
        summary="Messages that a person shall look at, oldest first. Needs the role reviewer.",
    ),
    _moderation(
        "assign_review",
        refuses=(NotFound, Forbidden, Conflict),
        rest=Rest("POST", "/admin/reviews/{reviewId}/assign"),
        request=m.AssignReview,
        reply=m.Review,
        answer=lambda s, c, r: s.reviews.assign(c, r),
        limit="edit",
        summary="Take a review in hand, or give it to somebody or back. Needs the role reviewer.",
    ),
    _moderation(
        "resolve_review",
        refuses=(NotFound, Forbidden, Conflict),
        rest=Rest("POST", "/admin/reviews/{reviewId}/resolve"),
        request=m.ResolveReview,
        reply=m.Review,
        answer=lambda s, c, r: s.reviews.resolve(c, r),
        limit="edit",
        summary="End a review: dismiss, remove, restore, warn, kick or ban. Needs the role reviewer.",
    ),
    _moderation(
        "find_appeals",
        refuses=(Forbidden,),
        rest=Rest("GET", "/admin/appeals"),
        request=m.FindAppeals,
        reply=m.Appeals,
        answer=lambda s, c, r: s.reviews.appeals(c, r),
        summary="Appeals, oldest first. Needs the role reviewer.",
    ),
    _moderation(
        "resolve_appeal",
        refuses=(NotFound, Forbidden, Conflict),
        rest=Rest("POST", "/admin/appeals/{appealId}/resolve"),
        request=m.ResolveAppeal,
        reply=m.Appeal,
        answer=lambda s, c, r: s.reviews.resolve_appeal(c, r),
        limit="edit",
        summary="Uphold an appeal, which undoes the decision, or deny it. Needs the role reviewer.",
    ),
    _moderation(
        "read_audit",
        refuses=(Forbidden,),
        rest=Rest("GET", "/admin/audit"),
        request=m.ReadAudit,
        reply=m.AuditPage,
        answer=lambda s, c, r: s.reviews.audit(c, r),
        summary="What people with power over others did, newest first. Needs the role operator or reviewer.",
    ),
)

EVENTS: dict[str, type[Shape]] = {
    "message_rejected": MessageRejectedNotice,
    "appeal_resolved": m.AppealResolved,
    "moderation_warning": m.ModerationWarning,
}
