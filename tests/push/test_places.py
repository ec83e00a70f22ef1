"""A client chooses the endpoint, so it must not choose an address in the server's own network."""

import socket

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from chatcore.errors import Invalid
from chatcore.push.courier import Answer, Courier
from chatcore.push.places import NotAllowedHost, PublicResolver, is_public, require_allowed
from chatcore.push.records import Subscription, subscription_id
from chatcore.push.vapid import Vapid
from tests.memory import START
from tests.push.conftest import Browser, PushService

PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "192.0.2.7", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "not-an-address",
    "::7f00:1", "::127.0.0.1", "::ffff:0:127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_no_private_address_is_public_however_it_is_written(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example.org/x", "ftp://push.example.org/x", "//push.example.org/x", "https:///x", "",
        "https://push.example.org:8443/x", "https://push.example.org:99999/x", "https://a:b@push.example.org/x",
        "https://push.example.org@127.0.0.1/x", "https://127.0.0.1/x", "https://[::1]/x", "https://[fe80::1%25eth0]/x",
        "https://10.1.2.3/x", "https://169.254.169.254/latest", "http://127.0.0.1:27017/", "http://localhost/x",
        "file:///etc/passwd", "https://[::ffff:10.0.0.1]/x", "https://[/x",
        "https://\uff11\uff12\uff17.0.0.1/x", "https://\u246069.254.169.254/latest", "https://127\u30020\u30020\u30021/x",
        "https://[::127.0.0.1]/x", "https://[::ffff:0:127.0.0.1]/x",
    ],
)  # fmt: skip
def test_these_endpoints_are_refused(endpoint: str) -> None:
    with pytest.raises(Invalid):
        require_allowed(endpoint, loopback=False)


def test_public_services_are_allowed_and_in_development_this_machine() -> None:
    require_allowed("https://push.example.org/send/1?x=y", loopback=False)
    require_allowed("https://push.example.org:443/send/1", loopback=False)
    require_allowed("http://127.0.0.1:8080/send/1", loopback=True)
    for endpoint in ("http://127.0.0.2/x", "http://10.0.0.1/x", "https://192.168.1.1/x", "http://u@127.0.0.1/x"):
        with pytest.raises(Invalid):
            require_allowed(endpoint, loopback=True)


class Names(AbstractResolver):
    """A name server that says what it is told."""

    def __init__(self, *addresses: str):
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        return None


async def test_a_name_that_leads_inside_is_refused_where_it_is_resolved() -> None:
    with pytest.raises(NotAllowedHost):
        await PublicResolver(loopback=False, inner=Names("10.0.0.1", "127.0.0.1")).resolve("push.example.org", 443)
    with pytest.raises(NotAllowedHost):
        await PublicResolver(loopback=True, inner=Names("127.0.0.1")).resolve("push.example.org", 443)
    mixed = await PublicResolver(loopback=False, inner=Names("10.0.0.1", "8.8.8.8")).resolve("push.example.org", 443)
    assert [each["host"] for each in mixed] == ["8.8.8.8"]


async def test_a_stored_endpoint_on_this_machine_is_not_called_in_production(service: PushService) -> None:
    browser = Browser("a")
    endpoint = f"{service.url}/a"
    to = Subscription(subscription_id(endpoint), "ana", "s", endpoint, browser.point, browser.secret, "all", START)
    courier = Courier(Vapid(b"k" * 32), loopback=False)
    with pytest.raises(Invalid):
        await courier.send(to, b"{}", topic="t", urgent=False, still=always)
    await courier.close()
    assert service.pushed == []


async def always() -> bool:
    return True


async def test_a_redirect_is_not_followed(service: PushService) -> None:
    browser = Browser("a")
    endpoint = f"{service.url}/a"
    service.answers["a"] = [web.Response(status=307, headers={"Location": f"{service.url}/inside"})]
    to = Subscription(subscription_id(endpoint), "ana", "s", endpoint, browser.point, browser.secret, "all", START)
    courier = Courier(Vapid(b"k" * 32), loopback=True)
    assert await courier.send(to, b"{}", topic="t", urgent=False, still=always) == Answer("refused")
    await courier.close()
    assert [each.path for each in service.pushed] == ["a"]
