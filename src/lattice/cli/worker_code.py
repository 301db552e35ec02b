"""The commands of `lattice worker` about what a run changed: `diff`, `merge`, `discard` and `salvage`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line, table
from lattice.cli.worker_wait import add_run
from lattice.commands.board import Board
from lattice.core.text import how_many, visible_prose
from lattice.errors import LatticeError, UsageError
from lattice.workers.run_view import RunView
from lattice.workers.worktrees import changes, merge, salvaged
from lattice.workers.worktrees.salvage import SALVAGE_REFS
from lattice.workers.worktrees.salvaged import Kept

_SHA_CHARS = 12


class WorkerDiff(Command):
    description = (
        "From where the run began to its branch; where it has none, to what was kept of its worktree. Control\n"
        "characters are shown, not sent: --raw gives the patch that git apply takes."
    )
    examples = (
        "lattice worker diff RUN",
        "lattice worker diff RUN --stat",
        "lattice worker diff RUN --salvage",
        "lattice worker diff RUN --raw | git apply",
    )

    def arguments(self, parser: Parser) -> None:
        add_run(parser)
        parser.add_argument("--stat", action="store_true", help="the figures of each file, without the lines")
        parser.add_argument("--salvage", action="store_true", help="what was kept of the worktree, beside the branch")
        parser.add_argument("--raw", action="store_true", help="the bytes as they are: a terminal will act on them")

    def run(self, args: argparse.Namespace, context: Context) -> Answer | int:
        work = changes.work_of(context.board, args.run)
        found = changes.changes_of(work, salvaged=args.salvage)
        patch = changes.patch_of(work, found, stat=args.stat)
        if args.raw and not args.json:
            sys.stdout.flush()
            sys.stdout.buffer.write(patch.encode("utf-8", "surrogateescape"))
            sys.stdout.buffer.flush()
            return 0
        return Answer(
            data=lambda: {
                **found.fields(),
                "commits": [{"sha": sha, "subject": visible_prose(subject)} for sha, subject in found.commits],
                "files": [_printable(change.fields()) for change in found.files],
                **({} if args.stat else {"patch": _text(patch)}),
            },
            text=lambda _: visible_prose(_text(patch)).rstrip("\n"),
            quiet=found.head,
        )


class WorkerMerge(Command):
    description = (
        "Into the branch that the main checkout is on, or --into: forward where that is all it takes, else by\n"
        "a merge commit. A conflict is named, and then nothing has changed. A checkout that is on the branch is\n"
        "brought forward with it, and has to be without changes of its own."
    )
    examples = (
        "lattice worker merge RUN",
        "lattice worker merge RUN --ff-only",
        "lattice worker merge RUN --squash --message 'Parse dates'",
        "lattice worker merge RUN --no-ff --into develop",
    )
    writes = True

    def arguments(self, parser: Parser) -> None:
        add_run(parser)
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--ff-only", action="store_true", help="refuse where it takes a merge commit")
        way.add_argument("--no-ff", action="store_true", help="make a merge commit in any case")
        way.add_argument("--squash", action="store_true", help="one commit with all changes, and without the branch")
        parser.add_argument("--into", metavar="BRANCH", help="the branch to merge into")
        parser.add_argument("--message", metavar="TEXT", help="what the merge or squash commit says")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        way = next((name for name in merge.WAYS if getattr(args, name.replace("-", "_"), False)), "any")
        by = context.sign(args)
        done = merge.merge(context.board, args.run, by, way=way, into=args.into, message=args.message)
        return Answer(data=done.fields, text=lambda _: _merged(done), quiet=done.sha)


class WorkerDiscard(Command):
    description = (
        "The branch is the run's. Commits that no other branch or tag holds are kept under\n"
        "refs/lattice/salvage/ first: lattice worker salvage show RUN."
    )
    examples = ("lattice worker discard RUN", "lattice worker discard RUN --json")
    writes = True

    def arguments(self, parser: Parser) -> None:
        add_run(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        gone = merge.discard(context.board, args.run, context.sign(args))
        return Answer(data=gone.fields, text=lambda _: _discarded(gone), quiet=gone.run_id)


class WorkerSalvage(Command):
    description = (
        "What a run left in its worktree and nowhere else is kept under refs/lattice/salvage/ when the worktree\n"
        "goes. list shows all of it, show that of a run, and drop gives it up: it says what would be lost, and\n"
        "does it with --yes."
    )
    examples = (
        "lattice worker salvage list",
        "lattice worker salvage show RUN",
        "lattice worker salvage drop RUN --yes",
    )
    writes = True

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("act", metavar="ACT", choices=("list", "show", "drop"), help="list, show or drop")
        parser.add_argument("run", metavar="RUN", nargs="?", help="a run's id, or its end, for show and drop")
        parser.add_argument("--yes", action="store_true", help="drop it")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        if (args.run is None) != (args.act == "list"):
            wanted = "takes no RUN" if args.run else "needs a RUN"
            raise UsageError(f"salvage {args.act} {wanted}.", hint="lattice worker salvage --help")
        if args.yes and args.act != "drop":
            raise UsageError("--yes belongs to drop.", hint="lattice worker salvage --help")
        if args.act == "list":
            found = salvaged.kept(context.board, context.environ)
            return Answer(
                data=lambda: [item.fields() for item in found],
                text=lambda terminal: _list(found, terminal),
                quiet="\n".join(item.run_id for item in found),
            )
        found = salvaged.find(context.board, context.environ, args.run)
        return _show(found, context) if args.act == "show" else _drop(found, args, context)


def left_by(board: Board, run: RunView) -> dict[str, Any]:
    """What a run left in git: its branch with what is on it, and what was kept of its worktree; or None."""
    try:
        work = changes.work_of(board, run.run_id)
        if work.tip in (None, work.start) or work.spec.branch is None:
            branch = None
        else:
            found = changes.changes_of(work)
            branch = {"name": work.spec.branch, "sha": found.head, "commits": len(found.commits)}
            branch["files"] = len(found.files)
    except LatticeError:
        return {"branch": None, "salvage": None}  # Without its folder or without git there is nothing to look at.
    kept = salvaged.of_run(board, run.run_id)
    return {"branch": branch, "salvage": kept.fields() if kept is not None else None}


def told(left: Mapping[str, Any], run: RunView) -> list[str]:
    """The same in lines for people, each with the next step."""
    branch, kept = left["branch"], left["salvage"]
    lines = []
    if branch is not None:
        figures = f"{how_many(branch['commits'], 'commit')}, {how_many(branch['files'], 'file')}"
        lines.append(f"  on branch {line(branch['name'])}: {figures}: lattice worker diff {run.run_id}")
        if run.ended and run.merged_into is None:
            lines.append(f"  next: lattice worker merge {run.run_id}, or lattice worker discard {run.run_id}")
    if kept is not None:
        files = "" if kept["files"] is None else f" ({how_many(kept['files'], 'file')})"
        lines.append(f"  kept, and on no branch{files}: lattice worker salvage show {run.run_id}")
    elif run.salvage_ref is not None and not run.salvage_ref.startswith(f"{SALVAGE_REFS}/") and not run.salvage_dropped:
        lines.append(f"  kept as a folder, which git could not take: lattice worker salvage show {run.run_id}")
    return lines


def _show(found: Sequence[Kept], context: Context) -> Answer:
    stats = {item.ref: _stat_of(item, context) for item in found if item.ref}
    return Answer(
        data=lambda: [{**item.fields(), "stat": stats.get(item.ref or "")} for item in found],
        text=lambda terminal: "\n".join(
            [
                *_facts(found, terminal),
                *(visible_prose(stat).rstrip("\n") for stat in stats.values() if stat),
                *(f"To have it on a branch: git branch NAME {item.ref}" for item in found if item.ref),
            ]
        ),
        quiet="\n".join(str(item.sha or item.folder) for item in found),
    )


def _drop(found: Sequence[Kept], args: argparse.Namespace, context: Context) -> Answer:
    run_id = found[0].run_id
    if args.yes:
        by = context.sign(args)
        for item in found:
            salvaged.drop(context.board, item, by)
    return Answer(
        data=lambda: {"dropped": args.yes, "kept": [item.fields() for item in found]},
        text=lambda terminal: "\n".join(
            [
                "Dropped:" if args.yes else "This would be lost:",
                *_facts(found, terminal),
                *([] if args.yes else [f"To give it up: lattice worker salvage drop {run_id} --yes"]),
            ]
        ),
        quiet=run_id,
    )


def _stat_of(item: Kept, context: Context) -> str | None:
    """The figures of each file; None where the run's folder is not here to say where it began."""
    if item.worker is None:
        return None
    work = changes.work_of(context.board, item.run_id)
    return _text(changes.patch_of(work, changes.changes_of(work, salvaged=True), stat=True))


def _facts(found: Sequence[Kept], terminal: Terminal) -> list[str]:
    return [
        f"  {line(item.worker or 'a run')} on {line(item.task or 'a task that is not here')}, {item.run_id},"
        f" {terminal.when(item.at)}: {_what(item)}"
        for item in found
    ]


def _what(item: Kept) -> str:
    if item.folder is not None:
        return f"the folder {line(item.folder)}"
    files = [] if item.files is None else [how_many(item.files, "file")]
    commits = [f"{how_many(item.commits, 'commit')} on no branch"] if item.commits else []
    return ", ".join([*files, *commits, f"as {item.ref}"])


def _list(found: Sequence[Kept], terminal: Terminal) -> str:
    if not found:
        return "Nothing is kept."
    rows = [
        [
            item.run_id,
            line(item.worker or "–"),
            line(item.task or "–"),
            terminal.when(item.at),
            "–" if item.files is None else str(item.files),
            "–" if item.commits is None else str(item.commits),
            line(item.ref or item.folder),
        ]
        for item in found
    ]
    heads = ("RUN", "WORKER", "TASK", "WHEN", "FILES", "COMMITS", "WHERE")
    return table(rows, terminal, heads.index("WHERE"), heads, [heads.index(name) for name in ("WHEN", "WORKER")])


def _merged(done: merge.Merged) -> str:
    said = {
        "none": f"{line(done.branch)} is part of {line(done.into)} already, at {done.sha[:_SHA_CHARS]}.",
        "fast_forward": f"{line(done.into)} went forward to {line(done.branch)}, {done.sha[:_SHA_CHARS]}.",
        "merge": f"Merged {line(done.branch)} into {line(done.into)}: {done.sha[:_SHA_CHARS]}.",
        "squash": f"Put {line(done.branch)} into {line(done.into)} as one commit: {done.sha[:_SHA_CHARS]}.",
    }[done.way]
    return said + (f"\n  {line(done.checkout)} was brought forward with it." if done.checkout else "")


def _discarded(gone: merge.Discarded) -> str:
    if gone.sha is None:
        return f"The branch {line(gone.branch)} was gone; it is not linked to {line(gone.task)} any more."
    if gone.kept_as is None:
        return f"Deleted {line(gone.branch)}; its commits are on {line(', '.join(gone.held_by))}."
    return f"Deleted {line(gone.branch)}; its commits are kept: lattice worker salvage show {gone.run_id}"


def _text(patch: str) -> str:
    """What git printed, with what is no UTF-8 replaced: JSON and terminals take text."""
    return patch.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _printable(fields: dict[str, object]) -> dict[str, object]:
    return {key: _text(value) if isinstance(value, str) else value for key, value in fields.items()}
