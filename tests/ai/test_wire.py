"""Both ways to carry a request keep the same promises, whatever the endpoint does."""

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from chatcore.ai.provider.failures import RungFailed
from chatcore.ai.provider.wire import MAX_ANSWER_BYTES, Wire
from tests.ai.fake_provider import KEY, FakeProvider, Mode
from tests.servers import ROOT

TALK = [{"role": "user", "content": "<input>{}</input>"}]
DEADLINE_SECONDS = 1.5


@pytest.fixture(params=[True, False], ids=["this machine", "sdk"])
async def wire(request: pytest.FixtureRequest, fake: FakeProvider) -> AsyncIterator[Wire]:
    wire = await asyncio.to_thread(Wire, fake.url, KEY, on_this_machine=request.param)
    yield wire
    await wire.close()


async def failure(wire: Wire) -> str:
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await wire.moderate("m", ["lunch?"])
    except RungFailed as failed:
        return failed.kind
    except TimeoutError:
        return "timeout"
    return ""


async def test_a_request_says_who_asks_for_what(wire: Wire, fake: FakeProvider) -> None:
    answer = await wire.chat("gpt", TALK, "SmartReplies", {"max_tokens": 9})
    (asked,) = fake.requests
    assert (asked.path, asked.task) == ("/chat/completions", "SmartReplies")
    assert asked.body == {"model": "gpt", "messages": TALK, "max_tokens": 9}
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert (answer.request_id, answer.used) == ("req_fake", 78)


async def test_compression_is_not_asked_for(wire: Wire, fake: FakeProvider) -> None:
    for _ in range(5):
        assert await failure(wire) == ""
    assert [asked.headers.get("Accept-Encoding") for asked in fake.requests] == ["identity"] * 5


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("429", "rate_limited"), ("500", "server_error"), ("401", "unauthorized"), ("timeout", "timeout"),
        ("not_json", "not_json"), ("truncated", "connection"), ("drip", "timeout"), ("huge", "too_large"),
    ],
)  # fmt: skip
async def test_each_way_to_go_wrong_has_its_name(wire: Wire, fake: FakeProvider, mode: Mode, kind: str) -> None:
    assert await failure(wire) == "", "imports and connections are there"
    fake.mode = mode
    assert await failure(wire) == kind
    assert fake.huge_bytes_sent < 40 * MAX_ANSWER_BYTES
    fake.mode = "good"
    assert await failure(wire) == "", "and the next request finds a sound connection"


async def test_who_gives_up_leaves_nothing_hanging(wire: Wire, fake: FakeProvider) -> None:
    fake.mode = "timeout"
    assert await failure(wire) == "timeout"
    async with asyncio.timeout(5):
        while fake.hanging:
            await asyncio.sleep(0.01)


async def test_half_an_emoji_goes_through_in_both_directions(wire: Wire, fake: FakeProvider) -> None:
    fake.answers["SmartReplies"] = lambda _: "cut off \ud83d"
    answer = await wire.chat("gpt", TALK, "SmartReplies", {})
    assert answer.body["choices"][0]["message"]["content"] == "cut off \ud83d"


async def test_a_model_on_this_machine_is_asked_about_half_an_emoji_too(fake: FakeProvider) -> None:
    wire = Wire(fake.url, KEY, on_this_machine=True)
    assert len((await wire.moderate("m", ["cut off \ud83d", "lunch?"])).body["results"]) == 2
    await wire.close()


@pytest.fixture(params=[True, False], ids=["this machine", "sdk"])
async def odd(request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    """An endpoint that answers small and becomes large, sends elsewhere, or is gone."""

    async def squeezed(_: web.Request) -> web.Response:
        body = gzip.compress(json.dumps({"results": " " * 10 * MAX_ANSWER_BYTES}).encode())
        return web.Response(body=body, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/v1/moderations")

    app = web.Application()
    app.router.add_post("/v1/moderations", squeezed)
    app.router.add_post("/v1/embeddings", elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    wire = await asyncio.to_thread(Wire, url, "", on_this_machine=request.param)
    yield wire
    await wire.close()
    await runner.cleanup()


async def test_compressed_answers_are_not_unpacked(odd: Wire) -> None:
    with pytest.raises(RungFailed, match="too_large"):
        await odd.moderate("m", ["a"])


async def test_a_redirect_is_not_followed(odd: Wire) -> None:
    with pytest.raises(RungFailed, match="server_error"):
        await odd.embed("m", ["a"])


@pytest.mark.parametrize("on_this_machine", [True, False])
async def test_where_nobody_listens_the_connection_is_to_blame(on_this_machine: bool, unused_tcp_port: int) -> None:
    wire = await asyncio.to_thread(Wire, f"http://127.0.0.1:{unused_tcp_port}/v1", KEY, on_this_machine=on_this_machine)
    with pytest.raises(RungFailed, match="connection"):
        await wire.list_models()
    await wire.close()


async def test_a_model_on_this_machine_is_not_asked_through_a_proxy(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    wire = Wire(fake.url, KEY, on_this_machine=True)
    assert (await wire.list_models()).body["object"] == "list"
    await wire.close()


def test_without_a_provider_the_sdk_is_never_loaded() -> None:
    program = (
        "import sys; from chatcore.ai.provider.models import Wire; "
        "Wire('http://127.0.0.1:9/v1', '', on_this_machine=True); "
        "print(sorted({'openai', 'httpx'} & sys.modules.keys()))"
    )
    told = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True, timeout=60)
    assert told.strip() == "[]"
