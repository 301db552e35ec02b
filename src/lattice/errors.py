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
    code = "NOT_FOUND"


class NotInitialized(LatticeError):
    code = "NOT_INITIALIZED"


class InvalidId(LatticeError):
    code = "INVALID_ID"


class InvalidActor(LatticeError):
    code = "INVALID_ACTOR"


class MissingActor(LatticeError):
    code = "MISSING_ACTOR"


class InvalidRole(LatticeError):
    code = "INVALID_ROLE"


class ValidationError(LatticeError):
    code = "VALIDATION_ERROR"


class InvalidTransition(LatticeError):
    code = "INVALID_TRANSITION"


class CompletionBlocked(LatticeError):
    code = "COMPLETION_BLOCKED"


class Conflict(LatticeError):
    """The same id was used before for something else."""

    code = "CONFLICT"


class LockTimeout(LatticeError):
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
    code = "CONFIG_ERROR"


class DefinitionError(LatticeError):
    """A worker's definition cannot be run as it stands."""

    code = "INVALID_DEFINITION"


class AlreadyRunning(LatticeError):
    code = "ALREADY_RUNNING"


class GitError(LatticeError):
    """git refused, died or hung; its own words are in the message."""

    code = "GIT_ERROR"


class RunSetupError(LatticeError):
    """A run was requested and could not be started; its end is on the board."""

    code = "RUN_SETUP_FAILED"


class RunFailed(LatticeError):
    """A run that was waited for did not succeed."""

    code = "RUN_FAILED"


class Fenced(LatticeError):
    """The run has an end already; what comes later from it is not believed."""

    code = "FENCED"


class Interrupted(LatticeError):
    code = "INTERRUPTED"
    exit_status = 130


def choices(valid: Sequence[str]) -> str:
    """A list of valid choices, for the end of a message."""
    return ", ".join(valid)


def nearest(word: str, valid: Sequence[str]) -> str | None:
    """The valid choice that `word` was most likely meant to be, or None."""
    import difflib  # only errors pay for it

    found = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    return found[0] if found else None
