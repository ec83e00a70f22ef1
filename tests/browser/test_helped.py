"""What machines and moderators do on the page, with the models that ship with the server."""

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from chatcore.ai.prompts.reports import sealed
from chatcore.client import Client
from chatcore.contract.ai_admin import Report
from tests.browser.servers import KillableServer
from tests.browser.visitor import Api, Visitor, unique

Visit = Callable[..., Visitor]
ROUGH = "I will kill you, you worthless idiot, die"
STRICT: dict[str, Any] = {"moderation": "strict", "moderationLimits": {"toxic": {"block": 0.5}}}
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def thinking(tmp_path_factory: pytest.TempPathFactory, libraries: None) -> Iterator[KillableServer]:
    """A server with its models; Boss has every role there."""
    running = KillableServer(tmp_path_factory.mktemp("thinking"))
    running.start()
    running.add_account("boss", PASSWORD, "operator", "reviewer", "analyst")
    yield running
    running.stop()


def boss_of(visit: Visit, server: KillableServer, **options: Any) -> Visitor:
    boss = visit(url=server.url, **options)
    boss.arrives()
    boss.page.get_by_role("tab", name="Account").click()
    boss.page.get_by_label("Name").fill("boss")
    boss.page.get_by_label("Password").fill(PASSWORD)
    boss.page.get_by_role("button", name="Sign in", exact=True).click()
    boss.is_online()
    return boss


def test_a_suggested_reply_is_taken_over_changed_and_sent(visit: Visit, thinking: KillableServer) -> None:
    api, ana, ben = Api(thinking.url), unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    api.says(ben, group_id, "Thank you so much for your help yesterday!")
    visitor = visit(ana, url=thinking.url)
    visitor.opens(group_id)
    visitor.sees("Thank you so much")
    visitor.page.get_by_role("button", name="Suggest replies").click()
    chip = visitor.page.locator(".chip-text").first
    expect(chip).to_be_visible(timeout=30_000)
    expect(visitor.page.locator(".suggestions-label")).to_contain_text("small model")
    visitor.page.get_by_role("button", name="A good suggestion").first.click()
    text = chip.inner_text()
    chip.click()
    expect(visitor.composer).to_have_value(text)
    visitor.composer.press("Enter")
    expect(visitor.message(text).locator(".fate")).to_contain_text("Sent")
    assert text in api.history(ben, group_id)


def test_what_moderation_refuses_can_be_appealed_and_a_reviewer_upholds_it(
    visit: Visit, thinking: KillableServer
) -> None:
    api, ana = Api(thinking.url), unique("ana")
    group_id = api.group(ana, settings=STRICT)
    visitor = visit(ana, url=thinking.url)
    visitor.opens(group_id)
    visitor.writes(ROUGH)
    refused = visitor.message(ROUGH)
    expect(refused.locator(".fate.bad")).to_contain_text("moderation found toxic", timeout=30_000)
    refused.get_by_role("button", name="Appeal").click()
    visitor.page.get_by_label("Why should this be allowed?").fill("It is a line of our play")
    visitor.page.get_by_role("button", name="Send the appeal").click()
    expect(visitor.page.locator(".notice")).to_contain_text("with a reviewer")

    boss = boss_of(visit, thinking)
    boss.page.get_by_role("link", name="Reviews").click()
    boss.page.get_by_role("tab", name="Appeals").click()
    case = boss.page.locator(".case").filter(has_text="It is a line of our play")
    expect(case).to_contain_text(ROUGH)
    case.get_by_role("button", name="Uphold").click()
    boss.page.get_by_role("button", name="Uphold the appeal").click()
    expect(case).to_have_count(0)
    expect(visitor.page.locator(".notices")).to_contain_text("Your appeal was upheld")
    visitor.message(ROUGH).get_by_role("button", name="Try again").click()
    expect(visitor.page.locator(".unsent")).to_have_count(0)
    assert api.history(ana, group_id) == [ROUGH]


def test_a_message_is_found_by_its_meaning_and_shown_in_its_place(visit: Visit, thinking: KillableServer) -> None:
    api, ana = Api(thinking.url), unique("ana")
    group_id = api.group(ana)
    api.says(ana, group_id, "The tomatoes need water every evening")
    for number in range(70):
        api.says(ana, group_id, f"Entry {number} of the ledger")
    visitor = visit(ana, url=thinking.url)
    visitor.opens(group_id)
    visitor.sees("Entry 69 of the ledger")
    visitor.page.get_by_role("button", name="Search in this conversation").click()
    visitor.page.get_by_role("searchbox", name="In this conversation").fill("tomatoes water")
    visitor.page.get_by_role("button", name="The tomatoes need water").click()
    expect(visitor.sees("The tomatoes need water every evening")).to_be_in_viewport()
    expect(visitor.page.locator("article.flash")).to_have_count(1)


def test_the_rest_of_a_line_is_offered_and_taken_by_tab(visit: Visit, thinking: KillableServer) -> None:
    api, ana, ben = Api(thinking.url), unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    api.says(ben, group_id, "We should water the garden every evening.")
    visitor = visit(ana, url=thinking.url)
    visitor.opens(group_id)
    visitor.sees("We should water the garden every evening.")
    visitor.composer.press_sequentially("We should water ")
    offer = visitor.page.locator(".ghost-text")
    expect(offer).to_be_visible(timeout=30_000)
    rest = offer.inner_text()
    visitor.composer.press("Tab")
    expect(visitor.composer).to_have_value(f"We should water {rest}")


def test_a_reported_message_is_removed_by_a_reviewer(visit: Visit, thinking: KillableServer) -> None:
    api, ana, ben = Api(thinking.url), unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    text = f"A secret that is nobody's business {unique('x')}"
    api.says(ana, group_id, text)
    reader = visit(ben, url=thinking.url)
    reader.opens(group_id)
    reader.does(text, "Report")
    reader.page.get_by_label("What is wrong with it?").fill("It is private")
    reader.page.get_by_role("button", name="Report", exact=True).click()
    expect(reader.page.locator(".notice")).to_contain_text("Reported")
    boss = boss_of(visit, thinking)
    boss.page.get_by_role("link", name="Reviews").click()
    case = boss.page.locator(".case").filter(has_text=text)
    case.get_by_role("button", name="Remove", exact=True).click()
    boss.page.get_by_label("A word to the author").fill("Not here, please")
    boss.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(reader.page.locator(".bubble.gone")).to_have_count(1)


def test_the_operations_page_plots_live_numbers_and_lists_prompts_and_decisions(
    visit: Visit, thinking: KillableServer
) -> None:
    api, ana = Api(thinking.url), unique("ana")
    api.says(ana, api.group(ana), "Something to look at")
    boss = boss_of(visit, thinking)
    boss.page.get_by_role("link", name="Operations").click()
    expect(boss.page.locator(".plot")).to_have_count(8, timeout=20_000)
    memory = boss.page.get_by_role("img", name="Memory")
    expect(memory).to_have_attribute("aria-label", re.compile(r"now [1-9]\d* MiB"))
    expect(boss.page.get_by_role("region", name="Prompt versions").locator("tbody tr").first).to_contain_text("live")
    expect(boss.page.get_by_role("region", name="Decisions").locator("tbody tr").first).to_be_visible()


def test_pages_of_roles_are_not_offered_to_others(visit: Visit, thinking: KillableServer) -> None:
    visitor = visit(unique("ana"), url=thinking.url)
    expect(visitor.page.get_by_role("link", name="Operations")).to_have_count(0)
    visitor.page.evaluate("location.hash = '#/operations'")
    alerts = visitor.page.get_by_role("alert")
    expect(alerts.filter(has_text="needs the server role").first).to_be_visible()
    visitor.page.wait_for_load_state("networkidle")
    visitor.problems.clear()  # the browser logs the refused requests


ECHO = """
function SmartReplies(input: string) -> string[] {
  client "openai/gpt-4o-mini"
  prompt #"{{ input }} {{ ctx.output_format }}"#
}
"""


def test_an_operator_moves_a_prompt_version_up_on_a_report_and_takes_it_out_again(
    visit: Visit, thinking: KillableServer
) -> None:
    api = Api(thinking.url)
    token = api.ask("POST", "/auth/login", {"name": "boss", "password": PASSWORD})["token"]
    boss = boss_of(visit, thinking)
    boss.page.get_by_role("link", name="Operations").click()
    versions = boss.page.get_by_role("region", name="Prompt versions")
    boss.page.get_by_role("button", name="New draft").click()
    boss.page.get_by_label("Function").select_option("SmartReplies")
    boss.page.get_by_label("BAML that defines it").fill(ECHO)
    boss.page.get_by_role("button", name="Store the draft").click()
    mine = versions.locator("tbody tr").filter(has_text="added")
    expect(mine).to_contain_text("draft")
    mine.get_by_role("button", name="Run in shadow").click()
    expect(mine).to_contain_text("shadow")
    mine.get_by_role("button", name="Try on some").click()
    boss.page.get_by_label("Percent of the people").fill("20")
    boss.page.get_by_role("button", name="Start", exact=True).click()
    expect(mine).to_contain_text("20 %")
    mine.get_by_role("button", name="Promote").click()
    boss.page.get_by_label("Id of the evaluation report").fill("no-such-run")
    boss.page.get_by_role("button", name="Look at the report").click()
    expect(boss.page.get_by_role("dialog").get_by_role("alert")).to_contain_text("No report")
    boss.problems.clear()  # the browser logs the refused request
    prompts = api.ask("GET", "/admin/prompts?function=SmartReplies", token=token)["prompts"]
    version = next(each["versionId"] for each in prompts if each["origin"] == "added")
    hand_in(api, token, version)
    boss.page.get_by_label("Id of the evaluation report").fill("run-of-the-page")
    boss.page.get_by_role("button", name="Look at the report").click()
    expect(boss.page.get_by_role("dialog")).to_contain_text("passed")
    boss.page.get_by_role("button", name="Promote to everybody").click()
    expect(mine).to_contain_text("live")
    mine.get_by_role("button", name="Take out").click()
    boss.page.get_by_role("dialog").get_by_role("button", name="Take out of use").click()
    expect(mine).to_contain_text("retired")


def hand_in(api: Api, token: str, version: str) -> None:
    report = {
        "reportId": "run-of-the-page", "prompt": version, "job": "smart-reply", "status": "passed",
        "startedAt": "2026-01-05T09:00:00.000Z", "finishedAt": "2026-01-05T09:01:00.000Z",
        "gates": [{"metric": "quality", "bound": "value", "op": ">=", "value": 0.5, "found": 0.7, "state": "passed"}],
    }  # fmt: skip
    whole = sealed(Report.model_validate(report | {"sha256": "0" * 64}))
    api.ask("POST", "/admin/reports", whole.wire(), token=token)


def report_all(server: KillableServer, name: str, group_id: str, message_ids: list[str]) -> None:
    """Over a socket, as there is no other way; beside this thread, whose event loop is the browser's."""

    async def one_by_one() -> None:
        async with Client(server.url, Api(server.url).token(name)) as client:
            for message_id in message_ids:
                fields = {"groupId": group_id, "messageId": message_id, "reason": "Hm"}
                await client.command("report_message", fields)

    with ThreadPoolExecutor(1) as beside:
        beside.submit(asyncio.run, one_by_one()).result(60)


def test_what_reviewers_did_stands_in_the_audit(visit: Visit, thinking: KillableServer) -> None:
    api, ana, ben = Api(thinking.url), unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    said = api.says(ana, group_id, f"Nothing bad {unique('x')}")
    report_all(thinking, ben, group_id, [said["_id"]])
    boss = boss_of(visit, thinking)
    boss.page.get_by_role("link", name="Reviews").click()
    boss.page.locator(".case").filter(has_text=said["content"]).get_by_role("button", name="Keep it").click()
    boss.page.get_by_role("tab", name="Audit").click()
    newest = boss.page.get_by_role("region", name="Audit").locator("tbody tr").first
    expect(newest).to_contain_text("review.resolve")
    expect(newest).to_contain_text("dismiss")


def test_the_queue_goes_on_beyond_its_first_page(visit: Visit, thinking: KillableServer) -> None:
    api, ana, ben = Api(thinking.url), unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    said = [api.says(ana, group_id, f"Reported number {number}")["_id"] for number in range(55)]
    report_all(thinking, ben, group_id, said)
    boss = boss_of(visit, thinking)
    boss.page.get_by_role("link", name="Reviews").click()
    expect(boss.page.locator(".case")).to_have_count(50)
    boss.page.get_by_role("button", name="More", exact=True).click()
    expect(boss.page.locator(".case").filter(has_text="Reported number 54")).to_be_visible()


def test_a_groups_limits_of_moderation_are_set_and_kept(visit: Visit, thinking: KillableServer) -> None:
    api, ana = Api(thinking.url), unique("ana")
    others = {"violence/graphic": {"flag": 0.4}, "illicit": {"flag": 0.3}}
    group_id = api.group(ana, settings={"moderationLimits": others})
    visitor = visit(ana, url=thinking.url)
    visitor.opens(group_id)
    visitor.page.get_by_role("button", name="Members and details").click()
    visitor.page.get_by_role("button", name="Moderation limits").click()
    expect(visitor.page.get_by_label("Graphic violence, flag")).to_have_value("0.4")
    visitor.page.get_by_label("Graphic violence, flag").fill("")
    visitor.page.get_by_label("Toxic, refuse").fill("0.5")
    visitor.page.get_by_role("button", name="Save", exact=True).click()
    expect(visitor.page.locator(".dialog")).to_have_count(0)
    kept = api.ask("GET", f"/groups/{group_id}", token=api.token(ana))["settings"]["moderationLimits"]
    assert kept == {"toxic": {"block": 0.5}, "illicit": {"flag": 0.3}}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_the_pages_of_roles(
    visit: Visit, thinking: KillableServer, axe: Path, scheme: str
) -> None:
    boss = boss_of(visit, thinking, axe=axe, color_scheme=scheme)
    boss.page.get_by_role("link", name="Operations").click()
    expect(boss.page.locator(".plot")).to_have_count(8, timeout=20_000)
    expect(boss.page.get_by_role("region", name="Prompt versions")).to_be_visible()
    found = {"operations": boss.accessibility_violations()}
    boss.page.get_by_role("button", name="Text:").first.click()
    expect(boss.page.locator(".code")).to_contain_text("function")
    found["text"] = boss.accessibility_violations()
    boss.page.keyboard.press("Escape")
    boss.page.get_by_role("link", name="Reviews").click()
    expect(boss.page.get_by_role("tab", name="Audit")).to_be_visible()
    found["reviews"] = boss.accessibility_violations()
    boss.page.get_by_role("tab", name="Audit").click()
    found["audit"] = boss.accessibility_violations()
    ana = unique("ana")
    group_id = Api(thinking.url).group(ana)
    visitor = visit(ana, url=thinking.url, axe=axe, color_scheme=scheme)
    visitor.opens(group_id)
    visitor.page.get_by_role("button", name="Members and details").click()
    visitor.page.get_by_role("button", name="Moderation limits").click()
    expect(visitor.page.locator(".limits")).to_be_visible()
    found["limits"] = visitor.accessibility_violations()
    assert found == {place: [] for place in found}
