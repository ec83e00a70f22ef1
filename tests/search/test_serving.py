"""Search on running servers with the real embedded models: killed and started again, and two processes on one port."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers import people_of, start_process, stop_process
from tests.talking import Person

MODELS_SECONDS = 90
APART = {"Connection": "close"}  # the next request may reach another process


async def search(person: Person, query: str, group: str) -> dict[str, Any]:
    answer = await person.rest("POST", "/ai/search", {"query": query, "groupId": group}, headers=APART)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.body
    return found


def texts(found: dict[str, Any]) -> list[str]:
    return [result["content"] for result in found["results"]]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Models load in seconds, on a busy machine in many."""
    async with asyncio.timeout(MODELS_SECONDS):
        while not await condition():
            await asyncio.sleep(0.25)


async def finds(person: Person, query: str, group: str, text: str) -> None:
    async def found() -> bool:
        return texts(await search(person, query, group))[:1] == [text]

    await until(found)


async def test_what_was_sent_before_a_kill_is_found_by_its_meaning_after_the_next_start(tmp_path: Path) -> None:
    first = start_process(tmp_path, RATE_LIMITS="off", LOG_LEVEL="error")
    try:
        async with people_of(first.url) as people:
            ana, ben = await people.persons("ana", "ben")
            group = await ana.creates_group(ben)
            await ana.posts(group, "Our automobile broke down on the motorway")
            await ana.posts(group, "The soup needs more salt")
            assert texts(await search(ben, "motorw", group)) == ["Our automobile broke down on the motorway"]
    finally:
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    first.log.unlink()  # it names the address of the one that was killed
    second = start_process(tmp_path, RATE_LIMITS="off", LOG_LEVEL="error")
    try:
        async with people_of(second.url) as people:
            ben.url, ben.http = second.url, people.http
            await finds(ben, "car trouble", group, "Our automobile broke down on the motorway")
            found = await search(ben, "car trouble", group)
            assert (found["provider"], found["model"]) == ("embedded", "all-MiniLM-L6-v2-int8")
            answer = await ben.post("/ai/ask", {"groupId": group, "question": "What does the soup need?"})
            assert answer["answered"]
            assert "salt" in answer["answer"]
            assert len(answer["citations"]) == 1
    finally:
        stop_process(second.process)


async def test_two_processes_find_what_either_of_them_took_in_and_nothing_that_is_gone(tmp_path: Path) -> None:
    crew = start_process(tmp_path, WORKERS="2", RATE_LIMITS="off", LOG_LEVEL="error")
    try:
        async with people_of(crew.url) as people:
            ana, eve = await people.persons("ana", "eve")
            group = await ana.creates_group()
            for number in range(12):
                posted = await ana.rest(
                    "POST", "/messages", {"groupId": group, "content": f"zebra {number}"}, headers=APART
                )
                assert posted.status == 201

            async def all_found() -> bool:
                return len(texts(await search(ana, "zebra", group))) == 12

            for _ in range(6):
                await until(all_found)
            gone = posted.body["_id"]
            assert (await ana.rest("DELETE", f"/messages/{gone}", headers=APART)).status == 200
            for _ in range(10):
                assert "zebra 11" not in texts(await search(ana, "zebra 11", group))
            refused = await eve.rest("POST", "/ai/search", {"query": "zebra", "groupId": group}, headers=APART)
            assert (refused.status, refused.body["code"]) == (404, "not_found")
    finally:
        stop_process(crew.process)


@pytest.mark.parametrize("setting", [{"AI": "off"}])
async def test_with_ai_off_words_are_found_and_no_model_is_started(tmp_path: Path, setting: dict[str, str]) -> None:
    server = start_process(tmp_path, RATE_LIMITS="off", LOG_LEVEL="error", **setting)
    try:
        async with people_of(server.url) as people:
            (ana,) = await people.persons("ana")
            group = await ana.creates_group()
            await ana.posts(group, "Our automobile broke down")
            found = await search(ana, "autom", group)
            assert texts(found) == ["Our automobile broke down"]
            assert (found["provider"], found["degraded"]) == ("rules", True)
            children = [" ".join(child.cmdline()) for child in psutil.Process(server.process.pid).children(True)]
            assert not any("chatcore.models" in line for line in children)
            assert any("secantus" in line for line in children)
    finally:
        stop_process(server.process)
