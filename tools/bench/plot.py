"""The plot: one panel for each hot command, milliseconds over the size of the board, both on logarithmic axes.

Plain SVG, written by hand. Colours are given for light and for dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from tools.bench.bench import PASS
from tools.bench.measure import Stat
from tools.bench.works import HOT, TOOLS

PANEL_W, PANEL_H, COLUMNS = 270, 190, 3
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 30, 34
LEGEND_H = 34
_STYLE = """
text { font: 11px system-ui, sans-serif; fill: #333 } .title { font-weight: 600; font-size: 12px }
.grid { stroke: #ddd } .pass { stroke: #888; stroke-dasharray: 4 3 } polyline { fill: none; stroke-width: 2 }
.t0 { stroke: #0b62c4; fill: #0b62c4 } .t1 { stroke: #c2410c; fill: #c2410c }
.t2 { stroke: #15803d; fill: #15803d } .t3 { stroke: #9333ea; fill: #9333ea }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .grid { stroke: #444 } .pass { stroke: #999 }
  .t0 { stroke: #6cb2ff; fill: #6cb2ff } .t1 { stroke: #fb9a5b; fill: #fb9a5b }
  .t2 { stroke: #5fd38a; fill: #5fd38a } .t3 { stroke: #c99bff; fill: #c99bff }
}
polyline { fill: none !important }
"""


Series = Mapping[str, Sequence[tuple[int, float]]]
"""For each tool the points (tasks, milliseconds) of one work, by size."""


class Axis:
    """A logarithmic axis: from a value to a place."""

    def __init__(self, least: float, most: float, begin: float, end: float) -> None:
        self._low, self._high = math.log10(least), math.log10(max(most, least * 1.01))
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return round(self._begin + share * (self._end - self._begin), 1)


def plot(stats: Mapping[str, Stat]) -> str:
    """The plot of what is there; panels of works that were not measured are left out."""
    series = {name: found for name in HOT if (found := _series(name, stats))}
    rows = math.ceil(len(series) / COLUMNS)
    width, height = PANEL_W * COLUMNS, LEGEND_H + PANEL_H * rows
    values = [ms for found in series.values() for points in found.values() for _, ms in points]
    sizes = sorted({size for found in series.values() for points in found.values() for size, _ in points})
    base = stats[PASS]["median_ms"] if PASS in stats else None
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>Median time of a command by the number of tasks</title>",
        f"<style>{_STYLE}</style>",
        _legend(base),
    ]
    if values:
        low = 10 ** math.floor(math.log10(min([*values, base or values[0]])))
        high = 10 ** math.ceil(math.log10(max(values)))
        for number, (name, found) in enumerate(series.items()):
            x, y = number % COLUMNS * PANEL_W, LEGEND_H + number // COLUMNS * PANEL_H
            across = Axis(sizes[0], sizes[-1], LEFT, PANEL_W - RIGHT)
            up = Axis(low, high, PANEL_H - BOTTOM, TOP)
            parts += [f'<g transform="translate({x},{y})">', *_grid(low, high, up)]
            parts += [*_panel(name, found, across, up, sizes, base), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _series(name: str, stats: Mapping[str, Stat]) -> Series:
    found: dict[str, list[tuple[int, float]]] = {}
    for key, one in stats.items():
        work, _, rest = key.partition("/")
        tool, _, size = rest.partition("/")
        if work == name and size.isdigit():
            found.setdefault(tool, []).append((int(size), one["median_ms"]))
    return {tool: sorted(points) for tool, points in found.items()}


def _panel(name: str, found: Series, across: Axis, up: Axis, sizes: Sequence[int], base: float | None) -> list[str]:
    parts = [f'<text class="title" x="{LEFT}" y="18">{escape(HOT[name].title)}</text>']
    for size in sizes:
        parts.append(f'<text x="{across.at(size)}" y="{PANEL_H - 18}" text-anchor="middle">{_short(size)}</text>')
    if base is not None:
        y = up.at(base)
        parts.append(f'<line class="pass" x1="{LEFT}" x2="{PANEL_W - RIGHT}" y1="{y}" y2="{y}"/>')
    for tool, points in found.items():
        colour = f"t{TOOLS.index(tool)}"
        places = [(across.at(size), up.at(ms)) for size, ms in points]
        parts.append(f'<polyline class="{colour}" points="{" ".join(f"{x},{y}" for x, y in places)}"/>')
        parts += [
            f'<circle class="{colour}" cx="{x}" cy="{y}" r="2.5">'
            f"<title>{tool}, {size:,} tasks: {ms:.1f} ms</title></circle>"
            for (x, y), (size, ms) in zip(places, points, strict=True)
        ]
    return parts


def _grid(low: float, high: float, up: Axis) -> list[str]:
    parts = []
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        y = up.at(10.0**power)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{PANEL_W - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4}" text-anchor="end">{10.0**power:g} ms</text>')
    return parts


def _legend(base: float | None) -> str:
    parts, x = [], LEFT
    for number, tool in enumerate(TOOLS):
        parts.append(f'<circle class="t{number}" cx="{x}" cy="16" r="4"/>')
        parts.append(f'<text x="{x + 8}" y="20">{escape(tool)}</text>')
        x += 40 + 7 * len(tool)
    if base is not None:
        parts.append(f'<line class="pass" x1="{x}" x2="{x + 18}" y1="16" y2="16"/>')
        parts.append(f'<text x="{x + 24}" y="20">{PASS}</text>')
    return "".join(parts)


def _short(size: int) -> str:
    return f"{size // 1000}k" if size >= 1000 else str(size)
