"""What a run in a sandbox sees, as bwrap's command line.

Everything is bound at its own path, so that no path means something else inside. Read-only: the system, git,
the board, the script, what the definition names; writable: the output folder, and for a worker that changes
files its worktree and that of git which a commit needs. /tmp, /run and the home folder are new and empty.

What git reads from a writable place is covered where it could lead git, which later looks at the worktree
outside the sandbox, to another configuration: `.git`, `commondir`, `gitdir` and `config.worktree`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import lattice
from lattice.commands.board import FOLDER
from lattice.workers.runs import RunFolder
from lattice.workers.sandboxes.sandbox import NAMESPACE, Sandbox, namespaces
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees.git import Repository
from lattice.workers.worktrees.worktree import admin_folders

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/etc", "/opt", "/nix", "/gnu", "/snap"),
)
EMPTY = ("/tmp", "/run", "/var/tmp")
_HOMELESS = "/tmp/home"
"""The home folder where HOME names none that could be covered, or the whole file system."""

_WORKTREE_CONFIG = "config.worktree"


def wrap(
    spec: RunSpec,
    sandbox: Sandbox,
    argv: Sequence[str],
    environment: Mapping[str, str],
    copied: Mapping[str, int],
) -> list[str]:
    """The command line that executes `argv` in the run's sandbox, in its worktree. Call `prepare` before.

    `copied` has a descriptor for each file that it gets a copy of.
    """
    places = _places(spec, sandbox, environment)
    return _enclosed(spec, sandbox, argv, environment, places, ["--as-pid-1"], copied)


def wrap_setup(spec: RunSpec, sandbox: Sandbox, argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The same for a command of the definition's setup, which may write the worktree, and nothing of git.

    It has bwrap's own first process, so that it is an ordinary process in its namespace.
    """
    places = _places(spec, sandbox.replace(worktree_writable=False), environment)
    tree = spec.worktree or spec.root
    places |= {tree: True, os.path.realpath(tree): True, os.path.join(tree, ".git"): False}
    return _enclosed(spec, sandbox, argv, environment, places, [], {})


def _enclosed(
    spec: RunSpec,
    sandbox: Sandbox,
    argv: Sequence[str],
    environment: Mapping[str, str],
    places: Mapping[str, bool],
    options: Sequence[str],
    copied: Mapping[str, int],
) -> list[str]:
    at = ["--chdir", spec.worktree or spec.root, "--", *argv]
    if sandbox.mode == NAMESPACE:
        own = [*namespaces(network=True), *options, "--dev-bind", "/", "/", "--proc", "/proc"]
    else:
        own = [*namespaces(network=sandbox.network), *options, "--unshare-ipc"]
        own += [*_system(), *_home(environment), *_bound(places, environment)]
        for path, descriptor in copied.items():
            own += ["--perms", "0600", "--file", str(descriptor), path]
    return [sandbox.program, *own, *at]


def prepare(spec: RunSpec, sandbox: Sandbox) -> None:
    """Make in the repository what is to be mounted upon: a mount needs something there. Raises OSError."""
    if not _commits(spec, sandbox):
        return
    for admin in _records(spec):
        (admin / _WORKTREE_CONFIG).touch(mode=0o600)
    for folder in _git_writable(spec):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in _git_covered(spec):
        if not folder.exists():
            folder.mkdir(parents=True)


def _system() -> list[str]:
    words = ["--proc", "/proc", "--dev", "/dev"]
    for path in SYSTEM:
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            words += ["--ro-bind", path, path]
    for path in EMPTY:
        words += ["--tmpfs", path]
    return words


def _home(environment: Mapping[str, str]) -> list[str]:
    words = ["--setenv", "TMPDIR", "/tmp"] if "TMPDIR" in environment else []
    home = home_of(environment)
    return [*words, "--dir", home, "--setenv", "HOME", home] if home == _HOMELESS else [*words, "--tmpfs", home]


def home_of(environment: Mapping[str, str]) -> str:
    """The home folder that the worker has."""
    home = os.path.normpath(environment.get("HOME") or "/")
    return home if home.startswith("/") and home.strip("/") else _HOMELESS


def _bound(wanted: Mapping[str, bool], environment: Mapping[str, str]) -> list[str]:
    """The binds, parents before what is below them; one that its parent covers already is left out."""
    words: list[str] = []
    done: dict[str, bool] = dict.fromkeys((path for path in SYSTEM if os.path.isdir(path)), False)
    for path in (*EMPTY, home_of(environment)):
        done.pop(path, None)
    hidden = {*EMPTY, home_of(environment)}
    for path in sorted(wanted, key=lambda one: one.count("/")):
        writable = wanted[path]
        if _inherits(path, done, hidden) is writable:
            continue
        words += ["--bind" if writable else "--ro-bind", path, path]
        done[path] = writable
    return words


def _inherits(path: str, done: Mapping[str, bool], hidden: Iterable[str]) -> bool | None:
    """The access that the path has through the nearest folder above it that is bound; None where there is none."""
    for above in (path, *map(str, Path(path).parents)):
        if above in done:
            return done[above]
        if above in hidden:
            return None
    return None


def _places(spec: RunSpec, sandbox: Sandbox, environment: Mapping[str, str]) -> dict[str, bool]:
    """Each path that is seen, and whether it is writable; what is named later counts more."""
    home = home_of(environment)
    board = Path(spec.root) / FOLDER
    places: dict[str, bool] = {}

    def add(paths: Iterable[str | Path], *, writable: bool = False) -> None:
        for path in map(str, paths):
            for one in dict.fromkeys((path, os.path.realpath(path))):  # by its name, and by what it is
                if os.path.lexists(one):
                    places[one] = writable

    add([*_python(), Path(lattice.__file__).parent])
    add(_program(spec, home))
    add([Path(spec.repo_top) / "workers"] if spec.repo_top else [])
    add([path for path, _ in spec.files])
    add(_name_service() if sandbox.network else [])
    add([os.path.join(home, name) for name in sandbox.home])
    add([os.path.join(home, name) for name in sandbox.home_writable], writable=True)
    add([spec.worktree or spec.root], writable=sandbox.worktree_writable)
    add([spec.common_dir] if spec.common_dir else [])
    if _commits(spec, sandbox):
        add([*_records(spec), *_git_writable(spec)], writable=True)
        add(_git_covered(spec))
    add([board], writable=sandbox.board_writable)
    add([RunFolder(board, spec.run_id).out], writable=True)
    add(sandbox.paths)
    return places


def _python() -> list[str]:
    """The interpreter and what is installed for it. Only `site` makes `sys.prefix` that of a virtual environment
    (site, "pyvenv.cfg"), and a guard runs without: the environment is then told by where the program lies.
    """
    around = os.path.dirname(os.path.dirname(sys.executable))
    environment = [around] if os.path.isfile(os.path.join(around, "pyvenv.cfg")) else []
    return [*environment, sys.prefix, sys.base_prefix]


def _program(spec: RunSpec, home: str) -> list[Path]:
    """The program and what is installed with it: its prefix, where it has one that is not half the home folder."""
    found = []
    for program in dict.fromkeys((Path(spec.argv[0]), Path(os.path.realpath(spec.argv[0])))):
        found.append(program)
        prefix = program.parent.parent
        shared = {Path("/"), Path(home), Path(home, ".local"), *Path(home).parents}
        if program.parent.name == "bin" and prefix not in shared:
            found.append(prefix)
    return found


def _name_service() -> list[str]:
    """Where /etc/resolv.conf leads, if it leaves /etc, as with systemd-resolved."""
    real = os.path.realpath("/etc/resolv.conf")
    return [] if real.startswith("/etc/") else [os.path.dirname(real)]


def _commits(spec: RunSpec, sandbox: Sandbox) -> bool:
    """Whether the worker may commit: then a part of git's folder is writable."""
    return sandbox.worktree_writable and spec.worktree is not None and spec.common_dir is not None


def _records(spec: RunSpec) -> list[Path]:
    """git's folder for the run's worktree: its index, its HEAD."""
    if spec.repo_top is None or spec.common_dir is None or spec.worktree is None:
        return []
    return admin_folders(Repository(Path(spec.repo_top), Path(spec.common_dir)), Path(spec.worktree))


def _git_writable(spec: RunSpec) -> list[Path]:
    """What a commit writes beside the worktree's own records: objects, and the folder of the run's branch."""
    common = Path(spec.common_dir or "")
    refs = Path("refs", "heads", spec.branch).parent if spec.branch else None
    return [common / "objects"] + ([common / refs, common / "logs" / refs] if refs else [])


def _git_covered(spec: RunSpec) -> list[Path]:
    """What stays read-only in there: the packed history, and each file that says where git's configuration is."""
    objects = Path(spec.common_dir or "") / "objects"
    links = [admin / name for admin in _records(spec) for name in ("commondir", "gitdir", _WORKTREE_CONFIG)]
    return [objects / "pack", objects / "info", *links, Path(spec.worktree or "") / ".git"]
