"""What a page does while there is no server: nothing is lost, and nothing comes twice."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.servers import KillableServer
from tests.browser.visitor import Api, Visitor, unique

Visit = Callable[..., Visitor]


KEPT_ON_DISK = """async (wanted) => {
  const [info] = await indexedDB.databases();
  const asked = indexedDB.open(info.name);
  const opened = await new Promise((done) => { asked.onsuccess = () => done(asked.result); });
  const store = opened.objectStoreNames[0];
  const counted = opened.transaction(store).objectStore(store).count();
  const count = await new Promise((done) => { counted.onsuccess = () => done(counted.result); });
  opened.close();
  return count === wanted;
}"""


def test_after_kill_9_and_a_new_start_both_have_everything_once(visit: Visit, killable: KillableServer) -> None:
    api, ana, ben = Api(killable.url), unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    one, other = visit(ana, url=killable.url), visit(ben, url=killable.url)
    one.opens(group_id)
    other.opens(group_id)
    one.writes("before the crash")
    other.sees("before the crash")

    killable.kill()
    expect(one.page.locator(".link-banner")).to_contain_text("Connection lost")
    one.writes("written by ana in the dark")
    other.writes("written by ben in the dark")
    expect(one.message("ana in the dark").locator(".fate")).to_contain_text("Waiting for the connection")
    expect(one.page.locator(".link-banner")).to_contain_text("1 message waiting")
    killable.start()

    one.is_online()
    other.is_online()
    wanted = {"before the crash", "written by ana in the dark", "written by ben in the dark"}
    for visitor in (one, other):
        for text in wanted:
            visitor.sees(text)
        expect(visitor.page.locator("article.message")).to_have_count(3)
        expect(visitor.page.locator(".unsent")).to_have_count(0)
    assert sorted(api.history(ana, group_id)) == sorted(wanted)


def test_what_was_written_offline_outlives_the_page_and_is_sent_once(visit: Visit, api: Api) -> None:
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    one = visit(ana)
    one.opens(group_id)
    one.context.set_offline(True)
    one.page.evaluate("dispatchEvent(new Event('online'))")  # drop the open connection: hurry makes a new one
    expect(one.page.locator(".link-banner")).to_contain_text("Connection lost")
    one.writes("first, without a network")
    one.writes("second, without a network")
    expect(one.page.locator(".unsent")).to_have_count(2)
    one.page.wait_for_function(KEPT_ON_DISK, arg=2)
    one.page.close()

    one.context.set_offline(False)
    one.page = one.context.new_page()
    one.arrives()
    one.page.get_by_label("Your name").fill(ana)
    one.page.get_by_role("button", name="Sign in", exact=True).click()
    one.is_online()
    one.opens(group_id)
    one.sees("second, without a network")
    expect(one.page.locator(".unsent")).to_have_count(0)
    assert api.history(ben, group_id) == ["first, without a network", "second, without a network"]


def test_what_was_said_meanwhile_is_fetched_and_stands_in_order(visit: Visit, api: Api) -> None:
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    one = visit(ana)
    one.opens(group_id)
    api.says(ben, group_id, "message 0")
    one.sees("message 0")
    one.context.set_offline(True)
    one.page.evaluate("dispatchEvent(new Event('online'))")
    expect(one.page.locator(".link-banner")).to_contain_text("Connection lost")
    for number in range(1, 6):
        api.says(ben, group_id, f"message {number}")
    one.context.set_offline(False)
    one.is_online()
    one.sees("message 5")
    assert one.texts() == [f"message {number}" for number in range(6)]


def test_an_account_that_was_signed_out_elsewhere_comes_back_to_the_sign_in_page(visit: Visit, api: Api) -> None:
    ana = unique("ana")
    one, other = visit(ana), visit(ana)
    other.page.get_by_role("button", name="Settings").click()
    other.page.locator(".plain-list").get_by_role("button", name="Sign out").click()
    expect(one.page.get_by_role("heading", name="Sign in to chatcore")).to_be_visible()


HELD_DISK = """
const put = IDBObjectStore.prototype.put;
IDBObjectStore.prototype.put = function (entry) {
  const request = {};
  window.__release = () => {
    const again = this.transaction.db.transaction(this.name, "readwrite").objectStore(this.name);
    put.call(again, entry).onsuccess = () => {
      IDBObjectStore.prototype.put = put;
      request.onsuccess();
    };
  };
  return request;
};
"""


def test_a_message_is_on_the_disk_before_it_is_on_the_page(visit: Visit, api: Api) -> None:
    ana = unique("ana")
    group_id = api.group(ana)
    visitor = visit(ana)
    visitor.opens(group_id)
    visitor.page.evaluate(f"() => {{ {HELD_DISK} }}")
    visitor.writes("first kept, then shown")
    visitor.page.wait_for_timeout(300)
    expect(visitor.message("first kept, then shown")).to_have_count(0)
    visitor.page.evaluate("window.__release()")
    visitor.sees("first kept, then shown")
