"""What machines and moderators do on the page, with the models that ship with the server."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

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


def boss_of(visit: Visit, server: KillableServer) -> Visitor:
    boss = visit(url=server.url)
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
    expect(visitor.page.get_by_role("alert")).to_contain_text("needs the server role")
    visitor.problems.clear()  # the browser logs the refused request
