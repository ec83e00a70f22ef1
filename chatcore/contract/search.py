"""Shapes about finding messages and asking a group."""

from typing import Annotated

from pydantic import Field, StringConstraints

from chatcore.contract.base import Clean, Moment, ObjectIdText, Seq, Shape

MAX_QUERY_CHARACTERS = 4096
MAX_QUESTION_CHARACTERS = 2000
MAX_RESULTS = 50


class SearchMessages(Shape):
    """Without `groupId` in all groups that the caller is a member of."""

    query: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY_CHARACTERS), Clean
    ] = Field(description="What to look for: words, parts of words, or a description of what was said.")
    group_id: ObjectIdText | None = None
    limit: int = Field(default=20, ge=1, le=MAX_RESULTS)


class SearchResult(Shape):
    message_id: ObjectIdText
    group_id: ObjectIdText
    content: str
    score: float = Field(ge=0, le=1, description="Only for the order: scores of two searches do not compare.")
    seq: Seq
    sender_id: str
    sender_name: str
    created_at: Moment


class SearchResults(Shape):
    """Best first. `incomplete`: some groups are still being read into memory; ask again in a moment for all of them."""

    results: list[SearchResult]
    incomplete: bool = False
    decision_id: ObjectIdText
    provider: str
    model: str
    degraded: bool


class AskGroup(Shape):
    question: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUESTION_CHARACTERS), Clean
    ] = Field(description="Answered from this group's messages alone.")
    group_id: ObjectIdText


class Answered(Shape):
    """`answered` is false, and `citations` empty, where the group's messages do not say."""

    answer: str
    answered: bool
    citations: list[ObjectIdText] = Field(description="The messages that the answer rests on.")
    decision_id: ObjectIdText
    provider: str
    model: str
    degraded: bool
