"""A sample of the faults of `make torture`, spread evenly over all of them: no violation, and every break is caught."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.arena import Finding, contained
from tests.torture.campaign import Campaign

pytestmark = pytest.mark.torture
SHARE = 0.02
PARTS_OF_RUNS = 3


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of its own, not under /tmp, which may be memory."""
    made = Path(tempfile.mkdtemp(prefix="lattice-torture-", dir="/var/tmp"))
    yield made
    shutil.rmtree(made)


def sound(findings: Iterator[Finding], met_min: int) -> None:
    """No violation, and the faults were not tried in vain."""
    seen = list(findings)
    assert [] == [(finding.group, finding.label, finding.violations) for finding in seen if finding.violations]
    assert sum(finding.met for finding in seen) >= met_min


def test_a_fault_in_a_storage_call_loses_nothing_and_halves_nothing(folder: Path) -> None:
    sound(Campaign(folder, share=3 * SHARE).part("storage"), 40)


@pytest.mark.parametrize("seed", range(1, PARTS_OF_RUNS + 1))
def test_a_fault_in_any_process_of_a_run_leaves_one_end_and_nothing_else(folder: Path, seed: int) -> None:
    sound(Campaign(folder, share=SHARE / PARTS_OF_RUNS, seed=seed).part("runs"), 10)


def test_a_git_that_refuses_dies_or_hangs_is_a_failed_run_and_no_more(folder: Path) -> None:
    sound(Campaign(folder, share=3 * SHARE).part("git"), 3)


def test_writers_that_are_killed_lose_no_acknowledged_event(folder: Path) -> None:
    sound(Campaign(folder, share=SHARE).part("writers"), 1)


def test_each_break_of_the_design_is_caught(folder: Path) -> None:
    sound(Campaign(folder).part("teeth"), 7)


def test_a_trial_that_raises_is_a_violation() -> None:
    def trial() -> Finding:
        raise KeyError("bug")

    (finding,) = contained([trial])
    assert "KeyError" in finding.violations[0]


def test_a_trial_that_dies_is_a_violation() -> None:
    def trial() -> Finding:
        os._exit(0)

    (finding,) = contained([trial])
    assert ("it said nothing",) == finding.violations
