"""A listening server tells a person who has left the line, and keeps its key."""

from tests.push.conftest import Browser, PushService
from tests.servers import ServerInThread, people_of


async def test_a_server_tells_who_has_left_and_not_who_is_there(server: ServerInThread, service: PushService) -> None:
    async with people_of(server.url) as people:
        ana, ben = await people.person("ana-push"), await people.person("ben-push")
        group = await ana.creates_group(ben, name="Orchard")
        browser = Browser("ben")
        key = (await ben.get("/push-subscriptions"))["publicKey"]
        made = await ben.post("/push-subscriptions", browser.given(service.url))
        assert (made.status, made["host"], made["scope"]) == (201, "127.0.0.1", "all")
        assert service.url not in made.raw.decode()
        await ben.connects()
        await ana.posts(group, "while ben is here")
        await ben.socket.receives("new_message")
        await ben.leaves_the_line()
        await ana.posts(group, "while ben is away")
        (pushed,) = await service.got(1)
        assert service.read(pushed, browser)["group"] == "Orchard"
        assert service.sender_of(pushed, key)["aud"] == service.url
        await ben.delete(f"/push-subscriptions/{made['_id']}")
        assert (await ben.get("/push-subscriptions"))["subscriptions"] == []
