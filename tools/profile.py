"""`make profile CMD="show LAT-1"`: where a command's time goes, and what it asks of the system.

The command runs on a throw-away board (--tasks), so one that writes may be asked for too. The times of the
whole are medians of whole processes; the parts are shares under Python's profiler, which slows small calls most.
System calls are counted by strace, where it is there.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.bench.boards import environment, lattice_command, make_ours
from tools.bench.measure import Case, Failed, measure

ROUNDS = 15
ROWS_MAX = 15
IMPORTED = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)")
CALLED = re.compile(r"^\d+ +(\w+)\((?:[A-Z_]+, )?(?:\"((?:[^\"\\]|\\.)*)\")?")

NAMING = frozenset({
    "access", "chdir", "execve", "faccessat2", "lstat", "mkdir", "mkdirat", "newfstatat", "open", "openat", "readlink",
    "rename", "renameat", "renameat2", "stat", "statx", "unlink", "unlinkat",
})  # fmt: skip

# Runs the command under the profiler and prints, as the last line of standard error, own time by place.
_PROFILED = """
import cProfile, json, sys
from lattice.cli.main import main
profile = cProfile.Profile()
status = profile.runcall(main, sys.argv[1:])
profile.create_stats()
spent = [[file, name, own] for (file, _, name), (_, _, own, _, _) in profile.stats.items()]
print(json.dumps(spent), file=sys.stderr)
sys.exit(status)
"""

# The first pattern that is found in `file:function` names the part.
PARTS: Mapping[str, str] = {
    "regular expressions": r"/re/_|_sre\.compile",
    "imports": r"importlib|<frozen|marshal|<mod|builtins\.(?:exec|compile)|_imp\.|__(?:build_class|init_subclass)__",
    "index": r"sqlite|store/files/index|store/view",
    "locks and writes": r"fcntl|flock|fdatasync|fsync|posix\.write|rename|store/files/(?:locks|changes)|posix\.urandom",
    "reads": r"posix\.|store/files/(?:disk|scan)|io\.open|stat\b|pathlib",
    "parse": r"json/|_json|core/codec|core/config|store/files/(?:log|snapshot|numbers|tail)|zlib|_sre|/re/",
    "arguments": r"argparse|cli/arguments|gettext|cli/main",
    "decide": r"ledger|core/(?:events|task|workflow|next|query|graph)|commands/",
    "render": r"cli/|core/(?:pretty|text|summary)|_io\.|TextIOWrapper|write",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Profile the command that was named. Returns the exit status."""
    parser = argparse.ArgumentParser(prog='make profile CMD="…"', description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", help='what follows "lattice", as one word: "show LAT-1"')
    parser.add_argument("--tasks", type=int, default=100, help="tasks on the board (default: 100)")
    asked = parser.parse_args(argv)
    words = shlex.split(asked.command)
    if not words or asked.tasks < 10:
        parser.error("name a command, and at least 10 tasks")
    with tempfile.TemporaryDirectory(prefix="lattice-profile-") as folder:
        root = Path(folder) / "board"
        root.mkdir()
        env = environment(Path(folder) / "home")
        try:
            make_ours(root, asked.tasks, env)
            sections = [_whole(words, root, env), _imports(words, root, env), _parts(words, root, env)]
            sections += _system_calls(words, root, env)
        except Failed as why:
            print(f"profile: {why}", file=sys.stderr)
            return 1
    print(f"lattice {shlex.join(words)}, on a board of {asked.tasks} tasks\n")
    print("\n\n".join(sections))
    return 0


def _whole(words: Sequence[str], root: Path, env: Mapping[str, str]) -> str:
    """From start to exit, beside what starts without us."""
    python = sys.executable
    asked = {
        "python -I -S -c pass": [python, "-I", "-S", "-c", "pass"],
        "python -c pass": [python, "-c", "pass"],
        "its imports alone": [python, "-c", f"import {', '.join(_modules(words, root, env))}"],
        "the command": [lattice_command(), *words],
    }
    done = measure([Case(name, argv, cwd=root, env=env) for name, argv in asked.items()], ROUNDS)
    rows = [(name, 1000 * statistics.median(case.seconds.values())) for name, case in done.items()]
    base = rows[1][1]
    return _table(("whole processes", "ms", "× pass"), [(name, f"{ms:.1f}", f"{ms / base:.2f}") for name, ms in rows])


def _modules(words: Sequence[str], root: Path, env: Mapping[str, str]) -> list[str]:
    """The modules of the package that the command imports, in the order of their end."""
    return [name for name, _, _ in _import_times(words, root, env) if re.fullmatch(r"lattice[\w.]*", name)]


def _import_times(words: Sequence[str], root: Path, env: Mapping[str, str]) -> list[tuple[str, int, int]]:
    """Each module that the command imports: its name, its own microseconds, and those with what it imports."""
    ran = _run([sys.executable, "-X", "importtime", lattice_command(), *words], root, env)
    return [(found[4], int(found[1]), int(found[2])) for found in IMPORTED.finditer(ran.stderr)]


def _imports(words: Sequence[str], root: Path, env: Mapping[str, str]) -> str:
    times = _import_times(words, root, env)
    total = sum(own for _, own, _ in times)
    ours = sum(own for name, own, _ in times if name.startswith("lattice"))
    count = sum(name.startswith("lattice") for name, _, _ in times)
    rows = [("all", str(len(times)), f"{total / 1000:.1f}", ""), ("ours", str(count), f"{ours / 1000:.1f}", "")]
    dearest = sorted(times, key=lambda one: -one[1])[:ROWS_MAX]
    rows += [(name, "", f"{own / 1000:.2f}", f"{whole / 1000:.2f}") for name, own, whole in dearest]
    return _table(("imports", "modules", "own ms", "with theirs"), rows)


def _parts(words: Sequence[str], root: Path, env: Mapping[str, str]) -> str:
    """What the command does after the interpreter has started, by part."""
    ran = _run([sys.executable, "-P", "-c", _PROFILED, *words], root, env)
    spent: Counter[str] = Counter()
    for file, name, own in json.loads(ran.stderr.splitlines()[-1]):
        spent[_part(f"{file}:{name}")] += own
    whole = sum(spent.values())
    rows = [(part, f"{1000 * own:.2f}", f"{100 * own / whole:.0f} %") for part, own in spent.most_common()]
    return _table(("under the profiler, after `import lattice.cli.main`", "ms", "share"), rows)


def _part(place: str) -> str:
    return next((part for part, pattern in PARTS.items() if re.search(pattern, place)), "the rest")


def _system_calls(words: Sequence[str], root: Path, env: Mapping[str, str]) -> list[str]:
    """By kind, and those that name a file by file; what `python -c pass` asks too is counted beside it."""
    if shutil.which("strace") is None:
        return ["system calls: not counted, strace is missing"]
    base = Counter(name for name, _ in _trace([sys.executable, "-c", "pass"], root, env))
    seen = _trace([lattice_command(), *words], root, env)
    kinds = Counter(name for name, _ in seen)
    rows = [(name, str(count), str(base[name])) for name, count in kinds.most_common()]
    rows.append(("all", str(sum(kinds.values())), str(sum(base.values()))))
    named = Counter(_place(file, root) for _, file in seen if file)
    files = [(file, str(count)) for file, count in named.most_common()]
    board = [row for row in files if row[0].startswith("board: ")]
    rest = [row for row in files if not row[0].startswith("board: ")]
    return [
        _table(("system calls", "the command", "python -c pass"), rows),
        _table(("calls that name a file", "count"), [*board, *rest[:ROWS_MAX]]),
    ]


def _trace(argv: Sequence[str], root: Path, env: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """Every system call of the process and its children: its name, and the file it names."""
    log = root.parent / "trace"
    _run(["strace", "-f", "-qq", "-s", "4096", "-o", str(log), *argv], root, env)
    text = log.read_text(encoding="utf-8", errors="replace")
    calls = [found for line in text.splitlines() if (found := CALLED.match(line)) is not None]
    return [(found[1], found[2] if found[1] in NAMING else None) for found in calls]


def _place(file: str, root: Path) -> str:
    """A file as the table names it: of the board by its own name, of Python by the folder that is searched."""
    path = Path(file)
    if path.is_relative_to(root):
        return f"board: {path.relative_to(root)}"
    if file.startswith(".") or not path.is_absolute():
        return f"board: {file}"
    parts = path.parts
    for mark in ("site-packages", "lattice", "lib-dynload"):
        if mark in parts:
            return f"{mark}/…"
    return f"{path.parent.name}/…" if "python" in file else file


def _run(argv: Sequence[str], root: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(argv, cwd=root, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(f"{Path(argv[0]).name} … exited with {ran.returncode}\n{ran.stderr.strip()[-2000:]}")
    return ran


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in (head, *rows)
    )


if __name__ == "__main__":
    sys.exit(main())
