"""The texts of a systemd timer, and a line of a crontab, which call `lattice worker sweep` for one board."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from lattice.commands.board import Board
from lattice.core.record import Record
from lattice.errors import ValidationError
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.trust import checkout_of
from lattice.workers.worktrees.worktree_root import place_of

_CARRIED = ("PATH", "PYTHONPATH", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
"""What a sweep needs of the environment that a timer does not have."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Unit(Record):
    """A file of systemd's, by its name."""

    name: str
    text: str


def systemd_units(board: Board, program: Sequence[str], environ: Mapping[str, str]) -> tuple[Unit, Unit]:
    """The service and the timer; `program` is the command line that sweeps.

    Raises ValidationError where a name cannot stand in them.
    """
    name = f"lattice-sweep-{place_of(board)}"
    words = " ".join(_systemd_word(word) for word in program)
    environment = "".join(
        f"Environment={_systemd_word(f'{key}={value}', dollar=False)}\n" for key, value in _environment(board, environ)
    )
    described = _checked(str(board.root)).replace("%", "%%")
    service = (
        f"[Unit]\nDescription=Lattice sweep of {described}\n\n"
        f"[Service]\nType=oneshot\n{environment}ExecStart={words}\n"
        "# A run goes on when the sweep that started it has ended; its own guard ends it.\n"
        "KillMode=process\n"
    )
    timer = (
        f"[Unit]\nDescription=Lattice sweep of {described}, by the clock\n\n"
        f"[Timer]\nOnCalendar={'*:0/15' if _often(board) else 'hourly'}\nPersistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
    return Unit(f"{name}.service", service), Unit(f"{name}.timer", timer)


def crontab_line(board: Board, program: Sequence[str], environ: Mapping[str, str]) -> str:
    """The line; `program` is the command line that sweeps. Raises ValidationError where a name cannot stand in one."""
    words = [*(f"{key}={shlex.quote(_checked(value))}" for key, value in _environment(board, environ))]
    command = " ".join([*words, *(shlex.quote(_checked(word)) for word in program)])
    # To cron a percent sign ends the line, inside of quotes, too (crontab(5)).
    escaped = command.replace("%", "\\%")
    return f"{'*/15' if _often(board) else '0'} * * * * {escaped}\n"


def _environment(board: Board, environ: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    yield "LATTICE_ROOT", str(board.root.resolve())
    for name in _CARRIED:
        if environ.get(name):
            yield name, environ[name]


def _often(board: Board) -> bool:
    """Whether a definition wants to be looked at more than once an hour."""
    definitions = catalogue.load_all(checkout_of(board)).definitions
    return any(one.sweep is not None and one.sweep.every_hours < 1 for one in definitions)


def _systemd_word(text: str, *, dollar: bool = True) -> str:
    """A word in quotes (systemd.syntax(7)); in a command line a dollar sign is doubled, too (systemd.service(5))."""
    escaped = _checked(text).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped.replace("$", "$$") if dollar else escaped}"'


def _checked(text: str) -> str:
    if _CONTROL.search(text):
        raise ValidationError(f"{text[:200]!r} has a control character, and cannot stand in a timer's line.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError(f"{text[:200]!r} is not UTF-8, and cannot stand in a timer's line.") from None
    return text
