"""Commands on notices to browsers that are not connected."""

from typing import Any

from chatcore.api.command import Command, Rest, done
from chatcore.contract import push as p
from chatcore.contract.base import Empty
from chatcore.errors import CapabilityUnavailable, Conflict, NotFound


def _push(name: str, **fields: Any) -> Command:
    return Command(name=name, **({"tag": "me", "limit": "groups"} | fields))


COMMANDS: tuple[Command, ...] = (
    _push(
        "my_push_subscriptions",
        rest=Rest("GET", "/push-subscriptions"),
        request=Empty,
        reply=p.PushSubscriptions,
        answer=lambda s, c, r: s.push.mine(c),
        limit="read",
        summary="The key of this server for Web Push, and one's browsers that are told of messages.",
    ),
    _push(
        "make_push_subscription",
        refuses=(CapabilityUnavailable, Conflict),
        rest=Rest("POST", "/push-subscriptions", 201),
        request=p.MakePushSubscription,
        reply=p.PushSubscription,
        answer=lambda s, c, r: s.push.subscribe(c, r),
        summary="Tell this browser of messages while one has no connection; a repeat changes its scope.",
    ),
    _push(
        "remove_push_subscription",
        refuses=(NotFound,),
        rest=Rest("DELETE", "/push-subscriptions/{subscriptionId}"),
        request=p.PushSubscriptionPath,
        reply=Empty,
        answer=lambda s, c, r: done(s.push.unsubscribe(c, r)),
        summary="Tell this browser no more.",
    ),
)
