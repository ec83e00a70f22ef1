"""The real server, for commands that need one."""

from tests.live_server import live_server

__all__ = ["live_server"]
