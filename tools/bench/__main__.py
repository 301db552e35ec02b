"""`make bench`, or `.venv/bin/python -m tools.bench`: measures, prints, and with all figures writes the page.

`--only` has each figure alone, `--sizes` other boards, `--quick` one minute in place of twenty. A part is
printed; the whole is also written to docs/explanation/performance.{md,svg,json}. Exit status 1 says that
something could not be measured, never that a target was missed.
"""

from __future__ import annotations

import argparse
import compileall
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.bench import imports, queue, report, runs, sections, writes
from tools.bench.bench import Bench
from tools.bench.boards import Boards, environment
from tools.bench.measure import Failed
from tools.bench.peers import INSTALLERS, cache_folder, peers
from tools.bench.works import HOT

TOP = Path(__file__).resolve().parents[2]
SECTIONS: Mapping[str, Callable[[Bench], None]] = {
    "list-json": sections.list_json,
    "search": sections.search,
    "doctor": sections.doctor,
    "rebuild": sections.rebuild,
    "index": sections.index,
    "pull": sections.pull,
    "concurrent": writes.concurrent,
    "syncs": writes.syncs,
    "append": writes.append,
    "memory": sections.memory,
    "worker": runs.worker,
    "queue": queue.queue,
    "imports": imports.imports,
}
ALONE = frozenset({"index", "pull", "concurrent", "syncs", "append", "worker", "queue", "imports"})
"""What is measured without any peer; these are then not installed."""

USUAL = tuple(name for name in SECTIONS if name != "imports")
SIZES, QUICK_SIZES = (100, 1_000, 10_000, 100_000), (100, 1_000)
ROUNDS, QUICK_ROUNDS = 31, 5


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for. Returns the exit status."""
    asked = _parse(argv)
    if asked.list:
        print("\n".join(_described()))
        return 0
    names = asked.only or [*HOT, *USUAL]
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    compileall.compile_dir(TOP / "src", quiet=2)  # A first run without .pyc files would pay for all others.
    found, missing = ({}, {}) if ALONE.issuperset(names) else peers(cache, asked.peers)
    for name, why in missing.items():
        print(f"bench: without {name}: {why}", file=sys.stderr)
    begun = time.monotonic()
    # Removed at the end and not piece by piece: what was deleted may slow whoever makes files next (`take_caches`).
    with tempfile.TemporaryDirectory(prefix="run-", dir=cache) as folder:
        home = Path(folder)
        env = environment(home / "home")
        bench = Bench(home, Boards(cache, found, env), found, env, sizes=asked.sizes, rounds=asked.rounds)
        failed = _measured(bench, names)
    done = report.result(bench, missing, time.monotonic() - begun)
    report.show(done, as_json=asked.json)
    whole = not asked.only and not asked.quick and set(asked.sizes) >= set(SIZES) and not failed
    if whole or asked.out:
        report.write(done, Path(asked.out) if asked.out else TOP / "docs" / "explanation")
    return int(failed)


def _measured(bench: Bench, names: Sequence[str]) -> bool:
    """Run the sections; one that fails is named, and the rest still run. Returns whether any failed."""
    failed = False
    hot = [name for name in HOT if name in names]
    steps: list[tuple[str, Callable[[Bench], None]]] = [(name, SECTIONS[name]) for name in names if name in SECTIONS]
    if hot:
        steps.insert(0, (", ".join(hot), lambda bench: sections.hot(bench, hot)))
    for name, step in steps:
        print(f"bench: {name}", file=sys.stderr)
        try:
            step(bench)
        except Failed as why:
            failed = True
            print(f"bench: {name}: {why}", file=sys.stderr)
            bench.missing(name, name, "", str(why).splitlines()[0])
    return failed


def _described() -> list[str]:
    lines = [f"{name:12} {work.title}, by itself and as the board grows" for name, work in HOT.items()]
    return lines + [f"{name:12} {(step.__doc__ or '').splitlines()[0]}" for name, step in SECTIONS.items()]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the figures")
    parser.add_argument("--only", type=_words, default=[], metavar="NAME,…", help="these figures alone")
    parser.add_argument("--sizes", type=_sizes, metavar="N,…", help="boards of so many tasks")
    parser.add_argument("--peers", type=_words, default=[], metavar="NAME,…", help="beside these tools alone, or none")
    parser.add_argument("--rounds", type=int, help=f"how often each case is run (default: {ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="small boards and few rounds: about a minute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", metavar="FOLDER", help="write the page, the plot and the JSON into this folder")
    asked = parser.parse_args(argv)
    asked.sizes = asked.sizes or list(QUICK_SIZES if asked.quick else SIZES)
    asked.rounds = asked.rounds or (QUICK_ROUNDS if asked.quick else ROUNDS)
    unknown = [name for name in asked.only if name not in HOT and name not in SECTIONS]
    if unknown:
        parser.error(f"there is no figure {', '.join(unknown)}; --list names them")
    strange = [name for name in asked.peers if name not in INSTALLERS and name != "none"]
    if strange:
        parser.error(f"there is no peer {', '.join(strange)}; there are: none, {', '.join(INSTALLERS)}")
    if asked.rounds < 3:
        parser.error("--rounds must be at least 3: a median of fewer says nothing")
    return asked


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _sizes(text: str) -> list[int]:
    sizes = [int(word) for word in _words(text)]
    if not sizes or min(sizes) < 10:
        raise argparse.ArgumentTypeError("a board has at least 10 tasks")
    return sizes


if __name__ == "__main__":
    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that its folder goes with it
    sys.exit(main())
