"""The supervisor of one run: from the locked lease to a certain end (design §4, steps 4 to 10).

It is single-threaded and waits in one poll: on the engine's pidfd, on the run's control FIFO, and
until the next timer. It believes only the log about whether it should stop.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import subprocess
import time
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.events import ProcessStarted, ProcessStopRequested
from lattice.core.run import Cancelled, Ending, Exited, Owed, SetupFailed, Signalled, SpawnFailed, TimedOut, judge
from lattice.core.task import Task
from lattice.errors import Fenced, LatticeError
from lattice.ledger import Signature
from lattice.workers import lease, worktree
from lattice.workers.git import Repository
from lattice.workers.processes import RUN_MARK, become_subreaper, descendants, signal_tree, sweep
from lattice.workers.reconcile import Outcome, outcome_of, problem_with, record_end, remove_worktree, rescue
from lattice.workers.runs import OutputSpec, RunFolder, RunSpec

LOG_BYTES_MAX = 64 << 20
SWEEP_S = 30.0
SETUP_S = 120.0
_LOOK_S = 1.0  # how often the log's size is looked at; nothing else needs a tick
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # counts while the machine sleeps


def run(board: Board, folder: RunFolder, lease_fd: int, ready_fd: int, environment: dict[str, str]) -> None:
    """Supervise the run to its end. Returns when it is closed; raises where the guard has to finish it."""
    spec = folder.spec()
    if spec is None:
        raise Fenced(f"run {folder.run_id} has no readable spec.json")
    Supervisor(board, folder, spec, environment).supervise(lease_fd, ready_fd)


class Supervisor:
    """One run, from the inside."""

    def __init__(self, board: Board, folder: RunFolder, spec: RunSpec, environment: dict[str, str]) -> None:
        self.board = board
        self.folder = folder
        self.spec = spec
        self.environment = environment
        self.by = Signature(spec.actor, None, {"reason": f"run {spec.run_id}"})
        self.started_at = time.clock_gettime(_CLOCK)
        self.deadline = self.started_at + spec.timeout_s
        self.control = -1
        self.engine: subprocess.Popen[bytes] | None = None
        self.killed: list[int] = []

    def supervise(self, lease_fd: int, ready_fd: int) -> None:
        """Steps 4 to 10. The lease is freed by this process's exit."""
        lease.keep(lease_fd)
        become_subreaper()
        os.environ[RUN_MARK] = self.spec.run_id  # so that the git commands of this run can be found
        self.control = os.open(self.folder.control, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(BrokenPipeError):  # A starter that was killed does not take the run with it.
            os.write(ready_fd, b"r")
        os.close(ready_fd)
        ending = self._prepare_and_run()
        self.killed += [pid for pid in sweep(SWEEP_S) if pid not in self.killed]
        outcome = self._outcome(ending)
        self.folder.write_outcome(outcome.fields())
        self._record(outcome)
        remove_worktree(self.spec)
        self.folder.close()

    # Steps 4 to 6

    def _prepare_and_run(self) -> Ending:
        if (stopped := self._stop_requested()) is not None:
            return stopped
        try:
            self._prepare()
        except (LatticeError, OSError) as why:
            return SetupFailed(str(why))
        if (stopped := self._stop_requested()) is not None:
            return stopped
        try:
            self.engine = self._spawn()
        except OSError as why:
            return SpawnFailed(f"{self.spec.argv[0]!r} could not be executed: {why.strerror}.")
        try:
            self._announce(self.engine.pid)
        except (LatticeError, OSError) as why:
            self._stop()
            return SetupFailed(f"The start could not be recorded: {why}")
        return self._watch(self.engine.pid)

    def _prepare(self) -> None:
        spec = self.spec
        for path, digest in spec.files:
            if hashlib.sha256(Path(path).read_bytes()).hexdigest() != digest:
                raise Fenced(f"{path} changed after the run was requested; nothing was executed.")
        if spec.worktree is not None and spec.repo_top and spec.common_dir and spec.commit_sha:
            repo = Repository(Path(spec.repo_top), Path(spec.common_dir))
            worktree.make(repo, Path(spec.worktree), spec.commit_sha, timeout_s=min(spec.timeout_s, SETUP_S))

    def _spawn(self) -> subprocess.Popen[bytes]:
        log = os.open(self.folder.output_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                self.spec.argv,
                cwd=self.spec.worktree or self.spec.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
            )
        finally:
            os.close(log)

    def _announce(self, pid: int) -> None:
        event = ProcessStarted(
            run_id=self.spec.run_id,
            worktree_path=self.spec.worktree,
            log_path=str(self.folder.output_log.relative_to(self.board.folder)),
            pid=pid,
            engine=self.spec.engine,
            argv=self.spec.argv,
            commit_sha=self.spec.commit_sha,
        )

        def decide(task: Task) -> list[ProcessStarted]:
            if task.run(self.spec.run_id) is None:
                raise Fenced(f"Run {self.spec.run_id} has an end already.")
            return [event]

        self.board.ledger.transact(self.spec.task_id, decide, self.by)

    def _watch(self, pid: int) -> Ending:
        """Wait for the engine's end, or bring it about."""
        pidfd = os.pidfd_open(pid)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.register(self.control, select.POLLIN)
        try:
            while True:
                ready = {descriptor for descriptor, _ in poller.poll(self._patience_s() * 1000)}
                if pidfd in ready:
                    return self._reaped(pid)
                if self.control in ready:
                    self._drain()
                    if (stopped := self._stop_requested()) is not None:
                        self._stop()
                        return stopped
                if (late := self._limit_passed()) is not None:
                    self._stop()
                    return late
        finally:
            os.close(pidfd)

    def _patience_s(self) -> float:
        left_s = self.deadline - time.clock_gettime(_CLOCK)
        if self.spec.idle_timeout_s is not None:
            with contextlib.suppress(FileNotFoundError):
                silent_s = time.time() - self.folder.output_log.stat().st_mtime
                left_s = min(left_s, self.spec.idle_timeout_s - silent_s)
        return max(0.0, min(left_s, _LOOK_S)) + 0.001

    def _limit_passed(self) -> Ending | None:
        now = time.clock_gettime(_CLOCK)
        if now >= self.deadline:
            return TimedOut(self.spec.timeout_s)
        try:
            log = self.folder.output_log.stat()
        except OSError:
            return None
        if log.st_size > LOG_BYTES_MAX:
            return SetupFailed(f"It wrote more than {LOG_BYTES_MAX} bytes of output and was ended.")
        idle_s = self.spec.idle_timeout_s
        if idle_s is not None and time.time() - log.st_mtime > idle_s:
            return TimedOut(idle_s, idle=True)
        return None

    # Step 7

    def _stop(self) -> None:
        """The ladder: SIGINT, SIGTERM, SIGKILL, within the grace altogether."""
        me = os.getpid()
        for signum in (signal.SIGINT, signal.SIGTERM):
            asked = signal_tree(me, signum)
            if signum == signal.SIGTERM:
                signal_tree(me, signal.SIGCONT)  # A stopped process does not see SIGTERM before it goes on.
            self.killed += [pid for pid in asked if pid not in self.killed]
            if self._all_gone_within(self.spec.grace_s / 2):
                return
        # What is left, the sweep kills.

    def _all_gone_within(self, seconds: float) -> bool:
        ends_at = time.monotonic() + seconds
        while alive := descendants(os.getpid()):
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                return False
            with contextlib.suppress(ProcessLookupError):
                pidfd = os.pidfd_open(alive[0])
                try:
                    select.select([pidfd], [], [], left_s)
                finally:
                    os.close(pidfd)
        return True

    def _reaped(self, pid: int) -> Ending:
        """The engine's own status, taken before the sweep reaps whatever there is."""
        status = os.waitid(os.P_PID, pid, os.WEXITED)
        if status is None:
            raise AssertionError("an engine whose pidfd is readable has a status")
        if self.engine is not None:
            self.engine.returncode = status.si_status  # Nobody is to wait for it again.
        return Exited(status.si_status) if status.si_code == os.CLD_EXITED else Signalled(status.si_status)

    def _outcome(self, ending: Ending) -> Outcome:
        owed = [_owed(self.folder, output) for output in self.spec.outputs]
        verdict = judge(
            ending, [found for found, output in zip(owed, self.spec.outputs, strict=True) if output.required]
        )
        artifacts = tuple((self.board.ledger.new_id("art"), found.name) for found in owed if found.found)
        return outcome_of(
            verdict,
            exit_status=ending.code if isinstance(ending, Exited) else None,
            duration_s=time.clock_gettime(_CLOCK) - self.started_at,
            killed=self.killed,
            salvage_ref=rescue(self.spec, self.folder),
            artifacts=artifacts,
        )

    def _record(self, outcome: Outcome) -> None:
        try:
            record_end(self.board, self.folder, self.spec, outcome)
        except (LatticeError, OSError) as why:
            # The worktree is what takes most room: without it the disk may take the event.
            self.folder.note(f"the end could not be recorded at once: {why}")
            remove_worktree(self.spec)
            record_end(self.board, self.folder, self.spec, outcome)

    def _stop_requested(self) -> Cancelled | None:
        _, events = self.board.store.history(self.spec.task_id)
        asked = [
            event.body
            for event in events
            if isinstance(event.body, ProcessStopRequested) and event.body.run_id == self.spec.run_id
        ]
        return Cancelled(asked[-1].reason) if asked else None

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.control, 4096):
                continue


def _owed(folder: RunFolder, output: OutputSpec) -> Owed:
    problem = problem_with(folder, output)
    return Owed(output.name, output.path, found=problem is None, reason=problem)
