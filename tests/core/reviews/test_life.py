"""The life of a finding: what reviews and acts make of it, step by step, and for any sequence of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice.core.codec import EVENT_BYTES_MAX, decode, encode
from lattice.core.events import Event, TaskCreated, TaskEvent, evolve
from lattice.core.review_events import FindingReopened, FindingVerified, FindingWaived, ReviewRecorded
from lattice.core.reviews import life
from lattice.core.reviews.model import Finding, MergedFinding, Report, Review, Reviewer, by_one
from lattice.core.task import Task, from_snapshot, to_snapshot
from lattice.errors import Conflict, NotAllowed, NotFound, ValidationError

READER = Reviewer("Reader", "m-1", "standard")
LINTER = Reviewer("linter")
RACE = Finding("blocker", "Two writers of the cache race for its lock", file="cache.py", line=10, status="confirmed")
LEAK = Finding("important", "The socket is never closed after a timeout", file="net.py", line=3)
TYPO = Finding("nit", "The greeting of the banner is spelled wrongly", file="banner.py", line=1)
DIFF = {"cache.py": ["a" * 16], "net.py": ["b" * 16], "banner.py": ["c" * 16]}


class Log:
    """A task that events happen to, each through the log's own bytes."""

    def __init__(self) -> None:
        self.count = 0
        self.task = Task.made_of({})
        self.write([TaskCreated("Work", "review", "task", "high", short_id="LAT-1")])

    def write(self, bodies: Sequence[TaskEvent], actor: str = "agent:bot") -> None:
        for body in bodies:
            self.count += 1
            event = Event(f"ev_{self.count:026}", "2026-11-20T10:00:00Z", "task_x", actor, body)
            before = None if self.count == 1 else self.task
            self.task = evolve(before, decode(encode(event)[:-1]))

    def review(self, *found: Finding, commit: str | None, by: Reviewer = READER, base: str = "base") -> None:
        review = Review((by,), by_one(by, found), base_sha=base, commit_sha=commit)
        self.write(life.recorded(self.task, review, review_id=f"rev_{self.count}", hunks=DIFF))

    def states(self) -> dict[str, str]:
        return {one.name: one.state for one in self.task.findings}


@pytest.fixture
def log() -> Log:
    """LAT-1, reviewed at c1: F1 is the race, F2 the leak."""
    log = Log()
    log.review(RACE, LEAK, commit="c1")
    return log


def test_what_is_found_is_numbered_and_open(log: Log) -> None:
    assert {"F1": "open", "F2": "open"} == log.states()
    assert (1, 2) == log.task.reviews[0].new


def test_a_later_review_says_what_is_new_gone_and_still_there(log: Log) -> None:
    log.review(RACE.replace(line=14, severity="important"), TYPO, commit="c2")
    last = log.task.reviews[-1]
    assert ((1, 3), (3,), (2,)) == (last.found, last.new, last.gone)
    assert ("important", 14, "c2") == (
        log.task.findings[0].finding.severity, log.task.findings[0].finding.line, log.task.findings[0].seen_in,
    )  # fmt: skip


def test_a_review_that_overlooks_a_finding_does_not_close_it(log: Log) -> None:
    log.review(commit="c2")
    assert {"F1": "open", "F2": "open"} == log.states()
    assert log.task.reviews[-1].review_id == log.task.findings[0].missed_by


def test_a_fix_is_verified_by_a_review_that_does_not_find_it(log: Log) -> None:
    log.write(life.fix(log.task, 1, commit_sha="c2", note=None))
    assert "fixed" == log.states()["F1"]
    log.review(LEAK, commit="c2")
    assert {"F1": "verified", "F2": "open"} == log.states()
    assert log.task.reviews[-1].review_id == log.task.findings[0].verified_by


@pytest.mark.parametrize("verified", [False, True])
def test_what_was_fixed_and_is_found_again_has_regressed(log: Log, verified: bool) -> None:
    log.write(life.fix(log.task, 1, commit_sha="c2", note=None))
    if verified:
        log.review(LEAK, commit="c2")
    log.review(RACE, LEAK, commit="c3")
    assert "regressed" == log.states()["F1"]
    assert log.task.findings[0].is_unsettled


def test_a_review_of_the_commit_before_the_fix_says_nothing_of_the_fix(log: Log) -> None:
    log.write(life.fix(log.task, 1, commit_sha="c2", note=None))
    log.review(RACE, commit="c1")
    assert "fixed" == log.states()["F1"]
    log.review(commit="c1")
    assert "fixed" == log.states()["F1"]


@pytest.mark.parametrize(
    ("hunks", "by", "base"),
    [
        (None, READER, "base"),  # nobody knows what it covered
        (DIFF, LINTER, "base"),  # a tool finds its own kind of thing
        (DIFF, Reviewer("Rules", None, "rules"), "base"),
        ({"other.py": ["d" * 16]}, READER, "later"),  # another span, in which the file is not
    ],
)
def test_a_review_that_could_not_have_found_it_verifies_nothing(
    log: Log, hunks: dict[str, list[str]] | None, by: Reviewer, base: str
) -> None:
    log.write(life.fix(log.task, 1, commit_sha="c2", note=None))
    review = Review((by,), (), base_sha=base, commit_sha="c2")
    log.write(life.recorded(log.task, review, review_id="rev_x", hunks=hunks))
    assert "fixed" == log.states()["F1"]


def test_a_tool_verifies_what_it_found_itself() -> None:
    log = Log()
    log.review(TYPO, commit="c1", by=LINTER)
    log.write(life.fix(log.task, 1, commit_sha="c2", note=None))
    log.review(commit="c2", by=LINTER)
    assert {"F1": "verified"} == log.states()


def test_what_is_waived_stays_so_when_it_is_found_again(log: Log) -> None:
    log.write(life.waive(log.task, 1, reason="we are alone", wrong=False, actor="human:ann"))
    log.review(RACE, commit="c2")
    assert ("waived", "we are alone", "c2") == (
        log.task.findings[0].state, log.task.findings[0].reason, log.task.findings[0].seen_in,
    )  # fmt: skip


def test_what_is_open_again_has_its_reason(log: Log) -> None:
    log.write(life.waive(log.task, 1, reason="we are alone", wrong=True, actor="human:ann"))
    log.write(life.reopen(log.task, 1, reason="we are not"))
    assert ("open", "we are not", False) == (
        log.task.findings[0].state, log.task.findings[0].reason, log.task.findings[0].wrong,
    )  # fmt: skip
    assert [] == life.reopen(log.task, 1, reason="again")


def test_what_all_refute_is_not_open_until_somebody_confirms_it() -> None:
    log = Log()
    log.review(RACE.replace(status="refuted"), commit="c1")
    assert {"F1": "refuted"} == log.states()
    log.review(RACE, commit="c2")
    assert {"F1": "open"} == log.states()


def test_an_open_finding_is_not_closed_by_one_who_refutes_it(log: Log) -> None:
    log.review(RACE.replace(status="refuted"), commit="c2", by=Reviewer("Other", "m-2"))
    assert "open" == log.states()["F1"]
    assert ["confirmed", "refuted"] == [one.status for one in log.task.findings[0].opinions]


def test_the_same_run_s_review_is_recorded_once(log: Log) -> None:
    review = Review((READER,), by_one(READER, [TYPO]))
    log.write(life.recorded(log.task, review, review_id="rev_a", run_id="run_1"))
    assert [] == life.recorded(log.task, review, review_id="rev_b", run_id="run_1")
    assert [] == life.recorded(log.task, review, review_id="rev_a")


def test_an_author_that_is_no_person_does_not_waive(log: Log) -> None:
    mine = log.task.replace(assigned_to="agent:bot")
    with pytest.raises(NotAllowed, match="author"):
        life.waive(mine, 1, reason="it is fine", wrong=False, actor="agent:bot")
    assert life.waive(mine, 1, reason="it is fine", wrong=False, actor="agent:other")
    assert life.waive(mine.replace(assigned_to="human:ann"), 1, reason="fine", wrong=False, actor="human:ann")


def test_a_fix_is_verified_by_hand_by_people_alone(log: Log) -> None:
    with pytest.raises(NotAllowed, match="no person"):
        life.verify(log.task, 1, note=None, actor="agent:bot")
    assert [FindingVerified(1, note="ran it")] == life.verify(log.task, 1, note="ran it", actor="human:ann")


def test_the_commit_in_which_it_was_found_does_not_fix_it(log: Log) -> None:
    with pytest.raises(Conflict, match="that very commit"):
        life.fix(log.task, 1, commit_sha="c1", note=None)


def test_a_finding_that_is_not_there_is_named_with_those_that_are(log: Log) -> None:
    with pytest.raises(NotFound, match="F9; it has F1 to F2"):
        life.fix(log.task, 9, commit_sha=None, note=None)
    with pytest.raises(ValidationError, match="reason is empty"):
        life.waive(log.task, 1, reason=" ", wrong=False, actor="human:ann")


def test_an_act_on_a_number_that_is_not_there_changes_nothing(log: Log) -> None:
    before = log.task.findings
    log.write([FindingReopened(9, "of another branch"), FindingWaived(9, "so too")])
    assert before == log.task.findings


def test_two_branches_that_gave_out_one_number_are_both_kept(log: Log) -> None:
    other = Log()
    other.review(TYPO, commit="c9")
    entry = {"number": 1, "seen": "new", "severity": "nit", "title": "Other", "found_by": [{"reviewer": {"name": "x"}}]}
    log.write([ReviewRecorded("rev_y", ({"name": "x"},), None, None, None, (entry,))])
    assert {"F1": "open", "F2": "open", "F3": "open"} == log.states()
    assert (3,) == log.task.reviews[-1].found


@pytest.mark.parametrize("entry", [{}, {"number": 1}, {"number": "x", "seen": "new", "severity": 3, "title": []}])
def test_a_log_that_holds_something_else_is_refused_by_name(entry: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="not of its form"):
        Log().write([ReviewRecorded("rev_y", (), None, None, None, (entry,))])


def test_a_review_comes_back_from_the_log_as_it_was() -> None:
    reports = (Report(READER, RACE), Report(LINTER, RACE.replace(severity="nit", fix="take it", detail="")))
    review = Review(
        (READER, LINTER), (MergedFinding(RACE, reports), *by_one(LINTER, [TYPO])), "not_ready", "b", "c",
        summary="It races.", will_break=("the cache",), kind="critical",
    )  # fmt: skip
    log = Log()
    events = life.recorded(log.task, review, review_id="rev_a", hunks=DIFF)
    assert isinstance(events[0], ReviewRecorded)
    assert review == events[0].review()


def test_the_longest_review_fits_into_the_log_and_names_what_it_left_out() -> None:
    names = [Reviewer(f"reader-{at}", "m") for at in range(6)]
    long = [
        TYPO.replace(title=f"{at} " + "é" * 290, detail="é" * 8_000, fix="\N{GRINNING FACE}" * 8_000)
        for at in range(120)
    ]
    merged = tuple(
        MergedFinding(one, tuple(Report(who, one.replace(trace=who.name * 900)) for who in names)) for one in long
    )
    worst = by_one(READER, [RACE])
    log = Log()
    log.write(life.recorded(log.task, Review(tuple(names), (*merged, *worst)), review_id="rev_a"))
    assert RACE.title in {one.finding.title for one in log.task.findings}
    shape = to_snapshot(log.task)
    assert len(json.dumps(shape)) < EVENT_BYTES_MAX
    event = life.recorded(Log().task, Review(tuple(names), (*merged, *worst)), review_id="rev_a")[0]
    assert isinstance(event, ReviewRecorded)
    assert 121 == len(event.findings) + event.left_out


def test_a_task_gets_no_more_findings_than_it_may_hold() -> None:
    nits = [Finding("nit", f"The word number {at} is spelled wrongly", file=f"f{at}.py", line=1) for at in range(350)]
    log = Log()
    for start in range(3):
        some = [one.replace(file=f"{start}/{one.file}") for one in nits]
        log.review(*some, commit=f"c{start}")
    assert life.TASK_FINDINGS_MAX == len(log.task.findings)


# Any sequence


class Step(NamedTuple):
    """A review that finds these, or an act on a finding."""

    name: str
    found: tuple[int, ...] = ()
    number: int = 1
    commit: str = "c1"


KNOWN = (RACE, LEAK, TYPO)
STEPS = st.builds(
    Step,
    name=st.sampled_from(["review", "fix", "waive", "verify", "reopen"]),
    found=st.lists(st.integers(0, 2), max_size=3, unique=True).map(tuple),
    number=st.integers(1, 4),
    commit=st.sampled_from(["c1", "c2", "c3"]),
)


def take(log: Log, step: Step) -> None:
    match step.name:
        case "review":
            log.review(*(KNOWN[at] for at in step.found), commit=step.commit)
        case "fix":
            log.write(life.fix(log.task, step.number, commit_sha=step.commit, note=None))
        case "waive":
            log.write(life.waive(log.task, step.number, reason="so", wrong=False, actor="human:ann"))
        case "verify":
            log.write(life.verify(log.task, step.number, note=None, actor="human:ann"))
        case _:
            log.write(life.reopen(log.task, step.number, reason="so"))


@settings(max_examples=80, derandomize=True, deadline=None, database=None)
@given(st.lists(STEPS, max_size=12))
def test_numbers_are_stable_and_the_snapshot_is_the_fold(steps: list[Step]) -> None:
    log = Log()
    names: dict[int, str] = {}
    for step in steps:
        try:
            take(log, step)
        except (NotFound, Conflict):
            continue  # It was refused; what stands must stand all the same.
        finally:
            for one in log.task.findings:
                assert names.setdefault(one.number, one.finding.title) == one.finding.title
        assert names.keys() == {one.number for one in log.task.findings}
        assert log.task == from_snapshot(json.loads(json.dumps(to_snapshot(log.task))))
    assert len(names) == len(set(names.values()))
