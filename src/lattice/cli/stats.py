"""Commands that show what the board's history adds up to."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line, table
from lattice.commands import stats
from lattice.core.stats import age_text, project_name
from lattice.core.text import how_many
from lattice.errors import UsageError

BAR_COLUMNS = 20
_KINDS = {"stale": "STALE", "wip_breach": "WIP", "unassigned_active": "UNASSIGNED", "needs_human": "HUMAN"}
_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>#|~"})


class Stats(Command):
    description = "Figures of tasks in hand; archived ones count in the totals and the velocity alone."
    examples = ("lattice stats", "lattice stats --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        found = stats.statistics(board)
        name = line(project_name(board.config))
        return Answer(
            data=lambda: found,
            text=lambda terminal: _stats_page(name, found, terminal),
            quiet=str(found["summary"]["active_tasks"]),
        )


class Weather(Command):
    description = "The day's digest: what was finished, what wants attention, what comes next."
    examples = ("lattice weather", "lattice weather --markdown > today.md", "lattice weather --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--markdown", action="store_true", help="as Markdown, to be sent or kept")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        if args.markdown and (args.json or args.quiet):
            raise UsageError("--markdown, --json and --quiet exclude each other.", hint="lattice weather --help")
        found = stats.weather(context.board)
        return Answer(
            data=lambda: found,
            text=lambda terminal: _markdown(found) if args.markdown else _weather_page(found, terminal),
            quiet=found["headline"]["weather"],
        )


def _stats_page(name: str, found: Mapping[str, Any], terminal: Terminal) -> str:
    total = found["summary"]
    parts = [
        terminal.styled(f"{name}: {how_many(total['active_tasks'], 'task')}", "heading")
        + f", {total['archived_tasks']} archived; {how_many(total['total_events'], 'event')}"
    ]
    parts += _section(
        "By status", [[*row, _bar(row[1], total["active_tasks"])] for row in found["by_status"]], terminal
    )
    for title in ("priority", "type", "assignee", "tag"):
        parts += _section(f"By {title}", found[f"by_{title}"], terminal)
    over = [[row["status"], f"{row['current']} of {row['limit']}"] for row in found["wip"] if row["over"]]
    parts += _section("Over the limit of work in progress", over, terminal)
    active = [[row["id"], row["status"], f"{row['updated_ago']} ago", row["title"]] for row in found["recently_active"]]
    parts += _section("Recently active", active, terminal)
    stale = [[row["id"], row["status"], age_text(row["days_stale"]), row["title"]] for row in found["stale"]]
    parts += _section("Idle for a week or more", stale, terminal)
    busiest = [[row["id"], how_many(row["event_count"], "event"), row["title"]] for row in found["busiest"]]
    parts += _section("Most events", busiest, terminal)
    if any(row["count"] for row in found["velocity"]):
        parts += _section("Done a week", [[row["week"], row["count"]] for row in found["velocity"]], terminal)
    spent = [[row["status"], _duration(row["avg_hours"]), f"{row['sample_count']}×"] for row in found["time_in_status"]]
    parts += _section("Time in a status, on average", spent, terminal)
    return "\n".join(parts)


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def _section(title: str, rows: Sequence[Sequence[object]], terminal: Terminal) -> list[str]:
    if not rows:
        return []
    cells = [[line(cell) for cell in row] for row in rows]
    inner = terminal.replace(columns=terminal.columns - 2) if terminal.columns else terminal
    body = table(cells, inner, len(cells[0]) - 1).splitlines()
    return ["", terminal.styled(f"{title}:", "heading"), *(f"  {text}" for text in body)]


def _bar(count: int, total: int) -> str:
    return "#" * max(1, round(BAR_COLUMNS * count / total))


def _weather_page(found: Mapping[str, Any], terminal: Terminal) -> str:
    headline, vital = found["headline"], found["vital_signs"]
    parts = [
        terminal.styled(f"{line(headline['project'])}, {headline['date']}: {headline['weather']}", "heading"),
        (
            f"{how_many(vital['active_tasks'], 'task')}, {vital['in_progress']} being worked on, "
            f"{vital['done_recently']} done lately, {how_many(vital['events_24h'], 'event')} within a day"
        ),
    ]
    wants = [
        [_KINDS[item["type"]], item.get("id") or item["status"], item["detail"], item.get("title", "")]
        for item in found["attention"]
    ]
    parts += _section("Wants attention", wants, terminal)
    done = [[item["id"], f"{item['completed_ago']} ago", item["title"]] for item in found["recently_completed"]]
    parts += _section("Done lately", done, terminal)
    ahead = [
        [item["id"], item["priority"], item["status"], item["assigned_to"] or "", item["title"]]
        for item in found["up_next"]
    ]
    parts += _section("Up next", ahead, terminal)
    return "\n".join(parts)


def _markdown(found: Mapping[str, Any]) -> str:
    headline, vital = found["headline"], found["vital_signs"]
    lines = [
        f"# {_marked(headline['project'])}: the weather of {headline['date']}", "", f"**{headline['weather']}**", "",
        "| Vital sign | Value |", "| --- | ---: |", f"| Tasks | {vital['active_tasks']} |",
        f"| Being worked on | {vital['in_progress']} |", f"| Done lately | {vital['done_recently']} |",
        f"| Events within a day | {vital['events_24h']} |",
    ]  # fmt: skip
    wants = [
        f"**{_KINDS[item['type']]}** {item.get('id') or item['status']}: {_marked(item['detail'])}"
        + (f": {_marked(item['title'])}" if "title" in item else "")
        for item in found["attention"]
    ]
    done = [
        f"{item['id']} {_marked(item['title'])} ({item['completed_ago']} ago)" for item in found["recently_completed"]
    ]
    ahead = [f"{item['id']} \\[{_marked(item['priority'])}\\] {_marked(item['title'])}" for item in found["up_next"]]
    for title, items in (("Wants attention", wants), ("Done lately", done), ("Up next", ahead)):
        lines += ["", f"## {title}", "", *([f"- {item}" for item in items] or ["Nothing."])]
    return "\n".join(lines)


def _marked(text: object) -> str:
    """Text for Markdown: nothing in it is markup."""
    return line(text).translate(_MARKS)
