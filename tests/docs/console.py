"""The commands that pages show: found, run in a fresh folder, and compared with what the page says of them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import lattice

TOP = Path(__file__).resolve().parents[2]
SOURCES = Path(lattice.__file__).parents[1]
ANYTHING = "…"
IDENTITY = {"NAME": "Ann", "EMAIL": "ann@example.org"}
LIMIT_S = 120  # only for what would hang
_FENCED = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:\A|\n\n)(?P<body>(?:    .*\n)+)")
_INLINE = re.compile(r"`(?P<body>lattice [^`\n]*)`")
_ENDS = {"|", "||", "&", "&&", ";", ">", ">>", ")"}


class Step(NamedTuple):
    """A command of a console block, and what the page says that it prints."""

    command: str
    expected: tuple[str, ...]


def pages() -> list[Path]:
    """Every page for users."""
    return [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]


def blocks(text: str, kind: str) -> list[str]:
    """The fenced blocks of one kind."""
    return [found["body"] for found in _FENCED.finditer(text) if found["kind"] == kind]


def steps(text: str) -> list[Step]:
    """Every command of the console blocks, in order."""
    found: list[Step] = []
    for body in blocks(text, "console"):
        for said in body.splitlines():
            if said.startswith("$ "):
                found.append(Step(said[2:], ()))
            elif said.startswith("> ") and not found[-1].expected:  # as a shell asks for more
                found[-1] = Step(f"{found[-1].command}\n{said[2:]}", ())
            else:
                found[-1] = Step(found[-1].command, (*found[-1].expected, said))
    return found


def fits(expected: tuple[str, ...], printed: list[str]) -> bool:
    """Whether this is what was printed. A line `…` stands for any lines, a `…` in a line for any text."""
    if not expected:
        return not printed
    if expected[0] == ANYTHING:
        return any(fits(expected[1:], printed[place:]) for place in range(len(printed) + 1))
    pattern = ".*".join(re.escape(part) for part in expected[0].split(ANYTHING))
    return bool(printed) and re.fullmatch(pattern, printed[0]) is not None and fits(expected[1:], printed[1:])


def run(step: Step, folder: Path, tools: Path) -> tuple[int, list[str]]:
    """The exit status and the lines of one command, in `folder`, with `lattice` and the tools' agents on the PATH."""
    done = subprocess.run(
        ["/bin/sh", "-c", step.command],
        cwd=folder,
        env={
            **os.environ,
            "PATH": os.pathsep.join((str(tools), str(tools / "bin"), os.environ["PATH"])),
            "HOME": str(tools),
            **{f"GIT_{who}_{what}": said for who in ("AUTHOR", "COMMITTER") for what, said in IDENTITY.items()},
            "XDG_STATE_HOME": str(tools / "state"),
            "XDG_CONFIG_HOME": str(tools / "config"),
            "XDG_CACHE_HOME": str(tools / "cache"),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def lattice_in(tools: Path) -> None:
    """A program `lattice` in the folder `tools`, which is this checkout's."""
    tools.mkdir()
    program = tools / "lattice"
    called = f"PYTHONPATH={shlex.quote(str(SOURCES))} exec {shlex.quote(sys.executable)} -m lattice.cli.main"
    program.write_text(f'#!/bin/sh\n{called} "$@"\n', "utf-8")
    program.chmod(0o755)


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of every `lattice …` that a page shows: in blocks, indented or fenced but as text, and in the prose."""
    bodies = [found["body"] for found in _FENCED.finditer(text) if found["kind"] != "text"]
    prose = _FENCED.sub("", text)
    bodies += [found["body"] for found in _INDENTED.finditer(prose)]
    for body in bodies:
        for line in body.replace("\\\n", " ").splitlines():
            yield from _calls(line.strip().removeprefix("$ "))
    yield from ([words for found in _INLINE.finditer(prose) for words in _calls(found["body"])])


def _calls(line: str) -> Iterator[list[str]]:
    for start in re.finditer(r"(?:^|&& |\$\()(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?lattice (?=\S)", line):
        words = shlex.shlex(line[start.end() :], posix=True, punctuation_chars=True)
        words.whitespace_split = True
        taken: list[str] = []
        try:
            for word in words:
                if word in _ENDS or word.startswith(")"):
                    break
                taken.append(word)
        except ValueError:  # the quotation around a $( … ) ends after it
            taken = line[start.end() :].partition(")")[0].split()
        yield taken
