"""Notices while the page is closed. Chromium's own push service is not reached from here, so the page is given a
subscription of one on this machine, and what that one gets is handed to the real service worker."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import pytest
from playwright.sync_api import CDPSession, expect

from chatcore.push.vapid import as_text
from tests.browser.visitor import Api, Visitor, unique
from tests.push.conftest import Browser

Visit = Callable[..., Visitor]
SUBSCRIBES = """
let current = null;
PushManager.prototype.getSubscription = async () => current;
PushManager.prototype.subscribe = async function (options) {
  window.__asked = options;
  const key = options.applicationServerKey;
  current = {
    options: { applicationServerKey: key.buffer ?? key },
    toJSON: () => (%s),
    unsubscribe: async () => { current = null; return true; },
  };
  return current;
};
"""


class LocalPushService:
    def __init__(self) -> None:
        got: Queue[bytes] = Queue()

        class Takes(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.put(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(201)
                self.end_headers()

            def log_message(self, *words: object) -> None:
                return None

        self.got = got
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Takes)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def push_service() -> Iterator[LocalPushService]:
    service = LocalPushService()
    yield service
    service.close()


class Worker:
    """The page's service worker, as the browser's own tools reach it."""

    def __init__(self, visitor: Visitor):
        self._visitor = visitor
        self._tools: CDPSession = visitor.context.new_cdp_session(visitor.page)
        self._ids: list[str] = []
        self._tools.on("ServiceWorker.workerRegistrationUpdated", self._heard)
        self._tools.send("ServiceWorker.enable")

    def _heard(self, event: dict[str, Any]) -> None:
        self._ids += [each["registrationId"] for each in event["registrations"]]

    def receives(self, payload: bytes) -> list[dict[str, str]]:
        """The notices that stand afterwards."""
        while not self._ids:
            self._visitor.page.wait_for_timeout(20)
        self._tools.send(
            "ServiceWorker.deliverPushMessage",
            {"origin": self._visitor.url, "registrationId": self._ids[-1], "data": payload.decode()},
        )
        shown: list[dict[str, str]] = self._visitor.page.evaluate(
            """async () => {
              const registration = await navigator.serviceWorker.ready;
              for (let tries = 0; tries < 400; tries += 1) {
                const shown = await registration.getNotifications();
                if (shown.length) return shown.map(({ title, body, tag }) => ({ title, body, tag }));
                await new Promise((resolve) => setTimeout(resolve, 50));
              }
              return [];
            }"""
        )
        return shown


def test_who_asked_for_it_gets_a_notice_while_away_and_none_after_signing_out(
    visit: Visit, api: Api, push_service: LocalPushService
) -> None:
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana, ben, name="Orchard")
    browser = Browser("ben")
    visitor = visit()
    visitor.context.grant_permissions(["notifications"], origin=visitor.url)
    visitor.context.add_init_script(SUBSCRIBES % json.dumps(browser.given(push_service.url)))
    visitor.signs_in(ben)
    visitor.page.locator(".sidebar").get_by_role("button", name="Settings").click()
    wanted = visitor.page.get_by_role("switch", name="Tell me of messages while the page is closed")
    expect(wanted).not_to_be_checked()
    wanted.click()
    expect(wanted).to_be_checked()
    visitor.page.get_by_role("button", name="Mentions and direct").click()
    expect(visitor.page.get_by_role("button", name="Mentions and direct")).to_have_attribute("aria-pressed", "true")
    mine = api.ask("GET", "/push-subscriptions", token=api.token(ben))
    assert [(each["host"], each["scope"]) for each in mine["subscriptions"]] == [("127.0.0.1", "mentions")]
    asked = visitor.page.evaluate("({only: __asked.userVisibleOnly, key: [...__asked.applicationServerKey]})")
    assert (asked["only"], as_text(bytes(asked["key"]))) == (True, mine["publicKey"])
    worker = Worker(visitor)

    visitor.arrives("/icon.svg")
    api.says(ana, group_id, "this is for nobody in particular")
    api.says(ana, group_id, f"a secret for @{ben}")
    payload = browser.opens(push_service.got.get(timeout=20))
    assert b"secret" not in payload
    (notice,) = worker.receives(payload)
    assert notice == {"title": "Orchard", "body": f"{ana} mentioned you", "tag": group_id}
    assert push_service.got.empty()

    visitor.arrives()
    visitor.is_online()
    visitor.page.locator(".sidebar").get_by_role("button", name="Settings").click()
    expect(wanted).to_be_checked()
    visitor.page.get_by_role("button", name="Sign out", exact=True).last.click()
    expect(visitor.page.get_by_label("Your name")).to_be_visible()
    assert api.ask("GET", "/push-subscriptions", token=api.token(ben))["subscriptions"] == []
