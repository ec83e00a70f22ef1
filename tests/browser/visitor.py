"""A person in front of the page, in the words of what people do; and REST, to prepare what they find."""

import json
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, expect

SOON_MS = 15_000
Json = dict[str, Any]
expect.set_options(timeout=SOON_MS)
# What a page says about itself while a connection is cut on purpose.
EXPECTED = ("ERR_CONNECTION_REFUSED", "ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION_RESET", "WebSocket connection to")
WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


def unique(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}"


class Api:
    """REST on behalf of people, to make what the visitors then find."""

    def __init__(self, url: str):
        self.url = url

    def token(self, name: str) -> str:
        issued: Json = self.ask("POST", "/auth/dev-token", {"name": name})
        token: str = issued["token"]
        self.ask("GET", "/me", token=token)
        return token

    def group(self, owner: str, *members: str, **fields: Any) -> str:
        """The id of a new group of these people."""
        token = self.token(owner)
        group = self.ask("POST", "/groups", {"name": unique("Garden")} | fields, token=token)
        for name in members:
            issued: Json = self.ask("POST", "/auth/dev-token", {"name": name})
            self.ask("GET", "/me", token=issued["token"])
            self.ask("POST", f"/groups/{group['_id']}/members", {"userId": issued["userId"]}, token=token)
        group_id: str = group["_id"]
        return group_id

    def says(self, name: str, group_id: str, content: str, **more: Any) -> Json:
        return self.ask("POST", "/messages", {"groupId": group_id, "content": content} | more, token=self.token(name))

    def history(self, name: str, group_id: str) -> list[str]:
        """The texts of the newest hundred messages people wrote, oldest first."""
        page = self.ask("GET", f"/messages/{group_id}?limit=100", token=self.token(name))
        return [message["content"] for message in page["messages"] if message["type"] != "system"]

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> Json:
        request = urllib.request.Request(f"{self.url}/api{path}", method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=20) as answer:
            parsed: Json = json.loads(answer.read() or b"{}")
        return parsed


class Visitor:
    def __init__(self, context: BrowserContext, url: str, axe: Path | None = None):
        self.context = context
        self.url = url
        self.problems: list[str] = []
        context.add_init_script(WATCH)
        if axe is not None:
            context.add_init_script(path=axe)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(SOON_MS)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(words in message.text for words in EXPECTED):
            self.problems.append(message.text)

    # --- coming in

    def arrives(self, path: str = "/") -> None:
        self.page.goto(self.url + path)

    def signs_in(self, name: str, path: str = "/") -> None:
        self.arrives(path)
        self.page.get_by_label("Your name").fill(name)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        expect(self.page.locator(".sidebar")).to_be_visible()
        self.is_online()

    def is_online(self) -> None:
        expect(self.page.locator('[data-link="online"]')).to_be_attached(timeout=30_000)

    def opens(self, group_id: str) -> None:
        self.page.locator(f'a[href="#/g/{group_id}"]').click()
        expect(self.composer).to_be_visible()
        expect(self.page.locator(".virtual")).to_be_attached()

    # --- talking

    @property
    def composer(self) -> Locator:
        return self.page.locator("#composer-text")

    def writes(self, text: str) -> None:
        self.composer.fill(text)
        self.composer.press("Enter")

    def message(self, text: str) -> Locator:
        return self.page.locator("article.message").filter(has_text=text).last

    def sees(self, text: str) -> Locator:
        found = self.message(text)
        expect(found).to_be_visible()
        return found

    def does(self, text: str, action: str) -> None:
        """Choose something from the menu of the message with this text."""
        message = self.sees(text)
        message.hover()
        message.get_by_role("button", name="More", exact=True).click()
        self.page.get_by_role("menuitem", name=action, exact=True).click()

    def texts(self) -> list[str]:
        """What stands in the bubbles that are in view, from top to bottom."""
        return [text.strip() for text in self.page.locator("article.message .text").all_inner_texts()]

    # --- the page

    def width_overflows(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def accessibility_violations(self) -> list[str]:
        """Of impact serious or critical, as axe-core sees the page now."""
        found = self.page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
        return [
            f"{one['id']} ({one['impact']}): {[node['html'][:160] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
