"""Replay of recorded conversations, with the invariants of the transport checked."""

from chatcore.lab.replaying.checks import Violations, check_transport
from chatcore.lab.replaying.replay import ReplayLog, replay

__all__ = ["ReplayLog", "Violations", "check_transport", "replay"]
