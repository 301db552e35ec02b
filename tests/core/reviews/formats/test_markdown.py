"""Reports in Markdown, in both dialects, read whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice.core.reviews.formats import markdown
from lattice.core.reviews.formats.account import Account
from lattice.core.reviews.formats.markdown_blocks import kind_of
from lattice.core.reviews.formats.markdown_findings import first_sentence
from lattice.core.reviews.model import Finding, Place, Review, Reviewer
from lattice.errors import ValidationError

SAMPLES = Path(__file__).parents[1] / "samples"
FORM = "## Code Review\n\n### Blockers\n\n{}\n\n## Verdict\nReady to merge.\n"


def sample(name: str) -> tuple[Review, tuple[str, ...]]:
    account = Account()
    return markdown.read((SAMPLES / name).read_bytes(), account, Reviewer("")), account.remarks


def read(text: str) -> Review:
    return markdown.read(text.encode(), Account(), Reviewer("ann"))


def only(text: str) -> Finding:
    (found,) = read(FORM.format(text)).findings
    return found.finding


def by_title(review: Review, start: str) -> Finding:
    (found,) = [merged.finding for merged in review.findings if merged.finding.title.startswith(start)]
    return found


def test_the_head_says_who_when_and_what() -> None:
    numbered, _ = sample("numbered.md")
    assert ("2026-03-02 09:15 UTC", "seats-online", "4be91d7", "FER-12", "Critical/Adversarial") == (
        numbered.date, numbered.branch, numbered.commit_sha, numbered.task, numbered.kind,
    )  # fmt: skip
    assert (Reviewer("Heron 3", "Heron 3", "critical"),) == numbered.reviewers
    assert (Reviewer("Otter (Large)", "otter-2-large", "standard"),) == sample("ticked.md")[0].reviewers


def test_a_name_that_is_given_goes_before_the_heads() -> None:
    review = markdown.read((SAMPLES / "ticked.md").read_bytes(), Account(), Reviewer("Vega", "v1"))
    assert [Reviewer("Vega", "v1", "standard")] == list(review.reviewers)
    assert {"Vega"} == {report.reviewer.name for report in review.reports}


def test_numbered_findings_have_their_severity_places_and_fix() -> None:
    review, _ = sample("numbered.md")
    assert [
        ("blocker", "Race between `free_seats` and `book`", "confirmed"),
        ("blocker", "Paid bookings are lost", "refuted"),
        ("important", "Names without a limit", "likely"),
        ("potential", "Timetable read twice", "likely"),
        ("nit", "The word `pasenger` is misspelled in `src/ferry/mail.py:7`", "likely"),
    ] == [(one.finding.severity, one.finding.title, one.finding.status) for one in review.findings]
    race = by_title(review, "Race")
    assert (Place("src/ferry/booking.py", 40, 58),) == race.places
    assert "Two bookings at once read the same count." in race.detail
    assert "with store.exclusive(trip):  # 1. **not a finding**" in race.fix
    assert (Place("src/ferry/store.py"),) == by_title(review, "Paid").places
    assert (Place("src/ferry/forms.py", 12, 20),) == by_title(review, "Names").places
    assert (Place("src/ferry/mail.py", 7),) == by_title(review, "The word").places


def test_ticked_findings_have_their_severity_places_trace_and_fix() -> None:
    review, remarks = sample("ticked.md")
    assert () == remarks
    race = by_title(review, "race")
    assert "race condition between counting and taking a seat" == race.title
    assert "confirmed" == race.status
    assert (
        Place("src/ferry/booking.py", 42, 45),
        Place("src/ferry/booking.py", 57),
        Place("src/ferry/api.py", 88),
    ) == race.places
    assert race.trace.startswith("passenger A counts")
    assert "hold the trip's lock around both." == race.fix
    captain = by_title(review, "`--captain`")
    assert "`--captain` is never checked before the crew list is written" == captain.title
    assert (Place("src/ferry/crew.py", 19), Place("src/ferry/crew.py", 27)) == captain.places
    assert "Other writers check it, e.g. `add_mate`." == captain.detail
    assert "refuted" == by_title(review, "mail is sent twice").status
    assert "likely" == by_title(review, "the cache").status
    assert "Both spellings are in the docs." == by_title(review, "The help text").detail


def test_the_other_sections_are_kept_item_by_item() -> None:
    numbered, _ = sample("numbered.md")
    assert "Lost tickets: a full disk turns a paid booking into a blank page." == numbered.will_break[1]
    assert "Any limit on the length of a passenger's name." == numbered.missing[1]
    assert numbered.summary.startswith("The ferry sells seats")
    ticked, _ = sample("ticked.md")
    assert [("make lint", "passed"), ("make test", "failed"), ("make bench", "not_run")] == [
        (check.name, check.status) for check in ticked.checks
    ]


def test_what_has_no_place_is_kept_as_text_and_told() -> None:
    review, remarks = sample("numbered.md")
    for text in ("Weather: foggy", "The harbour office has not been asked", "Sell fewer seats first."):
        assert text in str(review), text
    assert "Validation Pass: ✅ Anchor chain: Seen at low tide." in review.summary
    assert ["Anchor chain"] == [word for word in ("Anchor chain", "Race") if any(word in said for said in remarks)]
    assert "**Owner:** nobody so far".replace("**", "") in str(by_title(review, "Paid"))
    assert "Validation: Shown with two threads and a barrier." in by_title(review, "Race").detail


@pytest.mark.parametrize("name", ["numbered.md", "ticked.md"])
def test_every_word_of_a_report_is_in_its_review(name: str) -> None:
    """But for headings, fields' names, marks, and the numbers of lists and of lines."""
    review, _ = sample(name)
    skipped = {
        "review",
        "critical",
        "code",
        "confirmed",
        "refuted",
        "likely",
        "but",
        "hard",
        "to",
        "verify",
        "execution",
        "lines",
    }
    known = set(words(str(review.fields()))) | skipped
    headings = ("#", "**The", "**What", "**Phase", "1. **B", "2. **I", "3. **Pot")
    body = [line for line in (SAMPLES / name).read_text("utf-8").splitlines() if not line.startswith(headings)]
    plain = [word for line in body for word in words(line.partition(":**")[2] or line)]
    assert [] == sorted({word for word in plain if word not in known and not word.isdecimal()})


def words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text.casefold().replace("\\n", " ")).split()


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("**NOT READY FOR PRODUCTION.**", "not_ready"),
        ("Ready for production.", "ready"),
        ("LGTM", "ready"),
        ("Do not merge before the lock is right.", "not_ready"),
        ("Ready once the race is gone.", "not_ready"),
        ("I would ship it once the race is gone.", "not_ready"),
        ("This is not, in my view, safe to ship.", "not_ready"),
        ("Ship it! Not ready for Windows, but who is.", "ready"),
        ("A pleasant read.", None),
    ],
)
def test_the_first_words_that_tell_are_the_verdict(text: str, verdict: str | None) -> None:
    assert verdict == read(f"# Review\n\n## Blockers\nNone.\n\n## Verdict\n{text}\n").verdict


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("- Broken. See `src/a.py:3`.", (Place("src/a.py", 3),)),
        ("- Broken (`src/a.py`:3-9).", (Place("src/a.py", 3, 9),)),
        ("- Broken (`src/a.py:3-9`, `b.py:1`).", (Place("src/a.py", 3, 9), Place("b.py", 1))),
        ("- Broken: `src/a.py:3`-`src/a.py:9`.", (Place("src/a.py", 3, 9),)),
        ("- Broken in src/a.py:3:14, they say.", (Place("src/a.py", 3),)),
        ("- Broken in [a](src/a.py#L3-L9).", (Place("src/a.py", 3, 9),)),
        ("- Broken `Makefile:12`.", (Place("Makefile", 12),)),
        ("- Asks localhost:8080, `127.0.0.1:99`, example.com:443 and http://x/y:80 at 12:30.", ()),
        ("- Runs `std::move:3` and `-x:1`.", ()),
        ("- Reads `/etc/passwd:1` and `../../etc/shadow.txt:2`.", ()),
    ],
)
def test_places_are_found_however_they_are_written(text: str, places: tuple[Place, ...]) -> None:
    assert places == only(text).places


def test_a_place_outside_the_repository_is_told_and_kept_as_text() -> None:
    account = Account(("/home/ann/ferry",))
    text = FORM.format("- Wrong (`/home/ann/ferry/src/a.py:3`, `/etc/passwd:1`, `src/../../x.py:2`).")
    (found,) = markdown.read(text.encode(), account, Reviewer("ann")).findings
    assert (Place("src/a.py", 3),) == found.finding.places
    assert "Outside the repository: /etc/passwd:1, src/../../x.py:2" == found.finding.detail
    assert 2 == len(account.remarks)


@pytest.mark.parametrize(
    "text",
    [
        "1. **Torn sail**\n- **Issue:** It is torn.\n- **Fix:** Sew it.",  # fields not indented
        "**Torn sail**\n- **Issue:** It is torn.\n- **Fix:** Sew it.",
        "#### 1. Torn sail\n\n**Issue:** It is torn.\n\n**Fix:** Sew it.",
        "* **Torn sail** — It is torn. Fix: Sew it.",
        "- Torn sail\n  - **Problem**: It is torn.\n  - **Recommendation**: Sew it.",
    ],
)
def test_a_finding_is_read_in_many_forms(text: str) -> None:
    found = only(text)
    assert ("Torn sail", "It is torn.", "Sew it.") == (found.title.removeprefix("1. "), found.detail, found.fix)


@pytest.mark.parametrize("text", ["None.", "- None", "No blockers found.", "*n/a*"])
def test_a_section_that_says_none_has_none(text: str) -> None:
    assert () == read(FORM.format(text)).findings


def test_a_title_that_is_too_long_stands_whole_in_the_detail() -> None:
    found = only(f"- {'very ' * 100}long")
    assert (300, True) == (len(found.title), found.detail.endswith("very long"))


@pytest.mark.parametrize(
    "text",
    ["", "Hello.", "# Notes\n\n- buy milk\n", "# Code Review\n\nNothing to say.\n", "**Summary**\nAll is well.\n"],
)
def test_what_is_no_report_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValidationError, match="no section Blockers"):
        read(text)


def test_bytes_that_are_no_text_are_refused_with_their_place() -> None:
    with pytest.raises(ValidationError, match=r"not UTF-8: .* at byte 3"):
        markdown.read(b"## \xff", Account(), Reviewer(""))


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("1. Blockers (Must Fix)", "blocker"), ("🚨 Blockers:", "blocker"), ("What’s Missing", "missing"),
        ("The Nits", "nit"), ("Final Verdict", "verdict"), ("Race in Blockers", "unknown"), ("", "unknown"),
    ],
)  # fmt: skip
def test_a_heading_says_what_its_section_is_about(title: str, kind: str) -> None:
    assert kind == kind_of(title)


def test_a_sentence_does_not_end_in_code_nor_in_parentheses_nor_at_an_abbreviation() -> None:
    text = "Reads `a. B` (see p. 3. Then more), e.g. Some of it. Then stops."
    assert ("Reads `a. B` (see p. 3. Then more), e.g. Some of it", "Then stops.") == first_sentence(text)


@pytest.mark.parametrize(
    "text",
    [
        "#" * 900_000, "`" * 900_000, "**" * 400_000, "- a\n" * 19_000, "(" * 900_000, "a/" * 400_000 + ":1",
        "**a " * 200_000, "a\n" * 19_000, "`a.py:1`-" * 90_000, "1. **x** Fix: " * 60_000, "a.b" * 300_000,
        "-" * 900_000, "not " * 200_000, " " * 900_000 + "x",
    ],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_a_hostile_report_is_read_in_good_time(text: str) -> None:
    """The suite's own limit ends what takes longer than its size allows."""
    assert len(read(FORM.format(text)).findings) <= 500


@pytest.mark.parametrize("text", ["- a\n" * 200_000, "\n" * 900_000, "```\n" * 200_000, "x" * 2_000_000])
def test_a_report_of_too_many_lines_or_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="too long"):
        read(FORM.format(text))
