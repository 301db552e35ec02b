"""The sections on writes: many at once, what one asks of the disk, and what it costs inside one process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools.bench.bench import Bench, cores
from tools.bench.boards import OURS
from tools.bench.measure import Case, Failed, measure, ratio
from tools.bench.works import HOT, answer, command

WRITERS, COMMENTS_EACH = 8, 25
CONCURRENT_ROUNDS = 3
APPEND_LIMIT, RATE_LIMIT, BATCH_LIMIT = 2.0, 2.0, 50.0
SYNCS = ("fdatasync", "fsync", "sync_file_range", "syncfs", "sync", "msync")
WRITES = ("create", "comment", "status")

# Shells drive the writers: the same for both shapes, and no work of ours beside the clock.
_ROW = 'i=0; while [ "$i" -lt "$2" ]; do i=$((i+1)); "$1" comment LAT-1 "said $i" --quiet || exit 1; done'
_AT_ONCE = """
pids=
for writer in $(seq "$3"); do sh -c '%s' row "$1" "$2" & pids="$pids $!"; done
failed=0
for pid in $pids; do wait "$pid" || failed=1; done
exit $failed
""" % _ROW.replace("'", "'\\''")  # noqa: UP031  # braces of the shell stand in the way of format


def concurrent(bench: Bench) -> None:
    """8 × 25 comments on one task at once, beside 200 in a row."""
    total = WRITERS * COMMENTS_EACH
    lattice = (command(OURS, bench.peers) or [""])[0]
    row, at_once = bench.board(OURS, bench.sizes[0]), bench.board(OURS, bench.sizes[0])
    before = _comments(bench, at_once)
    done = measure(
        [
            Case("200-in-a-row", ["/bin/sh", "-c", _ROW, "row", lattice, str(total)], cwd=row, env=bench.env),
            Case("8x25-at-once", ["/bin/sh", "-c", _AT_ONCE, "at-once", lattice, str(COMMENTS_EACH), str(WRITERS)],
                 cwd=at_once, env=bench.env),
        ],
        min(bench.rounds, CONCURRENT_ROUNDS),
    )  # fmt: skip
    bench.keep(done)
    kept = _comments(bench, at_once) - before
    asked = total * (1 + len(done["8x25-at-once"].seconds))  # Once unmeasured; a writer that is refused fails the run.
    bench.row("concurrent", f"{WRITERS} × {COMMENTS_EACH} comments on one task at once", "all kept, none refused",
              f"{kept} of {asked} kept", float(kept), met=kept == asked)  # fmt: skip
    found = ratio(done["8x25-at-once"], done["200-in-a-row"])
    against = tuple(value * cores() for value in found)
    bench.row("concurrent", "their wall time", f"≤ 1.5× that of {total} in a row, divided by the cores ({cores()})",
              f"{against[0]:.2f}× ({against[1]:.2f}–{against[2]:.2f})", against[0], met=against[0] <= 1.5)  # fmt: skip


def _comments(bench: Bench, root: Path) -> int:
    """How many comments the task has, by its log; its snapshot has to say the same. Raises Failed."""
    task: Any = answer(bench.lattice(root, "show", "LAT-1", "--json"))
    lines = (root / ".lattice" / "events" / f"{task['id']}.jsonl").read_text(encoding="utf-8").splitlines()
    logged = sum(json.loads(line)["type"] == "comment_added" for line in lines)
    if logged != task["comment_count"]:
        raise Failed(f"the log of LAT-1 has {logged} comments, its snapshot {task['comment_count']}")
    return int(logged)


def syncs(bench: Bench) -> None:
    """What one write asks of the disk, counted by strace over the whole process."""
    for name in WRITES:
        title, target = f"syncs of one {name}", "one fdatasync"
        if shutil.which("strace") is None:
            bench.missing("syncs", title, target, "strace is missing")
            continue
        root = bench.board(OURS, bench.sizes[0])
        case = bench.case(name, HOT[name], OURS, bench.sizes[0], root)
        if case is None:
            raise AssertionError("our own tool is always there")
        found = counted(case)
        said = ", ".join(f"{count} {call}" for call, count in found.items() if count) or "none"
        if name == "create" and found["fsync"]:
            said += " (of the folder that gained a name)"
        bench.row("syncs", title, target, said, float(found["fdatasync"]), met=found["fdatasync"] == 1)


def counted(case: Case) -> dict[str, int]:
    """How often each kind of sync was called in one run. Raises Failed."""
    with tempfile.NamedTemporaryFile("r", prefix="lattice-bench-") as trace:
        argv = ["strace", "-f", "-qq", "-o", trace.name, "-e", f"trace={','.join(SYNCS)}", *case.words()]
        ran = subprocess.run(argv, cwd=case.cwd, env=case.env, capture_output=True, check=False)
        if ran.returncode:
            raise Failed(f"{' '.join(argv)}: {ran.stderr.decode(errors='replace').strip()}")
        calls = [line.split(None, 1)[1].partition("(")[0] for line in trace]
    return {call: calls.count(call) for call in SYNCS}


def append(bench: Bench) -> None:
    """One event in process, beside the disk's own append and fdatasync; events a second; and a batch of 100."""
    root = bench.board(OURS, bench.sizes[0])
    argv = [sys.executable, "-m", "tools.bench.inprocess", str(root)]
    top = Path(__file__).resolve().parents[2]
    ran = subprocess.run(argv, cwd=top, env=bench.env, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(f"{' '.join(argv[1:3])}: {ran.stderr.strip()}")
    seen = json.loads(ran.stdout)
    bench.stats |= seen["stats"]
    one, disk = seen["stats"]["in-process/event"], seen["stats"]["in-process/disk"]
    rates = {name: 1000 / found["median_ms"] for name, found in (("one", one), ("disk", disk))}
    batch = 1000 * seen["batch_of"] / seen["stats"]["in-process/batch"]["median_ms"]
    against = one["median_ms"] / disk["median_ms"]
    bench.row("append", "one write, in process", f"≤ {APPEND_LIMIT:g}× the disk's append + fdatasync",
              f"{against:.2f}× ({one['median_ms']:.2f} ms against {disk['median_ms']:.2f} ms)", against,
              met=against <= APPEND_LIMIT)  # fmt: skip
    slower = rates["disk"] / rates["one"]
    said = f"{rates['one']:.0f} against {rates['disk']:.0f}: {slower:.2f}×"
    bench.row("append", "events a second, one writer", f"within {RATE_LIMIT:g}× of the disk's fdatasync rate",
              said, slower, met=slower <= RATE_LIMIT)  # fmt: skip
    gained = batch / rates["one"]
    bench.row("append", f"events a second, {seen['batch_of']} in one transaction", f"≥ {BATCH_LIMIT:g}× one by one",
              f"{batch:.0f} against {rates['one']:.0f}: {gained:.1f}×", gained, met=gained >= BATCH_LIMIT)  # fmt: skip
    micros = seen["micros"]
    parts = f"json and zlib on its texts {micros['texts']:.0f} µs, its system calls {micros['calls']:.0f} µs, unsynced"
    bench.row("append", "processor time of one write", "beside its parts done alone",
              f"{micros['event_processor']:.0f} µs; {parts}", micros["event_processor"], met=None)  # fmt: skip
    bench.row("append", f"processor time of an event of {seen['batch_of']}", "beside its line done alone",
              f"{micros['batch_processor']:.1f} µs; json and zlib on it {micros['event_text']:.1f} µs",
              micros["batch_processor"], met=None)  # fmt: skip
