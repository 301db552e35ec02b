"""Commands that show reviews and what they found."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task
from lattice.cli.render import Terminal, line, table
from lattice.commands import reviews
from lattice.core.actors import actor_text
from lattice.core.reviews.model import SEVERITIES, MergedFinding, Review, Reviewer, to_json
from lattice.core.reviews.rendered import FORMS, rendered
from lattice.core.reviews.schema import SCHEMA
from lattice.core.reviews.standing import STATES, RecordedReview, StandingFinding
from lattice.core.task import Task
from lattice.core.text import visible_prose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SHA_CHARS = 12
_TEXT = "text"


class ReviewList(Command):
    description = "The newest last. R1 is the task's first review; without TASK, all tasks are listed that have one."
    examples = ("lattice review list LAT-1", "lattice review list --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("task", metavar="TASK", nargs="?", help="a short id or a full id; without it, all tasks")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        found = list(reviews.reviewed_tasks(context.board, args.task))
        return Answer(
            data=lambda: [{"task": task.name, **one.to_shape()} for task in found for one in task.reviews],
            text=lambda terminal: _listed(found, terminal),
            quiet="\n".join(one.review_id for task in found for one in task.reviews),
        )


class ReviewShow(Command):
    description = (
        "Without REVIEW, the last one of the task. --format: markdown is a report, json what `lattice review schema`\n"
        "describes, sarif for code hosts and editors, github the commands of a workflow's step, gitlab a report of\n"
        "code quality."
    )
    examples = (
        "lattice review show LAT-1",
        "lattice review show LAT-1 R1 --json",
        "lattice review show LAT-1 --format sarif > review.sarif",
    )

    def arguments(self, parser: Parser) -> None:
        add_task(parser)
        parser.add_argument("review", metavar="REVIEW", nargs="?", help="R2, or an id as review list has it")
        parser.add_argument("--format", choices=(_TEXT, *FORMS), default=_TEXT, help="how it is told (default: text)")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        task = board.store.task(board.resolve(args.task))
        one = reviews.review_of(task, args.review)
        event = reviews.recorded_as(board, task, one.review_id)
        review = event.review()
        return Answer(
            data=lambda: {"task": task.name, **one.to_shape(), "left_out": event.left_out, "review": to_json(review)},
            text=lambda terminal: (
                "\n".join(_shown(task, one, review, event.left_out, terminal))
                if args.format == _TEXT
                else rendered(_named(review, task, one), args.format).removesuffix("\n")
            ),
            quiet=one.review_id,
        )


class ReviewFindings(Command):
    description = (
        "The worst first. `open` are those that somebody still has to do something about; `regressed` among them\n"
        "came back after they were fixed. Without TASK, the findings of all tasks."
    )
    examples = (
        "lattice review findings LAT-1",
        "lattice review findings --severity blocker --json",
        "lattice review findings LAT-1 --status all",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("task", metavar="TASK", nargs="?", help="a short id or a full id; without it, all tasks")
        parser.add_argument(
            "--status", default=reviews.OPEN, metavar="STATUS", help=f"{', '.join(STATES)}, or all (default: open)"
        )
        parser.add_argument(
            "--severity", action="append", metavar="SEVERITY", help=f"{', '.join(SEVERITIES)}; may be given again"
        )
        parser.add_argument("--file", metavar="PATH", help="those of one file, from the top of the repository")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        asked = reviews.Asked(args.status, tuple(args.severity or ()), args.file).checked()
        found = [(task, one) for task in reviews.reviewed_tasks(context.board, args.task) for one in asked.of(task)]
        return Answer(
            data=lambda: [data_of(task, one) for task, one in found],
            text=lambda terminal: findings_table(found, terminal, with_task=args.task is None) or "No findings.",
            quiet="\n".join(one.name if args.task else f"{task.name} {one.name}" for task, one in found),
        )


class ReviewDiff(Command):
    description = "Between two reviews of a task; by default, its last two."
    examples = ("lattice review diff LAT-1", "lattice review diff LAT-1 R1 R3 --json")

    def arguments(self, parser: Parser) -> None:
        add_task(parser)
        parser.add_argument("before", metavar="A", nargs="?", help="the earlier review: R1, or its id")
        parser.add_argument("after", metavar="B", nargs="?", help="the later review (default: the last)")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        task = board.store.task(board.resolve(args.task))
        found = reviews.difference(task, args.before, args.after)
        parts = {"new": found.new, "gone": found.gone, "still there": found.still}

        def text(terminal: Terminal) -> str:
            lines = [f"From {found.before.review_id} to {found.after.review_id}:"]
            for title, some in parts.items():
                lines += ["", terminal.styled(f"{title.capitalize()}: {len(some)}", "heading")]
                lines += [f"  {text}" for text in _rows([(task, one) for one in some], terminal).splitlines()]
            return "\n".join(lines)

        return Answer(
            data=lambda: (
                {"task": task.name, "before": found.before.review_id, "after": found.after.review_id}
                | {title.split()[0]: [data_of(task, one) for one in some] for title, some in parts.items()}
            ),
            text=text,
            quiet="\n".join(one.name for one in found.new),
        )


class ReviewSchema(Command):
    description = "What a reviewer's output is held to, and what `--format json` prints."
    examples = ("lattice review schema", "lattice review schema --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        del args, context
        text = json.dumps(SCHEMA, indent=2)
        return Answer(data=lambda: SCHEMA, text=lambda _: text, quiet=text)


def data_of(task: Task, one: StandingFinding) -> dict[str, Any]:
    """A finding as every answer gives it."""
    return {"task": task.name, "name": one.name, **one.to_shape()}


def findings_table(found: Sequence[tuple[Task, StandingFinding]], terminal: Terminal, *, with_task: bool) -> str:
    """Findings, a line each."""
    return _rows(found, terminal, with_task=with_task, heads=True)


def _rows(
    found: Sequence[tuple[Task, StandingFinding]], terminal: Terminal, *, with_task: bool = False, heads: bool = False
) -> str:
    rows = [
        [
            *([task.name] if with_task else []), one.name, line(one.finding.severity), one.state,
            line(one.finding.title), line(one.place), line(_finders(one)), line(_why(one)),
        ]
        for task, one in found
    ]  # fmt: skip
    names = (*(["TASK"] if with_task else []), "ID", "SEVERITY", "STATE", "TITLE", "WHERE", "FOUND BY", "WHY")
    title = names.index("TITLE")
    return table(rows, terminal, title, names if heads else (), [title + 2, title + 3])


def _finders(one: StandingFinding) -> str:
    return ", ".join(_called(opinion.reviewer) for opinion in one.opinions if opinion.status != "refuted")


def _why(one: StandingFinding) -> str:
    """What is to be said of its state."""
    parts = [
        f"in {one.fixed_in[:_SHA_CHARS]}" if one.fixed_in else "",
        "not so" if one.wrong else "",
        one.reason or "",
        f"by {one.verified_by}" if one.verified_by else "",
        "not found any more by the last review" if one.missed_by else "",
    ]
    return ": ".join(part for part in parts if part)


def _called(reviewer: Reviewer) -> str:
    more = [text for text in (reviewer.model, reviewer.kind) if text]
    return f"{reviewer.name} ({', '.join(more)})" if more else reviewer.name


def _listed(found: Sequence[Task], terminal: Terminal) -> str:
    rows = [
        [
            line(task.name),
            f"R{place}",
            one.review_id,
            line(one.verdict or "-"),
            f"{len(one.found)} found, {len(one.new)} new, {len(one.gone)} gone",
            terminal.when(one.at),
            line((one.commit_sha or "-")[:_SHA_CHARS]),
            line(", ".join(map(_called, one.reviewers))),
        ]
        for task in found
        for place, one in enumerate(task.reviews, start=1)
    ]
    heads = ("TASK", "NO", "REVIEW", "VERDICT", "FINDINGS", "WHEN", "COMMIT", "BY")
    return table(rows, terminal, heads.index("BY"), heads, [2, 6, 5]) or "No reviews."


def _named(review: Review, task: Task, one: RecordedReview) -> Review:
    """The review with what the board knows of it where it does not say so itself."""
    return review.replace(task=review.task or task.name, date=review.date or one.at)


def _shown(task: Task, one: RecordedReview, review: Review, left_out: int, terminal: Terminal) -> list[str]:
    span = f"{(one.base_sha or '?')[:_SHA_CHARS]}..{(one.commit_sha or '?')[:_SHA_CHARS]}"
    lines = [
        terminal.styled(f"{one.review_id} of {line(task.name)}: {line(one.verdict or 'no verdict')}", "heading"),
        f"By: {line(', '.join(map(_called, one.reviewers)))}",
        f"Recorded: {line(terminal.when(one.at))} by {line(actor_text(one.by))}  Commits: {line(span)}",
    ]
    lines += [f"Took no part: {line(missing.name)}: {line(missing.reason)}" for missing in review.absent]
    if review.overview is not None:
        by = line(review.overview.by or "a model")
        lines += ["", f"Overview, by {by}:", *visible_prose(review.overview.text).splitlines()]
    if review.summary:
        lines += ["", *visible_prose(review.summary).splitlines()]
    for title, texts in (("What will break", review.will_break), ("What is missing", review.missing)):
        if texts:
            lines += ["", terminal.styled(f"{title}:", "heading"), *(f"  {line(text)}" for text in texts)]
    lines += ["", terminal.styled(f"Findings: {len(one.found)}", "heading")]
    for number, merged in zip(one.found, review.findings, strict=False):
        lines += _finding(number, merged, number in one.new)
    if left_out:
        lines.append(f"  {left_out} more did not fit into the log.")
    return lines


def _finding(number: int, merged: MergedFinding, is_new: bool) -> list[str]:
    at = merged.finding
    where = f"  {at.file}{f':{at.line}' if at.line else ''}" if at.file else ""
    by = ", ".join(_called(who) for who in merged.finders)
    refuted = f"; not so, says {', '.join(_called(who) for who in merged.refuters)}" if merged.refuters else ""
    head = f"  F{number}  {at.severity}  {at.status}{'  new' if is_new else ''}  {at.title}{where}  ({by}{refuted})"
    texts = [("", at.detail), ("How: ", at.trace), ("Fix: ", at.fix)]
    return [line(head), *(f"      {text}" for name, said in texts if said for text in _lines(name + said))]


def _lines(text: str) -> list[str]:
    return visible_prose(text).splitlines()
