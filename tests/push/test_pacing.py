"""One notice at a time for each person and group, and nothing that calls a person gets lost."""

from chatcore.push import pacing
from chatcore.push.pacing import Pacing
from chatcore.push.records import News


def news(*mentions: str, group: str = "garden", direct: bool = False) -> News:
    return News(group, "Garden", direct, "ben", frozenset(mentions))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_is_told_and_the_rest_is_counted_until_the_window_ends() -> None:
    clock = Clock()
    held = Pacing(30, clock)
    assert [held.lets("ana", news()) for _ in range(4)] == [True, False, False, False]
    assert held.lets("ana", news(group="kitchen"))
    assert held.lets("carl", news())
    assert held.due() == []
    clock.now = 30
    assert [(each.user_id, each.news.group_id, each.count) for each in held.due()] == [("ana", "garden", 3)]
    assert len(held) == 0
    assert held.lets("ana", news())


def test_a_mention_does_not_wait_behind_talk() -> None:
    held = Pacing(30, Clock())
    assert [held.lets("ana", each) for each in (news(), news(), news("ana"), news("ana"))] == [True, False, True, False]


def test_what_calls_the_person_is_what_is_told_at_the_end() -> None:
    clock = Clock()
    held = Pacing(30, clock)
    for each in (news("ana"), news("ana"), news(), news()):
        held.lets("ana", each)
    clock.now = 31
    (last,) = held.due()
    assert (last.count, last.news.calls("ana")) == (3, True)


def test_whoever_was_here_meanwhile_begins_anew() -> None:
    clock = Clock()
    held = Pacing(30, clock)
    held.lets("ana", news())
    held.lets("ana", news())
    held.forget("ana", "garden")
    clock.now = 31
    assert held.due() == []
    assert held.lets("ana", news())


def test_beyond_its_bound_notices_come_unpaced() -> None:
    held = Pacing(30, Clock())
    held._windows.update({(str(n), "g"): pacing._Window(30, called=False) for n in range(pacing.MOST_WINDOWS)})
    assert held.lets("ana", news())
    assert held.lets("ana", news())
    assert len(held) == pacing.MOST_WINDOWS
