"""A sample of the faults of `make torture`, spread evenly over all of them: no violation, and every break is caught."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lattice.commands.board import Board
from lattice.core import codec
from tests.torture import acts, corruption, traced
from tests.torture.arena import Finding, contained
from tests.torture.breaks import put
from tests.torture.campaign import Campaign
from tests.torture.damage import Damage
from tests.torture.site import Site

pytestmark = pytest.mark.torture
SHARE = 0.02
PARTS_OF_RUNS = 2
FAULTS_OF_ACTS = 0.6  # which are more than 10,000
DEAF = f"""
import os
def write(descriptor, data, call=os.write):
    try:
        return call(descriptor, data)
    except OSError:
        return len(data)
os.write = write
{traced.PLAIN}"""


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


@pytest.mark.parametrize("command", acts.COMMANDS)
def test_every_command_that_writes_is_done_or_not_done(folder: Path, command: str) -> None:
    bench = acts.made(folder / "bench")
    trials = (
        partial(acts.run_case, case, bench, folder / str(number))
        for number, case in enumerate(acts.cases(FAULTS_OF_ACTS, 0, [command]))
    )
    sound(contained(trials), 1)


def test_what_a_command_says_is_so_where_the_kernel_refuses_any_of_its_calls(folder: Path) -> None:
    findings = list(Campaign(folder, share=3 * SHARE).part("strace"))
    if not any(finding.met for finding in findings):
        pytest.skip(findings[0].label)
    sound(iter(findings), 30)


def test_a_command_that_does_not_hear_the_kernel_refuse_is_a_violation(folder: Path) -> None:
    bench = acts.made(folder / "bench")
    try:
        everything = list(traced.trials(bench, folder / "calls"))
    except traced.NotTraceable as why:
        pytest.skip(str(why))
    refused = next(
        trial
        for trial in everything
        if (trial.command, trial.call) == ("comment", "write") and "events/task_" in str(trial.path)
    )
    (found,) = contained([partial(traced.run_trial, refused, bench, folder / "trial", DEAF)])
    assert ("strace", True) == (found.group, any("neither before nor after" in wrong for wrong in found.violations))


@pytest.mark.parametrize("seed", range(1, PARTS_OF_RUNS + 1))
def test_a_fault_in_any_process_of_a_run_leaves_one_end_and_nothing_else(folder: Path, seed: int) -> None:
    sound(Campaign(folder, share=SHARE / PARTS_OF_RUNS, seed=seed).part("runs"), 10)


def test_a_git_that_refuses_dies_or_hangs_is_a_failed_run_and_no_more(folder: Path) -> None:
    sound(Campaign(folder, share=3 * SHARE).part("git"), 3)


def test_writers_that_are_killed_lose_no_acknowledged_event(folder: Path) -> None:
    sound(Campaign(folder, share=SHARE).part("writers"), 1)


def test_a_byte_that_goes_bad_in_any_file_is_named_or_changes_nothing(folder: Path) -> None:
    sound(Campaign(folder, share=SHARE / 2).part("corruption"), 25)


def test_a_byte_of_a_log_that_nobody_notices_is_a_violation(folder: Path) -> None:
    site = Site(folder / "site")
    (made,) = contained([partial(corruption.make, site)])
    assert () == made.violations
    shutil.rmtree(site.root / ".lattice" / "tasks")  # They carry a sum of the log, and would give it away.
    log = max((site.root / ".lattice" / "events").glob("task_*.jsonl"))
    begins = log.read_bytes().index(b"said so very plainly")
    at = next(at for at in range(begins, begins + 8) if at % 8 == 0)  # a letter that becomes another

    def unnoticed() -> Finding:
        put(codec, "_summed", lambda *_: None)
        put(codec, "_sums_up", lambda *_: True)
        trial = corruption.Trial(f"events/{log.name}", (Damage("flip", at),))
        return corruption.run_trial(trial, site, folder / "trial")

    (found,) = contained([unnoticed])
    assert ("corruption", True) == (found.group, any("nothing is named" in wrong for wrong in found.violations))


def test_a_listing_that_hides_a_damaged_task_is_caught(folder: Path) -> None:
    site = Site(folder / "site")
    (made,) = contained([partial(corruption.make, site)])
    log = next(path for path in (site.root / ".lattice/events").glob("task_*.jsonl") if b"Second" in path.read_bytes())

    def hushed() -> Finding:
        put(Board, "left_out", lambda *_: ())
        trial = corruption.Trial(f"events/{log.name}", (Damage("flip", log.stat().st_size - 5),))
        return corruption.run_trial(trial, site, folder / "trial")

    (found,) = contained([hushed])
    assert made.violations == ()
    assert any(f"search needle lacks {log.stem} and does not name it" in wrong for wrong in found.violations)


def test_a_soak_of_runs_under_fire_leaves_nothing_and_loses_nothing(folder: Path) -> None:
    sound(Campaign(folder, soaked=12).part("soak"), 1)


def test_what_was_acknowledged_is_there_after_the_power_was_cut(folder: Path) -> None:
    findings = list(Campaign(folder, share=SHARE).part("power"))
    if not any(finding.met for finding in findings):
        pytest.skip(findings[0].label)
    sound(iter(findings), 1)


def test_runs_in_hard_places_end_as_they_should_and_leave_nothing(folder: Path) -> None:
    # On a machine that runs other tests too, what is late says more of those.
    sound(Campaign(folder, share=SHARE, late_s_max=20).part("hardships"), 10)


def test_each_break_of_the_design_is_caught(folder: Path) -> None:
    sound(Campaign(folder).part("teeth"), 10)


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
