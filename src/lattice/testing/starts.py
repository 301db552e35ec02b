"""A fake is started with an adapter's own command line, and the adapter hears its stream: one case of the suite."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from pathlib import Path

from lattice.core.run import Exited, Signalled
from lattice.errors import NoEnd
from lattice.testing.conformance import MODEL, SCHEMA, SESSION, Case, Seen, chunks
from lattice.testing.engines import behave
from lattice.testing.engines.program import HANGING
from lattice.workers.engines import probe
from lattice.workers.engines.heard import Usage
from lattice.workers.engines.protocol import Engine, Invocation, Work
from lattice.workers.engines.stream import Stream, finished

WITHIN_S = 120.0
PROMPT = "Review the change, and write your review. Ünïcödé.\n"


def start(engine: Engine, place: Path, case: Case, folder: Path) -> Seen:
    """Start the engine's fake in `place` for this case, in `folder`, which is empty.

    Raises NoEnd, OSError, DefinitionError where the adapter's flags are none of the fake's.
    """
    program = place / engine.program
    work = _work(case, folder)
    behave(place, engine.program, case.told)
    invocation = engine.invoke(work, probe.ready(engine, str(program), _environ(folder), reviewer=work.read_only).flags)
    began_ms = time.time_ns() // 1_000_000
    data, stderr, ended = _ended(program, invocation, work)
    ended_ms = time.time_ns() // 1_000_000
    before: Usage | None = case.before if case.resume else None
    stream = Stream(engine, before)
    for chunk in chunks(data):
        stream.feed(chunk)
    heard = stream.end()
    return Seen(heard, finished(engine, heard, ended, ended_ms), ended, began_ms, ended_ms, stderr)


def _environ(folder: Path) -> dict[str, str]:
    """An environment with next to nothing in it, and no cache but one of its own."""
    return {"PATH": os.defpath, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}


def _work(case: Case, folder: Path) -> Work:
    """What the case asks for, with the files that it names."""
    prompt, tree, out, schema = (folder / name for name in ("prompt.md", "tree", "out", "schema.json"))
    tree.mkdir()
    out.mkdir()
    prompt.write_text(PROMPT, encoding="utf-8")
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    return Work(
        prompt=prompt,
        worktree=tree,
        output_dir=out,
        final_message=out / ".last-message",
        model=MODEL,
        session_id=None if case.resume else SESSION,
        resume=SESSION if case.resume else None,
        schema=schema if case.schema else None,
        schema_text=schema.read_text(encoding="utf-8") if case.schema else None,
        read_only=case.read_only,
        budget_usd=case.budget_usd,
    )


def _ended(program: Path, invocation: Invocation, work: Work) -> tuple[bytes, str, Exited | Signalled | None]:
    """What the program wrote, and how it ended; None where it hung and was killed."""
    stdin = os.open(invocation.stdin or os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        process = subprocess.Popen(
            [program, *invocation.arguments],
            cwd=work.worktree,
            env={"PATH": os.defpath, "LATTICE_OUTPUT_DIR": str(work.output_dir), **dict(invocation.set)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    finally:
        os.close(stdin)
    try:
        data, stderr, hangs = _output(process)
        if hangs:
            return data, stderr, None
        status = process.wait(WITHIN_S)
        return data, stderr, Signalled(-status) if status < 0 else Exited(status)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _output(process: subprocess.Popen[bytes]) -> tuple[bytes, str, bool]:
    """Everything it writes until it ends, or says that it hangs: it says so after all else."""
    if process.stdout is None or process.stderr is None:
        raise AssertionError("both are pipes")
    out, err = process.stdout.fileno(), process.stderr.fileno()
    said = {out: bytearray(), err: bytearray()}
    until = time.monotonic() + WITHIN_S
    with selectors.DefaultSelector() as selector:
        for descriptor in said:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            hangs = HANGING.encode() in said[err]
            ready = selector.select(0 if hangs else max(0.0, until - time.monotonic()))
            if not ready:
                if hangs:
                    break
                raise NoEnd(f"{process.args!r} did not end within {WITHIN_S:g} s.")
            for key, _ in ready:
                data = os.read(key.fd, 1 << 20)
                said[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
    return bytes(said[out]), said[err].decode("utf-8", "replace"), HANGING.encode() in said[err]
