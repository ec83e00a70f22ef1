"""Text stays text, whatever it looks like; the page runs its own scripts and no other."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.visitor import Api, Visitor, unique
from tests.browser.xss import STRINGS

Visit = Callable[..., Visitor]
SCROLL_UP = """() => {
  const box = document.querySelector(".virtual");
  box.scrollTop -= 400;
  return box.scrollTop;
}"""


def test_there_are_sixty_strings() -> None:
    assert len(set(STRINGS)) >= 60


def test_sixty_strings_that_would_run_elsewhere_are_shown_as_text(visit: Visit, api: Api) -> None:
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana, ben, name="<img src=x onerror=ran()>", description="<script>ran()</script>")
    for text in STRINGS:
        api.says(ana, group_id, text)
    reader = visit(ben)
    reader.page.evaluate("() => { window.__ran = 0; window.ran = window.alert = () => { window.__ran += 1; }; }")
    reader.opens(group_id)
    expect(reader.page.locator(".head-name")).to_have_text("<img src=x onerror=ran()>")
    seen: dict[str, None] = {}
    for _ in range(60):
        seen |= dict.fromkeys(reader.page.locator("article.message .text").all_inner_texts())
        if reader.page.evaluate(SCROLL_UP) <= 0:
            break
        reader.page.wait_for_timeout(60)
    seen |= dict.fromkeys(reader.page.locator("article.message .text").all_inner_texts())
    shown = {squeezed(text) for text in seen}
    assert [text for text in STRINGS if squeezed(text.strip().replace("`", "").replace("**", "")) not in shown] == []
    assert reader.page.evaluate("window.__ran") == 0
    assert reader.page.locator(".virtual").locator("script, iframe, img, object, style, [onerror]").count() == 0
    links = reader.page.evaluate("[...document.querySelectorAll('.virtual a')].map((a) => a.protocol)")
    assert set(links) <= {"http:", "https:"}


def squeezed(text: str) -> str:
    return " ".join(text.replace("`", "").replace("**", "").split())


@pytest.mark.parametrize(
    "attempt",
    [
        "const s = document.createElement('script'); s.text = 'window.__ran = 1'; document.body.append(s)",
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.__ran = 1\">')",
        "setTimeout('window.__ran = 1')",
        "const a = document.createElement('a'); a.href = 'javascript:window.__ran = 1'; a.click()",
    ],
)
def test_the_policy_stops_what_a_hole_in_the_page_would_let_in(visit: Visit, attempt: str) -> None:
    visitor = visit()
    visitor.arrives()
    visitor.page.evaluate(f"window.attempt = () => {{ try {{ {attempt} }} catch (error) {{ }} }}; window.attempt()")
    visitor.page.wait_for_timeout(200)
    assert visitor.page.evaluate("window.__ran") is None
    assert visitor.problems, "the browser reports what it stopped"
    visitor.problems.clear()
