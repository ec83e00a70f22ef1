"""Shapes about who is there and who is typing."""

from chatcore.contract.base import Moment, ObjectIdText, Shape
from chatcore.contract.groups import PresenceStatus
from chatcore.contract.people import User


class ChangeStatus(Shape):
    status: PresenceStatus


class OnlineUser(Shape):
    user_id: str
    user: User
    status: PresenceStatus
    last_activity: Moment


class OnlineUsers(Shape):
    group_id: ObjectIdText
    users: list[OnlineUser]


class UserTyping(Shape):
    group_id: ObjectIdText
    user_id: str
    user: User


class UserStoppedTyping(Shape):
    group_id: ObjectIdText
    user_id: str


class UserOnline(Shape):
    user_id: str
    user: User
    status: PresenceStatus


class UserOffline(Shape):
    user_id: str
    last_seen: Moment


class UserStatusChanged(Shape):
    user_id: str
    status: PresenceStatus
    last_seen: Moment
