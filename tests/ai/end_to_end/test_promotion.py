"""A prompt goes up and down on a running server, and every answer can be traced: over real sockets and REST."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from chatcore.ai.prompts.shipped import shipped
from chatcore.lab.runs.records import RunRecord
from chatcore.lab.runs.store import MongoRuns
from tests.ai.fake_provider import FakeProvider
from tests.servers import ServerInThread, people_of
from tests.talking import People, Person

FUNCTION = "SmartReplies"
PASSWORD = "a long enough passphrase"


@pytest.fixture
async def people(with_provider: ServerInThread) -> AsyncIterator[People]:
    async with people_of(with_provider.url) as fresh:
        yield fresh


async def somebody_with(server: ServerInThread, people: People, role: str) -> Person:
    """A local account with a server role."""
    name = f"{role}-{datetime.now(UTC).timestamp():.6f}".replace(".", "-")
    accounts = server.chat.core.accounts
    assert accounts is not None
    await server.inside(accounts.add_account(name, PASSWORD, [role]))  # type: ignore[list-item]
    stranger = await people.person("nobody")
    told = (await stranger.post("/auth/login", {"name": name, "password": PASSWORD})).body
    return Person(name, told["userId"], told["token"], people.url, people.http)


async def asks(person: Person, group: str) -> str:
    """The decision behind the smart replies of one request over the socket."""
    acked = await person.socket.call("request_smart_replies", {"groupId": group})
    told = await person.socket.receives("smart_replies_complete", requestId=acked["requestId"])
    return str(told["decisionId"])


async def reported(server: ServerInThread, version: str, status: str = "passed") -> str:
    """As the workbench writes it."""
    record = RunRecord(
        run_id=f"smart-reply-{datetime.now(UTC).timestamp()}", job="smart-reply", notebook="smart_reply.ipynb",
        parameters={"prompt": version}, status=status, started_at=datetime.now(UTC),
    )  # fmt: skip
    await server.inside(MongoRuns(server.chat.core.mongo.database).save(record))
    return record.run_id


async def test_a_prompt_goes_up_and_back_while_people_chat(
    with_provider: ServerInThread, provider: FakeProvider, people: People
) -> None:
    (ana,) = await people.connected("ana")
    ben = await people.person("ben")
    operator, analyst = [await somebody_with(with_provider, people, role) for role in ("operator", "analyst")]
    group = await ana.creates_group(ben)
    await ben.posts(group, "Shall we have lunch tomorrow?")
    shipped_id = shipped()[FUNCTION].version_id

    async def version_behind(decision_id: str) -> str:
        return str((await analyst.get(f"/admin/decisions/{decision_id}"))["prompt"])

    assert await version_behind(await asks(ana, group)) == shipped_id

    text = shipped()[FUNCTION].text.replace("You suggest what", "Thou suggestest what")
    added = await operator.rest("POST", "/admin/prompts", {"function": FUNCTION, "text": text})
    assert (added.status, added["state"]) == (201, "draft")
    draft = added["versionId"]
    assert (await operator.post(f"/admin/prompts/{draft}/shadow"))["state"] == "shadow"

    shadowed = await asks(ana, group)
    assert await version_behind(shadowed) == shipped_id, "a shadow answers nobody"
    for _ in range(100):
        listed = (await analyst.get("/admin/decisions", mode="shadow", prompt=draft))["decisions"]
        if listed:
            break
        await asyncio.sleep(0.05)
    assert [one["shadowOf"] for one in listed] == [shadowed]

    await operator.post(f"/admin/prompts/{draft}/canary", {"share": 0.5})
    refused = await operator.rest("POST", f"/admin/prompts/{draft}/promote", {"reportId": "none"})
    assert refused.code == "conflict"
    failed = await reported(with_provider, draft, "failed")
    assert (await operator.rest("POST", f"/admin/prompts/{draft}/promote", {"reportId": failed})).code == "conflict"
    passed = await reported(with_provider, draft)
    assert (await operator.post(f"/admin/prompts/{draft}/promote", {"reportId": passed}))["state"] == "live"

    asked = len(provider.chats)
    assert await version_behind(await asks(ana, group)) == draft, "nobody restarted or reconnected"
    assert "Thou suggestest what" in provider.chats[asked].text

    back = await operator.post(f"/admin/prompts/{FUNCTION}/rollback")
    assert (back["versionId"], back["state"]) == (shipped_id, "live")
    assert await version_behind(await asks(ana, group)) == shipped_id


async def test_a_change_by_another_process_reaches_the_server_within_seconds(
    with_provider: ServerInThread, people: People
) -> None:
    """The chore that looks every two seconds; here it is another process on the same database that moves."""
    core = with_provider.chat.core
    from chatcore.app.ai import make_prompts  # noqa: PLC0415
    from chatcore.app.keys import open_keys  # noqa: PLC0415

    async def elsewhere() -> str:
        other = make_prompts(core.mongo, await open_keys(core.settings, core.mongo))
        await other.start()
        text = shipped()["DetectLanguage"].text + "// another\n"
        version = await other.add("DetectLanguage", text, {})
        await other.shadow(version.version_id)
        return version.version_id

    moved = await with_provider.inside(elsewhere())
    for _ in range(100):
        choice = await core.ai.prompts.choose("DetectLanguage", "ana")
        if choice.shadows:
            break
        await asyncio.sleep(0.1)
    assert [one.version_id for one in choice.shadows] == [moved]


async def test_moves_stand_in_the_audit(with_provider: ServerInThread, people: People) -> None:
    operator = await somebody_with(with_provider, people, "operator")
    text = shipped()["Translate"].text + "// audited\n"
    version = (await operator.post("/admin/prompts", {"function": "Translate", "text": text}))["versionId"]
    await operator.post(f"/admin/prompts/{version}/shadow")
    mongo = with_provider.chat.core.mongo
    row = await with_provider.inside(
        mongo.database["audit"].find_one({"n": {"$gt": 0}, "target": version}, comment="scan: one test's own row")
    )
    assert row is not None
    assert (row["action"], row["actor"]) == ("prompts.shadow", operator.user_id)


async def test_content_of_a_decision_is_for_analysts_who_ask_for_it(
    with_provider: ServerInThread, people: People
) -> None:
    (ana,) = await people.connected("ana")
    analyst, operator = [await somebody_with(with_provider, people, role) for role in ("analyst", "operator")]
    group = await ana.creates_group()
    await ana.posts(group, "canary-in-a-decision")
    decision = await asks(ana, group)
    bare = (await analyst.get(f"/admin/decisions/{decision}")).body
    full = (await analyst.get(f"/admin/decisions/{decision}", include="content")).body
    assert "input" not in bare
    assert "canary-in-a-decision" in str(full["input"])
    assert bare["person"] != ana.user_id
    operator_page = await operator.get("/admin/audit")
    looks = [entry for entry in operator_page.body["entries"] if entry["action"] == "decision.read"]
    assert [(entry["actor"], entry["target"]) for entry in looks] == [(analyst.user_id, decision)]
    for other in (operator, ana):
        assert (await other.rest("GET", f"/admin/decisions/{decision}")).code == "access_denied"
    assert (await analyst.rest("GET", f"/admin/decisions/{'0' * 24}")).code == "not_found"


async def test_the_server_says_how_its_models_are(with_provider: ServerInThread, people: People) -> None:
    someone = await people.person("someone")
    async with someone.http.get(f"{people.url}/info") as answer:
        told = await answer.json()
    assert list(told["models"]) == ["compatible", "embedded"]
    assert set(told["models"].values()) <= {"ready", "loading", "resting"}
