"""Every error a caller can meet: a class, a stable code, a message that names the thing, a hint that helps.

The classes are the vocabulary; `LatticeError.as_dict` is the one form in which an error leaves the
program (CLI, and later HTTP and MCP), and `exit_status` the one mapping to a process's exit status.
"""

from __future__ import annotations

from collections.abc import Sequence


class LatticeError(Exception):
    """Base of all errors that are answers, not bugs.

    `details` go beside `code` and `message` in the JSON form; `hint` is the next step for a person.
    """

    code = "ERROR"
    exit_status = 1

    def __init__(self, message: str, *, hint: str | None = None, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def as_dict(self) -> dict[str, object]:
        """The JSON form: `code`, `message`, then `hint` and the details where there are any."""
        shape: dict[str, object] = {"code": self.code, "message": self.message}
        if self.hint is not None:
            shape["hint"] = self.hint
        shape.update(self.details)
        return shape


class UsageError(LatticeError):
    """The command line itself is off: an unknown option, a missing argument."""

    code = "USAGE"
    exit_status = 2


class NotFound(LatticeError):
    """What was named is not there."""

    code = "NOT_FOUND"


class NotInitialized(LatticeError):
    """There is no board in this folder, nor in one above it."""

    code = "NOT_INITIALIZED"


class InvalidId(LatticeError):
    """What was given has not the form of an id."""

    code = "INVALID_ID"


class InvalidActor(LatticeError):
    """An actor has not the form prefix:name."""

    code = "INVALID_ACTOR"


class MissingActor(LatticeError):
    """Nobody said who acts, and the board has no default."""

    code = "MISSING_ACTOR"


class InvalidRole(LatticeError):
    """The board has no such role."""

    code = "INVALID_ROLE"


class ValidationError(LatticeError):
    """A value is not one that can be recorded."""

    code = "VALIDATION_ERROR"


class InvalidTransition(LatticeError):
    """The workflow has no way from the task's status to that one."""

    code = "INVALID_TRANSITION"


class CompletionBlocked(LatticeError):
    """The task lacks what the board's policy asks for before that status."""

    code = "COMPLETION_BLOCKED"


class Conflict(LatticeError):
    """The same id was used before for something else."""

    code = "CONFLICT"


class LockTimeout(LatticeError):
    """Another process held the lock for too long; nothing was recorded."""

    code = "LOCK_TIMEOUT"


class StorageError(LatticeError):
    """The disk said no; nothing was recorded."""

    code = "STORAGE_ERROR"


class WriteUncertain(LatticeError):
    """The disk failed so that nobody can say whether the event will survive; the id makes a retry safe."""

    code = "WRITE_UNCERTAIN"


class LogDamaged(LatticeError):
    """Bytes before the tail of a log are not what was written."""

    code = "LOG_DAMAGED"


class ConfigError(LatticeError):
    """A setting in config.json is not what it has to be."""

    code = "CONFIG_ERROR"


class DefinitionError(LatticeError):
    """A worker's definition cannot be run as it stands."""

    code = "INVALID_DEFINITION"


class AlreadyRunning(LatticeError):
    """The worker has a run on this task that has not ended."""

    code = "ALREADY_RUNNING"


class GitError(LatticeError):
    """git refused, died or hung; its own words are in the message."""

    code = "GIT_ERROR"


class NoEnd(LatticeError):
    """A fake engine neither ended nor said that it hangs, while an adapter was certified."""

    code = "NO_END"


class RunSetupError(LatticeError):
    """A run was requested and could not be started; its end is on the board."""

    code = "RUN_SETUP_FAILED"


class RunFailed(LatticeError):
    """A run that was waited for did not succeed."""

    code = "RUN_FAILED"


class Fenced(LatticeError):
    """The run has an end already; what comes later from it is not believed."""

    code = "FENCED"


class Archived(NotFound):
    """The task is in the archive, where nothing is written."""


class PlanRequired(LatticeError):
    """Work would begin on a task whose plan is still as it was made."""

    code = "PLAN_REQUIRED"


class ReviewCycleLimit(LatticeError):
    """The task went back and forth between work and review often enough."""

    code = "REVIEW_CYCLE_LIMIT"


class WipLimit(LatticeError):
    """As many tasks are in the status as the board allows."""

    code = "WIP_LIMIT"


class SessionNotFound(LatticeError):
    """No active session has that name."""

    code = "SESSION_NOT_FOUND"


class ResourceHeld(LatticeError):
    """Others hold the resource; nothing was recorded."""

    code = "RESOURCE_HELD"


class NotHeld(LatticeError):
    """The actor does not hold the resource, or does not hold it any more."""

    code = "NOT_HELD"


class WaitTimeout(LatticeError):
    """What was waited for did not come in time."""

    code = "TIMEOUT"


class CannotUndo(LatticeError):
    """No event takes this one back, or what it did does not stand any more."""

    code = "CANNOT_UNDO"


class PluginError(LatticeError):
    """A command of another package that cannot be loaded."""

    code = "PLUGIN_BROKEN"


class SandboxUnavailable(LatticeError):
    """The sandbox that a worker asks for cannot be had on this machine."""

    code = "SANDBOX_UNAVAILABLE"


class Interrupted(LatticeError):
    """The command was ended from outside, as by Ctrl-C."""

    code = "INTERRUPTED"
    exit_status = 130


class NotTrusted(LatticeError):
    """A worker's definition would run without a person, and nobody has trusted what it says now."""

    code = "NOT_TRUSTED"


class LimitReached(LatticeError):
    """As many runs as may run at once run already, and the run was not to wait for one to end."""

    code = "LIMIT_REACHED"


class BudgetExceeded(LatticeError):
    """A run does not fit below a ceiling of money or tokens, with what was spent and what others may yet use."""

    code = "BUDGET_EXCEEDED"


class NotAllowed(LatticeError):
    """This actor may not do that."""

    code = "NOT_ALLOWED"


def choices(valid: Sequence[str]) -> str:
    """A list of valid choices, for the end of a message."""
    return ", ".join(valid)


def reason(refused: OSError | ValueError) -> str:
    """What the system said, without the number and the path, which the one who tells of it has named."""
    return getattr(refused, "strerror", None) or str(refused)


def nearest(word: str, valid: Sequence[str], cutoff: float = 0.6) -> str | None:
    """The valid choice that `word` was most likely meant to be, or None. `cutoff` is how alike they are, up to 1."""
    import difflib  # only errors pay for it

    found = difflib.get_close_matches(word, valid, n=1, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(word: str, valid: Sequence[str], further: str) -> str:
    """A hint: the choice that was meant, where one is near, and what to do in any case."""
    meant = nearest(word, valid)
    return f"Did you mean {meant}? {further}" if meant else further


def did_you_mean_id(word: str, ids: Sequence[str], further: str) -> str:
    """The same for a full id: those of one day resemble each other, so it has to be off by a few characters only."""
    meant = nearest(word, ids, cutoff=0.9)
    return f"Did you mean {meant}? {further}" if meant else further
