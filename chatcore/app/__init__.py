"""The composition root: the only package that chooses real or embedded parts and wires them together."""

from chatcore.app.core import Core
from chatcore.app.opening import open_core
from chatcore.app.serving import Chat, Worker, open_chat

__all__ = ["Chat", "Core", "Worker", "open_chat", "open_core"]
