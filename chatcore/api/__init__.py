"""The whole surface: every command with its event, its REST form, its shape, its limit; one table for each area.

A new command is a shape in `contract/`, a method of a service, and a row here. The transports read the table and know
no feature; connecting, health, uploads and webhooks stay hand-written in them.
"""

from chatcore.api import ai, ai_admin, exports, groups, me, media, messages, moderation, presence, push, search
from chatcore.api.command import Command, Method, Rest, Services
from chatcore.contract.base import Shape
from chatcore.contract.failures import ServerDraining

COMMANDS: tuple[Command, ...] = (
    *messages.COMMANDS,
    *media.COMMANDS,
    *groups.COMMANDS,
    *presence.COMMANDS,
    *me.COMMANDS,
    *push.COMMANDS,
    *ai.COMMANDS,
    *search.COMMANDS,
    *moderation.COMMANDS,
    *ai_admin.COMMANDS,
    *exports.COMMANDS,
)

EVENTS: dict[str, type[Shape]] = {
    **me.EVENTS,
    **messages.EVENTS,
    **groups.EVENTS,
    **presence.EVENTS,
    **ai.EVENTS,
    **moderation.EVENTS,
    "server_draining": ServerDraining,
}
"""What the server pushes unasked; reply events and error events come from the commands."""

BY_EVENT: dict[str, Command] = {command.event: command for command in COMMANDS if command.event}

__all__ = ["BY_EVENT", "COMMANDS", "EVENTS", "Command", "Method", "Rest", "Services"]
