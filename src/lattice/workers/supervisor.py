"""The supervisor of one run: from the locked lease to a certain end (design §4, steps 4 to 10).

It is single-threaded and waits in one poll: on the engine's pidfd, on the run's control FIFO, and
until the next timer. It believes only the log about whether it should stop.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable, Mapping

from lattice.commands.board import Board
from lattice.core.run import Cancelled, Ending, Evidence, Exited, Reported, SetupFailed, Signalled, SpawnFailed
from lattice.core.run_events import ProcessStarted, ProcessStopRequested
from lattice.core.task import Task
from lattice.errors import Fenced, LatticeError
from lattice.ledger import Signature
from lattice.workers import lease
from lattice.workers.definitions.agents import TEAM
from lattice.workers.ends import steps
from lattice.workers.ends.certificate import Found
from lattice.workers.ends.ladder import Rung, climb
from lattice.workers.ends.limits import Limits
from lattice.workers.ends.outcome import Outcome, outcome_of
from lattice.workers.ends.outputs import owed_of
from lattice.workers.ends.recording import certify, record_end
from lattice.workers.ends.reported import claim_of, file_result_of
from lattice.workers.processes import engine as engine_process
from lattice.workers.processes.engine import EngineProcess
from lattice.workers.processes.marks import RUN_MARK
from lattice.workers.processes.tree import become_subreaper, sweep
from lattice.workers.queueing.admission import deadline_of
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees.setup import SetupProcess, is_needed
from lattice.workers.worktrees.takedown import remove_worktree, rescue

TYPE_CHECKING = False  # which type checkers take to be true: typing is not needed at run time
if TYPE_CHECKING:
    from lattice.workers.engines.following import Follower

SWEEP_S = 30.0


def run(board: Board, folder: RunFolder, lease_fd: int, ready_fd: int, environment: Mapping[str, str]) -> None:
    """Supervise the run to its end. Returns when it is closed; raises where the guard has to finish it."""
    spec = folder.spec()
    if spec is None:
        raise Fenced(f"run {folder.run_id} has no readable spec.json")
    Supervisor(board, folder, spec, environment).supervise(lease_fd, ready_fd)


class Supervisor:
    """One run, from the inside."""

    def __init__(self, board: Board, folder: RunFolder, spec: RunSpec, environment: Mapping[str, str]) -> None:
        self.board = board
        self.folder = folder
        self.spec = spec
        self.environment = environment
        self.by = Signature(spec.actor, None, {"reason": f"run {spec.run_id}"})
        self.follower = _follower(folder, spec)
        self.limits = Limits(folder, spec, self._has_result)
        self.control = -1
        self.lease = -1
        self.prepared = False
        self.waited = False  # in the queue
        self.engine: EngineProcess | None = None
        self.rungs: list[Rung] = []
        self.killed: list[int] = []

    def supervise(self, lease_fd: int, ready_fd: int) -> None:
        """Steps 4 to 10. The lease is freed by this process's exit."""
        lease.keep(lease_fd)
        self.lease = lease_fd
        become_subreaper()
        os.environ[RUN_MARK] = self.spec.run_id  # so that the git commands of this run can be found
        self.waited = self.folder.leave_queue()
        self.control = os.open(self.folder.control, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(BrokenPipeError):  # A starter that was killed does not take the run with it.
            os.write(ready_fd, b"r")
        os.close(ready_fd)
        steps.note(self.folder, "guard")
        ending = self._prepare_and_run()
        status = self._ended_for_good()
        steps.note(self.folder, "swept")
        outcome = self._outcome(ending, status)
        self.folder.write_outcome(outcome.stored())
        self._record(outcome)
        steps.note(self.folder, "recorded")
        certify(self.board, self.folder, self.spec, outcome)
        remove_worktree(self.spec)
        steps.note(self.folder, "removed")
        self.folder.close()

    # Steps 4 to 6

    def _prepare_and_run(self) -> Ending:
        if (stopped := self._stop_requested()) is not None:
            return stopped
        if (failed := self._prepare()) is not None:
            return failed
        if (stopped := self._stop_requested()) is not None:
            return stopped
        try:
            self.engine = engine_process.start(self.spec, self.folder, self.environment)
            if self.engine.tells_begin:
                if (ended := self._wait(self.engine.status_fd, self._setup_late)) is not None:
                    return ended
                self.engine.begun()
        except OSError as why:
            return SpawnFailed(f"{self.spec.argv[0]!r} could not be executed: {why.strerror}.")
        steps.note(self.folder, "spawned")
        self.limits.engine_begins()
        try:
            self._announce(self.engine.pid)
        except (LatticeError, OSError) as why:
            self._stop()
            return SetupFailed(f"The start could not be recorded: {why}")
        ended = self._wait(self.engine.status_fd, self._passed)
        self.limits.engine_ended()
        return ended or self.engine.status() or SpawnFailed("Nobody can say how the engine ended.")

    def _prepare(self) -> Ending | None:
        if not is_needed(self.spec):
            self.prepared = True
            return None
        try:
            setup = SetupProcess(self.folder, self.spec, self.environment, (self.lease, self.control))
        except OSError as why:
            return SetupFailed(f"The preparation could not be started: {why}")
        ended = self._wait_for(setup.pid, self._setup_late)
        if ended is not None:
            setup.abandon()
            return ended
        problem = setup.failure()
        self.prepared = problem is None
        if self.prepared:
            steps.note(self.folder, "setup")
        return SetupFailed(problem) if problem is not None else None

    def _passed(self) -> Ending | None:
        """What ends the engine now: a limit, or what its stream says that it has used."""
        if self.follower is not None:
            self.follower.read()
            if (over := self.follower.over_budget()) is not None:
                return over
        return self.limits.passed()

    def _has_result(self) -> bool:
        """Whether the engine has reported its result."""
        told = self.follower is not None and self.follower.has_result()
        return told or file_result_of(self.folder) is not None

    def _setup_late(self) -> Ending | None:
        if not self.limits.wall_passed():
            return self.limits.log_full()
        return SetupFailed(f"The preparation did not end within the run's {self.spec.timeout_s:g} s and was ended.")

    def _announce(self, pid: int) -> None:
        event = ProcessStarted(
            run_id=self.spec.run_id,
            worktree_path=self.spec.worktree,
            log_path=str(self.folder.output_log.relative_to(self.board.folder)),
            pid=pid,
            engine=self.spec.engine,
            argv=self.spec.argv,
            commit_sha=self.spec.commit_sha,
            sandbox=self.spec.sandbox.said() if self.spec.sandbox else None,
            budget_usd=self.spec.agent.held_usd if self.spec.agent else None,
            budget_tokens=self.spec.agent.budget_tokens if self.spec.agent else None,
            deadline=deadline_of(self.spec, self.board.ledger.source.now_ms()) if self.waited else None,
        )

        def decide(task: Task) -> list[ProcessStarted]:
            if task.run(self.spec.run_id) is None:
                raise Fenced(f"Run {self.spec.run_id} has an end already.")
            return [event]

        self.board.ledger.transact(self.spec.task_id, decide, self.by)

    def _wait_for(self, pid: int, late: Callable[[], Ending | None]) -> Ending | None:
        """Wait for a child's end: None. Or bring the end of all children about, and say for what."""
        pidfd = os.pidfd_open(pid)
        try:
            return self._wait(pidfd, late)
        finally:
            os.close(pidfd)

    def _wait(self, descriptor: int, late: Callable[[], Ending | None]) -> Ending | None:
        """Wait until a descriptor is readable: None. Or bring the end of all children about, and say for what."""
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        poller.register(self.control, select.POLLIN)
        while True:
            ready = {number for number, _ in poller.poll(self.limits.patience_s() * 1000)}
            if descriptor in ready:
                return None
            cause: Ending | None = None
            if self.control in ready:
                self._drain()
                cause = self._stop_requested()
            if cause is None:
                cause = late()
            if cause is not None:
                self._stop()
                return cause

    # Step 7

    def _stop(self) -> None:
        """Ask all to end; what stays is the sweep's."""
        self.rungs += climb(self.spec, self.limits.started_at, self.folder.note)
        self.killed = list(dict.fromkeys(pid for rung in self.rungs for pid in rung.pids))

    def _ended_for_good(self) -> Exited | Signalled | None:
        """Sweep: no descendant is left. The engine's status, where the sweep was what reaped it."""
        statuses: dict[int, int] = {}
        at_s = self.limits.elapsed_s()
        if self.spec.engine == TEAM:
            from lattice.workers.teams.rounds import stop_members  # only teams pay for it

            stop_members(self.board, self.spec, self.by, wait=True)
        swept = sweep(SWEEP_S, statuses, spare_guards=True)
        if swept:
            self.rungs.append(Rung("SIGKILL", at_s, tuple(swept)))
            self.killed = list(dict.fromkeys([*self.killed, *swept]))
        return self.engine.status(statuses) if self.engine is not None else None

    def _outcome(self, ending: Ending, status: Exited | Signalled | None) -> Outcome:
        status = ending if isinstance(ending, (Exited, Signalled)) else status
        result = self._result(status)
        cut_bytes = self._cut_log()
        evidence = Evidence(
            ending,
            status,
            result,
            claim_of(self.folder),
            owed_of(self.folder, self.spec),
        )
        found = Found(
            "supervisor",
            self.board.ledger.source.now_ms(),
            self.limits.elapsed_s(),
            tuple(self.rungs),
            tuple(pid for pid in self.killed if self.engine is None or pid not in self.engine.around),
            # A worktree that was not made to its end would look as if somebody had deleted files in it.
            rescue(self.spec, self.folder) if self.prepared else None,
            cut_bytes,
        )
        artifacts = tuple((self.board.ledger.new_id("art"), owed.name) for owed in evidence.owed if owed.found)
        return outcome_of(self.spec, evidence, found, artifacts)

    def _result(self, status: Exited | Signalled | None) -> Reported | None:
        """What the engine reported, to the end of its stream; an answer that is owed is written down."""
        if self.follower is None or self.engine is None:
            return file_result_of(self.folder)
        self.follower.end()
        self.follower.keep_answers()
        return self.follower.result(status, self.board.ledger.source.now_ms())

    def _cut_log(self) -> int:
        """What came between the last look and the end is over the limit, too. How much of it is not kept, in bytes."""
        cut_bytes = 0
        for path in (self.folder.output_log, self.folder.stream):
            with contextlib.suppress(FileNotFoundError):
                over = path.stat().st_size - self.spec.log_limit_bytes
                if over > 0:
                    os.truncate(path, self.spec.log_limit_bytes)
                    cut_bytes += over
        return cut_bytes

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


def _follower(folder: RunFolder, spec: RunSpec) -> Follower | None:
    """What reads the stream of an agent; None for an engine that has none."""
    if spec.agent is None:
        return None
    from lattice.workers.engines.following import Follower  # only the runs of agents pay for it

    return Follower(folder, spec, spec.agent)
