"""Rows of the decision ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from chatcore.ai.calls import Feature, Served

Mode = Literal["live", "shadow", "replay"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer of a model, as it was asked for and as it was used.

    `decision_id` comes from `Ledger.new_id`. `input` and `output` are JSON objects and hold content: they are sealed
    with the group's key, or the server's own where there is no group. `user_id` is stored as a keyed hash. `prompt`
    is a version's id, "" where no prompt was used. `seq` is the log position of the message that was decided on.
    """

    decision_id: str
    feature: Feature
    served: Served
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    group_id: str = ""
    message_id: str = ""
    seq: int | None = None
    user_id: str = ""
    prompt: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    thresholds_version: str = ""
    action: str = ""
    mode: Mode = "live"
    arm: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    replay_of: str = ""
    shadow_of: str = ""
    input_sha256: str = ""
    human: Mapping[str, Any] | None = None
    appeal: Mapping[str, Any] | None = None
    exposure: Mapping[str, Any] | None = None
