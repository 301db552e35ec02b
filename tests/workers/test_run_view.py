"""A run as people see it: what its log says."""

from __future__ import annotations

import pytest

from lattice.errors import NotFound
from lattice.workers import run_view
from tests.workers.conftest import Bench


def test_only_the_first_end_counts(bench: Bench) -> None:
    seen = bench.ended("exit 4")
    task, events = bench.board.store.history(bench.task_id)
    doubled = [*events, next(e for e in events if e.type == "process_failed")]
    assert seen == run_view.view(bench.board, task, doubled, seen.run_id)


def test_a_run_the_task_never_had_is_not_found(bench: Bench) -> None:
    task, events = bench.board.store.history(bench.task_id)
    with pytest.raises(NotFound):
        run_view.view(bench.board, task, events, "run_01K0000000000000000000000A")
