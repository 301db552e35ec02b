"""The preparation of a run, in a process of its own: then a stop and every limit reach it as they reach an engine.

git may hang on a disk, a filter or a lock, and a call cannot be given up from inside. A child can be
ended: the supervisor waits for it as for the engine, and removes what it had half made.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lattice.errors import Fenced, LatticeError
from lattice.store.files.digest import sha256
from lattice.workers.ends import steps
from lattice.workers.processes.tree import die_with
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees import preparation, worktree
from lattice.workers.worktrees.git import Repository

SETUP_S = 120.0
_ERROR_BYTES_MAX = 60_000  # less than a pipe holds, so that the child never waits for a reader


def is_needed(spec: RunSpec) -> bool:
    """Whether anything is to be prepared: a worktree to be made, or a file to be looked at."""
    return bool(spec.files) or spec.worktree is not None


def prepare(folder: RunFolder, spec: RunSpec, environment: Mapping[str, str]) -> None:
    """Make what the engine needs. Raises LatticeError or OSError: then nothing is executed."""
    for path, digest in spec.files:
        if sha256(Path(path).read_bytes()).hexdigest() != digest:
            raise Fenced(f"{path} changed after the run was requested; nothing was executed.")
    if spec.agent is not None:
        from lattice.workers.handing import give  # only the runs of agents pay for it

        give(folder, spec)
    if spec.worktree is not None and spec.repo_top and spec.common_dir and spec.commit_sha:
        repo = Repository(Path(spec.repo_top), Path(spec.common_dir))
        tree = Path(spec.worktree)
        masked = spec.agent is not None and spec.agent.masked
        within_s = min(spec.timeout_s, SETUP_S)
        worktree.make(repo, tree, spec.commit_sha, timeout_s=within_s, branch=spec.branch, masked=masked)
        steps.note(folder, "worktree")
        if spec.preparation is not None:
            preparation.prepare(
                spec.preparation,
                top=repo.top,
                tree=tree,
                run_id=spec.run_id,
                environment=environment,
                log=folder.output_log,
                enclose=_enclosing(spec, environment),
            )


def _enclosing(spec: RunSpec, environment: Mapping[str, str]) -> Callable[[Sequence[str]], Sequence[str]]:
    """What puts a command into the run's sandbox: a setup runs what the commit brings along."""
    given = spec.sandbox
    if given is None or given.absent is not None:
        return list
    from lattice.workers.sandboxes import mounts  # only runs in a sandbox pay for it

    return lambda argv: mounts.wrap_setup(spec, given, argv, environment)


class SetupProcess:
    """The child that prepares a run, and what came of it."""

    def __init__(
        self, folder: RunFolder, spec: RunSpec, environment: Mapping[str, str], not_its: Sequence[int]
    ) -> None:
        """Fork it. `not_its` are descriptors that it may not hold: the lease says that the supervisor lives."""
        supervisor = os.getpid()
        self._answer, say = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_child(folder, spec, environment, [*not_its, self._answer], supervisor, say))
        os.close(say)

    def failure(self) -> str | None:
        """Why it failed, None if it did not. Call it when the child has ended; it is reaped."""
        with os.fdopen(self._answer, "rb") as answer:
            said = answer.read(_ERROR_BYTES_MAX)
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(status):
            return f"Signal {os.WTERMSIG(status)} ended the preparation of the run."
        if os.WEXITSTATUS(status) == 0:
            return None
        return str(json.loads(said)["error"]) if said else "The preparation of the run ended without a word."

    def abandon(self) -> None:
        """Forget it: it was ended, and the sweep reaps it."""
        os.close(self._answer)


def _child(
    folder: RunFolder,
    spec: RunSpec,
    environment: Mapping[str, str],
    not_its: Sequence[int],
    supervisor: int,
    say: int,
) -> int:
    """The child's whole life; its exit status."""
    for descriptor in not_its:
        os.close(descriptor)
    try:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_DFL)  # The guard's deafness was inherited.
        die_with(supervisor)  # It has no mark in its environment by which a mender could find it.
        prepare(folder, spec, environment)
    except (LatticeError, OSError) as why:
        return _tell(say, str(why))
    except BaseException as why:  # noqa: BLE001  # past here is the exit; the supervisor hears what it was
        folder.note(f"preparation: {type(why).__name__}: {why}")
        return _tell(say, f"The preparation failed: {type(why).__name__}: {why}")
    return 0


def _tell(say: int, error: str) -> int:
    with contextlib.suppress(BrokenPipeError):  # A supervisor that stopped listening ends this process anyway.
        os.write(say, json.dumps({"error": error[:2_000]}).encode())
    return 1
