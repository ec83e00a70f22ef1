"""Latencies in buckets, and whether everybody saw the log as it is."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Self

PRECISION_BITS = 7


class Histogram:
    """Counts of microseconds in log-linear buckets, as HdrHistogram keeps them: any value is off by at most 1/128.

    Histograms of several processes add up, which percentiles do not.
    """

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self._counts: dict[int, int] = dict(counts or {})

    def __len__(self) -> int:
        return sum(self._counts.values())

    def add(self, values: Iterable[int]) -> None:
        counts = self._counts
        for value in values:
            place = bucket_of(value)
            counts[place] = counts.get(place, 0) + 1

    def merge(self, other: Self) -> None:
        for place, count in other._counts.items():
            self._counts[place] = self._counts.get(place, 0) + count

    def percentile(self, percent: float) -> float | None:
        """Milliseconds under which `percent` of all values lie; None without values."""
        wanted = len(self) * percent / 100
        seen = 0
        for place in sorted(self._counts):
            seen += self._counts[place]
            if seen >= wanted:
                return value_of(place) / 1000
        return None

    def curve(self) -> list[tuple[float, float]]:
        """Each bucket as (milliseconds, share of all values up to it)."""
        total, seen = len(self), 0
        points = []
        for place in sorted(self._counts):
            seen += self._counts[place]
            points.append((value_of(place) / 1000, seen / total))
        return points

    def summary(self) -> dict[str, float | int | None]:
        named = {f"p{percent:g}".replace(".", "_"): self.percentile(percent) for percent in (50, 90, 95, 99, 99.9)}
        return {"count": len(self), **named, "max": self.percentile(100)}

    def to_json(self) -> dict[str, int]:
        return {str(place): count for place, count in self._counts.items()}

    @classmethod
    def from_json(cls, told: Mapping[str, int]) -> Self:
        return cls({int(place): count for place, count in told.items()})


def bucket_of(value: int) -> int:
    if value < 2 << PRECISION_BITS:
        return max(0, value)
    shift = value.bit_length() - PRECISION_BITS - 1
    return (shift << PRECISION_BITS) + (value >> shift)


def value_of(place: int) -> int:
    """The greatest value of a bucket."""
    if place < 2 << PRECISION_BITS:
        return place
    shift = (place >> PRECISION_BITS) - 1
    return ((place - (shift << PRECISION_BITS) + 1) << shift) - 1


@dataclass(slots=True)
class Verdict:
    """What a comparison of views with the log found; all but the first two must be 0 (`repeats` may not be).

    `lost`: in the log, but not in somebody's view. `vanished`: acknowledged, but not in the log. `invented`: in a view,
    but not in the log, or with other content there. `out_of_order`: a push with a lower number than one before it on
    the same connection. `repeats`: the same number pushed twice on one connection, which the contract allows.
    """

    views: int = 0
    messages: int = 0
    unequal_views: int = 0
    lost: int = 0
    vanished: int = 0
    invented: int = 0
    out_of_order: int = 0
    repeats: int = 0

    def add(self, other: Self) -> None:
        for entry in fields(self):
            setattr(self, entry.name, getattr(self, entry.name) + getattr(other, entry.name))

    @property
    def clean(self) -> bool:
        return not (self.unequal_views or self.vanished or self.out_of_order or self.repeats)

    def to_json(self) -> dict[str, int]:
        return asdict(self)


@dataclass(slots=True)
class View:
    """What one client has seen of its group's log after `base`: places and message keys, in order of arrival.

    A key names the message: which client, which number. `connections` are the positions in the arrays at which a
    new connection began; `acked` are own messages, as their acknowledgements placed them; `synced` came by `sync`.
    """

    base: int = 0
    places: "array[int]" = field(default_factory=lambda: array("Q"))
    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    connections: list[int] = field(default_factory=list)
    acked: dict[int, int] = field(default_factory=dict)
    synced: dict[int, int] = field(default_factory=dict)

    def contents(self) -> dict[int, int]:
        return self.synced | dict(zip(self.places, self.keys, strict=True)) | self.acked

    def complete_up_to(self) -> int:
        """The place before the first gap."""
        seen, place = self.contents(), self.base
        while place + 1 in seen:
            place += 1
        return place


def describe(view: View, log: Mapping[int, int]) -> dict[str, object]:
    """What a view lacks, for the person who looks for the cause: the first and last place, and how many."""
    lost = [place for place in log if place not in view.contents()]
    return {
        "connections": len(view.connections),
        "log": [min(log, default=0), max(log, default=0)],
        "lost": [min(lost, default=0), max(lost, default=0), len(lost)],
        "seen": len(view.places),
        "acked": len(view.acked),
        "synced": len(view.synced),
    }


def judge(view: View, log: Mapping[int, int]) -> Verdict:
    """One view against its group's log (place to key)."""
    seen = view.contents()
    lost = sum(place not in seen for place in log)
    invented = sum(log.get(place) != key for place, key in seen.items() if place not in view.acked)
    vanished = sum(log.get(place) != key for place, key in view.acked.items())
    out_of_order, repeats = _order(view)
    return Verdict(
        views=1,
        messages=len(log),
        unequal_views=int(bool(lost or invented or vanished)),
        lost=lost,
        vanished=vanished,
        invented=invented,
        out_of_order=out_of_order,
        repeats=repeats,
    )


def _order(view: View) -> tuple[int, int]:
    out_of_order = repeats = 0
    ends = [*view.connections[1:], len(view.places)]
    for start, end in zip(view.connections or [0], ends, strict=True):
        highest = 0
        seen: set[int] = set()
        for place in view.places[start:end]:
            repeats += place in seen
            out_of_order += place < highest and place not in seen
            seen.add(place)
            highest = max(highest, place)
    return out_of_order, repeats
