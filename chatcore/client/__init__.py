"""The Python client: keeps a connection, sends each message once, and hands events over in the order of the log.

    async with Client("http://127.0.0.1:3001", token) as client:
        group = await client.create_group("general", join_policy="open")
        await client.send(group.id, "hello")
        async for event in client.events():
            ...

The terminal client, the demo, replay and the load test stand on it.
"""

from chatcore.client.client import Client
from chatcore.client.events import ConnectionChanged, Event, GroupLost, Happening, Resynced, TooSlow
from chatcore.client.link import LinkLost
from chatcore.client.rest import Rest
from chatcore.client.session import Backoff
from chatcore.client.view import GroupView

__all__ = [
    "Backoff",
    "Client",
    "ConnectionChanged",
    "Event",
    "GroupLost",
    "GroupView",
    "Happening",
    "LinkLost",
    "Rest",
    "Resynced",
    "TooSlow",
]
