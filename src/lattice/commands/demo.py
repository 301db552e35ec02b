"""A board to look around in: some tasks of a small project, as they lie after two weeks of people and agents."""

from __future__ import annotations

from pathlib import Path

from lattice.commands.board import FOLDER, Board
from lattice.commands.edges import Link, LinkBranch
from lattice.commands.init import Init
from lattice.commands.tasks import ChangeStatus, Comment, CreateTask, TaskRequest, change
from lattice.core.record import Record
from lattice.errors import Conflict, StorageError
from lattice.ledger import Signature

_ANN, _BOT, _REVIEWER = "human:ann", "agent:claude", "agent:reviewer"
_WHY = "the demo tells of work that was done elsewhere"


class _Story(Record):
    """A task of the demo, and what became of it."""

    title: str
    status: str
    priority: str = "medium"
    type: str = "task"
    tags: str | None = None
    assigned_to: str | None = None
    description: str | None = None
    said: tuple[tuple[str, str], ...] = ()  # by whom, and what
    links: tuple[tuple[str, int], ...] = ()  # of which type, and to which of the tasks before it
    branch: str | None = None


_STORIES = (
    _Story(
        "Parse dates with a time zone", "done", "high", "bug", "parser", _BOT,
        "2026-11-20T23:39:05+02:00 is read as local time.",
        ((_ANN, "Seen at two customers."), (_BOT, "The offset was cut off too early. Mended, with a test."),
         (_REVIEWER, "Read it: the negative offsets are covered, too.")),
        branch="fix/time-zones",
    ),
    _Story("Parse dates without a day", "planned", "medium", "task", "parser", links=(("depends_on", 1),)),
    _Story(
        "Import from CSV", "review", "high", "task", "import", _BOT, "Any table with a header.",
        ((_BOT, "Quoted line breaks work. Is 10 MB enough as a limit?"), (_ANN, "It is; say it in the error.")),
        (("depends_on", 1),), "feature/csv",
    ),
    _Story("Document the import", "backlog", "low", "chore", "docs", links=(("depends_on", 3),)),
    _Story(
        "A date in the far future crashes the calendar", "in_progress", "critical", "bug", "calendar", _BOT,
        said=((_ANN, "9999-12-31, from a record that never expires."),),
    ),
    _Story(
        "Choose where calendars are kept", "needs_human", "high", "spike", "calendar",
        said=((_BOT, "Two ways: a file each, or one for all. A file each merges better. Which one?"),),
    ),
    _Story("Show two calendars side by side", "blocked", "medium", "task", "calendar", links=(("depends_on", 6),)),
    _Story("Drop Python 3.9", "cancelled", "low", "chore", said=((_ANN, "A customer needs it until spring."),)),
)  # fmt: skip


def seed(path: Path) -> tuple[Board, int]:
    """Make the demo's board in this folder. Returns it, and how many tasks it has.

    Raises Conflict where a board is there already: nothing is mixed into it. Raises StorageError.
    """
    if (path / FOLDER).exists():
        raise Conflict(f"There is a board in {path} already.", hint="Name another folder with --path.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as refused:
        raise StorageError(f"{path} could not be made: {refused.strerror}.") from refused
    config, _ = Init(path=path, actor=_ANN, project_code="DEMO", project_name="Calendar", instance_name="Demo").run()
    board = Board(path, config)
    for number, story in enumerate(_STORIES, start=1):
        _tell(board, f"DEMO-{number}", story)
    return board, len(_STORIES)


def _tell(board: Board, name: str, story: _Story) -> None:
    CreateTask(
        story.title, story.type, story.priority, tags=story.tags, assigned_to=story.assigned_to,
        description=story.description,
    ).run(board, Signature(_ANN))  # fmt: skip
    acts: list[tuple[str, TaskRequest]] = [(by, Comment(text)) for by, text in story.said]
    acts += [(_ANN, Link(kind, board.resolve(f"DEMO-{other}"))) for kind, other in story.links]
    if story.branch is not None:
        acts.append((_BOT, LinkBranch(story.branch)))
    if story.status != board.config.default_status:
        acts.append((story.assigned_to or _ANN, ChangeStatus(story.status, force=True, reason=_WHY)))
    for by, request in acts:
        change(board, name, request, Signature(by))
