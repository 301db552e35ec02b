"""A fake engine's life: its command line, its prompt, its behaviour, its turn, its end."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from lattice.errors import LatticeError
from lattice.testing.engines import acts, obedience
from lattice.testing.engines.behaviour import AFTER_RESULT, BEFORE_RESULT, Behaviour, understand
from lattice.testing.engines.flags import UsageRefused
from lattice.testing.engines.output import complain, cut, encoded, noisy, say
from lattice.testing.engines.speech import UNKNOWN_LINE, Call, Refused, Speech, Turn

FILE_VARIABLE = "FAKE_ENGINE_FILE"
MORE_VARIABLE = "FAKE_ENGINE_BEHAVIOUR"
EXIT_USAGE = 2
HANGING = "hangs, as it was told to"
LIMIT_TEXT = "You've hit your limit; it resets later."


def run(speech: Speech, words: Sequence[str], environ: Mapping[str, str]) -> int:
    """One start of the program; the exit status."""
    asked = _about_itself(speech, words)
    if asked is not None:
        print(asked, end="")
        return 0
    for interrupt in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(interrupt, signal.SIG_DFL)  # as in a program that is not Python's
    try:
        call = speech.understand(words)
        if call.cwd is not None:
            os.chdir(call.cwd)
        _check_schema(call)
        return _turn(speech, call, words, environ)
    except UsageRefused as why:
        usage = next(iter(speech.helps.values())).usage
        sys.stderr.write(f"error: {why}\n\nUsage: {usage}\n")
        return EXIT_USAGE
    except Refused as why:
        sys.stderr.write(f"{why}\n")
        return why.status
    except (LatticeError, OSError, ValueError) as why:
        complain(f"{type(why).__name__}: {why}")
        return EXIT_USAGE


def _about_itself(speech: Speech, words: Sequence[str]) -> str | None:
    """What it prints where it is asked for its help or its version."""
    before = [word for word in words if not word.startswith("-")]
    if "--help" in words or "-h" in words:
        return speech.helps.get(tuple(before), next(iter(speech.helps.values()))).help()
    return f"{speech.version}\n" if list(words) in (["--version"], ["-V"], ["-v"]) else None


def _check_schema(call: Call) -> None:
    """A schema is JSON, or a file that holds it. Raises Refused."""
    if call.schema is None:
        return
    try:
        text = call.schema if call.schema.lstrip().startswith("{") else Path(call.schema).read_text(encoding="utf-8")
        json.loads(text)
    except (OSError, ValueError) as why:
        raise Refused(f"Error: the output schema cannot be read: {why}", 1) from why


def _turn(speech: Speech, call: Call, words: Sequence[str], environ: Mapping[str, str]) -> int:
    first = behaviour_of(environ, call.prompt or "")
    stdin = _stdin(first)
    prompt = "\n".join(part for part in (call.prompt if call.stdin != "instead" else None, stdin) if part)
    told = behaviour_of(environ, prompt)
    _record(told, words, stdin, prompt, environ)
    if not prompt.strip():
        raise Refused("Error: no prompt was given, neither as an argument nor on standard input.", speech.empty_status)
    if told.deaf:
        for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(asked, signal.SIG_IGN)
    turn = _told(told, call, speech)
    _work(speech, turn, environ)
    _hang(told, BEFORE_RESULT)
    acts.leave_output(told, environ)
    if call.last_message is not None and turn.error is None:
        Path(call.last_message).write_text(turn.text, encoding="utf-8")
    _say_end(speech, turn)
    _hang(told, AFTER_RESULT)
    if told.exit is not None:
        return told.exit
    failed = turn.error is not None or turn.over_budget
    return speech.error_status if failed and not told.lies else 0


def behaviour_of(environ: Mapping[str, str], prompt: str) -> Behaviour:
    """What the file beside the executable tells, and the variable. Raises ValidationError, OSError, ValueError."""
    file = environ.get(FILE_VARIABLE)
    beside = json.loads(Path(file).read_text(encoding="utf-8")) if file and Path(file).exists() else {}
    told = understand(beside, prompt)
    return understand(json.loads(environ.get(MORE_VARIABLE) or "{}"), prompt, told)


def _stdin(told: Behaviour) -> str:
    """Standard input to its end, as each of them reads it wherever it is no terminal."""
    if sys.stdin is None or (sys.stdin.isatty() and not told.reads_stdin):
        return ""
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def _record(told: Behaviour, words: Sequence[str], stdin: str, prompt: str, environ: Mapping[str, str]) -> None:
    if told.record is None:
        return
    given = {"argv": list(words), "stdin": stdin, "prompt": prompt, "cwd": os.getcwd(), "environment": sorted(environ)}
    line = (json.dumps(given) + "\n").encode()
    descriptor = os.open(told.record, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def _told(told: Behaviour, call: Call, speech: Speech) -> Turn:
    session = call.resume or call.session_id or told.session_id or str(uuid.uuid4())
    refused = told.limited and not told.limit_passes
    called_success = refused and told.lies and speech.name == "claude"
    error = (LIMIT_TEXT if refused else told.error) if (refused or not told.succeeds) and not called_success else None
    answer = told.text if call.schema is None or told.structured is None else json.dumps(told.structured)
    return Turn(told, call, session, time.time(), LIMIT_TEXT if called_success else answer, error)


def _work(speech: Speech, turn: Turn, environ: Mapping[str, str]) -> None:
    """Everything up to its result."""
    told = turn.behaviour
    lines = [*speech.begins(turn), *speech.works(turn)]
    if told.newer:
        lines[1:1] = [UNKNOWN_LINE]
    if told.long_line_bytes:
        lines.append(speech.long(turn, "x" * told.long_line_bytes))
    if turn.call.streams:
        data = [encoded(line) for line in lines]
        say(noisy(data) if told.noise else data, told)
    if told.obeys:
        obedience.obey(speech.name, turn.call, environ)
    acts.work(told)
    acts.escape(told, environ)
    acts.flood(told)


def _say_end(speech: Speech, turn: Turn) -> None:
    told = turn.behaviour
    if turn.call.streams:
        lines = [encoded(line) for number in range(told.results) for line in speech.ends(turn, number)]
        say(cut(lines) if told.cut else lines, told)
    else:
        said = turn.text if turn.error is None else turn.error
        say([f"{said}\n".encode()], told, 1 if turn.error is None else 2)


def _hang(told: Behaviour, where: str) -> None:
    """Stay for good, where it was told to, once it has said so."""
    if told.hangs != where:
        return
    complain(HANGING)
    while True:
        signal.pause()
