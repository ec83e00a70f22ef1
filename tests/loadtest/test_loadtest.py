"""`python -m chatcore loadtest` against the real server, and against one that does not keep its promises."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from chatcore.loadtest.measures import judge
from chatcore.loadtest.plan import Person, Plan
from chatcore.loadtest.talker import Talker, Tally
from tests.live_server import LiveServer, clean_environment, live_server

__all__ = ["live_server"]


def loadtest(folder: Path, *options: str, timeout: int = 90) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "chatcore", "loadtest", *options],
        cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip


async def groups_named(server: LiveServer, words: str) -> list[str]:
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{server.url}/api/auth/dev-token", json={"name": "watcher"}) as answer:
            token = (await answer.json())["token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with http.get(f"{server.url}/api/directory/groups", params={"query": words}, headers=headers) as answer:
            return [group["name"] for group in (await answer.json())["groups"]]


@pytest.fixture
def small() -> tuple[str, ...]:
    return ("--clients", "12", "--groups", "3", "--rate", "30", "--seconds", "2", "--warmup", "0.5")


async def test_every_message_is_acknowledged_and_every_view_equals_the_log(
    live_server: LiveServer, small: tuple[str, ...], tmp_path: Path
) -> None:
    json_file, page = tmp_path / "out.json", tmp_path / "out.html"
    done = loadtest(tmp_path, "--url", live_server.url, *small, "--json", str(json_file), "--html", str(page))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 of 12 equal the log" in done.stdout
    told = json.loads(json_file.read_text())
    messages, verdict = told["messages"], told["verdict"]
    assert messages["sent"] == messages["acked"] == 75
    assert messages["delivered"] == 75 * 3
    assert (verdict["views"], verdict["clean"]) == (12, True)
    assert told["acks"]["count"] == pytest.approx(60, abs=2)
    assert told["usage"]["server"]["cpu_seconds"] > 0
    assert page.read_text().startswith("<!doctype html>")
    assert await groups_named(live_server, "load test") == []


async def test_after_a_storm_every_client_is_back_and_has_missed_nothing(
    live_server: LiveServer, small: tuple[str, ...], tmp_path: Path
) -> None:
    json_file = tmp_path / "out.json"
    done = loadtest(tmp_path, "--url", live_server.url, *small, "--storm", "--processes", "2", "--json", str(json_file))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(json_file.read_text())
    assert told["storm"]["cut"] == told["storm"]["back"] == 12
    assert told["verdict"]["clean"]
    assert told["messages"]["acked"] == told["messages"]["sent"]


async def test_slow_readers_read_everything_in_the_end(
    live_server: LiveServer, small: tuple[str, ...], tmp_path: Path
) -> None:
    json_file = tmp_path / "out.json"
    done = loadtest(tmp_path, "--url", live_server.url, *small, "--slow-readers", "3", "--json", str(json_file))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(json_file.read_text())
    assert told["slow_readers"]["readers"] == 3
    assert told["verdict"]["clean"]


async def test_a_closed_loop_sends_only_after_the_answer(live_server: LiveServer, tmp_path: Path) -> None:
    json_file = tmp_path / "out.json"
    few = ("--clients", "4", "--groups", "2", "--closed", "--seconds", "1", "--warmup", "0")
    done = loadtest(tmp_path, "--url", live_server.url, *few, "--json", str(json_file))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(json_file.read_text())
    # Four people at 10 messages a second each, 20 at once: the limits end what one answer at a time would do.
    assert told["messages"]["refused"].keys() <= {"rate_limited"}
    assert told["messages"]["acked"] >= 40
    assert told["messages"]["unanswered"] == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--url", "http://192.0.2.7:3001"), "--i-own-this-server"),
        (("--clients", "4", "--groups", "3"), "each group needs two clients"),
        (("--seconds", "601"), "at most 600 seconds"),
        (("--clients", "4", "--groups", "2", "--slow-readers", "3"), "must keep reading"),
        (("--token-file", "none.txt"), "cannot be read"),
        (("--url", "http://127.0.0.1:9"), "cannot reach"),
    ],
)
def test_what_must_not_or_cannot_run_is_refused_with_the_way_out(
    options: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = loadtest(tmp_path, *options, timeout=30)
    assert done.returncode == 1
    assert says in " ".join(done.stderr.split())


def test_a_token_file_must_hold_a_token_for_each_client(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("one\ntwo\n")
    done = loadtest(tmp_path, "--url", "http://127.0.0.1:9", "--token-file", "tokens.txt", timeout=30)
    assert done.returncode == 1
    assert "holds 2 tokens, for 200 clients" in " ".join(done.stderr.split())


def test_only_loopback_counts_as_this_machine() -> None:
    from chatcore.loadtest.watch import is_loopback  # noqa: PLC0415

    assert is_loopback("http://127.0.0.1:3001")
    assert is_loopback("http://localhost:3001")
    assert is_loopback("http://[::1]:3001")
    assert not is_loopback("http://192.0.2.7:3001")
    assert not is_loopback("http://127.0.0.1.invalid:3001")


# --- a server that does not keep its promises

GROUP = "a" * 24


class Forgetful(WSListener):
    """Speaks enough of the protocol for two clients of one group. `lose`: number of the push that never goes out;
    `twice`: of the one that goes out twice; `swap`: of the one that goes out after its successor."""

    def __init__(self, shared: dict[str, Any]) -> None:
        self._shared = shared

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, b'0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}')

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
            return
        text = frame.get_payload_as_utf8_text()
        if text.startswith("40"):
            self._shared["clients"].append(transport)
            transport.send(WSMsgType.TEXT, b'40{"sid":"y"}')
            groups = [{"_id": GROUP, "latestSeq": 1}]
            self._emit(transport, "user_groups", {"groups": groups})
        elif text.startswith("42"):
            start = text.index("[")
            event, payload = json.loads(text[start:])
            self._answer(transport, text[2:start], event, payload)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if transport in self._shared["clients"]:
            self._shared["clients"].remove(transport)

    @staticmethod
    def _emit(transport: WSTransport, event: str, data: Any) -> None:
        transport.send(WSMsgType.TEXT, f"42{json.dumps([event, data], separators=(',', ':'))}".encode())

    def _answer(self, transport: WSTransport, number: str, event: str, payload: Any) -> None:
        log: list[dict[str, Any]] = self._shared["log"]
        if event == "sync":
            events = [{"seq": row["seq"], "event": "new_message", "data": row} for row in log]
            data: Any = {"groups": [{"groupId": GROUP, "events": events, "hasMore": False}]}
        else:
            row = {"seq": len(log) + 2, "content": payload["content"]}
            log.append(row)
            data = {"seq": row["seq"], "duplicate": False}
            self._push([client for client in self._shared["clients"] if client is not transport], row)
            if row["seq"] == self._shared.get("vanish"):
                log[-1] = {"seq": row["seq"], "content": "something else"}
        answer = json.dumps([{"ok": True, "data": data}], separators=(",", ":"))
        transport.send(WSMsgType.TEXT, f"43{number}{answer}".encode())

    def _push(self, clients: list[WSTransport], row: dict[str, Any]) -> None:
        shared, seq = self._shared, row["seq"]
        times = 0 if seq in (shared.get("lose"), shared.get("swap")) else 2 if seq == shared.get("twice") else 1
        rows = [row] * times
        if seq - 1 == shared.get("swap"):
            rows.append(shared["log"][-2])
        for client in clients:
            for one in rows:
                self._emit(client, "new_message", one)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ({}, {}),
        ({"lose": 4}, {"lost": 1, "unequal_views": 1}),
        ({"twice": 4}, {"repeats": 1}),
        ({"swap": 4}, {"out_of_order": 1}),
        ({"vanish": 4}, {"vanished": 1, "invented": 1, "unequal_views": 2}),
    ],
)
async def test_a_broken_promise_is_found_and_named(fault: dict[str, int], found: dict[str, int]) -> None:
    shared: dict[str, Any] = {"clients": [], "log": [], **fault}

    def listener(request: WSUpgradeRequest) -> Forgetful:
        return Forgetful(shared)

    server = await ws_create_server(listener, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sender, reader = (
            Talker(f"http://127.0.0.1:{port}", Person(index, "t", GROUP), "run", 120, Tally()) for index in (0, 1)
        )
        await sender.connect()
        await reader.connect()
        for _ in range(6):
            sender.send(time.monotonic_ns())
        async with asyncio.timeout(10):
            while sender.unanswered or len(reader.view.places) < 6 - ("lose" in fault) + ("twice" in fault):
                await asyncio.sleep(0.01)
        log = await reader.read_log(1)
        verdicts = [judge(talker.view, log) for talker in (sender, reader)]
        sender.close()
        reader.close()
    total = {name: sum(getattr(verdict, name) for verdict in verdicts) for name in found}
    assert total == found
    assert all(verdict.clean for verdict in verdicts) == (not found)


async def test_what_was_said_while_a_client_was_cut_off_comes_by_sync() -> None:
    shared: dict[str, Any] = {"clients": [], "log": []}
    server = await ws_create_server(lambda request: Forgetful(shared), "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        sender, reader = (Talker(url, Person(index, "t", GROUP), "run", 120, Tally()) for index in (0, 1))
        await sender.connect()
        await reader.connect()
        reader.cut()
        while len(shared["clients"]) > 1:
            await asyncio.sleep(0.01)
        for _ in range(3):
            sender.send(time.monotonic_ns())
        reader.send(time.monotonic_ns())
        while sender.unanswered:
            await asyncio.sleep(0.01)
        await reader.connect()
        before = judge(reader.view, await reader.read_log(1))
        await reader.catch_up()
        while reader.unanswered:
            await asyncio.sleep(0.01)
        log = await reader.read_log(1)
        sender.close()
        reader.close()
    assert (len(log), before.lost) == (4, 3)
    assert judge(reader.view, log).clean
    assert sorted(reader.view.synced) == [2, 3, 4]


def test_a_plan_survives_the_way_to_a_worker() -> None:
    plan = Plan("http://127.0.0.1:1", 10, 2, load_cores=(1,), storm=True)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
