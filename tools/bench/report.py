"""The result as text: a table of targets, a table of medians, and the page and the JSON that keep them."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.bench.bench import PASS, Bench, Row, cores
from tools.bench.measure import Stat
from tools.bench.plot import plot
from tools.bench.works import HOT, TOOLS

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
_KEY = re.compile(r"(?P<work>[\w-]+)/(?P<tool>[\w.-]+)/(?P<size>\d+)\Z")


def result(bench: Bench, missing: Mapping[str, str], took_s: float) -> dict[str, Any]:
    """All that one run found, as JSON has it. It names no path and no machine."""
    return {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "took_s": round(took_s),
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "cores": cores(),
            "load": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
        },
        "sizes": bench.sizes,
        "rounds": bench.rounds,
        "peers": {name: peer.version for name, peer in bench.peers.items()},
        "missing": dict(missing),
        "targets": bench.rows,
        "medians": bench.stats,
    }


def targets(rows: Sequence[Row]) -> str:
    """A Markdown table: what was asked, what came of it, and whether that will do."""
    said = {True: "yes", False: "**no**", None: "not judged"}
    lines = ["| work | target | measured | met |", "| --- | --- | --- | --- |"]
    lines += [f"| {row['work']} | {row['target']} | {row['measured']} | {said[row['met']]} |" for row in rows]
    return "\n".join(lines)


def medians(stats: Mapping[str, Stat]) -> str:
    """A Markdown table of milliseconds for each work, tool and size, with the quartiles; other samples below it."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    rest = []
    for key, one in stats.items():
        match = _KEY.match(key)
        said = f"{one['median_ms']:.4g} ({one['q1_ms']:.4g}–{one['q3_ms']:.4g})"
        if match is None:
            rest.append(f"| {key} | {said} | {one['samples']} |")
        else:
            work = HOT[match["work"]].title if match["work"] in HOT else match["work"]
            found.setdefault((work, int(match["size"])), {})[match["tool"]] = said
    parts = []
    if found:
        lines = [f"| work | tasks | {' | '.join(TOOLS)} |", f"| --- | ---: |{' ---: |' * len(TOOLS)}"]
        lines += [
            f"| {work} | {size:,} | {' | '.join(row.get(tool, '–') for tool in TOOLS)} |"
            for (work, size), row in sorted(found.items())
        ]
        parts.append("\n".join(lines))
    if rest:
        parts.append("\n".join(["| beside them | ms | samples |", "| --- | ---: | ---: |", *rest]))
    return "\n\n".join(parts)


def page(found: Mapping[str, Any]) -> str:
    """What stands between the markers of the page."""
    machine = found["machine"]
    peers = ", ".join(f"{name} {version}" for name, version in found["peers"].items()) or "none"
    gone = "".join(f"\nMissing: {name}, {why}." for name, why in found["missing"].items())
    head = (
        f"Measured at {found['measured_at']} on {machine['system']}, {machine['cores']} cores, Python"
        f" {machine['python']}; load when it ended {machine['load']}; {found['rounds']} rounds in"
        f" {found['took_s']} s. Beside: {peers}.{gone}"
    )
    return "\n".join([
        head,
        "",
        targets(found["targets"]),
        "",
        f"![Medians of the hot commands by the size of the board, beside {PASS}](performance.svg)",
        "",
        "Medians in milliseconds, with their quartiles:",
        "",
        medians(found["medians"]),
    ])  # fmt: skip


def write(found: Mapping[str, Any], folder: Path) -> None:
    """Put the result into `performance.md`, between its markers, and beside it as a plot and as JSON."""
    path = folder / "performance.md"
    text = path.read_text(encoding="utf-8") if path.exists() else f"# How fast\n\n{BEGIN}\n{END}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"bench: {path.name} has no lines {BEGIN} and {END}; put them where the tables should be")
    path.write_text(f"{before}{BEGIN}\n{page(found)}\n{END}{after}", encoding="utf-8")
    (folder / "performance.svg").write_text(plot(found["medians"]), encoding="utf-8")
    (folder / "performance.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def show(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the result."""
    text = json.dumps(found, indent=2) if as_json else page(found)
    sys.stdout.write(text + "\n")
