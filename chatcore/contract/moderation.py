"""Shapes about moderation: reviews, appeals, the audit, and asking for a decision."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chatcore.contract.base import Clean, Moment, ObjectIdText, Shape, UserId
from chatcore.contract.messages import MAX_MESSAGE_BYTES
from chatcore.contract.people import User

ModerationAction = Literal["allow", "flag", "mask", "block"]
ReviewSource = Literal["flag", "report", "sample", "unchecked"]
ReviewState = Literal["open", "assigned", "resolved"]
Resolution = Literal["dismiss", "remove", "restore", "warn", "kick", "ban"]
AppealState = Literal["open", "upheld", "denied"]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), Clean]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), Clean]
Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{14}-[0-9a-f]{24}\z")]


class ModerateContent(Shape):
    content: Annotated[str, StringConstraints(min_length=1, max_length=MAX_MESSAGE_BYTES), Clean]


class ModeratedContent(Shape):
    """`categories` says which are at or above their limit, `scores` how sure the models are, 0 to 1. What the models
    do not cover is left out."""

    flagged: bool
    action: ModerationAction
    category: str | None = None
    categories: dict[str, bool]
    scores: dict[str, float]
    decision_id: ObjectIdText
    provider: str
    model: str
    degraded: bool


class Appeal(Shape):
    """`upheld` is in the author's favour. With `resend` the text may be sent again as it was."""

    id: ObjectIdText = Field(alias="_id")
    decision_id: ObjectIdText
    group_id: ObjectIdText
    user_id: str
    message_id: ObjectIdText | None = None
    category: str
    content: str | None = None
    reason: str
    state: AppealState
    resend: bool = False
    note: str | None = None
    resolved_by: str | None = None
    resolved_at: Moment | None = None
    created_at: Moment


class Appeals(Shape):
    appeals: list[Appeal]
    has_more: bool = False
    next: str | None = None


class MakeAppeal(Shape):
    decision_id: ObjectIdText
    reason: Reason


class MyAppeals(Shape):
    cursor: Cursor | None = None
    limit: int = Field(default=50, ge=1, le=100)


class FindAppeals(Shape):
    """Oldest first; `next` of one page is the `cursor` of the following."""

    state: AppealState = "open"
    cursor: Cursor | None = None
    limit: int = Field(default=50, ge=1, le=100)


class ResolveAppeal(Shape):
    appeal_id: ObjectIdText
    outcome: Literal["upheld", "denied"]
    note: Note = ""


class AppealResolved(Shape):
    """To the author. With `resend` the text may be sent again as it was; else an upheld appeal put it back already."""

    appeal_id: ObjectIdText
    decision_id: ObjectIdText
    group_id: ObjectIdText
    outcome: Literal["upheld", "denied"]
    resend: bool
    note: str | None = None


class Review(Shape):
    """A message before the people who review. `content` is as it was written, also where it was masked or removed."""

    id: ObjectIdText = Field(alias="_id")
    message_id: ObjectIdText
    group_id: ObjectIdText
    group_name: str
    author: User
    content: str
    is_deleted: bool
    source: ReviewSource
    action: ModerationAction
    category: str | None = None
    score: float
    decision_id: ObjectIdText | None = None
    reports: int
    state: ReviewState
    assignee: str | None = None
    resolution: Resolution | None = None
    resolved_by: str | None = None
    resolved_at: Moment | None = None
    note: str | None = None
    created_at: Moment


class Reviews(Shape):
    reviews: list[Review]
    has_more: bool = False
    next: str | None = None


class FindReviews(Shape):
    """Oldest first; `next` of one page is the `cursor` of the following."""

    state: ReviewState = "open"
    cursor: Cursor | None = None
    limit: int = Field(default=50, ge=1, le=100)


class AssignReview(Shape):
    """Without an `assignee` to oneself; an empty one gives the review back."""

    review_id: ObjectIdText
    assignee: Literal[""] | UserId | None = None


class ResolveReview(Shape):
    """`remove` deletes the message, `restore` undoes what moderation did to it, `warn` tells the author, `kick` and
    `ban` remove the message and its author from the group."""

    review_id: ObjectIdText
    resolution: Resolution
    note: Note = ""


class ModerationWarning(Shape):
    """To the author of a message that somebody reviewed."""

    group_id: ObjectIdText
    message_id: ObjectIdText
    note: str | None = None


class AuditEntry(Shape):
    n: int
    actor: str
    action: str
    target: str
    facts: dict[str, str | int | float | bool]
    hash: str
    created_at: Moment


class AuditPage(Shape):
    """Newest first. `next` is `before` of the following page."""

    entries: list[AuditEntry]
    has_more: bool = False
    next: int | None = None


class ReadAudit(Shape):
    before: int | None = Field(default=None, ge=1, le=2**53 - 1)
    limit: int = Field(default=50, ge=1, le=100)
