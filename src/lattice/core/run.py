"""A run: how it may end, and the verdict, a pure function of one record of what was seen."""

from __future__ import annotations

from collections.abc import Mapping

from lattice.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Never


class Exited(Record):
    """The engine ended by itself."""

    code: int


class Signalled(Record):
    """A signal ended the engine; as an ending, one that Lattice did not send."""

    signum: int


class TimedOut(Record):
    """The wall or the idle limit was reached, and the run was ended for it."""

    limit_s: float
    idle: bool = False


class Lingered(Record):
    """The engine had reported its result and did not exit within the limit; it was ended."""

    limit_s: float


class LogFull(Record):
    """The engine wrote more output than it may, and was ended for it."""

    limit_bytes: int


class OverBudget(Record):
    """It used more money or tokens than it may, and was ended for it."""

    limit: float
    used: float
    unit: str  # USD, tokens
    estimated: bool = False  # by the board's prices, where the engine tells none


class NotAfforded(Record):
    """It was its turn, and a ceiling of the board or of its team had no room left for it."""

    error: str


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


Ending = (
    Exited
    | Signalled
    | TimedOut
    | Lingered
    | LogFull
    | OverBudget
    | NotAfforded
    | Cancelled
    | SetupFailed
    | SpawnFailed
    | Lost
)
"""The first cause that ended the run. What the engine did after that is its status, and no more."""


class Owed(Record):
    """An output that the definition names, and what was found of it."""

    name: str
    path: str
    found: bool  # it is there and can be taken as it is
    reason: str | None = None  # what is wrong with it, where something is
    required: bool = True
    sha256: str | None = None
    size: int | None = None


class Reported(Record):
    """What an engine, or the agent in it, said of its own work."""

    succeeded: bool
    text: str | None = None
    usage: Mapping[str, Any] | None = None
    rate_limited: bool = False  # the engine's provider refused for now
    resets_at: str | None = None  # until when, as a time of the log, where the provider said it
    model: str | None = None  # what an agent said it was


class Evidence(Record):
    """Everything that the verdict hangs on."""

    ending: Ending
    status: Exited | Signalled | None = None  # how the engine's process ended, where it was executed
    result: Reported | None = None  # of the engine, as a program
    claim: Reported | None = None  # of the agent, by `worker complete` or `fail` inside its run
    owed: tuple[Owed, ...] = ()


class Succeeded(Record):
    """The engine ended well and all that it owed is there."""


class Failed(Record):
    """`cause` is the event's `cause` member; `error` one sentence for people."""

    error: str
    cause: dict[str, Any]


Verdict = Succeeded | Failed


def judge(evidence: Evidence) -> Verdict:
    """What became of the run. What was said of it can only make it worse: a success is one that can be seen."""
    limited = evidence.result
    if limited is not None and limited.rate_limited and isinstance(evidence.ending, (Exited, Signalled, Lingered)):
        until = f" until {limited.resets_at}" if limited.resets_at else ""
        cause = {"kind": "rate_limit", "resets_at": limited.resets_at}
        return Failed(f"Its engine met a rate limit{until}{f': {limited.text}' if limited.text else '.'}", cause)
    match evidence.ending:
        case Exited(code=0):
            return _of_work_done(evidence, "It exited with 0")
        case Lingered(limit_s=limit_s):
            how = f"It reported its result, did not exit within {limit_s:g} s and was ended"
            if evidence.result is None:
                return Failed(f"{how}; the result is gone.", {"kind": "verdict", "result": None})
            return _of_work_done(evidence, how)
        case Exited(code=code):
            return _failed(evidence, f"It exited with status {code}", {"kind": "exit", "status": code})
        case Signalled(signum=signum):
            return _failed(evidence, f"Signal {signum} ended it", {"kind": "signal", "signal": signum})
        case TimedOut(limit_s=limit_s, idle=idle):
            what = "It gave no output for" if idle else "It ran longer than"
            kind = "idle" if idle else "timeout"
            return _failed(evidence, f"{what} {limit_s:g} s and was ended", {"kind": kind, "limit_s": limit_s})
        case LogFull(limit_bytes=limit):
            error = f"It wrote more than {limit} bytes of output and was ended"
            return _failed(evidence, error, {"kind": "log_limit", "limit_bytes": limit})
        case OverBudget(limit=limit, used=used, unit=unit, estimated=estimated):
            about = "an estimated " if estimated else ""
            error = f"It used {about}{used:,} {unit} where {limit:,} are allowed and was ended"
            more = {"estimated": True} if estimated else {}
            return _failed(evidence, error, {"kind": "budget", "limit": limit, "used": used, "unit": unit} | more)
        case Cancelled(reason=reason):
            return Failed(f"It was stopped{f': {reason}' if reason else ''}.", {"kind": "cancelled", "reason": reason})
        case SetupFailed(error=error) | SpawnFailed(error=error) | Lost(error=error) | NotAfforded(error=error):
            return Failed(error, {"kind": _BEFORE_OR_AFTER[type(evidence.ending)]})
        case _:
            raise _unforeseen(evidence.ending)


_BEFORE_OR_AFTER: Mapping[type[Record], str] = {
    SetupFailed: "setup",
    SpawnFailed: "spawn",
    Lost: "lost",
    NotAfforded: "budget",
}
"""The causes of ends that are not the engine's."""


def _unforeseen(ending: Never) -> AssertionError:
    """What `typing.assert_never` is to a type checker, without the import."""
    return AssertionError(f"an ending that nobody thought of: {ending!r}")


def _of_work_done(evidence: Evidence, how: str) -> Verdict:
    """The verdict on an engine that ended as one that has done its work does."""
    for who, said in (("its engine reported", evidence.result), ("the agent said", evidence.claim)):
        if said is not None and not said.succeeded:
            key = "result" if said is evidence.result else "claim"
            words = f": {said.text}" if said.text else "."
            return Failed(f"{how}, and {who} that it failed{words}", {"kind": "verdict", key: "failed"})
    missing = [output for output in evidence.owed if output.required and not output.found]
    if not missing:
        return Succeeded()
    named = "; ".join(f"{output.name} ({output.reason or 'missing'}: {output.path})" for output in missing)
    return _failed(
        evidence,
        f"{how} without the output it owes: {named}",
        {"kind": "verdict", "missing": [output.name for output in missing]},
    )


def _failed(evidence: Evidence, error: str, cause: dict[str, Any]) -> Failed:
    """A failure; an agent that said otherwise is quoted, so that the report says why it is not believed."""
    for said in (evidence.claim, evidence.result):
        if said is not None:
            words = f": {said.text}" if said.text else ""
            quoted = f"It said that it had {'succeeded' if said.succeeded else 'failed'}{words}"
            return Failed(f"{error}. {quoted}{'' if quoted.endswith(_FULL_STOPS) else '.'}", cause)
    return Failed(f"{error}.", cause)


_FULL_STOPS = (".", "!", "?", "…")

_STATES = {"timeout": "timed_out", "idle": "timed_out", "cancelled": "cancelled", "lost": "lost"}


def end_state(cause_kind: str | None) -> str:
    """The state of a run that ended: by the kind of its cause, or None where it completed."""
    return "succeeded" if cause_kind is None else _STATES.get(cause_kind, "failed")
