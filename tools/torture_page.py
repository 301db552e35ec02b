"""The figures on docs/explanation/reliability.md: each part's last run is kept as JSON, and the table is made from all.

So parts may be run apart, on other days and machines; each row says which command gave it, and when.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[1]
PAGE = TOP / "docs" / "explanation" / "reliability.md"
BEGIN, END = "<!-- figures: tools/torture.py --write-page -->", "<!-- end of figures -->"
COUNTED = {
    "cuts": "cuts",
    "acknowledged": "acknowledged events",
    "operations": "acknowledged events",
    "kills": "kills",
    "runs": "runs",
}
HEAD = (
    "| | what | faults | not met | violations | median | longest | more | command | when |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- | --- |",
)


def write(parts: Mapping[str, Mapping[str, Any]], page: Path = PAGE) -> None:
    """Keep these parts' runs beside the page, and put the table of all that are kept into it."""
    kept = page.with_suffix(".json")
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    known |= {name: {**run, "on": _machine(), "commit": _commit(), "date": _today()} for name, run in parts.items()}
    kept.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"torture: {page.name} has no place for the figures, from {BEGIN!r} to {END!r}")
    page.write_text(f"{before}{BEGIN}\n\n{table(known)}\n\n{END}{after}", encoding="utf-8")


def table(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """One row for each group of trials, by promise; under it what all of them come to, and where they were run."""
    rows = [(row, run) for run in parts.values() for row in run["figures"]]
    rows.sort(key=lambda pair: [int(word[1:]) for word in pair[0]["promise"].split()] or [99])
    lines = [_line(row, run) for row, run in rows]
    faults, wrong = (sum(row[key] for row, _ in rows) for key in ("faults", "violations"))
    machines = sorted({f"{run['on']}, commit {run['commit']}, {run['date']}" for run in parts.values()})
    minutes = sum(run["seconds"] for run in parts.values()) / 60
    together = f"{faults:,} faults, {wrong} violations, {minutes:.1f} minutes."
    return "\n".join([*HEAD, *lines, "", f"Together: {together}", "", *(f"- {machine}" for machine in machines)])


def _line(row: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    cells = (
        row["promise"],
        row["what"],
        f"{row['faults']:,}",
        f"{row['not met']:,}",
        str(row["violations"]),
        _time(row["healed_s"]),
        _time(row["healed_s_max"]),
        ", ".join(f"{count:,} {name}" for name, count in row["more"].items()),
        f"`{run['command']}`",
        run["date"],
    )
    return "| " + " | ".join(cells) + " |"


def more(seen: Iterable[Mapping[str, Any] | None]) -> dict[str, int]:
    """What trials counted beside faults, added up, in words."""
    counted: dict[str, int] = {}
    for one in seen:
        for key in COUNTED.keys() & (one or {}).keys():
            counted[COUNTED[key]] = counted.get(COUNTED[key], 0) + int((one or {})[key])
    return dict(sorted(counted.items()))


def command(part: str, words: Sequence[str]) -> str:
    """What repeats this part alone."""
    kept = list(_without(words, {"--only": 1, "--write-page": 0, "--json": 0, "--jobs": 1}))
    return " ".join(["tools/torture.py", "--only", part, *kept])


def _without(words: Sequence[str], flags: Mapping[str, int]) -> Iterator[str]:
    left = iter(words)
    for word in left:
        if word in flags:
            for _ in range(flags[word]):
                next(left, None)
        elif word.partition("=")[0] not in flags:
            yield word


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return (
        f"{seconds * 1000:.1f} ms"
        if seconds < 0.01
        else f"{seconds * 1000:.0f} ms"
        if seconds < 1
        else f"{seconds:.1f} s"
    )


def _machine() -> str:
    kernel = platform.release().partition("-")[0]
    return f"{os.cpu_count()} cores, {platform.system()} {kernel}, Python {platform.python_version()}"


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=TOP, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _today() -> str:
    return time.strftime("%Y-%m-%d")
