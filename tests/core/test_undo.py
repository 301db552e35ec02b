"""Taking an act back: a compensation that leaves the task as it was, or a refusal that says why."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lattice.core import events as ev
from lattice.core.config import new_config, parse_config
from lattice.core.events import Event, TaskEvent, every_kind, evolve
from lattice.core.review_events import FindingFixed
from lattice.core.run_events import ProcessStarted
from lattice.core.task import Task
from lattice.core.undo import WITHOUT_INVERSE, act_of, take_back
from lattice.errors import CannotUndo, NotFound

CONFIG = parse_config(new_config(instance_id="inst_x", project_code="LAT", default_actor=None))
TASK = "task_01JD0000000000000000000000"
CREATED = ev.TaskCreated(title="One", status="backlog", type="task", priority="medium", short_id="LAT-1")


def log(*acts: TaskEvent | Sequence[TaskEvent]) -> list[Event]:
    """A history that begins with the task's creation; a sequence is one act."""
    events: list[Event] = []
    for act in (CREATED, *acts):
        bodies = list(act) if isinstance(act, Sequence) else [act]
        for place, body in enumerate(bodies, start=1):
            event_id = f"ev_{len(events):026}"
            batch = (place, len(bodies)) if len(bodies) > 1 else None
            prev = events[-1].id if events else None
            events.append(Event(event_id, "2026-11-21T00:00:00Z", TASK, "human:ann", body, batch=batch, prev=prev))
    return events


def fold(events: Sequence[Event]) -> Task:
    task = None
    for event in events:
        task = evolve(task, event)
    assert task is not None
    return task


def undone(events: list[Event], event_id: str | None = None) -> Task:
    """The task after taking back."""
    task = fold(events)
    for body in take_back(task, events, event_id, CONFIG):
        task = evolve(task, Event("ev_later", task.updated_at, TASK, "human:ann", body))
    return task


def essence(task: Task) -> dict[str, object]:
    told = task.fields()
    return {key: told[key] for key in told.keys() - {"last_event_id", "updated_at", "reopened_count"}}


EDGE = ev.RelationshipAdded("blocks", "task_x")
LINK = ev.BranchLinked("main", None)
COMMENT = f"ev_{1:026}"


@pytest.mark.parametrize(
    ("before", "act"),
    [
        ([], ev.StatusChanged("backlog", "in_planning")),
        ([], ev.AssignmentChanged(None, "human:bob")),
        ([ev.AssignmentChanged(None, "human:bob")], ev.AssignmentChanged("human:bob", None)),
        ([], ev.FieldUpdated("title", "One", "Two")),
        ([], ev.FieldUpdated("description", None, "Text")),
        ([ev.FieldUpdated("tags", [], ["a"])], ev.FieldUpdated("tags", ["a"], ["a", "b"])),
        ([ev.FieldUpdated("custom_fields.x", None, "1")], ev.FieldUpdated("custom_fields.x", "1", "2")),
        ([], [ev.FieldUpdated("title", "One", "Two"), ev.FieldUpdated("title", "Two", "Three")]),
        ([], ev.CommentAdded("said", role="review")),
        ([ev.CommentAdded("said")], ev.CommentEdited(COMMENT, "meant", "said")),
        ([], EDGE),
        ([EDGE], ev.RelationshipRemoved("blocks", "task_x")),
        ([], LINK),
        ([LINK], ev.BranchUnlinked("main", None)),
        ([ev.CommentAdded("said")], ev.ReactionAdded(COMMENT, "+1")),
        ([ev.CommentAdded("said"), ev.ReactionAdded(COMMENT, "+1")], ev.ReactionRemoved(COMMENT, "+1")),
    ],
)
def test_what_is_taken_back_leaves_the_task_as_it_was(
    before: list[TaskEvent], act: TaskEvent | Sequence[TaskEvent]
) -> None:
    assert essence(fold(log(*before))) == essence(undone(log(*before, act)))


def test_the_undo_of_a_removed_link_keeps_its_note() -> None:
    edge = ev.RelationshipAdded("blocks", "task_x", "why")
    assert "why" == undone(log(edge, ev.RelationshipRemoved("blocks", "task_x"))).relationships_out[0].note


@pytest.mark.parametrize(
    ("history", "at"),
    [
        (log(ev.StatusChanged("backlog", "planned"), ev.StatusChanged("planned", "review")), 1),
        (log(ev.FieldUpdated("title", "One", "Two"), ev.FieldUpdated("title", "Two", "Three")), 1),
        (log(ev.AssignmentChanged(None, "human:a"), ev.AssignmentChanged("human:a", "human:b")), 1),
        (log(ev.CommentAdded("said"), ev.CommentDeleted(COMMENT)), 1),
        (log(ev.CommentAdded("a"), ev.CommentEdited(COMMENT, "b", "a"), ev.CommentEdited(COMMENT, "c", "b")), 2),
        (log(EDGE, ev.RelationshipRemoved("blocks", "task_x")), 1),
        (log(LINK, ev.BranchUnlinked("main", None)), 1),
        (log(ev.CommentAdded("a"), ev.ReactionAdded(COMMENT, "+1"), ev.ReactionRemoved(COMMENT, "+1")), 2),
    ],
)
def test_what_was_changed_again_since_is_not_overwritten(history: list[Event], at: int) -> None:
    with pytest.raises(CannotUndo, match=r"since|now"):
        undone(history, history[at].id)


def test_each_kind_of_event_is_taken_back_or_refused_with_its_reason() -> None:
    compensated = {
        "status_changed", "assignment_changed", "field_updated", "comment_added", "comment_edited", "reaction_added",
        "reaction_removed", "relationship_added", "relationship_removed", "branch_linked", "branch_unlinked",
    }  # fmt: skip
    tasks = {kind for kind in every_kind() if not kind.startswith("resource_")}
    assert tasks == compensated | WITHOUT_INVERSE.keys()


@pytest.mark.parametrize("body", [ev.TaskArchived(), ev.GitEvent("push"), ev.ArtifactAttached("art_x")])
def test_what_no_event_compensates_is_refused(body: TaskEvent) -> None:
    with pytest.raises(CannotUndo) as refused:
        undone(log(body))
    assert WITHOUT_INVERSE[body.kind].format(task="LAT-1", run="", finding="") in refused.value.message


def test_what_to_do_instead_names_the_event_s_own_task_run_and_finding() -> None:
    bodies: list[TaskEvent] = [ev.TaskArchived(), ProcessStarted("run_x", None, "", 0, "script", ()), FindingFixed(3)]
    told = []
    for body in bodies:
        with pytest.raises(CannotUndo) as refused:
            take_back(fold(log()), log(body), None, CONFIG)
        told.append(refused.value.message)
    assert told[0].endswith("lattice unarchive LAT-1.")
    assert told[1].endswith("lattice worker stop run_x.")
    assert told[2].endswith("lattice review reopen LAT-1 F3.")


def test_a_custom_event_is_refused() -> None:
    history = log()
    custom = Event("ev_x", "2026-11-21T00:00:00Z", TASK, "human:ann", ev.Foreign("x_deployed", {}))
    with pytest.raises(CannotUndo, match="x_deployed"):
        take_back(fold(history), [*history, custom], None, CONFIG)


def test_any_event_of_an_act_stands_for_the_whole() -> None:
    events = log([ev.FieldUpdated("title", "One", "Two"), ev.FieldUpdated("priority", "medium", "high")])
    assert events[1:] == act_of(events, events[1].id) == act_of(events, events[2].id) == act_of(events, None)


def test_an_event_of_another_task_is_not_found() -> None:
    with pytest.raises(NotFound):
        act_of(log(), "ev_elsewhere")
