"""`graph`: how tasks hang together, as a tree of text, in DOT or in Mermaid."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.lists import choices_of, short
from lattice.cli.render import Terminal, cut, line
from lattice.commands.graph import TYPES, Draw, Picture
from lattice.core.graph import before
from lattice.core.summary import Edge, Summary
from lattice.store.protocol import Unread

LABEL_COLUMNS = 60
FORMATS = ("text", "dot", "mermaid")


class Graph(Command):
    description = (
        "Unfinished tasks that have an edge, and with TASK all that is connected with it. In the text, what stands\n"
        "below a task has to be finished before it, or is a part of it."
    )
    examples = (
        "lattice graph",
        "lattice graph LAT-1 --type depends_on --type blocks",
        "lattice graph --format dot | dot -Tsvg > board.svg",
        "lattice graph --format mermaid --all",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("task", nargs="?", metavar="TASK", help="a short id such as LAT-1, or a full id")
        parser.add_argument("--format", choices=FORMATS, default="text", help=f"{', '.join(FORMATS)} (text)")
        parser.add_argument("--type", action="append", metavar="TYPE", help=f"edges of this type: {', '.join(TYPES)}")
        parser.add_argument("--all", action="store_true", help="finished and archived tasks too")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        unread: Unread = {}
        picture = Draw(args.task, tuple(args.type or ()), args.all).run(context.board, unread)
        draw = {"text": _tree, "dot": _dot, "mermaid": _mermaid}[args.format]
        circles = [f"These tasks wait for each other: {choices_of(cycle)}." for cycle in picture.cycles]
        return Answer(
            data=lambda: {
                "root": picture.root,
                "nodes": [short(row) for row in picture.rows],
                "edges": [edge._asdict() for edge in picture.edges],
                "cycles": [[row.id for row in cycle] for cycle in picture.cycles],
            },
            text=lambda terminal: draw(picture, terminal),
            quiet="\n".join(row.name for row in picture.rows),
            warnings=(*circles, *context.board.left_out(unread)),
        )


def _tree(picture: Picture, terminal: Terminal) -> str:
    """Each task with what comes before it, as deep as that goes; what was shown is not unfolded again."""
    if not picture.rows:
        return "No tasks are linked."
    rows = {row.id: row for row in picture.rows}
    below: dict[str, list[tuple[str, str]]] = {}
    for edge in picture.edges:
        above, under, label = _upright(edge)
        below.setdefault(above, []).append((under, label))
    under_some = {under for children in below.values() for under, _ in children}
    tops = [picture.root] if picture.root else [row.id for row in picture.rows if row.id not in under_some]
    seen: set[str] = set()
    lines: list[str] = []
    for top in (*tops, *rows):  # What hangs in a circle alone, or above the root, has no other way in.
        if top not in seen:
            lines += _branch(top, rows, below, seen, terminal)
    return "\n".join(lines)


def _branch(
    top: str,
    rows: Mapping[str, Summary],
    below: Mapping[str, Sequence[tuple[str, str]]],
    seen: set[str],
    terminal: Terminal,
) -> list[str]:
    lines: list[str] = []
    ahead = [(top, "", "", "")]
    while ahead:
        task_id, label, indent, fork = ahead.pop()
        again = task_id in seen
        seen.add(task_id)
        children = [] if again else below.get(task_id, [])
        mark = " …" if again and below.get(task_id) else ""
        lines.append(f"{indent}{fork}{label}{_label(rows[task_id], terminal)}{mark}")
        deeper = indent + {"": "", "├─ ": "│  ", "└─ ": "   "}[fork]
        for place, (child, kind) in reversed(list(enumerate(children))):
            ahead.append((child, f"{kind} ", deeper, "└─ " if place == len(children) - 1 else "├─ "))
    return lines


def _upright(edge: Edge) -> tuple[str, str, str]:
    """The task above, the one below it, and what to call the line between them."""
    ordered = before(edge)
    if ordered is not None:
        first, then = ordered
        return then, first, "after"
    if edge.type in ("subtask_of", "spawned_by"):
        return edge.target, edge.source, "subtask" if edge.type == "subtask_of" else "spawned"
    return edge.source, edge.target, edge.type


def _label(row: Summary, terminal: Terminal) -> str:
    return f"{line(row.name)} [{terminal.styled(line(row.status))}] {line(cut(row.title, LABEL_COLUMNS))}"


def _dot(picture: Picture, terminal: Terminal) -> str:
    del terminal
    lines = ["digraph lattice {", "  rankdir=LR;", "  node [shape=box];"]
    for row in picture.rows:
        text = f"{row.name}: {cut(row.title, LABEL_COLUMNS)}\n{row.status}"
        lines.append(f"  {_quoted(row.id)} [label={_quoted(text)}];")
    lines += [
        f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={_quoted(edge.type)}];" for edge in picture.edges
    ]
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    r"""A quoted string of DOT. A backslash is doubled, or it would begin one of its escapes (`\G`, `\N`)."""
    parts = (line(part).replace("\\", "\\\\").replace('"', '\\"') for part in text.split("\n"))
    return '"' + "\\n".join(parts) + '"'


def _mermaid(picture: Picture, terminal: Terminal) -> str:
    del terminal
    numbers = {row.id: f"t{place}" for place, row in enumerate(picture.rows, start=1)}
    lines = ["graph LR"]
    for row in picture.rows:
        text = _entities(line(f"{row.name}: {cut(row.title, LABEL_COLUMNS)}"))
        lines.append(f'  {numbers[row.id]}["{text}<br/>{_entities(line(row.status))}"]')
    lines += [f'  {numbers[e.source]} -->|"{_entities(line(e.type))}"| {numbers[e.target]}' for e in picture.edges]
    return "\n".join(lines)


def _entities(text: str) -> str:
    """Mermaid's own escapes, `#35;`, for all that could be markup: a page shows it as the text that it is."""
    return "".join(c if c.isalnum() or c in " .,:_-()/" else f"#{ord(c)};" for c in text)
