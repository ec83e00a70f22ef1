"""Line charts as inline SVG, coloured by the page's style sheet (light and dark)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 96, 28, 40
LABEL_GAP = 15
MAX_POINTS = 400


@dataclass(frozen=True, slots=True)
class Line:
    """`tone` 0 to 3 chooses the colour; points by growing x."""

    name: str
    tone: int
    points: Sequence[tuple[float, float]]


def line_chart(
    lines: Sequence[Line],
    *,
    says: str,
    x_title: str,
    y_title: str,
    x_ticks: Sequence[tuple[float, str]] | None = None,
) -> str:
    """An empty text where there is nothing to draw. `says` is read out in place of the picture."""
    drawn = [Line(line.name, line.tone, thinned(line.points)) for line in lines if len(line.points) > 1]
    if not drawn:
        return ""
    xs = [x for line in drawn for x, _ in line.points]
    y_marks = nice_ticks(max(y for line in drawn for _, y in line.points))
    x_of = _scale(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    y_of = _scale(0, y_marks[-1], HEIGHT - BOTTOM, TOP)
    marks = x_ticks if x_ticks is not None else [(x, f"{x:g}") for x in nice_ticks(max(xs)) if min(xs) <= x <= max(xs)]
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(says)}">']
    parts += [_grid_line(y_of(y), f"{y:,g}") for y in y_marks]
    parts += [
        f'<text class="tick" x="{x_of(x):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(label)}</text>'
        for x, label in marks
        if min(xs) <= x <= max(xs)
    ]
    parts.append(f'<text class="title" x="{LEFT}" y="{HEIGHT - 6}">{escape(x_title)}</text>')
    parts.append(f'<text class="title" x="4" y="12">{escape(y_title)}</text>')
    parts += [_path(line, x_of, y_of) for line in drawn]
    parts += _labels(drawn, y_of)
    return "".join([*parts, "</svg>"])


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = high - low or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def nice_ticks(highest: float, wanted: int = 4) -> list[float]:
    """From 0 to at least `highest` in steps of 1, 2 or 5 times a power of ten."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    count = math.ceil(highest / step - 1e-9)
    return [round(index * step, 10) for index in range(count + 1)]


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MAX_POINTS`, the last one among them."""
    step = max(1, math.ceil(len(points) / MAX_POINTS))
    return [*points[:-1:step], points[-1]] if points else []


def _grid_line(y: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _path(line: Line, x_of: Callable[[float], float], y_of: Callable[[float], float]) -> str:
    points = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line.points)
    return f'<polyline class="line tone{line.tone}" points="{points}"/>'


def _labels(lines: Sequence[Line], y_of: Callable[[float], float]) -> list[str]:
    """Names at the right ends, pushed apart where they would overlap."""
    placed: list[str] = []
    lowest = -math.inf
    for y, line in sorted(((y_of(line.points[-1][1]) + 4, line) for line in lines), key=lambda entry: entry[0]):
        lowest = max(y, lowest + LABEL_GAP)
        place = f'x="{WIDTH - RIGHT + 8}" y="{min(lowest, HEIGHT - 2):.1f}"'
        placed.append(f'<text class="name tone{line.tone}" {place}>{escape(line.name)}</text>')
    return placed
