"""The commands of `lattice worker` about workers that start by themselves: `triggers`, `trust`, `untrust`, `sweep`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line
from lattice.cli.worker_definitions import unknown_statuses
from lattice.core.workflow import check_choice
from lattice.errors import UsageError
from lattice.ledger import timestamp
from lattice.workers.definitions import trust
from lattice.workers.definitions.definition import Definition
from lattice.workers.definitions.trust import Shown
from lattice.workers.triggering import sweep, timers, triggers
from lattice.workers.triggering.starting import in_place_of
from lattice.workers.triggering.triggers import Prospect

_SWEEP = (sys.executable, "-m", "lattice.cli.main", "worker", "sweep", "--no-pager")


class WorkerTriggers(Command):
    description = (
        "Each worker that a change of status starts: its transitions, its condition, and whether it is trusted.\n"
        "With a task: whether it would start if the task made such a move now, from its present status; every\n"
        "reason against it, and what each term of the condition saw."
    )
    examples = ("lattice worker triggers", "lattice worker triggers LAT-1", "lattice worker triggers LAT-1 --to review")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("task", metavar="TASK", nargs="?", help="a short id such as LAT-1, or a full id")
        parser.add_argument("--to", metavar="STATUS", help="the move to this status, in place of any")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        if args.to is not None:
            if args.task is None:
                raise UsageError("--to needs a task.", hint="lattice worker triggers LAT-1 --to review")
            check_choice(args.to, board.config.statuses, "status", "statuses")
        task = board.store.task(board.resolve(args.task)) if args.task is not None else None
        found, problems = triggers.prospects(board, task, args.to, context.environ)
        rows = [_prospect(one, trust.shown(one.definition, trust.checkout_of(board), context.environ)) for one in found]
        return Answer(
            data=lambda: rows,
            text=lambda terminal: (
                "\n".join(_prospect_text(row, terminal) for row in rows)
                or "No worker has triggers: worker triggers --help"
            ),
            quiet="\n".join(row["worker"] for row in rows if row.get("starts", True)),
            warnings=(*problems, *unknown_statuses((one.definition for one in found), board.config.statuses)),
        )


class WorkerTrust(Command):
    description = (
        "Shows what the worker executes, what its environment is and when it starts by itself; then asks, or\n"
        "with --yes trusts exactly that. One changed byte of the definition, its script, its prompt, or a file of\n"
        "the checkout that its commands name, asks again. A run that you ask for by name needs no trust."
    )
    examples = ("lattice worker trust DiffCheck", "lattice worker trust DiffCheck --yes")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("name", metavar="NAME", help="the worker: lattice worker list")
        parser.add_argument("--yes", action="store_true", help="trust what is shown, as it is now")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        shown = trust.find(context.board, args.name, context.environ)
        said = False
        if not (args.yes or args.json or args.quiet or shown.trusted) and _can_ask():
            context.write(f"{_shown_text(shown, context.terminal)}\n\nTrust it, as it is shown? [y/N] ")
            args.yes, said = sys.stdin.readline().strip().lower() in ("y", "yes"), True
        if args.yes:
            shown = trust.trust(shown, context.environ, timestamp(context.board.ledger.source.now_ms()))
        name = shown.definition.name
        conclusion = (
            f"{name} is trusted. To take it back: lattice worker untrust {name}"
            if shown.trusted
            else f"{name} starts only when you run it. To trust it as it is shown: lattice worker trust {name} --yes"
        )
        return Answer(
            data=lambda: _shown_data(shown),
            text=lambda terminal: conclusion if said else f"{_shown_text(shown, terminal)}\n\n{conclusion}",
            quiet=shown.digest,
        )


class WorkerUntrust(Command):
    description = "It starts by itself no more, in any version that was trusted. The definition need not be there."
    examples = ("lattice worker untrust DiffCheck",)

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("name", metavar="NAME", help="the worker")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        checkout = trust.checkout_of(context.board)
        gone = trust.distrust(args.name, checkout, context.environ)
        return Answer(
            data=lambda: {"checkout": str(checkout), "removed": [grant.fields() for grant in gone]},
            text=lambda _: (
                "\n".join(line(f"no longer trusted: {grant.name}  {grant.digest}") for grant in gone)
                or line(f"{args.name} was not trusted.")
            ),
            quiet="\n".join(grant.digest for grant in gone),
        )


class WorkerSweep(Command):
    description = (
        "Starts each worker that has a sweep in its definition on the tasks that fit, unless it ran there less\n"
        "than every_hours ago; at most limit runs a worker. Starts the runs of the queue whose turn has come, too.\n"
        "Made for a timer: a second sweep at the same time does nothing. Exits with 1 where something could not be\n"
        "started, and with --dry-run where it could not."
    )
    examples = (
        "lattice worker sweep --dry-run",
        "lattice worker sweep StaleCheck --json",
        "lattice worker sweep --print-timer",
        "lattice worker sweep --print-timer --cron | crontab -",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("workers", metavar="WORKER", nargs="*", help="these alone; without one, all")
        parser.add_argument("--dry-run", action="store_true", help="say what is due, and start nothing")
        parser.add_argument("--print-timer", action="store_true", help="print a systemd service and its timer")
        parser.add_argument(
            "--cron", action="store_true", help="with --print-timer: a line of a crontab in their place"
        )

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        if args.print_timer:
            if args.dry_run or args.workers:
                raise UsageError("--print-timer is for the sweep of all workers.", hint="lattice worker sweep --help")
            return _timer(context, cron=args.cron)
        if args.cron:
            raise UsageError("--cron belongs to --print-timer.", hint="lattice worker sweep --print-timer --cron")
        swept = sweep.sweep(context.board, args.workers, context.environ, dry_run=args.dry_run)
        said = [f"Started {run_id} from the queue." for run_id in swept.from_queue]
        said += [one.told() for one in swept.started]
        said += [f"Due: {one.worker}{in_place_of(one.worker, one.asked_by)} on {one.task}" for one in swept.due]
        nothing = "Nothing was started." if swept.problems else "Nothing is due."
        nothing = "Another sweep is at work; this one did nothing." if swept.busy else nothing
        runs = [*swept.from_queue, *(one.run_id for one in swept.started)]
        runs = runs or [f"{one.worker} {one.task}" for one in swept.due]
        return Answer(
            data=lambda: {
                "started": [one.fields() for one in swept.started],
                "from_queue": list(swept.from_queue),
                "due": [one.fields() for one in swept.due],
                "busy": swept.busy,
                "problems": list(swept.problems),
            },
            text=lambda _: "\n".join(map(line, said)) or nothing,
            quiet="\n".join(runs),
            warnings=swept.problems,
            exit_status=1 if swept.problems else 0,
        )


def _timer(context: Context, *, cron: bool) -> Answer:
    if cron:
        text = timers.crontab_line(context.board, _SWEEP, context.environ)
        return Answer(data=lambda: {"crontab": text}, text=lambda _: text.rstrip("\n"), quiet=text.rstrip("\n"))
    units = timers.systemd_units(context.board, _SWEEP, context.environ)
    names = " and ".join(unit.name for unit in units)
    pages = "\n".join(f"# {unit.name}\n{unit.text}" for unit in units)
    how = f"# Put them into ~/.config/systemd/user/, then: systemctl --user enable --now {units[1].name}"
    return Answer(
        data=lambda: {unit.name: unit.text for unit in units},
        text=lambda _: f"# {names}\n{how}\n\n{pages}".rstrip("\n"),
        quiet=pages.rstrip("\n"),
    )


def _prospect(one: Prospect, shown: Shown) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "worker": one.definition.name,
        "trusted": shown.trusted,
        "changed": shown.changed,
        **_rules(one.definition),
    }
    found = one.considered
    if found is not None:
        shape |= {
            "starts": not found.reasons,
            "would_start": found.worker,
            "reasons": [reason.fields() for reason in found.reasons],
            "seen": [seen.fields() for seen in found.seen],
        }
    return shape


def _prospect_text(row: dict[str, Any], terminal: Terminal) -> str:
    head = [terminal.styled(line(row["worker"]), "heading")]
    if "starts" in row:
        head.append(terminal.styled("would start", "done") if row["starts"] else "would not start")
        if row["would_start"] != row["worker"]:
            head.append(f"({line(row['would_start'])} in its place)")
    else:
        head.append(_trust_words(row, terminal))
    lines = ["  ".join(head), *_rules_text(row)]
    for reason in row.get("reasons", ()):
        why = reason["text"].removesuffix(".")
        lines.append(f"  no        {line(why)}" + (f". {line(reason['hint'])}" if reason["hint"] else ""))
    for seen in row.get("seen", ()):
        has = f": {line(seen['value'])}" if seen["value"] else ""
        lines.append(f"  {'holds ' if seen['holds'] else 'false '}    {line(seen['term'])}{has}")
    return "\n".join(lines)


def _rules(definition: Definition) -> dict[str, Any]:
    asked, swept = definition.triggers, definition.sweep
    return {
        "transitions": [f"{a} -> {b}" for a, b in asked.transitions] if asked is not None else [],
        "when": asked.when if asked is not None else None,
        "cooldown_minutes": asked.cooldown_minutes if asked is not None else 0,
        "escalate": [one.fields() for one in definition.escalate],
        "sweep": swept.fields() if swept is not None else None,
    }


def _rules_text(rules: dict[str, Any]) -> list[str]:
    lines = [f"  on        {line(text)}" for text in rules["transitions"]]
    if rules["when"]:
        lines.append(f"  when      {line(rules['when'])}")
    if rules["cooldown_minutes"]:
        lines.append(f"  pause     {_so_many(rules['cooldown_minutes'], 'minute')}")
    lines += [f"  instead   {line(one['to'])} when {line(one['when'])}" for one in rules["escalate"]]
    swept = rules["sweep"]
    if swept:
        lines.append(
            f"  sweep     {line(swept['when'])}; "
            f"every {_so_many(swept['every_hours'], 'hour').removeprefix('1 ')}, {swept['limit']} at most"
        )
    return lines


def _so_many(number: float, what: str) -> str:
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _shown_data(shown: Shown) -> dict[str, Any]:
    definition = shown.definition
    setup = definition.setup.run if definition.setup is not None else ()
    return {
        "worker": definition.name,
        "trusted": shown.trusted,
        "changed": shown.changed,
        "digest": shown.digest,
        "checkout": str(shown.checkout),
        "source": str(definition.source),
        "actor": definition.actor,
        "argv": list(shown.argv),
        "members": [
            {"worker": member.name, "argv": list(trust.argv_of(member, shown.checkout)), "sandbox": member.sandbox.mode}
            for member in shown.members
        ],
        "sandbox": definition.sandbox.mode,
        "copy": list(definition.copy),
        "setup": [list(argv) for argv in setup],
        "environment": {
            "strip": list(definition.env.strip),
            "keep": list(definition.env.keep),
            "set": dict(definition.env.set),
        },
        "files": [file.fields() for file in shown.files],
        **_rules(definition),
    }


def _trust_words(row: Mapping[str, Any], terminal: Terminal) -> str:
    if row["trusted"]:
        return terminal.styled("trusted", "done")
    return terminal.styled("changed since it was trusted" if row["changed"] else "not trusted", "needs_human")


def _shown_text(shown: Shown, terminal: Terminal) -> str:
    shape = _shown_data(shown)
    state = _trust_words(shape, terminal)
    environment = shape["environment"]
    return "\n".join(
        [
            f"{terminal.styled(line(shape['worker']), 'heading')}  {state}",
            f"  defined   {line(shape['source'])}",
            *([f"  runs      {line(shlex.join(shape['argv']))}"] if shape["argv"] else []),
            *(
                f"  member    {line(member['worker'])}: {line(shlex.join(member['argv']))}, sandbox {member['sandbox']}"
                for member in shape["members"]
            ),
            *(f"  before    {line(shlex.join(argv))}" for argv in shape["setup"]),
            f"  as        {line(shape['actor'])}",
            *([f"  sandbox   {shape['sandbox']}"] if shape["argv"] else []),
            *([f"  copies    {line(', '.join(shape['copy']))}"] if shape["copy"] else []),
            *(f"  file      {line(file['path'])}  {file['digest']}" for file in shape["files"]),
            "  env       yours"
            + (f", without {line(', '.join(environment['strip']))}" if environment["strip"] else "")
            + (f", but with {line(', '.join(environment['keep']))}" if environment["keep"] else ""),
            *(f"  env       {line(f'{name}={value}')}" for name, value in environment["set"].items()),
            *_rules_text(shape),
        ]
    )


def _can_ask() -> bool:
    # A stream that was closed before the start is None, whatever its type says.
    return all(stream is not None and stream.isatty() for stream in (sys.__stdin__, sys.__stdout__))
