"""How an event is taken back: by another that compensates it. What cannot be taken back is refused, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from lattice.core import events as ev
from lattice.core.config import Config
from lattice.core.events import Event, TaskEvent, evolve
from lattice.core.task import Task
from lattice.core.workflow import change_status
from lattice.errors import CannotUndo, NotFound

WITHOUT_INVERSE = {
    "task_created": "a task's beginning stays; give the task up instead: lattice status {task} cancelled",
    "task_archived": "its files were moved; bring it back with: lattice unarchive {task}",
    "task_unarchived": "its files were moved; put it away with: lattice archive {task}",
    "task_short_id_assigned": "a short id that was given out stays, so that nothing that names it points elsewhere",
    "artifact_attached": "what was attached stays as evidence; say in a comment that it does not count",
    "comment_deleted": "its text still stands in the log: lattice show {task} --full; add it again as a new comment",
    "git_event": "it records what happened in git",
    "process_requested": "a run was asked for; end it with: lattice worker stop {run}",
    "process_started": "a run happened; end it with: lattice worker stop {run}",
    "process_heartbeat": "a run was alive then",
    "process_stop_requested": "the run was told to end",
    "process_completed": "a run happened, and it ended",
    "process_failed": "a run happened, and it ended",
    "review_recorded": "what a reviewer said stays; say one is not so: lattice review waive {task} FINDING --wrong",
    "finding_fixed": "open the finding again instead: lattice review reopen {task} {finding}",
    "finding_waived": "open the finding again instead: lattice review reopen {task} {finding}",
    "finding_verified": "open the finding again instead: lattice review reopen {task} {finding}",
    "finding_reopened": "decide about the finding again: lattice review waive {task} {finding}",
}
"""Event types that no event compensates, and why: `{task}`, `{finding}` and `{run}` stand for the event's own."""


def act_of(history: Sequence[Event], event_id: str | None) -> list[Event]:
    """The events that were written as one act with this one, by default the last. Raises NotFound."""
    if event_id is None:
        chosen = history[-1]
    else:
        found = [event for event in history if event.id == event_id]
        if not found:
            task_id = history[0].task_id
            raise NotFound(f"There is no event {event_id[:40]!r} on this task.", hint=f"lattice log --task {task_id}")
        chosen = found[0]
    if chosen.batch is None:
        return [chosen]
    by_id = {event.id: event for event in history}
    after = {event.prev: event for event in history if event.batch is not None and event.batch[0] > 1}
    act = [chosen]
    while act[0].batch is not None and act[0].batch[0] > 1 and act[0].prev in by_id:
        act.insert(0, by_id[act[0].prev or ""])
    while act[-1].batch is not None and act[-1].batch[0] < act[-1].batch[1] and act[-1].id in after:
        act.append(after[act[-1].id])
    return act


def take_back(task: Task, history: Sequence[Event], event_id: str | None, config: Config) -> list[TaskEvent]:
    """The events that take an act back, its last event first. Raises NotFound, CannotUndo.

    An event is only taken back while what it did still stands: what came later is never overwritten.
    """
    bodies: list[TaskEvent] = []
    for event in reversed(act_of(history, event_id)):
        body = _inverse(task, history, event, config)
        task = evolve(task, Event(event.id, task.updated_at, task.id, event.actor, body))
        bodies.append(body)
    return bodies


def _inverse(task: Task, history: Sequence[Event], event: Event, config: Config) -> TaskEvent:
    body = event.body
    match body:
        case ev.StatusChanged():
            _still(task.status == body.to, event, f"the status is {task.status} now")
            back = change_status(task, body.from_, config, force=True, reason=f"undo of {event.id}")
            if back is None:
                raise CannotUndo(f"{event.id} changed nothing.")
            return back
        case ev.AssignmentChanged():
            _still(task.assigned_to == body.to, event, "it was assigned again since")
            return ev.AssignmentChanged(from_=body.to, to=body.from_)
        case ev.FieldUpdated():
            return _field(task, event, body)
        case ev.CommentAdded() | ev.CommentEdited():
            return _talk(history, event, body)
        case ev.ReactionAdded():
            _still(_last_reaction(history, body) is event, event, "the reaction was removed since")
            return ev.ReactionRemoved(comment_id=body.comment_id, emoji=body.emoji)
        case ev.ReactionRemoved():
            _still(_last_reaction(history, body) is event, event, "the reaction was added again since")
            return ev.ReactionAdded(comment_id=body.comment_id, emoji=body.emoji)
        case ev.RelationshipAdded() | ev.RelationshipRemoved() | ev.BranchLinked() | ev.BranchUnlinked():
            return _edge(task, history, event, body)
        case _:
            run_id, number = getattr(event.body, "run_id", ""), getattr(event.body, "finding", "")
            why = WITHOUT_INVERSE.get(event.type, "Lattice does not know what it stands for")
            why = why.format(task=task.name, run=run_id, finding=f"F{number}")
            raise CannotUndo(f"{event.id} ({event.type}) cannot be undone: {why}.")


def _field(task: Task, event: Event, body: ev.FieldUpdated) -> TaskEvent:
    if body.field.startswith(ev.CUSTOM):
        now = task.custom_fields.get(body.field.removeprefix(ev.CUSTOM))
    elif body.field in ev.UPDATABLE:
        now = getattr(task, body.field)
    else:
        raise CannotUndo(f"{event.id} cannot be undone: Lattice does not know the field {body.field[:60]!r}.")
    _still(_plain(now) == _plain(body.to), event, f"{body.field} was changed again since")
    back = list(body.from_ or []) if body.field == "tags" else body.from_
    return ev.FieldUpdated(field=body.field, from_=body.to, to=back)


def _talk(history: Sequence[Event], event: Event, body: ev.CommentAdded | ev.CommentEdited) -> TaskEvent:
    comment_id = event.id if isinstance(body, ev.CommentAdded) else body.comment_id
    later = [
        other.body
        for other in history[history.index(event) + 1 :]
        if isinstance(other.body, (ev.CommentEdited, ev.CommentDeleted)) and other.body.comment_id == comment_id
    ]
    _still(not any(isinstance(one, ev.CommentDeleted) for one in later), event, "the comment was deleted since")
    if isinstance(body, ev.CommentAdded):
        return ev.CommentDeleted(comment_id=comment_id)
    _still(not later, event, "the comment was edited again since")
    if body.previous_body is None:
        raise CannotUndo(f"{event.id} cannot be undone: it does not say what the comment was before.")
    if body.role is not None and not body.previous_role:
        raise CannotUndo(f"{event.id} cannot be undone: it gave the comment the role {body.role}, which had none.")
    role = body.previous_role if body.role is not None else None
    return ev.CommentEdited(comment_id, body.previous_body, body.body, role, body.role or ev.NOT_SAID)


def _last_reaction(history: Sequence[Event], body: ev.ReactionAdded | ev.ReactionRemoved) -> Event | None:
    last = None
    for event in history:
        other = event.body
        if isinstance(other, (ev.ReactionAdded, ev.ReactionRemoved)) and (other.comment_id, other.emoji) == (
            body.comment_id,
            body.emoji,
        ):
            last = event
    return last


def _edge(
    task: Task,
    history: Sequence[Event],
    event: Event,
    body: ev.RelationshipAdded | ev.RelationshipRemoved | ev.BranchLinked | ev.BranchUnlinked,
) -> TaskEvent:
    links = {(link.branch, link.repo) for link in task.branch_links}
    edges = {(edge.type, edge.target_task_id) for edge in task.relationships_out}
    match body:
        case ev.RelationshipAdded():
            _still((body.type, body.target_task_id) in edges, event, "the link was removed since")
            return ev.RelationshipRemoved(type=body.type, target_task_id=body.target_task_id)
        case ev.RelationshipRemoved():
            _still((body.type, body.target_task_id) not in edges, event, "the link was made again since")
            note = None
            for other in history[: history.index(event)]:
                made = other.body
                if isinstance(made, ev.RelationshipAdded) and (made.type, made.target_task_id) == (
                    body.type,
                    body.target_task_id,
                ):
                    note = made.note
            return ev.RelationshipAdded(type=body.type, target_task_id=body.target_task_id, note=note)
        case ev.BranchLinked():
            _still((body.branch, body.repo) in links, event, "the branch was unlinked since")
            return ev.BranchUnlinked(branch=body.branch, repo=body.repo)
        case ev.BranchUnlinked():
            _still((body.branch, body.repo) not in links, event, "the branch was linked again since")
            return ev.BranchLinked(branch=body.branch, repo=body.repo)


def _still(stands: bool, event: Event, since: str) -> None:
    if not stands:
        raise CannotUndo(
            f"{event.id} ({event.type}) cannot be undone: {since}.",
            hint=f"Undo the later event first: lattice log --task {event.task_id}",
        )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value or None
