"""Random commands, valid and not: what holds of a board holds after each; what is broken is found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import RULE_MARKER, run_state_machine_as_test

from lattice.commands.board import Board
from lattice.core import resource
from lattice.core.events import Event, FieldUpdated
from lattice.core.resource import Holder, Resource
from lattice.core.task import Task
from lattice.errors import LatticeError
from lattice.store.files import snapshot
from tests.properties.machine import BoardMachine
from tests.properties.world import steady_time

DEEP = os.environ.get("PROPERTIES") == "deep"
SHRINKING_S_MAX = 90  # a test that hangs is ended after ten minutes, and then nobody sees what failed
SHORT = settings(
    max_examples=40,
    stateful_step_count=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
"""The same on every run. `PROPERTIES=deep` draws anew, and for longer."""
LONG = settings(SHORT, max_examples=400, stateful_step_count=60, derandomize=False, print_blob=True)
BEGINNING = ("comment", "start_session")  # with these every board begins
UNSHRUNK = settings(SHORT, max_examples=400, phases=[Phase.generate])


def explore(depth: settings, only: Sequence[str] = ()) -> None:
    """Run the machine; with `only`, those of its rules alone, so that what they would find is found soon."""
    left_out = (
        {name for name, step in vars(BoardMachine).items() if hasattr(step, RULE_MARKER)} - {*only, *BEGINNING}
        if only
        else set()
    )
    machine = type("BoardMachine", (BoardMachine,), dict.fromkeys(left_out))
    with steady_time(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "MAX_SHRINKING_SECONDS", SHRINKING_S_MAX)
        run_state_machine_as_test(machine, settings=depth)


@pytest.mark.slow
def test_whatever_is_asked_the_board_stays_whole() -> None:
    explore(LONG if DEEP else SHORT)


@contextmanager
def broken(name: str) -> Iterator[None]:
    """The product with one of its rules broken."""
    with pytest.MonkeyPatch.context() as patch:
        match name:
            case "a refused command leaves a file":
                whole_resolve = Board.resolve

                def resolve(self: Board, ref: str) -> str:
                    try:
                        return whole_resolve(self, ref)
                    except LatticeError:
                        (self.folder / "notes" / "trace.md").write_text("x", "utf-8")
                        raise

                patch.setattr(Board, "resolve", resolve)
            case "an update is accepted and forgotten":

                def apply(self: FieldUpdated, task: Task, event: Event) -> Task:
                    return task

                patch.setattr(FieldUpdated, "apply", apply)
            case "two hold what one may hold":

                def live(self: Resource, now: str) -> tuple[Holder, ...]:
                    return tuple(holder for holder in self.holders[:0] if holder.expires_at > now)

                patch.setattr(resource.Resource, "live", live)
            case "a snapshot is written with what was before":
                whole_encode = snapshot.encode

                def encode(fresh: snapshot.Snapshot) -> bytes:
                    return whole_encode(fresh).replace(b'"title": "plain"', b'"title": "other"')

                patch.setattr(snapshot, "encode", encode)
            case _:
                raise AssertionError(name)
        yield


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "only", "said"),
    [
        ("a refused command leaves a file", ("status", "comment"), ("left a trace",)),
        ("an update is accepted and forgotten", ("update", "undo"), ("the update is not there", "did not bring back")),
        (
            "two hold what one may hold",
            ("make_resource", "acquire", "time_passes"),
            ("hold gpu", "lost it without force"),
        ),
        ("a snapshot is written with what was before", ("create", "update"), ("the snapshot is off", "the list is")),
    ],
)
def test_the_machine_finds_a_broken_rule(name: str, only: Sequence[str], said: Sequence[str]) -> None:
    with broken(name), pytest.raises(AssertionError) as found:
        explore(UNSHRUNK, only)
    assert any(words in str(found.value) for words in said), found.value


@pytest.mark.slow
def test_what_is_found_is_shown_by_its_fewest_steps() -> None:
    with broken("a refused command leaves a file"), pytest.raises(AssertionError) as found:
        explore(settings(SHORT, max_examples=10, stateful_step_count=8), ("status", "comment", "assign", "link"))
    begun = ("first_", "settle", "teardown")
    steps = [note for note in found.value.__notes__ if "state." in note and not any(word in note for word in begun)]
    assert 1 == len(steps), steps
