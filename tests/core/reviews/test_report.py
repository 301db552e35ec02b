"""The report names everything, and nothing that a reviewer wrote leaves its place in it."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from lattice.core.reviews.merge import merge
from lattice.core.reviews.model import Absent, Check, Finding, Place, Review, Reviewer, by_one
from lattice.core.reviews.report import to_markdown
from tests.core.reviews.strategies import REVIEWS, SETTINGS

ANN, BOB = Reviewer("ann", "m-1", "critical"), Reviewer("bob", "m-2")
LOST = Finding(
    "blocker",
    "`pay` charges twice when the reply is late",
    "The charge is sent again without its key.\nThe till has no memory of the first.",
    "correctness",
    "shop/till.py",
    31,
    40,
    also=(Place("shop/retry.py", 8),),
    fix="Send the key of the first charge.",
    trace="1. charge\n2. time-out\n3. charge",
)
WRONG = Finding(
    "important", "The queue is unbounded", "It has a limit.", file="shop/queue.py", line=4, status="refuted"
)
REVIEW = merge(
    [
        Review(
            (ANN,),
            by_one(ANN, [LOST, Finding("nit", "Typo in `usgae`", "It says so twice.")]),
            verdict="not_ready",
            commit_sha="c" * 40,
            base_sha="b" * 40,
            task="LAT-9",
            branch="till",
            date="2026-11-02 10:00 UTC",
            kind="Critical",
            summary="It takes money twice.",
            will_break=("Every late reply is paid twice.",),
            missing=("A test with a late reply.",),
            checks=(Check("ruff", "passed", "0 findings"), Check("mypy", "not_run", "mypy is not installed")),
            absent=(Absent("cem", "its engine is not installed"),),
        ),
        Review(
            (BOB,),
            by_one(BOB, [LOST.replace(severity="important", status="confirmed", title="`pay` charges twice"), WRONG]),
            summary="Mind the till.",
        ),
    ]
)
EXPECTED = """\
## Code Review
- **Date:** 2026-11-02 10:00 UTC
- **Model:** m-1, m-2
- **Reviewers:** ann (m-1, critical), bob (m-2)
- **Branch:** `till`
- **Latest Commit:** cccccccccccc (base bbbbbbbbbbbb)
- **Story:** LAT-9
- **Review Type:** Critical
---

**The Ugly Truth**
- **ann:** It takes money twice.
- **bob:** Mind the till.

**What Will Break**
- Every late reply is paid twice.

**What's Missing**
- A test with a late reply.
- cem took no part: its engine is not installed
- mypy gave no answer: mypy is not installed

**The Nits**
- Typo in `usgae` — It says so twice.

---

### 1. Blockers

1. **`pay` charges twice when the reply is late**
   - **File:** `shop/till.py:31-40`, `shop/retry.py:8`
   - **Category:** correctness
   - **Issue:** The charge is sent again without its key.  \n     The till has no memory of the first.
   - **Trace:** 1. charge  \n     2\\. time-out  \n     3\\. charge
   - **Fix:** Send the key of the first charge.
   - **Found by:** bob (m-2): important, confirmed; ann (m-1, critical): blocker, likely
   - **In their words:** `pay` charges twice

### 2. Important

None.

### 3. Potential

None.

### Refuted

2. **The queue is unbounded**
   - **File:** `shop/queue.py:4`
   - **Issue:** It has a limit.
   - **Refuted by:** bob (m-2) — It has a limit.

## Validation Pass

- ✅ Confirmed — `pay` charges twice when the reply is late (`shop/till.py:31-40`)
- ❌ Refuted — The queue is unbounded (`shop/queue.py:4`)
- ⏭ mypy: not run, mypy is not installed
- ✅ ruff: passed, 0 findings

## Verdict

**Not ready.** Blockers to settle first: 1.
"""


def test_a_report_says_all_there_is() -> None:
    assert EXPECTED == to_markdown(REVIEW)


@SETTINGS
@given(st.lists(REVIEWS, min_size=1, max_size=2))
def test_every_finding_is_told(reviews: list[Review]) -> None:
    whole = merge(reviews)
    report = to_markdown(whole)
    standing = [one for one in whole.findings if one.finding.status != "refuted"]
    nits = [one for one in standing if one.finding.severity == "nit"]
    numbered = [line for line in report.split("\n") if line[:1].isdigit()]
    assert len(whole.findings) - len(nits) == len(numbered)
    assert all(f"- {one.finding.title}" in report for one in nits)


HOSTILE = st.text(st.sampled_from("a `\n#-*<>\x1b\u202e[]()!|1.") | st.characters(), min_size=1, max_size=25)


@given(HOSTILE)
def test_no_text_adds_a_line_of_its_own(text: str) -> None:
    shown = f"x {text}"
    plain = _lines(REVIEW, "x")
    assert plain == _lines(REVIEW, shown)


def _lines(review: Review, text: str) -> list[str]:
    """The structure of the report: the beginnings of its lines, where each text of others is `text`."""
    [blocker, *rest] = review.findings
    finding = blocker.finding.replace(title=text, category=text, file=text, also=())
    reports = tuple(one.replace(finding=one.finding.replace(title=text)) for one in blocker.reports)
    said = review.replace(
        findings=(blocker.replace(finding=finding, reports=reports), *rest),
        will_break=(text,),
        missing=(text,),
        branch=text,
        task=text,
        absent=(Absent(text, text),),
        checks=(Check(text, "passed", text),),
    )
    report = to_markdown(said)
    assert not [one for one in report if unicodedata.category(one)[0] == "C" and one != "\n"]
    return [line[:3] for line in report.split("\n")]


def test_a_review_of_nothing_is_a_report() -> None:
    report = to_markdown(Review((ANN,), ()))
    assert "Nobody sums it up." in report
    assert "None was given." in report


def test_a_place_that_the_commit_lacks_is_named() -> None:
    report = to_markdown(Review((ANN,), by_one(ANN, [LOST.replace(anchored="no_line")]), verdict="ready"))
    assert "⚠ `pay` charges twice when the reply is late (`shop/till.py:31-40`): the file has no such line" in report
    assert "Blockers reported all the same: 1." in report
