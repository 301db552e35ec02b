"""What one may ask of a task: a request each, and its decision on the fresh task.

A request is what a face parsed; `decide` is pure and runs under the task's lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lattice.commands import facts
from lattice.commands.board import Board
from lattice.core import workflow
from lattice.core.actors import UNASSIGNED, parse_actor
from lattice.core.codec import BadLine, parse
from lattice.core.config import COMPLEXITIES, PRIORITIES, URGENCIES, Config
from lattice.core.events import (
    CUSTOM,
    UPDATABLE,
    AssignmentChanged,
    CommentAdded,
    FieldUpdated,
    Foreign,
    TaskCreated,
    TaskEvent,
)
from lattice.core.ids import parse_id
from lattice.core.record import Protocol, Record
from lattice.core.task import Task
from lattice.core.text import check_comment, check_line, check_prose
from lattice.errors import InvalidActor, InvalidRole, ValidationError, choices, did_you_mean, nearest
from lattice.ledger import Signature, Written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Decision = Sequence[TaskEvent | Foreign]
TAGS_MAX = 100


class CreateTask(Record):
    """A new task. What is None takes the board's default, or stays unset."""

    title: str
    type: str | None = None
    priority: str | None = None
    urgency: str | None = None
    complexity: str | None = None
    status: str | None = None
    description: str | None = None
    tags: str | None = None
    assigned_to: str | None = None
    id: str | None = None

    def run(self, board: Board, by: Signature) -> Written:
        """Begin the task; with `id`, a retry returns the one that is there. Raises ValidationError, Conflict."""
        config = board.config
        stream = parse_id("task", self.id) if self.id else board.ledger.new_id("task")
        fields = self._checked(config)
        written = board.ledger.create(
            stream, lambda short_id: TaskCreated(**fields, short_id=short_id), by, config.short_id_prefix
        )
        if not written.repeated:
            write_plan_scaffold(board, written.task)
        return written

    def _checked(self, config: Config) -> dict[str, Any]:
        default_type = config.task_types[0] if config.task_types else "task"
        given = {
            "title": self.title,
            "type": self.type or default_type,
            "priority": self.priority or config.default_priority,
            "urgency": self.urgency,
            "complexity": self.complexity,
            "description": self.description,
        }
        fields: dict[str, Any] = {
            name: check_field(name, value, config) for name, value in given.items() if value is not None
        }
        fields["status"] = workflow.check_choice(
            self.status or config.default_status, config.statuses, "status", "statuses"
        )
        if self.tags is not None:
            fields["tags"] = parse_tags(self.tags)
        if self.assigned_to is not None:
            fields["assigned_to"] = parse_actor(self.assigned_to)
        return fields


class ChangeStatus(Record):
    to: str
    force: bool = False
    reason: str | None = None
    facts: workflow.Facts = workflow.NO_FACTS  # `change` fills them in, under the task's lock

    def decide(self, task: Task, config: Config) -> Decision:
        event = workflow.change_status(task, self.to, config, force=self.force, reason=self.reason, facts=self.facts)
        return [] if event is None else [event]


class Assign(Record):
    """`to` is an actor, or one of the words for nobody."""

    to: str

    def decide(self, task: Task, config: Config) -> Decision:
        del config
        to = None if self.to in UNASSIGNED else self._actor()
        return [] if to == task.assigned_to else [AssignmentChanged(from_=task.assigned_to, to=to)]

    def _actor(self) -> str:
        try:
            return parse_actor(self.to)
        except InvalidActor as off:
            hint = "Write human:ann or agent:claude; 'none', 'unassigned' or '-' takes the task from whoever has it."
            raise InvalidActor(off.message, hint=hint) from None


class Comment(Record):
    body: str
    role: str | None = None

    def decide(self, task: Task, config: Config) -> Decision:
        del task
        body = check_comment(self.body)
        check_role(self.role, config)
        return [CommentAdded(body=body, role=self.role)]


class Update(Record):
    """`pairs` are `field=value` texts."""

    pairs: tuple[str, ...]

    def decide(self, task: Task, config: Config) -> Decision:
        if not self.pairs:
            raise ValidationError(
                "No field=value pairs provided.", hint=f"Fields: {choices(UPDATABLE)}, custom_fields.NAME."
            )
        events: list[FieldUpdated] = []
        given: set[str] = set()
        for pair in self.pairs:
            field, equals, text = pair.partition("=")
            if not equals:
                raise ValidationError(f"Invalid field=value pair: {pair[:80]!r}.", hint="Write title='New title'.")
            if field in given:  # Only one can stand; which one was meant, nobody knows.
                raise ValidationError(f"{field[:80]!r} is given twice.", hint=f"Give it once: {field[:80]}=VALUE")
            given.add(field)
            old, new = _old_value(task, field), _new_value(field, text, config)
            if old != new and not (field == "tags" and tuple(old or ()) == new):
                events.append(FieldUpdated(field=field, from_=list(old or []) if field == "tags" else old, to=new))
        return events


class RecordEvent(Record):
    """A custom event; `data` is JSON text."""

    type: str
    data: str | None = None

    def decide(self, task: Task, config: Config) -> Decision:
        del task, config
        name = check_line(self.type, "event type", chars_max=100)
        if not name.startswith("x_") or not name.removeprefix("x_").replace("_", "a").replace("-", "a").isalnum():
            raise ValidationError(
                f"Invalid custom event type: {name!r}. Custom types start with x_.",
                hint=f"Call it x_{name}." if name.replace("_", "a").isalnum() else "Write x_deployed, for example.",
            )
        return [Foreign(name, self._data())]

    def _data(self) -> Mapping[str, Any]:
        if self.data is None:
            return {}
        try:
            return parse(self.data.encode("utf-8", "surrogatepass"))
        except BadLine as off:
            raise ValidationError(
                f"--data is not what it should be: {off}.", hint="""Give an object: --data '{"key": 1}'"""
            ) from None


class TaskRequest(Protocol):
    """What may be asked of a task, decided on its fresh state."""

    def decide(self, task: Task, config: Config) -> Decision:
        """The events that do it; none where there is nothing to do. Raises LatticeError to refuse."""


def change(board: Board, ref: str, request: TaskRequest, by: Signature, *, event_id: str | None = None) -> Written:
    """Ask `request` of the task that `ref` names. The one way in for every face."""
    task_id = board.resolve(ref)
    if isinstance(request, ChangeStatus):
        return _change_status(board, task_id, request, by, event_id)
    return board.ledger.transact(task_id, lambda task: request.decide(task, board.config), by, event_id=event_id)


def _change_status(board: Board, task_id: str, request: ChangeStatus, by: Signature, event_id: str | None) -> Written:
    diff = None if request.force else facts.diff_for(board, task_id, request.to)

    def decide(task: Task) -> Decision:
        informed = request.replace(facts=facts.facts(board, task, request.to, diff))
        return informed.decide(task, board.config)

    with facts.counting(board, request.to):
        written = board.ledger.transact(task_id, decide, by, event_id=event_id)
    facts.note_resets(board, () if written.repeated else written.events)
    return written


def check_field(field: str, value: str, config: Config) -> str:
    """A valid value for one of a task's plain fields. Raises ValidationError."""
    match field:
        case "title":
            return check_line(value, "title")
        case "description":
            return check_prose(value, "description")
        case "type":
            return workflow.check_choice(value, config.task_types, "task type", "types")
        case "priority":
            return workflow.check_choice(value, PRIORITIES, "priority", "priorities")
        case "urgency":
            return workflow.check_choice(value, URGENCIES, "urgency", "urgencies")
        case "complexity":
            return workflow.check_choice(value, COMPLEXITIES, "complexity", "complexities")
        case _:
            meant = nearest(field, UPDATABLE)
            raise ValidationError(
                f"Unknown or non-updatable field: {field[:80]!r}. Updatable fields: {choices(UPDATABLE)}.",
                hint=f"Did you mean {meant!r}?" if meant else "Use custom_fields.NAME for data of your own.",
            )


def check_role(role: str | None, config: Config) -> None:
    """Raise InvalidRole for a role that the board's workflow does not name."""
    if role is not None and role not in config.roles:
        raise InvalidRole(
            f"Unknown role: {role[:80]!r}. Valid roles: {choices(config.roles)}.",
            hint=did_you_mean(role, config.roles, "Roles are listed in workflow.roles of .lattice/config.json."),
        )


def parse_tags(text: str) -> tuple[str, ...]:
    """Tags from a comma-separated text, each once. Raises ValidationError."""
    tags = tuple(dict.fromkeys(check_line(tag.strip(), "tag", chars_max=100) for tag in text.split(",") if tag.strip()))
    if len(tags) > TAGS_MAX:
        raise ValidationError(f"Too many tags: {len(tags)}; the limit is {TAGS_MAX}.")
    return tags


def write_plan_scaffold(board: Board, task: Task) -> None:
    """The task's plan file, to be filled by whoever plans it. Never over one that is there."""
    text = f"# {task.name}: {task.title}\n" + (f"\n{task.description}\n" if task.description else "")
    path = board.path("plans", f"{task.id}.md")
    try:
        with open(path, "x", encoding="utf-8") as plan:
            plan.write(text)
    except OSError:
        return  # Free text beside the log: the task stands without it, and `plan` makes it again.


def _old_value(task: Task, field: str) -> Any:
    if field.startswith(CUSTOM):
        return task.custom_fields.get(field.removeprefix(CUSTOM))
    return getattr(task, field, None) if field in UPDATABLE else None


def _new_value(field: str, text: str, config: Config) -> Any:
    if field == "status":
        raise ValidationError("Use 'lattice status' to change status.", hint="lattice status TASK STATUS")
    if field == "assigned_to":
        raise ValidationError("Use 'lattice assign' to change assignment.", hint="lattice assign TASK ACTOR")
    if field.startswith(CUSTOM):
        check_line(field.removeprefix(CUSTOM), "custom field's name", chars_max=100)
        return check_prose(text, field[:60])
    return parse_tags(text) if field == "tags" else check_field(field, text, config)
