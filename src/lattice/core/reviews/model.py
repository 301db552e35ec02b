"""A review and its findings: what one reviewer says, and what several said of the same thing.

A merged review keeps every report as its reviewer gave it, so that a merge is a pure function of the set
of reports: merging it again, or in another order, gives the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lattice.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SCHEMA_VERSION = 1
SEVERITIES = ("blocker", "important", "potential", "nit")
"""From the worst to the least."""

CONFIDENCES = ("confirmed", "likely", "refuted")
READY = "ready"
NOT_READY = "not_ready"
VERDICTS = (READY, NOT_READY)

FINDINGS_MAX = 500
TITLE_CHARS_MAX = 300
TEXT_CHARS_MAX = 8_000
LINES_MAX = 100  # of "what will break" and the like
PLACES_MAX = 20


class Place(Record):
    """Somewhere in the commit. Lines count from 1; None: the file as a whole."""

    file: str
    line: int | None = None
    end_line: int | None = None


class Finding(Record):
    """One thing a reader should look at, as one reviewer says it."""

    severity: str
    title: str
    detail: str = ""
    category: str | None = None
    file: str | None = None
    line: int | None = None
    end_line: int | None = None
    also: tuple[Place, ...] = ()  # the other places that it names
    status: str = "likely"
    fix: str = ""
    trace: str = ""  # how it comes about, step by step
    anchor: str | None = None  # a hash of the code line's own content, where it was found in the commit
    anchored: str | None = None  # ANCHORED below; None: nobody has looked
    ref: str | None = None  # in a second round: the finding of the first that is judged

    @property
    def places(self) -> tuple[Place, ...]:
        """Every place that it names, the first one first."""
        first = (Place(self.file, self.line, self.end_line),) if self.file is not None else ()
        return (*first, *self.also)


ANCHORED = ("found", "moved", "no_file", "no_line")
"""What came of looking for a finding's place in the commit under review."""


class Reviewer(Record):
    """Who says it: a worker's name, a person, a tool; with its model and its kind of review where known."""

    name: str
    model: str | None = None
    kind: str | None = None  # "standard", "critical", …
    run_id: str | None = None


class Report(Record):
    """One finding of one reviewer."""

    reviewer: Reviewer
    finding: Finding


class MergedFinding(Record):
    """What one or more reports say of the same thing. `finding` stands for all of them."""

    finding: Finding
    reports: tuple[Report, ...]

    @property
    def finders(self) -> tuple[Reviewer, ...]:
        """Who found it: everybody who reports it and does not refute it, each once."""
        return tuple(dict.fromkeys(one.reviewer for one in self.reports if one.finding.status != "refuted"))

    @property
    def refuters(self) -> tuple[Reviewer, ...]:
        """Who looked at it and says that it is not so."""
        return tuple(dict.fromkeys(one.reviewer for one in self.reports if one.finding.status == "refuted"))

    @property
    def is_disputed(self) -> bool:
        """Whether its reviewers disagree: about its severity, or whether it is there at all."""
        return len({one.finding.severity for one in self.reports}) > 1 or bool(self.finders and self.refuters)


class Absent(Record):
    """A reviewer that was to take part and did not."""

    name: str
    reason: str


class Check(Record):
    """A tool that was run, or was not."""

    name: str
    status: str  # passed, failed, not_run, timed_out
    detail: str = ""
    argv: tuple[str, ...] = ()
    duration_s: float = 0.0


class Said(Record):
    """What a reviewer says of the whole."""

    text: str
    by: str | None = None


class Review(Record):
    """All there is to say about one diff, by one reviewer or by several."""

    reviewers: tuple[Reviewer, ...]
    findings: tuple[MergedFinding, ...]
    verdict: str | None = None
    base_sha: str | None = None
    commit_sha: str | None = None
    task: str | None = None
    branch: str | None = None
    date: str | None = None  # as the report's reader should see it
    kind: str | None = None  # "Critical/Adversarial", …
    summary: str = ""  # the ugly truth
    will_break: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    absent: tuple[Absent, ...] = ()
    said: tuple[Said, ...] = ()  # of a merge: the summaries that `summary` unites
    overview: Said | None = None  # what a model makes of the findings: on top of them, never in their place

    @property
    def reports(self) -> tuple[Report, ...]:
        """Every report of every finding."""
        return tuple(report for merged in self.findings for report in merged.reports)

    def of(self, severity: str) -> tuple[MergedFinding, ...]:
        """The findings of one severity, in order."""
        return tuple(merged for merged in self.findings if merged.finding.severity == severity)


def by_one(reviewer: Reviewer, findings: Iterable[Finding]) -> tuple[MergedFinding, ...]:
    """The findings of a single reviewer, each reported once."""
    return tuple(MergedFinding(one, (Report(reviewer, one),)) for one in findings)


# JSON


def to_json(review: Review) -> dict[str, Any]:
    """The review as the JSON value that `parse_review` reads, and the schema describes."""
    shape = {name: _plain(value) for name, value in review.fields().items() if name != "findings"}
    shape["findings"] = [
        finding_to_json(merged.finding) | {"found_by": list(map(_report_to_json, merged.reports))}
        for merged in review.findings
    ]
    return {"schema_version": SCHEMA_VERSION, **shape}


def _report_to_json(report: Report) -> dict[str, Any]:
    return {"reviewer": reviewer_to_json(report.reviewer), **finding_to_json(report.finding)}


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """A finding by itself; what it does not say is left out."""
    return {name: _plain(value) for name, value in finding.fields().items() if value not in (None, "", ())}


def reviewer_to_json(reviewer: Reviewer) -> dict[str, Any]:
    """A reviewer; what is not known of it is left out."""
    return {name: value for name, value in reviewer.fields().items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return {name: _plain(inner) for name, inner in value.fields().items() if inner is not None}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def parse_review(shape: Mapping[str, Any], by: Reviewer) -> Review:
    """The review in a JSON value that fits the schema; `by` is who gave it where it does not say.

    What is longer or more than the limits above is cut, never refused: half a review is better than none.
    Raises KeyError or TypeError where the value does not fit the schema.
    """
    said = shape.get("reviewer")
    by = by.replace(name=said) if isinstance(said, str) and not by.name else by
    named = tuple(parse_reviewer(one) for one in shape.get("reviewers", ()))
    overview = shape.get("overview")
    return Review(
        reviewers=named or (by,),
        findings=tuple(_merged(one, by) for one in shape["findings"][:FINDINGS_MAX]),
        verdict=shape.get("verdict"),
        base_sha=shape.get("base_sha"),
        commit_sha=shape.get("commit_sha"),
        task=shape.get("task"),
        branch=shape.get("branch"),
        date=shape.get("date"),
        kind=shape.get("kind"),
        summary=_text(shape.get("summary")),
        will_break=tuple(_text(line) for line in shape.get("will_break", ())[:LINES_MAX]),
        missing=tuple(_text(line) for line in shape.get("missing", ())[:LINES_MAX]),
        checks=tuple(_check(one) for one in shape.get("checks", ())[:LINES_MAX]),
        absent=tuple(Absent(one["name"], _text(one.get("reason"))) for one in shape.get("absent", ())),
        said=tuple(Said(_text(one["text"]), one.get("by")) for one in shape.get("said", ())),
        overview=Said(_text(overview["text"]), overview.get("by")) if overview is not None else None,
    )


def parse_finding(shape: Mapping[str, Any]) -> Finding:
    """The finding in a JSON value that fits the schema. Raises KeyError or TypeError where it does not."""
    return Finding(
        severity=shape["severity"],
        title=" ".join(shape["title"].split())[:TITLE_CHARS_MAX].rstrip(),
        detail=_text(shape.get("detail")),
        category=shape.get("category") or None,
        file=shape.get("file") or None,
        line=shape.get("line"),
        end_line=shape.get("end_line"),
        also=tuple(
            Place(one["file"], one.get("line"), one.get("end_line")) for one in shape.get("also", ())[:PLACES_MAX]
        ),
        status=shape.get("status") or "likely",
        fix=_text(shape.get("fix")),
        trace=_text(shape.get("trace")),
        anchor=shape.get("anchor"),
        anchored=shape.get("anchored"),
        ref=shape.get("ref"),
    )


def _merged(shape: Mapping[str, Any], by: Reviewer) -> MergedFinding:
    finding = parse_finding(shape)
    reports = tuple(Report(parse_reviewer(one["reviewer"]), parse_finding(one)) for one in shape.get("found_by", ()))
    return MergedFinding(finding, reports or (Report(by, finding),))


def parse_reviewer(shape: Mapping[str, Any]) -> Reviewer:
    """The reviewer in a JSON value that fits the schema. Raises KeyError or TypeError where it does not."""
    return Reviewer(shape["name"], shape.get("model"), shape.get("kind"), shape.get("run_id"))


def _check(shape: Mapping[str, Any]) -> Check:
    return Check(
        shape["name"],
        shape["status"],
        _text(shape.get("detail")),
        tuple(shape.get("argv", ())),
        shape.get("duration_s", 0.0),
    )


def _text(value: str | None) -> str:
    return (value or "").strip()[:TEXT_CHARS_MAX].rstrip()
