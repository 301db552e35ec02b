"""What one may say on a task after the first word: replies, edits, deletions and reactions.

Whether a comment can still be answered hangs on the task's history, so these requests are given its
comments, read under the task's lock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lattice.commands.board import Board
from lattice.commands.tasks import Decision, check_role
from lattice.core.actors import Actor
from lattice.core.comments import Comment, comments
from lattice.core.config import Config
from lattice.core.events import (
    NOT_SAID,
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    ReactionAdded,
    ReactionRemoved,
)
from lattice.core.record import Record
from lattice.core.text import check_comment
from lattice.errors import NotFound, ValidationError, did_you_mean_id
from lattice.ledger import Signature, Written

Comments = Mapping[str, Comment]

EMOJI: Mapping[str, str] = {
    "👍": "thumbsup", "👎": "thumbsdown", "😄": "smile", "🎉": "tada",
    "😕": "confused", "❤": "heart", "🚀": "rocket", "👀": "eyes",
}  # fmt: skip
"""The pictures that people react with, and the words that stand for them on the board."""

_EMOJI = re.compile(r"[A-Za-z0-9_-]{1,50}\Z")
_VARIATION = "\ufe0f"  # asks for the coloured form of the picture before it


class Reply(Record):
    comment_id: str
    body: str
    role: str | None = None

    def decide(self, found: Comments, config: Config, actor: Actor) -> Decision:
        del actor
        body = check_comment(self.body)
        check_role(self.role, config)
        parent = _alive(found, self.comment_id, "reply to")
        if parent.parent_id is not None:
            raise ValidationError(
                f"Cannot reply to a reply ({parent.id}). Only top-level comments accept replies.",
                hint=f"Answer in its thread: --reply-to {parent.parent_id}",
            )
        return [CommentAdded(body=body, role=self.role, parent_id=parent.id)]


class EditComment(Record):
    """`role` None leaves the comment's role as it is."""

    comment_id: str
    body: str
    role: str | None = None

    def decide(self, found: Comments, config: Config, actor: Actor) -> Decision:
        del actor
        body = check_comment(self.body)
        check_role(self.role, config)
        comment = _alive(found, self.comment_id, "edit")
        if body == comment.body and self.role in (None, comment.role):
            return []
        return [
            CommentEdited(
                comment_id=comment.id,
                body=body,
                previous_body=comment.body,
                role=self.role,
                previous_role=comment.role if self.role is not None else NOT_SAID,
            )
        ]


class DeleteComment(Record):
    comment_id: str

    def decide(self, found: Comments, config: Config, actor: Actor) -> Decision:
        del config, actor
        comment = existing(found, self.comment_id)
        if comment.deleted:
            raise ValidationError(f"Comment {comment.id} is already deleted.")
        return [CommentDeleted(comment_id=comment.id)]


class React(Record):
    """A reaction that its actor has given already is not given twice."""

    comment_id: str
    emoji: str

    def decide(self, found: Comments, config: Config, actor: Actor) -> Decision:
        del config
        emoji = parse_emoji(self.emoji)
        comment = _alive(found, self.comment_id, "react to")
        given = (emoji, actor) in comment.reactions
        return [] if given else [ReactionAdded(comment_id=comment.id, emoji=emoji)]


class Unreact(Record):
    comment_id: str
    emoji: str

    def decide(self, found: Comments, config: Config, actor: Actor) -> Decision:
        del config
        emoji = parse_emoji(self.emoji)
        comment = _alive(found, self.comment_id, "react to")
        if (emoji, actor) not in comment.reactions:
            who = actor if isinstance(actor, str) else actor.get("name")
            raise NotFound(f"Reaction :{emoji}: by {who} not found on comment {comment.id}.")
        return [ReactionRemoved(comment_id=comment.id, emoji=emoji)]


TalkRequest = Reply | EditComment | DeleteComment | React | Unreact


def say(board: Board, ref: str, request: TalkRequest, by: Signature) -> Written:
    """Ask `request` of the task that `ref` names. Raises ValidationError, NotFound, InvalidRole."""
    return board.ledger.transact_on_history(
        board.resolve(ref), lambda _, events: request.decide(comments(events), board.config, by.actor), by
    )


def parse_emoji(text: str) -> str:
    """The word for a reaction, given as a word, as :word:, or as one of the common pictures."""
    bare = text.removesuffix(_VARIATION)
    word = EMOJI.get(bare, bare)
    if len(word) > 2 and word[0] == word[-1] == ":":
        word = word[1:-1]
    if not _EMOJI.match(word):
        raise ValidationError(
            f"Invalid emoji: {text[:60]!r}. Must be 1-50 alphanumeric, underscore, or hyphen characters.",
            hint=f"Such as {', '.join(EMOJI.values())}.",
        )
    return word


def existing(found: Comments, comment_id: str) -> Comment:
    """The comment of this id. Raises ValidationError."""
    comment = found.get(comment_id)
    if comment is None:
        raise ValidationError(
            f"Comment {comment_id[:60]!r} not found on this task.",
            hint=did_you_mean_id(comment_id, [*found], "See them, with their ids: lattice comments TASK"),
        )
    return comment


def _alive(found: Comments, comment_id: str, act: str) -> Comment:
    comment = existing(found, comment_id)
    if comment.deleted:
        raise ValidationError(f"Cannot {act} deleted comment {comment.id}.")
    return comment
