"""What was said on a task: its comments as their edits, deletions and reactions left them, in threads of two levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lattice.core.actors import Actor
from lattice.core.events import CommentAdded, CommentDeleted, CommentEdited, Event, ReactionAdded, ReactionRemoved
from lattice.core.record import Record


class Edit(Record):
    """What a comment said before it was edited."""

    body: str
    edited_at: str
    edited_by: Actor


class Comment(Record):
    """A comment as it stands after the last event."""

    id: str
    author: Actor
    body: str
    created_at: str
    role: str | None
    parent_id: str | None
    edits: tuple[Edit, ...] = ()
    deleted_at: str | None = None
    deleted_by: Actor | None = None
    reactions: tuple[tuple[str, Actor], ...] = ()  # a word and who gave it, oldest first

    @property
    def deleted(self) -> bool:
        return self.deleted_at is not None


def comments(events: Iterable[Event]) -> dict[str, Comment]:
    """Every comment in a task's history by its id, oldest first. What is said of an unknown comment is passed over."""
    found: dict[str, Comment] = {}
    for event in events:
        body = event.body
        if isinstance(body, CommentAdded):
            found[event.id] = Comment(event.id, event.actor, body.body, event.ts, body.role, body.parent_id)
        elif isinstance(body, CommentEdited | CommentDeleted | ReactionAdded | ReactionRemoved):
            comment = found.get(body.comment_id)
            if comment is not None:
                found[comment.id] = _after(comment, event)
    return found


def _after(comment: Comment, event: Event) -> Comment:
    match event.body:
        case CommentEdited() as edit:
            earlier = Edit(comment.body, event.ts, event.actor)
            role = comment.role if edit.role is None else edit.role
            return comment.replace(body=edit.body, role=role, edits=(*comment.edits, earlier))
        case CommentDeleted():
            return comment.replace(deleted_at=event.ts, deleted_by=event.actor)
        case ReactionAdded(emoji=emoji):
            given = (emoji, event.actor)
            return comment if given in comment.reactions else comment.replace(reactions=(*comment.reactions, given))
        case ReactionRemoved(emoji=emoji):
            return comment.replace(reactions=tuple(r for r in comment.reactions if r != (emoji, event.actor)))
        case _:
            return comment


def threads(found: Mapping[str, Comment]) -> list[tuple[Comment, list[Comment]]]:
    """Comments that open a thread, each with its replies, oldest first.

    A reply to a reply, or to a comment that is not there, as another tool may have written it, is not lost:
    it stands in the thread of the nearest comment above it that opens one, or opens one itself.
    """
    opened: dict[str, tuple[Comment, list[Comment]]] = {}
    for comment in found.values():
        top = _top(comment, found)
        if top.id == comment.id:
            opened[comment.id] = (comment, [])
        else:
            opened.setdefault(top.id, (top, []))[1].append(comment)
    return list(opened.values())


def to_json(comment: Comment, replies: Iterable[Comment] = ()) -> dict[str, Any]:
    """The comment's JSON form, with its replies inside."""
    reactions: dict[str, list[Actor]] = {}
    for emoji, actor in comment.reactions:
        reactions.setdefault(emoji, []).append(actor)
    return {
        "id": comment.id,
        "author": comment.author,
        "body": comment.body,
        "created_at": comment.created_at,
        "role": comment.role,
        "parent_id": comment.parent_id,
        "edited": bool(comment.edits),
        "edited_at": comment.edits[-1].edited_at if comment.edits else None,
        "edit_history": [edit.fields() for edit in comment.edits],
        "deleted": comment.deleted,
        "deleted_at": comment.deleted_at,
        "deleted_by": comment.deleted_by,
        "reactions": reactions,
        "replies": [to_json(reply) for reply in replies],
    }


def _top(comment: Comment, found: Mapping[str, Comment]) -> Comment:
    seen = {comment.id}  # A merged or hand-made log may hold a circle.
    top = comment
    while top.parent_id is not None and top.parent_id in found and top.parent_id not in seen:
        seen.add(top.parent_id)
        top = found[top.parent_id]
    return top
