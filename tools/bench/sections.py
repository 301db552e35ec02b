"""The sections that time whole commands: the hot ones at every size, and work on a whole board."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.bench.bench import HEAVY_TASKS, PASS, SMALL_TASKS, Bench, times
from tools.bench.boards import OURS, append_comment
from tools.bench.measure import Case, Failed, measure, peak_memory_mib, ratio, stat
from tools.bench.works import (
    DOCTOR,
    HOT,
    LIST_JSON,
    REBUILD,
    SEARCH,
    TASK,
    TOOLS,
    TRACKER,
    Work,
    take_caches,
    take_index,
)

HOT_LIMIT = 5.0
FLAT_LIMIT = 1.15
FAR_TASKS, FAR_LIMIT = 100_000, 1.3
FIRST_LIMIT_MS, FIRST_IDLE_MS = 600.0, 11.0  # on the machine on which the targets were set
FIRST_LIMIT = FIRST_LIMIT_MS / FIRST_IDLE_MS
PULLED_TASKS = 500
HEAVY_ROUNDS = 9
MEMORY_RUNS = 3


def hot(bench: Bench, names: Sequence[str]) -> None:
    """The commands that are called all day, at every size, beside an interpreter that does nothing."""
    cases = [bench.idle()]
    for size in bench.sizes:
        for tool in TOOLS:
            if not bench.has(tool) or (tool != OURS and size > HEAVY_TASKS):
                continue
            root = bench.board(tool, size)
            found = [bench.case(name, HOT[name], tool, size, root) for name in names]
            cases += [case for case in found if case is not None]
    done = measure(cases, bench.rounds)
    bench.keep(done)
    for name in names:
        _judge_hot(bench, name, done)


def _judge_hot(bench: Bench, name: str, done: dict[str, Case]) -> None:
    title = HOT[name].title
    small = done.get(f"{name}/{OURS}/{SMALL_TASKS}")
    if small is None:
        bench.missing(name, title, f"≤ {HOT_LIMIT:g}× {PASS}", f"{SMALL_TASKS} is not among the sizes")
        return
    found = ratio(small, done[PASS])
    bench.row(name, f"{title} at {SMALL_TASKS} tasks", f"≤ {HOT_LIMIT:g}× {PASS}", times(found), found[0],
              met=found[0] <= HOT_LIMIT)  # fmt: skip
    for size, limit in ((HEAVY_TASKS, FLAT_LIMIT), (FAR_TASKS, FAR_LIMIT)):
        large = done.get(f"{name}/{OURS}/{size}")
        if large is not None:
            found = ratio(large, small)
            bench.row(name, f"{title} at {size:,} tasks", f"≤ {limit:g}× that at {SMALL_TASKS}", times(found),
                      found[0], met=found[0] <= limit)  # fmt: skip


def _in_turn(bench: Bench, name: str, work: Work, beside: Sequence[str], more: Callable[[Path], list[Case]]) -> Done:
    """The work by us and the tools `beside` at the heavy size; `more` adds cases on our board."""
    ours = bench.board(OURS, bench.heavy)
    cases = [bench.case(name, work, OURS, bench.heavy, ours), *more(ours)]
    cases += [bench.case(name, work, tool, bench.heavy, bench.board(tool, bench.heavy))
              for tool in beside if bench.has(tool) and tool in work.words]  # fmt: skip
    done = measure([case for case in cases if case is not None], min(bench.rounds, HEAVY_ROUNDS))
    bench.keep(done)
    return done


Done = dict[str, Case]


def _versus(bench: Bench, name: str, work: Work, done: Done, tool: str, least: float, target: str) -> None:
    """The judgement of `at least so many times faster than that tool`."""
    title = f"{work.title} of {bench.heavy:,}"
    theirs = done.get(f"{name}/{tool}/{bench.heavy}")
    if theirs is None:
        bench.missing(name, title, target, f"{tool} is missing")
        return
    found = ratio(theirs, done[f"{name}/{OURS}/{bench.heavy}"])
    bench.row(name, title, target, f"{times(found)} faster", found[0], met=found[0] >= least if bench.judges else None)


def list_json(bench: Bench) -> None:
    """Every task as JSON."""
    done = _in_turn(bench, "list-json", LIST_JSON, TOOLS[1:], lambda _: [])
    _versus(bench, "list-json", LIST_JSON, done, TASK, 1.0, "faster than `task export`")
    _versus(bench, "list-json", LIST_JSON, done, TRACKER, 8.0, "≥ 8× faster than lattice-tracker")


def search(bench: Bench) -> None:
    """A word that few tasks have, in titles and comments."""

    def beside(root: Path) -> list[Case]:
        case = bench.case("show-beside-search", HOT["show"], OURS, bench.heavy, root)
        return [case] if case is not None else []

    done = _in_turn(bench, "search", SEARCH, TOOLS[1:], beside)
    found = ratio(done[f"search/{OURS}/{bench.heavy}"], done[f"show-beside-search/{OURS}/{bench.heavy}"])
    bench.row("search", f"search of {bench.heavy:,} with comments", "≤ 1.5× show", times(found), found[0],
              met=found[0] <= 1.5 if bench.judges else None)  # fmt: skip


def doctor(bench: Bench) -> None:
    """A look at every file."""
    done = _in_turn(bench, "doctor", DOCTOR, [TRACKER], lambda _: [])
    _versus(bench, "doctor", DOCTOR, done, TRACKER, 4.0, "≥ 4× faster than lattice-tracker")


def rebuild(bench: Bench) -> None:
    """What is derived, made again: with every cache deleted, and when all of it was right."""
    for name, least, how in (("rebuild-deleted", 8.0, "with every cache deleted"), ("rebuild", 20.0, "when right")):
        cases = []
        for tool in (OURS, TRACKER):
            if bench.has(tool):
                root = bench.board(tool, bench.heavy)
                prepare = (lambda root=root: take_caches(root)) if name == "rebuild-deleted" else None
                cases.append(bench.case(name, REBUILD, tool, bench.heavy, root, prepare=prepare))
        done = measure([case for case in cases if case is not None], min(bench.rounds, HEAVY_ROUNDS))
        bench.keep(done)
        work = REBUILD._replace(title=f"rebuild --all, {how},")
        _versus(bench, name, work, done, TRACKER, least, f"≥ {least:g}× faster than lattice-tracker")


def index(bench: Bench) -> None:
    """The first command after the index was deleted: a list, since that needs it."""
    root = bench.board(OURS, bench.heavy)
    case = bench.case("index", HOT["list20"], OURS, bench.heavy, root, prepare=lambda: take_index(root))
    _first(bench, "index", case, "after index.sqlite was deleted")


def pull(bench: Bench) -> None:
    """The first command after git brought new events of many tasks: a real fast-forward, twice a sample."""
    root = bench.board(OURS, bench.heavy)

    def git(*words: str) -> None:
        identity = ("-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "gc.auto=0")
        ran = subprocess.run(["git", *identity, *words], cwd=root, env=bench.env, capture_output=True, check=False)
        if ran.returncode:
            raise Failed(f"git {' '.join(words)}: {ran.stderr.decode(errors='replace').strip()}")

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "before")
    git("tag", "before")
    step = max(1, bench.heavy // PULLED_TASKS)
    changed = range(1, bench.heavy + 1, step)
    for number in changed:
        append_comment(root, number)
    git("add", "--all")
    git("commit", "--quiet", "--message", "after")
    git("tag", "after")

    def prepare() -> None:
        git("reset", "--quiet", "--hard", "before")
        bench.lattice(root, "list", "--limit", "20")
        bench.lattice(root, "search", "parser")
        git("merge", "--quiet", "--ff-only", "after")

    case = bench.case("pull", HOT["list20"], OURS, bench.heavy, root, prepare=prepare)
    _first(bench, "pull", case, f"after git pull changed {len(changed)} tasks")


def _first(bench: Bench, name: str, case: Case | None, when: str) -> None:
    if case is None:
        raise AssertionError("our own tool is always there")
    idle = bench.idle(f"pass-beside-{name}")
    bench.keep(measure([idle, case], min(bench.rounds, HEAVY_ROUNDS)))
    took = stat(case.seconds.values())
    found = ratio(case, idle)
    bench.row(name, f"list --limit 20, {when}, at {bench.heavy:,}",
              f"≤ {FIRST_LIMIT_MS:g} ms, once, where python -c pass takes {FIRST_IDLE_MS:g}: {FIRST_LIMIT:.1f}×",
              f"{times(found)} ({took['median_ms']:.0f} ms)", found[0],
              met=found[0] <= FIRST_LIMIT if bench.judges else None)  # fmt: skip


def memory(bench: Bench) -> None:
    """The largest resident set while every task is printed as JSON."""
    peaks: dict[str, float] = {}
    for tool in (OURS, TASK, TRACKER):
        if bench.has(tool):
            case = bench.case("memory", LIST_JSON, tool, bench.heavy, bench.board(tool, bench.heavy))
            if case is not None:
                seen = [peak_memory_mib(case.words(), cwd=case.cwd, env=case.env) for _ in range(MEMORY_RUNS)]
                peaks[tool] = sorted(seen)[len(seen) // 2]
    title, target = f"peak memory of list --json of {bench.heavy:,}", "≤ that of `task export`"
    said = ", ".join(f"{tool} {peak:.0f} MiB" for tool, peak in peaks.items())
    if TASK not in peaks:
        bench.missing("memory", title, target, f"{TASK} is missing; {said}")
        return
    bench.row("memory", title, target, said, peaks[OURS], met=peaks[OURS] <= peaks[TASK] if bench.judges else None)
