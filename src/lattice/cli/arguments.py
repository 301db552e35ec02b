"""What a command is to the command line: its arguments, its act, its answer; and each shared flag, once.

A command group's module holds `Command` classes; the table in `main` names them. Options may stand
anywhere after the command, `--` ends them, and none is ever guessed from a prefix.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from lattice.cli.render import Terminal, write
from lattice.commands.board import Board, open_board, signature
from lattice.core.record import Record
from lattice.core.text import check_prose
from lattice.errors import UsageError, ValidationError, choices, did_you_mean, nearest
from lattice.ledger import Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, ClassVar, NoReturn

    from lattice.core.reviews.coverage import Diff
    from lattice.core.task import Task
    from lattice.ledger import Written

HELP_COLUMNS = 79
STDIN_BYTES_MAX = 4 << 20


class Answer(Record):
    """What a command found, in each form; only the form that was asked for is made."""

    data: Callable[[], object]
    text: Callable[[Terminal], str]
    quiet: str
    warnings: tuple[str, ...] = ()
    exit_status: int = 0
    ok: bool = True  # false where a part of what was asked for could not be done
    beside: Mapping[str, object] | None = None  # what the JSON form says next to `data`


class Context:
    """Where a command runs. `board` is found when it is first asked for. Raises NotInitialized, ConfigError."""

    def __init__(self, environ: Mapping[str, str], folder: str, terminal: Terminal) -> None:
        self.environ = environ
        self._folder = folder
        self.terminal = terminal
        self._board: Board | None = None

    @property
    def folder(self) -> Path:
        """The working folder."""
        from pathlib import Path  # most commands ask for the board alone

        return Path(self._folder)

    @property
    def board(self) -> Board:
        if self._board is None:
            self._board = open_board(self._folder, self.environ)
            self._board.ledger.after.append(self._fire)
            self._board.diff_of = self._diff_of
        return self._board

    def _diff_of(self, task: Task) -> Diff:
        from lattice.workers.reviews.coverage import current_diff  # git: only for a gate that asks for a review

        return current_diff(self.board, task)

    def _fire(self, written: Written) -> None:
        """Start the workers that wait for what was written."""
        from lattice.commands import firing  # a command that only reads does without

        if firing.may_call(self.board, written, self.environ):
            from lattice.workers.triggering import triggers  # git and definitions: only where a worker has triggers

            triggers.fire(self.board, written, self.environ)

    def sign(self, args: argparse.Namespace) -> Signature:
        """Who acts, by the flags of a writer. Raises MissingActor, InvalidActor, ValidationError."""
        given = {name: getattr(args, name) for name in _SIGNATURE if name != "name"}
        if args.name is None:
            return signature(self.board.config, self.environ, **given)
        from lattice.commands import sessions  # most writers name an actor, and have no session

        return signature(self.board.config, self.environ, **given, identity=sessions.identity(self.board, args.name))

    def write(self, text: str) -> None:
        """Send text on at once: for a command that streams, and answers with its exit status alone."""
        write(sys.stdout, text)


class Command:
    """One command. `run` answers, or, where it has written by itself, gives the exit status."""

    description: ClassVar[str] = ""
    examples: ClassVar[Sequence[str]] = ()
    writes: ClassVar[bool] = False  # a writer takes the flags that say who acts, and why

    def arguments(self, parser: Parser) -> None:
        """Add what is this command's own."""

    def run(self, args: argparse.Namespace, context: Context) -> Answer | int:
        """Do it. Raises LatticeError."""
        raise NotImplementedError


class _Page(argparse.RawDescriptionHelpFormatter):
    """Help of a fixed width. Asking the terminal for its own costs every command the import of shutil."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=HELP_COLUMNS)


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are errors of ours, and which takes options and arguments in any order."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(_sentence(message), hint=f"{self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is none of an argument's choices, as argparse does, with the nearest of them."""
        valid = [str(choice) for choice in action.choices or ()]
        if valid and str(value) not in valid:
            name = action.option_strings[-1] if action.option_strings else action.metavar
            raise UsageError(
                f"{name} cannot be {str(value)[:80]!r}. Choose one of: {choices(valid)}.",
                hint=did_you_mean(str(value), valid, f"See {self.prog} --help"),
            )

    def understand(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments in `words`. Raises UsageError."""
        options, rest = self._sorted(words)
        dashes = ["--"] if any(word.startswith("-") for word in rest) else []
        args, beyond = self.parse_known_args([*options, *dashes, *rest])
        if beyond:  # Each in quotes, so that an empty one is seen, and no longer than a line holds.
            raise UsageError(
                f"Unrecognized arguments: {choices([repr(word[:80]) for word in beyond[:9]])}.",
                hint=f"{self.prog} --help",
            )
        return args

    def _sorted(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """Options, each with its value in one word; and the arguments."""
        options: list[str] = []
        rest: list[str] = []
        ahead = list(words)
        while ahead:
            word = ahead.pop(0)
            if word == "--":
                return options, rest + ahead
            if word == "-" or not word.startswith("-"):
                rest.append(word)
                continue
            name, equals, _ = word.partition("=")
            action = self._option_string_actions.get(name)
            if action is None:
                raise self._unknown(name)
            if equals or action.nargs == 0:
                options.append(word)
                continue
            if not ahead or ahead[0] == "--" or ahead[0] in self._option_string_actions:
                raise UsageError(
                    f"{name} needs a value.", hint=f"Write {name}=VALUE where the value begins with a dash."
                )
            options.append(f"{name}={ahead.pop(0)}" if name.startswith("--") else f"{name}{ahead.pop(0)}")
        return options, rest

    def _unknown(self, name: str) -> UsageError:
        meant = nearest(name, sorted(self._option_string_actions))
        if meant is not None:
            hint = f"Did you mean {meant}?"
        else:
            hint = f"See {self.prog} --help. A text that begins with a dash goes after --."
        return UsageError(f"Unknown option: {name[:80]!r}.", hint=hint)


def build(name: str, command: Command, summary: str) -> Parser:
    """The parser of one command."""
    examples = "\n".join(f"  {line}" for line in command.examples)
    parser = Parser(
        prog=f"lattice {name}",
        description="\n\n".join(text for text in (f"{summary}.", command.description) if text),
        epilog=f"Examples:\n{examples}" if examples else None,
        formatter_class=_Page,
        allow_abbrev=False,
        add_help=False,
    )
    command.arguments(parser)
    if command.writes:
        _add_signature(parser)
    output = parser.add_argument_group("output")
    form = output.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help='print {"ok": …, "data": …} for programs')
    form.add_argument("--quiet", action="store_true", help="print the primary id alone")
    output.add_argument("--no-pager", action="store_true", help="print what is longer than the screen at once, too")
    parser.add_argument("-h", "--help", action="store_true", help="show this page")
    return parser


_SIGNATURE = {
    "actor": "who does this, as human:ann or agent:claude (else LATTICE_ACTOR, else the board's default)",
    "name": "the session that does this, as Vega-1; goes before --actor",
    "model": "the model that does this",
    "session": "the session in which it is done",
    "triggered_by": "the id of the event that led to this",
    "on_behalf_of": "the actor for whom this is done",
    "reason": "why this is done",
}


def _add_signature(parser: Parser) -> None:
    group = parser.add_argument_group("who and why")
    for name, text in _SIGNATURE.items():
        group.add_argument(f"--{name.replace('_', '-')}", metavar=name.upper(), help=text)


def add_task(parser: Parser) -> None:
    """The task that a command is about."""
    parser.add_argument("task", metavar="TASK", help="a short id such as LAT-1, or a full id")


def positive(text: str) -> int:
    """A whole number from 1, for an option's `type`."""
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 10 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 1")
    return int(text)


def read_stdin(what: str) -> str:
    """All of standard input, as UTF-8. Raises ValidationError."""
    if sys.__stdin__ is None:  # it was closed before the start
        raise ValidationError(f"The {what} cannot be read: standard input is closed.")
    data = bytes(sys.__stdin__.buffer.read(STDIN_BYTES_MAX + 1))
    if len(data) > STDIN_BYTES_MAX:
        raise ValidationError(f"The {what} is too long; the limit is {STDIN_BYTES_MAX} bytes.")
    try:
        return check_prose(data.decode("utf-8"), what)
    except UnicodeDecodeError as off:
        raise ValidationError(f"The {what} on standard input is not UTF-8: {off.reason}.") from None


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:].rstrip(".") + "."
