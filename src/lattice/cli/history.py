"""An event of a task as one line for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping

from lattice.cli.render import Terminal, cut, line
from lattice.core import events as ev
from lattice.core.actors import Actor, actor_text
from lattice.core.codec import body_data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BODY_COLUMNS = 100


WHEN_COLUMNS = 10  # of the longest `59 min ago`, so that lines of different ages stay aligned


def described(event: ev.Event, terminal: Terminal, *, full: bool) -> str:
    """When, what, and by whom; with `full`, all of the event's data as JSON."""
    said = json.dumps(body_data(event.body), sort_keys=True, ensure_ascii=False) if full else summary(event.body)
    parts = [terminal.when(event.ts).ljust(WHEN_COLUMNS), event.type, said, f"by {actor_text(event.actor)}"]
    if event.provenance and event.provenance.get("reason") and not said.endswith(f": {event.provenance['reason']}"):
        parts.append(f"because: {event.provenance['reason']}")
    return "  ".join(line(part) for part in parts if part)


def summary(body: ev.TaskEvent | ev.Foreign) -> str:
    """What an event says, in a few words. An event without a form of its own shows its data."""
    match body:
        case ev.TaskCreated():
            return _quoted(body.title)
        case ev.StatusChanged():
            return f"{body.from_} -> {body.to}{' (forced)' if body.force else ''}"
        case ev.AssignmentChanged():
            return f"{_actor(body.from_)} -> {_actor(body.to)}"
        case ev.FieldUpdated():
            return f"{body.field}: {_value(body.from_)} -> {_value(body.to)}"
        case ev.CommentAdded():
            return _quoted(body.body) + (f" (role: {body.role})" if body.role else "")
        case ev.ArtifactAttached():
            return f"artifact {body.artifact_id}" + (f" (role: {body.role})" if body.role else "")
        case ev.ShortIdAssigned():
            return body.short_id
        case ev.TaskEvent() if body.kind.startswith(ev.OF_RUNS):
            return _of_run(body)
        case _:
            return _data(body)


def _of_run(body: ev.TaskEvent) -> str:
    from lattice.core import run_events as runs  # whoever read the event has loaded it; a history without runs does not

    match body:
        case runs.ProcessRequested():
            return f"{body.process_type} {body.run_id}"
        case runs.ProcessStarted():
            return f"{body.run_id} ({body.engine})"
        case runs.ProcessStopRequested():
            return body.run_id + (f": {body.reason}" if body.reason else "")
        case runs.ProcessCompleted():
            return f"{body.run_id} after {body.duration_s:.1f} s"
        case runs.ProcessFailed():
            return f"{body.run_id} {body.cause.get('kind', 'unknown')}: {_short(body.error)}"
        case _:
            return _data(body)


def _data(body: ev.TaskEvent | ev.Foreign) -> str:
    form = _FORMS.get(body.kind) if isinstance(body, ev.TaskEvent) else None
    data = body_data(body)
    return _short(form(data) if form is not None else _value(data or None))


def _review(data: Mapping[str, Any]) -> str:
    seen = Counter([str(found["seen"]) for found in data["findings"]])
    told = ", ".join(f"{count} {how}" for how, count in seen.items()) or "no findings"
    return f"{data['review_id']} {data['verdict'] or 'without a verdict'}: {told}"


def _finding(data: Mapping[str, Any]) -> str:
    said = data.get("reason") or data.get("note")
    where = f" in {data['commit_sha'][:12]}" if data.get("commit_sha") else ""
    return f"F{data['finding']}{where}{' as wrong' if data.get('wrong') else ''}" + (f": {said}" if said else "")


def _in_git(data: Mapping[str, Any]) -> str:
    ref = str(data.get("ref") or "").removeprefix("refs/heads/")
    run_id, sha = str(data.get("run_id") or ""), str(data.get("sha") or "")[:12]
    form = _IN_GIT.get(str(data["action"])) if run_id else None
    said = form.format(run=run_id, ref=ref) if form else " ".join(filter(None, (data["action"], ref, run_id)))
    return said + (f": {sha}" if sha else "")


_IN_GIT = {
    "merge": "merged {run} into {ref}",
    "discard": "discarded {ref} of {run}",
    "drop_salvage": "dropped what was kept of {run}",
}

_FORMS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "comment_edited": lambda data: _quoted(data["body"]),
    "reaction_added": lambda data: f"{data['emoji']} on {data['comment_id']}",
    "reaction_removed": lambda data: f"{data['emoji']} on {data['comment_id']}",
    "relationship_added": lambda data: f"{data['type']} {data['target_task_id']}",
    "relationship_removed": lambda data: f"{data['type']} {data['target_task_id']}",
    "branch_linked": lambda data: str(data["branch"]),
    "branch_unlinked": lambda data: str(data["branch"]),
    "git_event": _in_git,
    "review_recorded": _review,
    "finding_fixed": _finding,
    "finding_waived": _finding,
    "finding_verified": _finding,
    "finding_reopened": _finding,
}
"""By kind, as the classes of some are in a module that the hot commands do without."""


def _actor(actor: Actor | None) -> str:
    return actor_text(actor)


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    return _short(str(value))


def _quoted(text: str) -> str:
    return f'"{_short(text)}"'


def _short(text: str) -> str:
    """The text's first line; that there is more is marked."""
    head, _, more = text.strip().partition("\n")
    return cut(head + (" …" if more else ""), BODY_COLUMNS)
