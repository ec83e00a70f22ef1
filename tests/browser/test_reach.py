"""The page for everybody: keyboard, screen reader, phone, light and dark, long histories, slow networks."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from chatcore.contract.messages import SendMessage
from chatcore.contract.people import User
from chatcore.ports import Caller
from chatcore.transport.pages import Pages
from chatcore.web.files import script_bytes
from tests.browser.visitor import Api, Visitor, unique
from tests.servers import ServerInThread

Visit = Callable[..., Visitor]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SMALLEST = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_part_of_the_page(visit: Visit, api: Api, axe: Path, scheme: str) -> None:
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana, ben, description="What grows, and what does not")
    first = api.says(ben, group_id, "Look at https://example.org @nobody `code`")
    api.says(ben, group_id, "An answer", replyTo=first["_id"])
    visitor = visit(axe=axe, color_scheme=scheme)
    visitor.arrives()
    found = {"sign-in": visitor.accessibility_violations()}
    visitor.signs_in(ana)
    found["list"] = visitor.accessibility_violations()
    visitor.opens(group_id)
    visitor.writes("My own words")
    visitor.does("My own words", "Pin")
    expect(visitor.page.locator(".pin-bar")).to_be_visible()
    visitor.page.get_by_role("button", name="Members and details").click()
    found["conversation"] = visitor.accessibility_violations()
    for name in ("New conversation", "Settings"):
        visitor.page.locator(".sidebar").get_by_role("button", name=name).click()
        expect(visitor.page.locator(".dialog")).to_be_visible()
        found[name] = visitor.accessibility_violations()
        visitor.page.keyboard.press("Escape")
    assert found == {place: [] for place in found}


@pytest.mark.parametrize("size", [PHONE, SMALLEST], ids=["390", "360"])
def test_a_phone_shows_one_thing_at_a_time_and_never_scrolls_sideways(
    visit: Visit, api: Api, size: dict[str, object]
) -> None:
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    api.says(ben, group_id, "averyveryverylongwordwithoutanyspaceinit" * 8)
    visitor = visit(ana, **size)
    assert not visitor.width_overflows()
    expect(visitor.page.locator(".conversation")).to_be_hidden()
    visitor.opens(group_id)
    expect(visitor.page.locator(".sidebar")).to_be_hidden()
    visitor.writes("from a phone")
    visitor.sees("from a phone")
    assert not visitor.width_overflows()
    visitor.page.get_by_role("button", name="Members and details").click()
    assert not visitor.width_overflows()
    visitor.page.get_by_role("button", name="Close the details").click()
    visitor.page.get_by_role("button", name="Back to the conversations").click()
    expect(visitor.page.locator(".sidebar")).to_be_visible()


def test_one_can_come_in_write_react_and_leave_by_keyboard_alone(visit: Visit, api: Api) -> None:
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    api.says(ben, group_id, "Can you reach this?")
    visitor = visit()
    visitor.arrives()
    keys = visitor.page.keyboard
    expect(visitor.page.get_by_label("Your name")).to_be_focused()
    keys.type(ana)
    keys.press("Enter")
    expect(visitor.page.locator(".group-item")).to_be_visible()
    tab_to(visitor, ".group-item")
    keys.press("Enter")
    expect(visitor.composer).to_be_focused()
    keys.type("Yes")
    keys.press("Enter")
    visitor.sees("Yes")
    tab_to(visitor, "article .tools button", backwards=True, inside="Can you reach this?")
    while "React" not in focused(visitor):
        keys.press("Shift+Tab")
    keys.press("Enter")
    keys.press("ArrowRight")
    keys.press("Enter")
    expect(visitor.page.locator(".reaction")).to_have_text("❤️1")
    tab_to(visitor, '[aria-label="Settings"]', backwards=True)
    keys.press("Enter")
    expect(visitor.page.locator(".dialog")).to_be_visible()
    keys.press("Escape")
    expect(visitor.page.locator(".dialog")).to_have_count(0)
    assert "Settings" in focused(visitor)


def focused(visitor: Visitor) -> str:
    return str(
        visitor.page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.className")
    )


def tab_to(visitor: Visitor, selector: str, *, backwards: bool = False, inside: str = "") -> None:
    for _ in range(60):
        visitor.page.keyboard.press("Shift+Tab" if backwards else "Tab")
        if visitor.page.evaluate(
            """([selector, inside]) => document.activeElement.matches(selector)
              && (!inside || document.activeElement.closest("article").textContent.includes(inside))""",
            [selector, inside],
        ):
            return
    raise AssertionError(f"{selector} cannot be reached by Tab")


def test_five_thousand_messages_stay_a_few_rows_in_the_document(visit: Visit, api: Api, server: ServerInThread) -> None:
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    api.says(ana, group_id, "message 0, the very first")
    me = api.ask("GET", "/me", token=api.token(ana))
    caller = Caller(user_id=me["userId"], session_id="filling", user=User(user_id=me["userId"], name=me["name"]))
    server._wait(fill(server, caller, group_id))
    visitor = visit(ana)
    visitor.opens(group_id)
    visitor.sees("message 4999")
    visitor.page.evaluate(SCROLL_TO_TOP)
    visitor.sees("message 0, the very first")
    rows = visitor.page.locator(".virtual-row")
    assert visitor.page.evaluate("document.querySelector('.virtual-space').offsetHeight") > 100_000
    assert rows.count() < 80
    assert visitor.page.evaluate("document.querySelectorAll('*').length") < 2_500
    visitor.page.get_by_role("button", name="Go to the newest messages").click()
    visitor.sees("message 4999")
    assert rows.count() < 80


SCROLL_TO_TOP = """async () => {
  const box = document.querySelector(".virtual");
  for (let turns = 0; turns < 600; turns += 1) {
    if (document.body.textContent.includes("message 0, the very first")) return;
    box.dispatchEvent(new WheelEvent("wheel"));
    box.scrollTop = 0;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}"""


async def fill(server: ServerInThread, caller: Caller, group_id: str) -> None:
    messages = server.chat.core.services.messages
    for start in range(1, 5_000, 250):
        numbers = range(start, min(start + 250, 5_000))
        await asyncio.gather(
            *(messages.send(caller, SendMessage(group_id=group_id, content=f"message {number}")) for number in numbers)
        )


def test_reading_older_messages_does_not_move_what_one_reads(visit: Visit, api: Api, server: ServerInThread) -> None:
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    for number in range(120):
        api.says(ana, group_id, f"line {number}")
    visitor = visit(ben)
    visitor.opens(group_id)
    visitor.sees("line 119")
    moved = visitor.page.evaluate(
        """async () => {
          const box = document.querySelector(".virtual");
          const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
          box.dispatchEvent(new WheelEvent("wheel"));
          box.scrollTop = 450;
          await frame();
          const rows = () => [...document.querySelectorAll("article.message")];
          const space = document.querySelector(".virtual-space");
          const row = rows().find((one) => one.getBoundingClientRect().top > 200);
          const text = row.textContent;
          const before = row.getBoundingClientRect().top;
          const height = space.offsetHeight;
          for (let turns = 0; turns < 200 && space.offsetHeight <= height + 500; turns += 1) await frame();
          const grown = space.offsetHeight - height;
          const now = rows().find((one) => one.textContent === text);
          return { grown, by: Math.abs((now?.getBoundingClientRect().top ?? 9999) - before) };
        }"""
    )
    assert moved["grown"] > 500
    assert moved["by"] <= 2


def test_the_scripts_of_the_page_are_small(libraries: None, server: ServerInThread) -> None:
    page = Pages(server.chat.core.settings.web_libraries, {}).page
    assert page is not None
    assert script_bytes(page) < 200_000


def test_the_colours_can_be_chosen_and_are_kept(visit: Visit) -> None:
    visitor = visit(unique("ana"))
    visitor.page.get_by_role("button", name="Settings").click()
    visitor.page.get_by_role("button", name="Dark", exact=True).click()
    visitor.page.reload()
    expect(visitor.page.locator(".sidebar")).to_be_visible()
    assert visitor.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
