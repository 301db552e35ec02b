"""A run: how it may end, and the verdict, a pure function of what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from lattice.core.record import Record


class Exited(Record):
    """The engine ended by itself."""

    code: int


class Signalled(Record):
    """A signal that Lattice did not send ended the engine."""

    signum: int


class TimedOut(Record):
    """The wall or the idle limit was reached, and the run was ended for it."""

    limit_s: float
    idle: bool = False


class Cancelled(Record):
    """Somebody asked for its end."""

    reason: str | None


class SetupFailed(Record):
    """The run could not be prepared: worktree, files, limits."""

    error: str


class SpawnFailed(Record):
    """The engine could not be executed."""

    error: str


class Lost(Record):
    """Nobody supervised it any more."""

    error: str


Ending = Exited | Signalled | TimedOut | Cancelled | SetupFailed | SpawnFailed | Lost


class Owed(Record):
    """An output that the definition requires, and what was found of it."""

    name: str
    path: str
    found: bool
    reason: str | None = None  # what is wrong with it, where something is


class Succeeded(Record):
    """The engine ended well and all that it owed is there."""


class Failed(Record):
    """`cause` is the event's `cause` member; `error` one sentence for people."""

    error: str
    cause: dict[str, Any]


Verdict = Succeeded | Failed


def judge(ending: Ending, owed: Sequence[Owed]) -> Verdict:
    """What became of the run. An engine that exits 0 without what it owes has failed."""
    match ending:
        case Exited(code=0):
            missing = [output for output in owed if not output.found]
            if not missing:
                return Succeeded()
            named = "; ".join(f"{output.name} ({output.reason or 'missing'}: {output.path})" for output in missing)
            return Failed(
                f"It exited with 0 without the output it owes: {named}.",
                {"kind": "verdict", "missing": [output.name for output in missing]},
            )
        case Exited(code=code):
            return Failed(f"It exited with status {code}.", {"kind": "exit", "status": code})
        case Signalled(signum=signum):
            return Failed(f"Signal {signum} ended it.", {"kind": "signal", "signal": signum})
        case TimedOut(limit_s=limit_s, idle=idle):
            what = "It gave no output for" if idle else "It ran longer than"
            kind = "idle" if idle else "timeout"
            return Failed(f"{what} {limit_s:g} s and was ended.", {"kind": kind, "limit_s": limit_s})
        case Cancelled(reason=reason):
            return Failed(f"It was stopped{f': {reason}' if reason else ''}.", {"kind": "cancelled", "reason": reason})
        case SetupFailed(error=error):
            return Failed(error, {"kind": "setup"})
        case SpawnFailed(error=error):
            return Failed(error, {"kind": "spawn"})
        case Lost(error=error):
            return Failed(error, {"kind": "lost"})
        case _:
            assert_never(ending)


_STATES = {"timeout": "timed_out", "idle": "timed_out", "cancelled": "cancelled", "lost": "lost"}


def end_state(cause_kind: str | None) -> str:
    """The state of a run that ended: by the kind of its cause, or None where it completed."""
    return "succeeded" if cause_kind is None else _STATES.get(cause_kind, "failed")
