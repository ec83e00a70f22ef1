"""What a person can do: one method for each command of the contract."""

import secrets
from abc import ABC, abstractmethod
from typing import Any, Literal

from chatcore.client.rest import Rest, read_as
from chatcore.contract.groups import Group, GroupJoined, GroupMembers, Groups, JoinPolicy, PresenceStatus
from chatcore.contract.media import Media
from chatcore.contract.messages import MessagePage, MessageSent, Pins, SyncedGroup
from chatcore.contract.people import Users
from chatcore.contract.presence import OnlineUsers


class Verbs(ABC):
    """Commands go over the socket where the contract has them there, else over REST."""

    @property
    @abstractmethod
    def rest(self) -> Rest: ...

    @abstractmethod
    async def command(self, event: str, payload: dict[str, Any]) -> Any:
        """The data of the ack, however many tries it takes."""

    @abstractmethod
    def _entered(self, group: Group, latest_seq: int) -> None: ...

    @abstractmethod
    def _gone_from(self, group_id: str, *, still_member: bool) -> None: ...

    # Messages

    async def send(
        self,
        group_id: str,
        content: str,
        *,
        temp_id: str | None = None,
        reply_to: str | None = None,
        media_id: str | None = None,
        type: Literal["text", "image", "file"] = "text",  # noqa: A002
    ) -> MessageSent:
        """Returns once the server has stored the message; repeats carry the same `temp_id`, so it is stored once."""
        payload = _given(
            groupId=group_id,
            content=content,
            tempId=temp_id or secrets.token_hex(12),
            replyTo=reply_to,
            mediaId=media_id,
            type=type,
        )
        return read_as(MessageSent, await self.command("send_message", payload))

    async def upload(self, group_id: str, name: str, content: bytes) -> Media:
        """An image or file, to be sent within a day: `send(group_id, caption, media_id=..., type=media.type)`."""
        return await self.rest.upload(Media, "/api/media/upload", {"groupId": group_id}, name, content)

    async def edit(self, group_id: str, message_id: str, content: str) -> None:
        await self.command("edit_message", {"groupId": group_id, "messageId": message_id, "content": content})

    async def delete(self, group_id: str, message_id: str) -> None:
        await self.command("delete_message", {"groupId": group_id, "messageId": message_id})

    async def react(self, group_id: str, message_id: str, emoji: str, *, remove: bool = False) -> None:
        payload = {"groupId": group_id, "messageId": message_id, "emoji": emoji}
        await self.command("remove_reaction" if remove else "add_reaction", payload)

    async def pin(self, group_id: str, message_id: str, *, pinned: bool = True) -> None:
        payload = {"groupId": group_id, "messageId": message_id}
        await self.command("pin_message" if pinned else "unpin_message", payload)

    async def report(self, group_id: str, message_id: str, reason: str) -> None:
        await self.command("report_message", {"groupId": group_id, "messageId": message_id, "reason": reason})

    async def mark_read(self, group_id: str, up_to_seq: int) -> None:
        await self.command("mark_messages_read", {"groupId": group_id, "upToSeq": up_to_seq})

    async def pins(self, group_id: str) -> Pins:
        return await self.rest.get(Pins, f"/api/groups/{group_id}/pins")

    async def history(
        self, group_id: str, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> MessagePage:
        """Oldest first within the page; `before` and `after` are places in the log, themselves left out."""
        query = {"before": before, "after": after, "limit": limit}
        return await self.rest.get(MessagePage, f"/api/messages/{group_id}", query)

    async def sync(self, group_id: str, since: int) -> SyncedGroup:
        """The log after `since`, at most 200 events; apart from what this client follows by itself."""
        data = await self.command("sync", {"groups": [{"groupId": group_id, "since": since}]})
        return read_as(SyncedGroup, data["groups"][0])

    # Groups and people

    async def create_group(self, name: str, *, description: str = "", join_policy: JoinPolicy = "invite") -> Group:
        body = {"name": name, "description": description, "joinPolicy": join_policy}
        group = await self.rest.post(Group, "/api/groups", body)
        self._entered(group, group.latest_seq)
        return group

    async def direct_message(self, user_id: str) -> Group:
        """The group of two with this person."""
        group = await self.rest.post(Group, "/api/direct-messages", {"userId": user_id})
        self._entered(group, group.latest_seq)
        return group

    async def join(self, group_id: str) -> GroupJoined:
        """Enter the group's room; in an open group this makes one a member."""
        joined = read_as(GroupJoined, await self.command("join_group", {"groupId": group_id}))
        self._entered(joined.group, joined.latest_seq)
        return joined

    async def leave(self, group_id: str, *, membership: bool = True) -> None:
        """End the membership, or only take this connection out of the room."""
        await self.command("leave_group", {"groupId": group_id, "membership": membership})
        self._gone_from(group_id, still_member=not membership)

    async def members(self, group_id: str) -> GroupMembers:
        return read_as(GroupMembers, await self.command("get_group_members", {"groupId": group_id}))

    async def online_users(self, group_id: str) -> OnlineUsers:
        return read_as(OnlineUsers, await self.command("get_online_users", {"groupId": group_id}))

    async def change_status(self, status: PresenceStatus) -> None:
        await self.command("change_status", {"status": status})

    async def find_groups(self, query: str) -> Groups:
        """Open groups that anybody may join."""
        return await self.rest.get(Groups, "/api/directory/groups", {"query": query})

    async def find_users(self, query: str) -> Users:
        return await self.rest.get(Users, "/api/directory/users", {"query": query})


def _given(**fields: object) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
