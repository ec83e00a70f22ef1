"""The log comes out as 1, 2, 3, ... whatever the network does to the pushes."""

from hypothesis import given
from hypothesis import strategies as st

from chatcore.client.events import Event
from chatcore.client.following import MAX_AHEAD, LogCursor


def event(seq: int) -> Event:
    return Event("new_message", {"seq": seq}, "a" * 24, seq)


def seqs(events: list[Event]) -> list[int]:
    return [found.seq or 0 for found in events]


def test_the_next_event_is_handed_over_at_once() -> None:
    assert seqs(LogCursor(last=7).offer(event(8))) == [8]


def test_the_past_is_dropped() -> None:
    cursor = LogCursor(last=7)
    assert cursor.offer(event(7)) == []
    assert cursor.offer(event(1)) == []
    assert not cursor.behind


def test_a_gap_holds_back_what_comes_after_it() -> None:
    cursor = LogCursor(last=0)
    assert cursor.offer(event(3)) == []
    assert cursor.behind
    assert cursor.offer(event(2)) == []
    assert seqs(cursor.offer(event(1))) == [1, 2, 3]
    assert not cursor.behind


def test_an_ack_that_names_a_later_place_puts_the_cursor_behind() -> None:
    cursor = LogCursor(last=4)
    cursor.heard_of(5)
    assert cursor.behind


def test_a_jump_gives_up_the_past_and_keeps_what_follows() -> None:
    cursor = LogCursor(last=1)
    for seq in (4, 6, 7):
        cursor.offer(event(seq))
    assert seqs(cursor.jump_to(5)) == [6, 7]
    assert cursor.last == 7
    assert not cursor.ahead


def test_what_waits_is_bounded_and_what_did_not_fit_is_asked_for_again() -> None:
    cursor = LogCursor(last=0)
    for seq in range(2, MAX_AHEAD + 50):
        cursor.offer(event(seq))
    assert len(cursor.ahead) == MAX_AHEAD
    cursor.offer(event(1))
    assert cursor.last == MAX_AHEAD + 1
    assert cursor.behind


@given(st.permutations(list(range(1, 25))), st.lists(st.integers(1, 24), max_size=30))
def test_any_order_with_any_repeats_comes_out_once_and_in_order(order: list[int], repeats: list[int]) -> None:
    cursor = LogCursor(last=0)
    out: list[int] = []
    for index, seq in enumerate(order):
        out += seqs(cursor.offer(event(seq)))
        if index < len(repeats):
            out += seqs(cursor.offer(event(repeats[index])))
    expected = list(range(1, max(out) + 1))
    assert out == expected
    assert cursor.last == 24
    assert not cursor.ahead
