"""Questions about how tasks hang together: what may begin, what waits, and the picture of it."""

from __future__ import annotations

from collections.abc import Sequence

from lattice.commands.board import Board
from lattice.core.graph import STARTABLE, Graph, Waiting
from lattice.core.record import Record
from lattice.core.summary import Edge, Summary
from lattice.core.workflow import check_choice
from lattice.errors import NotFound, choices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.store.protocol import Unread

TYPES = ("blocks", "depends_on", "subtask_of", "related_to", "spawned_by", "duplicate_of", "supersedes")


def graph_of(board: Board, unread: Unread | None = None) -> Graph:
    """The graph of all tasks, archived ones included: what they hold up, they hold up no more.

    `unread` as a store has it. Raises LogDamaged.
    """
    with board.store.view(archived=True, unread=unread) as view:
        return Graph(view.rows(), view.edges(), board.config, unread or ())


def ready(
    board: Board, statuses: Sequence[str] = (), limit: int | None = None, unread: Unread | None = None
) -> list[Summary]:
    """The tasks that can be begun now, the most important first. Raises as `graph_of`; ValidationError for a status."""
    for status in statuses:
        check_choice(status, board.config.statuses, "status", "statuses")
    return graph_of(board, unread).ready(tuple(statuses) or STARTABLE)[:limit]


class Blocked(Record):
    """What waits, and what waits for itself."""

    waiting: tuple[Waiting, ...]
    cycles: tuple[tuple[Summary, ...], ...]

    def warnings(self) -> list[str]:
        """Each circle in a sentence."""
        return [
            f"These tasks wait for each other: {choices([row.name for row in cycle])}. Remove a link: lattice unlink."
            for cycle in self.cycles
        ]


def blocked(board: Board, unread: Unread | None = None) -> Blocked:
    """The tasks that wait. Raises as `graph_of`."""
    graph = graph_of(board, unread)
    return Blocked(tuple(graph.blocked()), tuple(graph.cycles()))


class Picture(Record):
    """A part of the graph: tasks, and the edges between them."""

    rows: tuple[Summary, ...]
    edges: tuple[Edge, ...]
    root: str | None
    cycles: tuple[tuple[Summary, ...], ...]


class Draw(Record):
    """`ref` limits the picture to what is connected with one task; finished tasks are left out unless `all_tasks`."""

    ref: str | None = None
    types: tuple[str, ...] = ()
    all_tasks: bool = False

    def run(self, board: Board, unread: Unread | None = None) -> Picture:
        """The picture. Tasks without an edge are in it only as the root. Raises ValidationError, NotFound."""
        for kind in self.types:
            check_choice(kind, TYPES, "relationship type", "types")
        graph = graph_of(board, unread)
        root = board.resolve(self.ref) if self.ref else None
        if root is not None and root not in graph.rows:
            raise NotFound(f"Task {root} not found.", hint="See what there is: lattice list")
        graph.edges = [edge for edge in graph.edges if edge.type in (self.types or TYPES) or not self.types]
        shown = {
            task_id
            for task_id, row in graph.rows.items()
            if self.all_tasks or task_id == root or not graph.finished(row)
        }
        graph.edges = [edge for edge in graph.edges if edge.source in shown and edge.target in shown]
        if root is not None:
            shown = graph.around(root)
        edges = [edge for edge in graph.edges if edge.source in shown and edge.target in shown]
        linked = {task_id for edge in edges for task_id in (edge.source, edge.target)} | ({root} if root else set())
        rows = [row for task_id, row in graph.rows.items() if task_id in linked]
        return Picture(tuple(rows), tuple(edges), root, tuple(graph.cycles()))
