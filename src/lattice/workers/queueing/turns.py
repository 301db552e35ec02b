"""Whose turn it is: the choice among the runs that wait, a pure function of what runs, the limits and the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from lattice.core.record import Record
from lattice.ledger import timestamp
from lattice.workers.definitions.agents import TEAM, is_agent


class Limits(Record):
    """How many runs may go at once, of the board and by engine; and who pauses, by `limited_with`, until when."""

    board: int | None = None
    engines: Mapping[str, int] = {}
    paused_ms: Mapping[str, int] = {}


class Waiting(Record):
    """A run that waits, or one that asks whether it has to."""

    run_id: str
    worker: str
    engine: str
    max_parallel: int | None
    rank: int  # of its task: the less, the sooner
    due_ms: int = 0


def in_order(waiting: Iterable[Waiting]) -> list[Waiting]:
    """The order of the queue: by the priority of the task, then first come, first served."""
    return sorted(waiting, key=lambda run: (run.rank, run.run_id))


def choose(
    waiting: Iterable[Waiting],
    running: Iterable[tuple[str, str]],
    limits: Limits,
    now_ms: int,
    afford: Callable[[str], str | None] = lambda _: None,
) -> dict[str, tuple[str, ...]]:
    """For each run that waits, what it goes on waiting for; nothing where it may start now.

    `running` are worker and engine of the runs that go. A run that has to wait lets pass who need not. `afford` is
    asked last, of a run that would start: it takes what the run may use, or says why there is not so much.
    """
    taken: Counter[tuple[str, str]] = Counter()
    for worker, engine in running:
        taken.update(_slots(worker, engine))
    said = {}
    for run in in_order(waiting):
        said[run.run_id] = tuple(_obstacles(run, taken, limits, now_ms))
        if not said[run.run_id] and (short := afford(run.run_id)) is not None:
            said[run.run_id] = (short,)
        if not said[run.run_id]:
            taken.update(_slots(run.worker, run.engine))
    return said


def limited_with(worker: str, engine: str) -> str:
    """Who is under a rate limit when this run is: all of an agent's engine, which has one account; else the worker."""
    return engine if is_agent(engine) else f"worker-{worker.casefold()}"


def _slots(worker: str, engine: str) -> tuple[tuple[str, str], ...]:
    """What a run takes one of. A team takes none of the board's: it works through its members, which do."""
    return ("board", TEAM if engine == TEAM else ""), ("engine", engine), ("worker", worker.casefold())


def _obstacles(run: Waiting, taken: Mapping[tuple[str, str], int], limits: Limits, now_ms: int) -> Iterator[str]:
    if run.due_ms > now_ms:
        yield f"its time, {timestamp(run.due_ms)}"
    paused_ms = limits.paused_ms.get(limited_with(run.worker, run.engine), 0)
    if paused_ms > now_ms:
        yield f"the rate limit of {run.engine if is_agent(run.engine) else run.worker}, until {timestamp(paused_ms)}"
    most = (None if run.engine == TEAM else limits.board, limits.engines.get(run.engine), run.max_parallel)
    names = ("the board", f"engine {run.engine}", run.worker)
    for slot, limit, name in zip(_slots(run.worker, run.engine), most, names, strict=True):
        if limit is not None and taken[slot] >= limit:
            yield f"{'the run' if limit == 1 else f'one of the {limit} runs'} of {name} to end"
