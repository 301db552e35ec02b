"""What an engine is to Lattice: a program, the flags it needs, its command line for a piece of work, and its stream.

An adapter is one module with one `Engine`, and one row in `table.py`. The conformance suite in
`tests/workers/engines/` runs over every row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lattice.core.record import Record
from lattice.workers.engines.heard import Heard


class Work(Record):
    """What a run asks of its engine. Paths are absolute."""

    prompt: Path  # the rendered prompt
    worktree: Path  # where it works
    output_dir: Path  # where it leaves what it owes
    final_message: Path  # where an engine that writes its last message to a file writes it
    model: str | None = None
    session_id: str | None = None  # a UUID that the engine is to use, where it takes one
    resume: str | None = None  # the session to go on with
    schema: Path | None = None  # a JSON schema of the answer, where the engine takes one
    schema_text: str | None = None  # that schema itself, for an engine that takes it as an argument
    read_only: bool = False  # it is a reviewer: it need not change its worktree
    budget_usd: float | None = None


class Invocation(Record):
    """How the engine is executed: argv without the program, its standard input, and what its environment gets."""

    arguments: tuple[str, ...]
    stdin: Path | None  # None: closed (/dev/null)
    set: tuple[tuple[str, str], ...] = ()


class Login(Record):
    """Whether somebody is logged in, as far as files and variables tell without spending a token."""

    known: bool | None  # None: it cannot be told
    how: str  # "ANTHROPIC_API_KEY", "~/.codex/auth.json"; or what to do


class Engine(Record):
    """One agent's command line. The functions are pure but `login`, which looks at files."""

    name: str
    program: str  # on PATH
    required: tuple[str, ...]  # flags without which it cannot be used; each a word of `--help`
    optional: tuple[str, ...]  # flags that are used where they are there
    reviewer: tuple[str, ...]  # of the optional ones, those without which a reviewer would do what a branch's files say
    help_arguments: tuple[str, ...]  # how to have the help that names them: ("--help",), ("exec", "--help")
    credentials: tuple[str, ...]  # patterns of the environment's names that it logs in by
    home: tuple[str, ...]  # files and folders below the home folder that hold its login, for a sandbox
    invoke: Callable[[Work, frozenset[str]], Invocation]  # given the flags that this binary has
    hear: Callable[[Heard, Mapping[str, Any]], Heard]  # one JSON object of its stream
    show: Callable[[Mapping[str, Any]], str | None]  # that object for `worker logs`: some lines of text, or nothing
    login: Callable[[Mapping[str, str], Path], Login]  # given the environment and the home folder
    install: str  # how one comes by a version that has what is needed
    tells_cost: bool = False  # its stream says what a run cost, and not its tokens alone
    exits: tuple[tuple[int, str], ...] = ()  # what its exit statuses mean, where they mean something
    moved: tuple[
        tuple[str, str], ...
    ] = ()  # variables that name another folder for one of the home's: ("X_HOME", ".x")

    def login_files(self, environ: Mapping[str, str], home: str) -> list[str]:
        """The absolute paths of what it logs in with, whether they are there or not."""
        found = []
        for name in self.home:
            path = f"{home}/{name}"
            for variable, folder in self.moved:
                if environ.get(variable, "").startswith("/") and f"{name}/".startswith(folder):
                    path = f"{environ[variable].rstrip('/')}/{name.removeprefix(folder).lstrip('/')}"
            found.append(path)
        return found
