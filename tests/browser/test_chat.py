"""Two people on the page: what one does, the other sees."""

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.visitor import Api, Visitor, unique

Visit = Callable[..., Visitor]


def pair(visit: Visit, api: Api) -> tuple[Visitor, Visitor, str]:
    """Ana and Ben in one group that both have open; Ana owns it."""
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    one, other = visit(ana), visit(ben)
    one.opens(group_id)
    other.opens(group_id)
    return one, other, group_id


def test_two_people_talk_and_see_what_became_of_their_messages(visit: Visit, api: Api) -> None:
    ana, ben, _ = pair(visit, api)
    ana.writes("Shall we plant the beans today?")
    ben.sees("Shall we plant the beans today?")
    expect(ana.message("beans today").locator(".fate")).to_contain_text("Read")
    ben.writes("After lunch")
    ana.sees("After lunch")
    expect(ben.page.locator("article.message")).to_have_count(2)


def test_typing_shows_and_ends_with_the_message(visit: Visit, api: Api) -> None:
    ana, ben, _ = pair(visit, api)
    ana.composer.press_sequentially("one moment")
    expect(ben.page.locator(".typing")).to_contain_text("is typing")
    ana.composer.press("Enter")
    ben.sees("one moment")
    expect(ben.page.locator(".typing")).to_have_text("")


def test_a_message_is_edited_answered_reacted_to_pinned_and_deleted(visit: Visit, api: Api) -> None:
    ana, ben, _ = pair(visit, api)
    ana.writes("The gate code is 1234")
    ben.sees("The gate code is 1234")

    ana.does("The gate code is 1234", "Edit")
    ana.writes("The gate code is 4321")
    expect(ben.message("The gate code is 4321")).to_contain_text("(edited)")

    ben.does("The gate code is 4321", "Reply")
    ben.writes("Thank you")
    expect(ana.sees("Thank you").locator(".quote")).to_contain_text("The gate code is 4321")

    ben.page.locator("article.message").first.hover()
    ben.page.locator("article.message").first.get_by_role("button", name="React").click()
    ben.page.get_by_role("menuitem", name="thumbs up").click()
    expect(ana.page.locator(".reaction")).to_have_text("👍1")
    ben.page.locator(".reaction").click()
    expect(ana.page.locator(".reaction")).to_have_count(0)

    ana.page.locator("article.message").first.hover()
    ana.page.locator("article.message").first.get_by_role("button", name="More").click()
    ana.page.get_by_role("menuitem", name="Pin").click()
    expect(ben.page.locator(".pin-bar")).to_contain_text("The gate code is 4321")

    ana.page.locator("article.message").first.hover()
    ana.page.locator("article.message").first.get_by_role("button", name="More").click()
    ana.page.get_by_role("menuitem", name="Delete").click()
    ana.page.get_by_role("button", name="Delete").click()
    expect(ben.page.locator(".bubble.gone")).to_have_text("This message was deleted")
    expect(ben.page.get_by_text("4321")).to_have_count(0)


def test_a_reaction_from_before_the_page_was_loaded_is_taken_off_by_the_one_who_set_it(visit: Visit, api: Api) -> None:
    ana, ben, _ = pair(visit, api)
    ana.writes("Who brings the seeds?")
    ben.sees("Who brings the seeds?").hover()
    ben.page.get_by_role("button", name="React").click()
    ben.page.get_by_role("menuitem", name="heart").click()
    expect(ana.page.locator(".reaction")).to_have_text("❤️1")
    ben.page.reload()
    ben.page.locator(".reaction").click()
    expect(ana.page.locator(".reaction")).to_have_count(0)


def test_unread_messages_are_counted_and_reading_clears_them(visit: Visit, api: Api) -> None:
    ana, ben = unique("ana"), unique("ben")
    garden, kitchen = api.group(ana, ben), api.group(ana, ben)
    reader = visit(ben)
    reader.opens(kitchen)
    for text in ("one", "two", "three"):
        api.says(ana, garden, text)
    item = reader.page.locator(f'a[href="#/g/{garden}"]')
    expect(item.locator(".badge")).to_have_text("3")
    reader.opens(garden)
    expect(item.locator(".badge")).to_have_count(0)
    expect(reader.page.locator(".new-line")).to_be_visible()
    reader.page.reload()
    expect(item).to_be_visible()
    expect(item.locator(".badge")).to_have_count(0)


def test_mentions_are_offered_and_stand_out(visit: Visit, api: Api) -> None:
    ana, ben, _ = pair(visit, api)
    expect(ana.page.locator(".head-words")).to_contain_text("2 members")
    ana.composer.press_sequentially("look @be")
    expect(ana.page.get_by_role("option")).to_have_count(1)
    ana.composer.press("Enter")
    ana.composer.press_sequentially("here")
    ana.composer.press("Enter")
    expect(ben.sees("look").locator(".mention-me")).to_be_visible()


def test_somebody_written_to_for_the_first_time_sees_the_conversation_at_once(visit: Visit, api: Api) -> None:
    ana, ben = unique("ana"), unique("ben")
    other = visit(ben)
    one = visit(ana)
    one.page.get_by_role("button", name="New conversation").click()
    one.page.get_by_label("Find people by name").fill(ben)
    one.page.get_by_role("button", name=ben).first.click()
    one.writes("Hello, are you the gardener?")
    other.page.locator(".group-item").first.click()
    other.sees("Hello, are you the gardener?")
    expect(other.page.locator(".head-name")).to_have_text(ana)


def test_an_invitation_link_brings_one_into_the_group(visit: Visit, api: Api) -> None:
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana)
    owner = visit(ana)
    owner.opens(group_id)
    owner.page.get_by_role("button", name="Members and details").click()
    owner.page.get_by_role("button", name="Invite").click()
    field = owner.page.get_by_label("Whoever has this link may join")
    expect(field).to_have_value(re.compile("/invite/"))
    path = "/invite/" + field.input_value().rsplit("/", 1)[-1]
    guest = visit()
    guest.signs_in(ben, path)
    expect(guest.composer).to_be_visible()
    guest.writes("I came by the link")
    owner.page.keyboard.press("Escape")
    owner.sees("I came by the link")


def test_who_is_removed_loses_the_group_at_once(visit: Visit, api: Api) -> None:
    ana, ben, group_id = pair(visit, api)
    ana.page.get_by_role("button", name="Members and details").click()
    ana.page.locator(".member").filter(has_text="ben-").get_by_role("button").click()
    ana.page.get_by_role("menuitem", name="Remove").click()
    ana.page.get_by_role("button", name="Remove").click()
    expect(ben.page.locator(f'a[href="#/g/{group_id}"]')).to_have_count(0)
    expect(ben.composer).to_have_count(0)
