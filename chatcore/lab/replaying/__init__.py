"""Replay of recorded conversations, with the invariants of the transport checked."""

from chatcore.lab.replaying.asking import answers_in, suggested
from chatcore.lab.replaying.checks import Violations, check_transport
from chatcore.lab.replaying.replay import ReplayLog, replay

__all__ = ["ReplayLog", "Violations", "answers_in", "check_transport", "replay", "suggested"]
