"""`review import`: any tool can be a reviewer."""

from __future__ import annotations

import argparse
import os
import sys

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line, table
from lattice.commands.review_import import Source, read_report
from lattice.commands.reviews import Recorded, record
from lattice.core.reviews.formats.account import Reading
from lattice.core.reviews.formats.reader import AUTO, BYTES_MAX, FORMATS
from lattice.core.reviews.model import SEVERITIES, Finding, Review, Reviewer, to_json
from lattice.errors import UsageError, ValidationError, choices
from lattice.workers.reviews.anchoring import anchored
from lattice.workers.reviews.coverage import covered
from lattice.workers.worktrees.git import Repository

STDIN = "-"


class ReviewImport(Command):
    writes = True
    description = (
        "All of the report is read before anything is recorded. What it says that has no place in a review is kept in\n"
        "the summary; what was cut or not understood is a warning. Absolute paths below the repository become\n"
        "relative; paths that lead out of it are no places, and are named. The formats, told apart by their\n"
        "content:\n\n"
        "  markdown   a report by sections: Blockers, Important, Potential, Nits, Verdict\n"
        "  sarif      SARIF 2.1.0, as CodeQL, semgrep and many others write it\n"
        "  ruff       ruff check --output-format json\n"
        "  mypy       mypy --output json\n"
        "  eslint     eslint --format json\n"
        "  json       a review in the schema that lattice review schema prints"
    )
    examples = (
        "lattice review import report.md --task LAT-1 --dry-run",
        "ruff check --output-format json . | lattice review import - --task LAT-1 --commit HEAD",
        "lattice review import scan.sarif --task LAT-1 --root /home/ci/build --json",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("file", metavar="FILE", help="the report, or - for standard input")
        parser.add_argument("--task", metavar="TASK", help="the task that was reviewed (else the one the report names)")
        parser.add_argument(
            "--format", default=AUTO, choices=FORMATS, metavar="FORMAT", help=f"{choices(FORMATS)} (default: {AUTO})"
        )
        parser.add_argument("--reviewer", metavar="NAME", help="who gave it (else as the report says)")
        parser.add_argument("--reviewer-model", metavar="MODEL", help="the model that gave it")
        parser.add_argument("--commit", metavar="SHA", help="the commit that was reviewed (else as the report says)")
        parser.add_argument("--root", metavar="FOLDER", help="the repository's folder where the tool ran")
        parser.add_argument("--dry-run", action="store_true", help="show what was read, and record nothing")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        repo = Repository.around(context.folder if args.dry_run else context.board.root)
        request = Source(
            _data(args.file, context), args.format, args.reviewer, args.reviewer_model, _roots(args, context, repo)
        )
        reading = request.read()
        review = reading.review.replace(commit_sha=_commit(repo, args.commit, reading.review))
        if args.task is not None:
            review = review.replace(task=args.task)
        reading = reading.replace(review=review)
        if not args.dry_run:
            return _recorded(reading, _record(reading, args, context, repo))
        return _answer(reading)


def _record(reading: Reading, args: argparse.Namespace, context: Context, repo: Repository | None) -> Recorded:
    """Put the review on its task, held against the commit where the repository has it."""
    review = reading.review
    if review.task is None:
        raise UsageError("The report names no task, so one has to be given.", hint="Add --task LAT-1.")
    by = context.sign(args)
    sha = review.commit_sha
    hunks = None
    if repo is not None and sha is not None and repo.commit(f"{sha}^{{commit}}") is not None:
        review, hunks = covered(repo, anchored(review, repo, sha))
    return record(context.board, review.task or "", review, by, hunks=hunks)


def _data(name: str, context: Context) -> bytes:
    if name != STDIN:
        return read_report(context.folder / name)
    if sys.__stdin__ is None:  # it was closed before the start
        raise ValidationError("The report cannot be read: standard input is closed.", hint="Name a file instead.")
    return bytes(sys.__stdin__.buffer.read(BYTES_MAX + 1))


def _roots(args: argparse.Namespace, context: Context, repo: Repository | None) -> tuple[str, ...]:
    """The folders that an absolute path may lie below, each also as it is without symbolic links."""
    top = str(repo.top if repo is not None else context.folder)
    given = [os.path.join(context.folder, args.root)] if args.root is not None else []
    return tuple(dict.fromkeys(path for root in (*given, top) for path in (root, os.path.realpath(root))))


def _commit(repo: Repository | None, given: str | None, review: Review) -> str | None:
    """The commit that was reviewed, by its full name where the repository has it."""
    if given is not None and repo is None:
        raise UsageError("--commit needs a git repository, and there is none here.", hint="Leave it out.")
    if repo is None:
        return review.commit_sha
    if given is not None:
        return repo.resolve(given)
    said = review.commit_sha
    return (repo.commit(f"{said}^{{commit}}") or said) if said is not None else None


def _answer(reading: Reading) -> Answer:
    shape = {"dry_run": True, "format": reading.format, "task": reading.review.task, "remarks": list(reading.remarks)}
    return Answer(
        data=lambda: shape | {"review": to_json(reading.review)},
        text=lambda terminal: _page(reading, terminal),
        quiet="",
        warnings=reading.remarks,
    )


def _recorded(reading: Reading, recorded: Recorded) -> Answer:
    event, task = recorded.event, recorded.task.name
    seen = {f"F{entry['number']}": entry["seen"] for entry in event.findings}
    shape = {"dry_run": False, "format": reading.format, "task": task, "review_id": event.review_id, "findings": seen,
             "gone": [f"F{number}" for number in event.gone], "left_out": event.left_out,
             "remarks": list(reading.remarks)}  # fmt: skip
    told = f"Recorded on {task} as {event.review_id}: {', '.join(f'{name} {how}' for name, how in seen.items()) or '-'}"
    return Answer(
        data=lambda: shape | {"review": to_json(event.review())},
        text=lambda terminal: f"{line(told)}\n{_page(reading, terminal)}",
        quiet=event.review_id,
        warnings=reading.remarks,
    )


def _page(reading: Reading, terminal: Terminal) -> str:
    review = reading.review
    by = ", ".join(_called(one) for one in review.reviewers)
    counts = [f"{len(found)} {severity}" for severity in SEVERITIES if (found := review.of(severity))]
    verdict = (review.verdict or "no verdict").replace("_", " ")
    head = f"Read: a review by {by} ({reading.format}): {verdict}; {', '.join(counts) or 'no findings'}"
    rows = [_row(merged.finding) for merged in review.findings]
    shown = table(rows, terminal, 2, ("SEVERITY", "STATUS", "TITLE", "WHERE"))
    return "\n".join([terminal.styled(line(head), "heading"), *(f"  {row}" for row in shown.splitlines())])


def _called(one: Reviewer) -> str:
    return f"{one.name} ({one.model})" if one.model not in (None, one.name) else one.name


def _row(finding: Finding) -> list[str]:
    where = f"{finding.file}:{finding.line}" if finding.file and finding.line else finding.file or ""
    return [finding.severity, finding.status, line(finding.title), line(where)]
