"""Prompt versions: named by their content, moved by people, chosen from memory; over both stores."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from chatcore.ai.prompts import store
from chatcore.ai.prompts.records import PromptStore
from chatcore.ai.prompts.reports import digest_of, sealed
from chatcore.ai.prompts.runtime import NotReadable, Runtime, Runtimes
from chatcore.ai.prompts.service import Prompts
from chatcore.ai.prompts.shipped import folder, shipped, without_tests
from chatcore.ai.prompts.store import MemoryPromptStore, MongoPromptStore
from chatcore.ai.prompts.versions import make_version
from chatcore.audit import store as audit_store
from chatcore.audit.chain import Deed, Head, Link
from chatcore.audit.service import Audit
from chatcore.audit.store import AuditStore, Change, MemoryAuditStore, MongoAuditStore
from chatcore.contract.ai_admin import AddPrompt, Report, ReportGate
from chatcore.errors import Conflict, Invalid, NotFound
from chatcore.mongo import Mongo
from tests.memory import Household

FUNCTION = "SmartReplies"
PEOPLE = [f"user_{number}" for number in range(1_000)]


class Chain:
    """An audit's store whose links fail after the write that they belong to, while it is torn."""

    def __init__(self, kept: AuditStore):
        self._kept, self.is_torn = kept, False

    def appended(self, key: bytes, deed: Deed) -> Change:
        change = self._kept.appended(key, deed)

        async def torn(session: Any, rows: Any) -> None:
            if self.is_torn:
                raise Conflict("the chain moved on")
            await change(session, rows)

        return torn

    async def append(self, key: bytes, deed: Deed) -> None:
        await self._kept.append(key, deed)

    async def head(self) -> Head:
        return await self._kept.head()

    async def window(self, after: int, up_to: int) -> list[Link]:
        return await self._kept.window(after, up_to)


class Shelf:
    """Prompts on one store, with the reports that a workbench would have written."""

    def __init__(self, prompts_store: PromptStore, mongo: Mongo | None):
        self.store, self._mongo = prompts_store, mongo
        self.prompts = self.server()

    def server(self, versions: Any = None) -> Prompts:
        """Another process on the same store."""
        return Prompts(self.store, versions or shipped(), runtimes=Runtimes())

    def audit(self) -> "tuple[Audit, Chain]":
        """On the same store as the prompts, over a chain that can be torn."""
        kept = MemoryAuditStore() if self._mongo is None else MongoAuditStore(self._mongo.database)
        chain = Chain(kept)
        return Audit(chain, b"k" * 32), chain

    async def report(self, report_id: str, prompt: str, status: str = "passed") -> str:
        row = {"_id": report_id, "status": status, "prompt": prompt}
        if isinstance(self.store, MemoryPromptStore):
            self.store.reports[report_id] = row
        else:
            assert self._mongo is not None
            await self._mongo.database["eval_runs"].insert_one(row)
        return report_id

    async def draft(self, **parameters: Any) -> str:
        text = shipped()[FUNCTION].text
        return (await self.prompts.add(FUNCTION, text, parameters or {"context_turns": 4})).version_id

    async def raised(self, version: str, share: float = 0.5) -> str:
        """Up to canary."""
        await self.prompts.shadow(version)
        await self.prompts.canary(version, share)
        return version

    async def live(self) -> str:
        return (await self.prompts.get(FUNCTION)).version_id


@pytest.fixture(params=["memory", "mongo"])
async def shelf(request: pytest.FixtureRequest, mongo: Mongo) -> Shelf:
    kept: PromptStore = MemoryPromptStore()
    if request.param == "mongo":
        await mongo.ensure_indexes((*store.INDEXES, *audit_store.INDEXES))
        kept = MongoPromptStore(mongo.database)
    shelf = Shelf(kept, mongo if request.param == "mongo" else None)
    await shelf.prompts.start()
    return shelf


def evidence(version: str, *, against: str | None = None, found: float = 0.1, report_id: str = "run-1") -> Report:
    """As a workbench without the database hands it in."""
    moment = datetime(2026, 1, 5, 9, tzinfo=UTC)
    gate = ReportGate(metric="delta", bound="ci_low", op=">=", value=0.0, found=found, state="passed")
    return sealed(
        Report(report_id=report_id, prompt=version, against=against, job="smart-reply", status="passed",
               started_at=moment, finished_at=moment, gates=[gate], artifacts={"report.html": "1" * 64},
               sha256="0" * 64)
    )  # fmt: skip


def test_every_file_ships_one_function_that_its_name_and_content_name() -> None:
    assert len(shipped()) == len(list(folder().glob("*.baml"))) - 2, "clients and generators define none"
    for function, version in shipped().items():
        assert version.version_id == make_version(function, version.text, {}).version_id
        Runtime(version)


def test_a_version_is_its_text_and_its_parameters_and_not_its_tests() -> None:
    text = shipped()[FUNCTION].text
    assert make_version(FUNCTION, text, {"a": 1, "b": 2}) == make_version(FUNCTION, text, {"b": 2, "a": 1})
    assert len({make_version(FUNCTION, text + end, {"a": n}).version_id for end in ("", " ") for n in (1, 2)}) == 4
    tested = f'{text}\n\ntest one {{\n  functions [{FUNCTION}]\n  args {{ input #"}} {{"# }}\n}}\n'
    assert without_tests(tested) == text


async def test_what_ships_is_live_for_everybody(shelf: Shelf) -> None:
    for function, version in shipped().items():
        choice = await shelf.prompts.choose(function, "ana")
        assert (choice.version.version_id, choice.arm, choice.shadows) == (version.version_id, "live", ())
    assert {version.state for version in await shelf.prompts.list()} == {"live"}


async def test_a_draft_answers_nobody(shelf: Shelf) -> None:
    draft = await shelf.draft()
    assert (await shelf.prompts.get(draft)).state == "draft"
    assert {(await shelf.prompts.choose(FUNCTION, one)).version.version_id for one in PEOPLE} == {await shelf.live()}
    assert await shelf.draft() == draft, "the same content is the same version"


@pytest.mark.parametrize(
    "text", ["", "not baml at all {{{", "class A { b string }", "function Other(input: string) -> string { client A }"]
)
async def test_text_that_cannot_answer_is_no_version(shelf: Shelf, text: str) -> None:
    with pytest.raises(Invalid):
        await shelf.prompts.add(FUNCTION, text, {})
    assert len(await shelf.prompts.list(FUNCTION)) == 1


async def test_a_shadow_runs_beside_the_live_one_for_everybody(shelf: Shelf) -> None:
    draft = await shelf.draft()
    await shelf.prompts.shadow(draft)
    choice = await shelf.prompts.choose(FUNCTION, "ana")
    assert (choice.version.version_id, [one.version_id for one in choice.shadows]) == (await shelf.live(), [draft])


async def test_a_canary_answers_its_share_and_the_same_people_each_time(shelf: Shelf) -> None:
    canary = await shelf.raised(await shelf.draft(), share=0.2)

    async def caught() -> set[str]:
        return {one for one in PEOPLE if (await shelf.prompts.choose(FUNCTION, one)).arm == "canary"}

    first = await caught()
    assert 150 < len(first) < 250
    assert await caught() == first
    await shelf.prompts.canary(canary, 0.4)
    assert first < await caught(), "a larger share keeps those who had it"
    assert (await shelf.prompts.choose(FUNCTION, "")).arm == "live", "the server itself is never on trial"


async def test_nothing_skips_a_step(shelf: Shelf) -> None:
    draft = await shelf.draft()
    report = await shelf.report("run-1", draft)
    with pytest.raises(Conflict, match="shadow before"):
        await shelf.prompts.canary(draft, 0.1)
    with pytest.raises(Conflict, match="canary before"):
        await shelf.prompts.promote(draft, report)
    await shelf.prompts.shadow(draft)
    with pytest.raises(Conflict, match="canary before"):
        await shelf.prompts.promote(draft, report)
    for share in (0, -1, 0.51, 1):
        with pytest.raises(Invalid):
            await shelf.prompts.canary(draft, share)


@pytest.mark.parametrize(
    ("status", "about", "says"),
    [("failed", "", "not passed"), ("running", "", "not passed"), ("", "", "not passed"), ("passed", "x", "another")],
)
async def test_only_a_passing_report_on_exactly_this_version_makes_it_live(
    shelf: Shelf, status: str, about: str, says: str
) -> None:
    before, canary = await shelf.live(), await shelf.raised(await shelf.draft())
    with pytest.raises(Conflict, match="no evaluation report"):
        await shelf.prompts.promote(canary, "run-0")
    report = await shelf.report("run-1", about or canary, status)
    with pytest.raises(Conflict, match=says):
        await shelf.prompts.promote(canary, report)
    assert await shelf.live() == before


async def test_up_to_live_and_back_by_commands(shelf: Shelf) -> None:
    before, canary = await shelf.live(), await shelf.raised(await shelf.draft())
    promoted = await shelf.prompts.promote(canary, await shelf.report("run-1", canary), by="olga")
    assert (promoted.state, (await shelf.prompts.get(before)).state) == ("live", "retired")
    assert {(await shelf.prompts.choose(FUNCTION, one)).version.version_id for one in PEOPLE} == {canary}

    back = await shelf.prompts.rollback(FUNCTION, by="olga")
    assert (back.version_id, back.state) == (before, "live")
    assert (await shelf.prompts.get(canary)).state == "retired"
    assert (await shelf.prompts.choose(FUNCTION, "ana")).version.version_id == before
    history = (await shelf.prompts.standing(FUNCTION)).history
    assert [(move.action, move.by, move.report) for move in history] == [
        ("shadow", "", ""), ("canary", "", ""), ("promote", "olga", "run-1"), ("rollback", "olga", ""),
    ]  # fmt: skip


async def test_a_canary_or_a_shadow_goes_down_in_one_step(shelf: Shelf) -> None:
    before, canary = await shelf.live(), await shelf.raised(await shelf.draft())
    assert (await shelf.prompts.rollback(canary)).version_id == before
    assert (await shelf.prompts.choose(FUNCTION, PEOPLE[0])).arm == "live"
    with pytest.raises(Conflict, match="not in use"):
        await shelf.prompts.rollback(canary)
    with pytest.raises(Conflict, match="no earlier"):
        await shelf.prompts.rollback(before)


async def test_a_running_server_sees_the_change_of_another_without_a_restart(shelf: Shelf) -> None:
    other = shelf.server()
    await other.start()
    canary = await shelf.raised(await shelf.draft(), share=0.5)
    await shelf.prompts.promote(canary, await shelf.report("run-1", canary))
    assert (await other.choose(FUNCTION, "ana")).version.version_id != canary
    await other.refresh()  # the chore of every two seconds
    assert (await other.choose(FUNCTION, "ana")).version.version_id == canary


async def test_two_people_who_move_at_once_do_not_undo_each_other(shelf: Shelf) -> None:
    other = shelf.server()
    first, second = await shelf.draft(n=1), await shelf.draft(n=2)
    await shelf.prompts.shadow(first)
    await other.shadow(second)
    standing = await shelf.prompts.standing(FUNCTION)
    assert (standing.shadows, standing.revision) == ((first, second), 2)
    assert not await shelf.store.place(standing), "a revision is placed once"
    with pytest.raises(Conflict, match="At most"):
        await other.shadow(await shelf.draft(n=3))


async def test_a_release_replaces_what_a_release_shipped_and_nothing_that_people_chose(shelf: Shelf) -> None:
    def release(number: int) -> dict[str, Any]:
        text = shipped()[FUNCTION].text + f"// release {number}\n"
        return dict(shipped()) | {FUNCTION: make_version(FUNCTION, text, {}, origin="shipped")}

    second = release(2)
    await shelf.server(second).start()
    assert await shelf.live() == second[FUNCTION].version_id
    canary = await shelf.raised(await shelf.draft())
    await shelf.prompts.promote(canary, await shelf.report("run-1", canary))
    third = release(3)
    await shelf.server(third).start()
    assert await shelf.live() == canary
    assert (await shelf.prompts.get(third[FUNCTION].version_id)).state == "draft"


async def test_the_beginning_of_a_hash_is_enough_where_it_is_clear(shelf: Shelf) -> None:
    live, draft = await shelf.live(), await shelf.draft()
    assert (await shelf.prompts.get(draft[: len(FUNCTION) + 9])).version_id == draft
    assert (await shelf.prompts.get(FUNCTION)).version_id == live
    for unknown in ("Nothing", f"{FUNCTION}@{'0' * 64}", "Nothing@abc"):
        with pytest.raises((NotFound, Invalid)):
            await shelf.prompts.get(unknown)


async def test_a_move_and_its_audit_are_stored_together_or_not_at_all(shelf: Shelf) -> None:
    audit, chain = shelf.audit()
    prompts = Prompts(shelf.store, shipped(), runtimes=Runtimes(), audit=audit)
    await prompts.refresh()
    draft = await shelf.draft()
    chain.is_torn = True
    with pytest.raises(Conflict):
        await prompts.shadow(draft, by="mallory")
    assert (await prompts.get(draft)).state == "draft"
    chain.is_torn = False
    await prompts.shadow(draft, by="olga")
    (link,) = await audit.newest(9)
    assert (link.deed.action, link.deed.actor, link.deed.target) == ("prompts.shadow", "olga", draft)
    assert (await prompts.get(draft)).state == "shadow"


async def test_who_hands_in_a_report_stands_in_the_audit_with_its_digest(shelf: Shelf) -> None:
    audit, chain = shelf.audit()
    prompts = Prompts(shelf.store, shipped(), runtimes=Runtimes(), audit=audit)
    await prompts.refresh()
    report = evidence(await shelf.draft())
    chain.is_torn = True
    with pytest.raises(Conflict):
        await prompts.add_report(report, by="mallory")
    with pytest.raises(NotFound):
        await prompts.handed_in("run-1")
    chain.is_torn = False
    for _ in range(2):
        await prompts.add_report(report, by="olga")
    (link,) = await audit.newest(9)
    assert (link.deed.action, link.deed.actor, link.deed.target) == ("prompts.report", "olga", "run-1")
    assert (link.deed.facts["sha256"], link.deed.facts["prompt"]) == (report.sha256, report.prompt)
    assert (await audit.verify())[1] == []


class TestTheRuntime:
    """The contract with the pinned baml-py: what an upgrade must not change."""

    @pytest.fixture(scope="class")
    def runtime(self) -> Runtime:
        return Runtime(shipped()["ModerateMessage"])

    async def test_a_prompt_has_instructions_and_the_input_last(self, runtime: Runtime) -> None:
        messages = await runtime.messages({"text": "a < b & c", "parameters": {}})
        assert [message["role"] for message in messages] == ["system", "user"]
        assert messages[-1]["content"].strip() == ('<input>{"text":"a \\u003c b \\u0026 c","parameters":{}}</input>')

    def test_an_answer_is_read_through_what_models_write_around_it(self) -> None:
        runtime = Runtime(shipped()["DetectLanguage"])
        answer = '{"language": "de", "confidence": 0.9}'
        for written in (answer, f"Sure!\n```json\n{answer}\n```\nAnything else?"):
            assert runtime.read(written) == {"language": "de", "confidence": 0.9}

    @pytest.mark.parametrize(
        "written",
        [
            "",
            "I cannot say",
            "[]",
            "{",
            '{"language": "de"',
            '{"language": "de", "confidence": 7}',
            "{}" + "x" * 40_000,
        ],
    )
    def test_what_is_no_answer_is_none(self, written: str) -> None:
        with pytest.raises(NotReadable):
            Runtime(shipped()["DetectLanguage"]).read(written)

    def test_an_empty_list_must_be_said(self) -> None:
        """BAML reads nothing as an empty list; we do not."""
        runtime = Runtime(shipped()["ExtractTopics"])
        assert runtime.read('{"topics": []}') == {"topics": []}
        with pytest.raises(NotReadable):
            runtime.read("There are no topics.")


async def test_an_operator_who_hands_in_a_report_is_named_in_the_audit() -> None:
    async with Household() as house:
        (olga,) = house.people("olga")
        await house.prompts.start()
        report = evidence((await house.prompts.get(FUNCTION)).version_id)
        await house.services.ai_admin.add_report(replace(olga, roles=frozenset({"operator"})), report)
        (link,) = house.audit_store.links
        assert (link.deed.actor, link.deed.action) == ("olga", "prompts.report")


async def test_a_report_that_was_handed_in_makes_its_version_live(shelf: Shelf) -> None:
    before, canary = await shelf.live(), await shelf.raised(await shelf.draft())
    report = evidence(canary, against=before)
    await shelf.prompts.add_report(report)
    await shelf.prompts.add_report(report)
    assert await shelf.prompts.handed_in("run-1") == report
    assert (await shelf.prompts.promote(canary, "run-1")).state == "live"


async def test_a_report_handed_in_does_not_change(shelf: Shelf) -> None:
    canary = await shelf.raised(await shelf.draft())
    await shelf.prompts.add_report(evidence(canary, found=0.1))
    with pytest.raises(Conflict, match="does not change"):
        await shelf.prompts.add_report(evidence(canary, found=0.2))
    with pytest.raises(NotFound):
        await shelf.prompts.handed_in("run-2")


async def test_a_report_must_be_whole_and_say_what_its_numbers_say(shelf: Shelf) -> None:
    canary = await shelf.raised(await shelf.draft())
    report = evidence(canary)
    changed = report.model_copy(update={"status": "failed"})
    beaten = sealed(evidence(canary, found=-0.1))
    (gate,) = report.gates
    advice = sealed(report.model_copy(update={"gates": [gate.model_copy(update={"advisory": True})]}))
    unproved = sealed(report.model_copy(update={"gates": []}))
    for wrong, told in ((changed, "digest"), (beaten, "delta passed"), (advice, "its gates"), (unproved, "its gates")):
        with pytest.raises(Invalid, match=told):
            await shelf.prompts.add_report(wrong)
    with pytest.raises(NotFound):
        await shelf.prompts.add_report(evidence(f"{FUNCTION}@{'0' * 64}"))
    assert await shelf.store.report("run-1") is None


def nested(levels: int) -> dict[str, Any]:
    return {"inside": nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    "parameters", [{"x": 2**64 - 1}, {"x": [{"y": -(2**70)}]}, {"a\0b": 1}, {"a": {"b\0": 1}}, nested(150)]
)
def test_parameters_that_the_database_cannot_hold_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AddPrompt(function=FUNCTION, text="x", parameters=parameters)
    AddPrompt(function=FUNCTION, text="x", parameters={"a": [1, 0.5, None, True, {"b": 2**53 - 1}], "n": nested(10)})


@pytest.mark.parametrize("number", ["-inf", "inf", "NaN"])
def test_a_report_holds_no_number_that_json_cannot_give_back(number: str) -> None:
    for field in ("value", "found"):
        gate = {"metric": "delta", "bound": "value", "op": ">=", "value": 0.0, "found": 1.0, "state": "passed"}
        with pytest.raises(ValidationError):
            ReportGate.model_validate(gate | {field: number})


def test_a_report_says_in_which_zone_it_was_made() -> None:
    content = evidence(f"{FUNCTION}@{'0' * 64}").wire()
    with pytest.raises(ValidationError):
        Report.model_validate(content | {"startedAt": "2026-01-05T09:00:00"})


async def test_a_comparison_with_what_is_not_live_any_more_is_no_evidence(shelf: Shelf) -> None:
    before = await shelf.live()
    second = await shelf.raised(await shelf.draft(context_turns=5))
    await shelf.prompts.add_report(evidence(second, against=before, report_id="run-2"))
    await shelf.prompts.promote(second, "run-2")
    third = await shelf.raised(await shelf.draft(context_turns=6))
    await shelf.prompts.add_report(evidence(third, against=before, report_id="run-3"))
    with pytest.raises(Conflict, match="not live any more"):
        await shelf.prompts.promote(third, "run-3")


async def test_a_digest_survives_the_wire(shelf: Shelf) -> None:
    report = evidence(await shelf.draft())
    again = Report.model_validate_json(report.model_dump_json(by_alias=True))
    assert digest_of(again) == report.sha256
