"""A run's sandbox: what a definition asks for, and whether this machine can give it.

bubblewrap makes it, without privileges: `namespace` is a PID namespace alone, so that no process outlives
the run whatever dies; `read-only` is a file system of its own too, in which the worker sees the system, its
worktree and git read-only, an empty home, and what the definition names. `mounts.py` says what is bound
where, `enclosure.py` starts and watches it.

A sandbox that was asked for and cannot be had is refused before anything is written, unless the
definition's `sandbox_fallback` says that the worker may run without; then the run's record says so.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping

from lattice.core.record import Record
from lattice.errors import SandboxUnavailable
from lattice.workers.definitions.agents import is_agent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NONE = "none"
NAMESPACE = "namespace"
READ_ONLY = "read-only"
MODES = (NONE, NAMESPACE, READ_ONLY)

REFUSE = "refuse"
FALLBACKS = (REFUSE, NONE)

_PROBE_S = 10.0
_INSTALL = 'install bubblewrap, or allow the run without it: "sandbox_fallback": "none"'
_PERMIT = 'allow unprivileged user namespaces for bwrap (sysctl), or write "sandbox_fallback": "none"'


class SandboxRules(Record):
    """What a definition asks for."""

    mode: str = NONE
    worktree: str | None = None  # "writable" or "read-only"; None: writable for a worker with a branch
    network: bool = True
    home: tuple[str, ...] | None = None  # below $HOME, read-only; None: a copy of what the engine logs in with
    home_writable: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()  # absolute, read-only
    board: str = READ_ONLY
    fallback: str = REFUSE


class Sandbox(Record):
    """What a run is given, resolved when it was requested."""

    mode: str
    program: str  # bwrap's absolute path
    absent: str | None = None  # why there is none, where the definition allows that
    worktree_writable: bool = False
    board_writable: bool = False
    network: bool = True
    home: tuple[str, ...] = ()
    home_writable: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()  # absolute: files of which it has a copy, at their own places, to use up

    def said(self) -> str:
        """For the run's record: the mode, or that there is none and why."""
        return self.mode if self.absent is None else f"{NONE}: {self.absent}"


def decode(shape: Mapping[str, Any]) -> Sandbox:
    """The sandbox in a run's spec.json. Raises KeyError or TypeError where it is none."""
    return Sandbox(
        **{
            **shape,
            **{name: tuple(shape[name]) for name in ("home", "home_writable", "paths")},
            "copied": tuple(shape.get("copied", ())),
        }
    )


def resolve(rules: SandboxRules, engine: str, branch: str | None, environ: Mapping[str, str]) -> Sandbox | None:
    """What a run of these rules gets here; None where nothing is asked for. Raises SandboxUnavailable."""
    if rules.mode == NONE:
        return None
    program, reason = available(rules, environ)
    if reason is not None and rules.fallback == REFUSE:
        raise SandboxUnavailable(
            f"The sandbox {rules.mode!r} cannot be had here: {reason}. Nothing was started.",
            hint=_PERMIT if program else _INSTALL,
            mode=rules.mode,
        )
    writable = rules.worktree == "writable" if rules.worktree is not None else branch is not None
    return Sandbox(
        mode=rules.mode,
        program=program,
        absent=reason,
        worktree_writable=writable,
        board_writable=rules.board == "writable",
        network=rules.network,
        home=rules.home or (),
        home_writable=rules.home_writable,
        paths=rules.paths,
        copied=_login_of(engine, environ) if rules.home is None and rules.mode == READ_ONLY else (),
    )


def _login_of(engine: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The files that the engine logs in with, as they are here.

    Copies, since an agent writes beside them and renews them: it must not reach the user's own.
    """
    if not is_agent(engine):
        return ()
    from lattice.workers.engines import table  # only the runs of agents pay for it

    home = os.path.normpath(environ.get("HOME") or "/")
    return tuple(path for path in table.engine(engine).login_files(environ, home) if os.path.isfile(path))


def available(rules: SandboxRules, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """bwrap's path, empty where it is not there; and why the sandbox cannot be had, None where it can."""
    found = shutil.which("bwrap", path=environ.get("PATH", os.defpath))
    if found is None:
        return "", "bwrap is not on PATH"
    program = os.path.abspath(found)
    return program, _refusal(program, rules.network)


def namespaces(*, network: bool) -> list[str]:
    """bwrap's options for what every mode has: own processes, no privileges, no life after the supervisor's."""
    own = ["--unshare-user", "--unshare-pid", "--die-with-parent", "--cap-drop", "ALL"]
    return own if network else [*own, "--unshare-net"]


@functools.lru_cache(maxsize=8)
def _refusal(program: str, network: bool) -> str | None:
    """What bwrap says when it is asked for these namespaces; None where it gives them.

    Only a try can tell: containers, AppArmor, sysctls and seccomp filters each refuse in a way of their own.
    """
    import subprocess  # commands that only read runs come by here for the record of a sandbox

    probe = [program, *namespaces(network=network), "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    try:
        done = subprocess.run(
            [*probe, "--", "/bin/sh", "-c", ":"],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"bwrap did not answer within {_PROBE_S:g} s"
    except OSError as why:
        return f"bwrap could not be executed: {why.strerror}"
    if done.returncode == 0:
        return None
    words = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return words[-1][:300] if words else f"bwrap exited with status {done.returncode}"
