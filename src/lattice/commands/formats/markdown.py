"""Markdown: the board as a page for people. There is no way back from it."""

from __future__ import annotations

from collections.abc import Sequence

from lattice.core.actors import actor_text
from lattice.core.config import Config
from lattice.core.events import CommentAdded, CommentDeleted, CommentEdited, Event
from lattice.core.stats import FINISHED, History, project_name
from lattice.core.text import visible, visible_prose

_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>#|~"})


def write(histories: Sequence[History], config: Config) -> str:
    """Each status with its tasks; archived ones come last."""
    live = [history for history in histories if not history.task.archived]
    names = [history.task.status for history in live]
    order = [status for status in config.statuses if status in names]
    order += sorted(set(names) - set(order))
    sections = [(status, [h for h in live if h.task.status == status]) for status in order]
    sections.append(("archived", [history for history in histories if history.task.archived]))
    titles = {history.task.id: history.task.name for history in histories}
    parts = [f"# {marked(project_name(config))}"]
    for head, members in sections:
        if members:
            parts.append(f"## {marked(head)} ({len(members)})")
            parts += [_task(history, titles) for history in members]
    return "\n\n".join(parts) + "\n"


def marked(text: str) -> str:
    """Text as one line of Markdown: nothing in it is markup."""
    return visible(text).translate(_MARKS)


def _task(history: History, titles: dict[str, str]) -> str:
    task = history.task
    done = "x" if task.status in FINISHED else " "
    facts = [
        f"priority {task.priority}", f"type {task.type}", f"assigned to {actor_text(task.assigned_to)}",
        f"created {task.created_at} by {actor_text(task.created_by)}", f"updated {task.updated_at}",
    ]  # fmt: skip
    facts += [f"done {task.done_at}"] if task.done_at else []
    facts += [f"tags {', '.join(task.tags)}"] if task.tags else []
    facts += [f"{name} {value}" for name, value in sorted(task.custom_fields.items())]
    lines = [f"### [{done}] {marked(task.name)}: {marked(task.title)}", ""]
    lines += [f"- {marked(str(fact))}" for fact in facts]
    for edge in task.relationships_out:
        lines.append(f"- {marked(edge.type)} {marked(titles.get(edge.target_task_id, edge.target_task_id))}")
    if task.description:
        lines += ["", _quoted(task.description)]
    for event, body in _comments(history.events):
        lines += ["", f"**{marked(actor_text(event.actor))}**, {event.ts}:", "", _quoted(body)]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Somebody's own Markdown, which stays inside a quotation; HTML in it is shown, not acted on."""
    plain = visible_prose(text.strip()).replace("<", "&lt;")
    return "\n".join(f"> {line}".rstrip() for line in plain.split("\n"))


def _comments(events: Sequence[Event]) -> list[tuple[Event, str]]:
    comments: dict[str, tuple[Event, str]] = {}
    for event in events:
        match event.body:
            case CommentAdded(body=body):
                comments[event.id] = (event, body)
            case CommentEdited(comment_id=comment_id, body=body) if comment_id in comments:
                comments[comment_id] = (comments[comment_id][0], body)
            case CommentDeleted(comment_id=comment_id):
                comments.pop(comment_id, None)
            case _:
                continue
    return list(comments.values())
