"""Reactions, pins and reports as stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class ReactionRecord:
    message_id: str
    group_id: str
    user_id: str
    emoji: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PinRecord:
    group_id: str
    message_id: str
    pinned_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ReportRecord:
    id: str
    group_id: str
    message_id: str
    reported_by: str
    reason: str
    created_at: datetime
    state: Literal["open", "closed"] = "open"
