"""The HTML of results: small, self-contained, escaped, and legible on light and dark notebook themes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

TONES = {"passed": "#1e7f5c", "failed": "#b3261e", "inconclusive": "#9a6700", "missing": "#b3261e", "error": "#b3261e"}
CELL = "padding:3px 14px 3px 0;text-align:left;vertical-align:top;border-bottom:1px solid rgba(128,128,128,.25)"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; columns in `numbers` are aligned right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()

    def html(self) -> str:
        head = "".join(
            f'<th style="{self._style(at)};font-weight:500;opacity:.7">{escape(name)}</th>'
            for at, name in enumerate(self.head)
        )
        body = "".join(
            "<tr>"
            + "".join(f'<td style="{self._style(at)}">{_cell(value)}</td>' for at, value in enumerate(row))
            + "</tr>"
            for row in self.rows
        )
        return (
            '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums;margin:6px 0">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _style(self, at: int) -> str:
        return CELL.replace("text-align:left", "text-align:right") if at in self.numbers else CELL


def _cell(value: str) -> str:
    """A verdict's word gets its colour; everything else is text."""
    if value in TONES:
        return f'<b style="color:{TONES[value]}">{value}</b>'
    return escape(value)


def facts(title: str, pairs: Mapping[str, str]) -> str:
    """A heading and a line of what there is to know; empty values are left out."""
    said = " &middot; ".join(
        f'<span style="opacity:.65">{escape(name)}</span> {escape(value)}' for name, value in pairs.items() if value
    )
    return f'<div style="margin:6px 0"><b>{escape(title)}</b><div style="font-size:.92em">{said}</div></div>'


def preview(text: str, most: int) -> str:
    """One line, cut with an ellipsis."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def number(value: float | None, *, digits: int = 4) -> str:
    """Short, and honest about what is not there."""
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    if math.isinf(value):
        return "\N{INFINITY}" if value > 0 else "\N{MINUS SIGN}\N{INFINITY}"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.{digits}g}"
