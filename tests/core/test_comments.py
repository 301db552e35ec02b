"""What was said, folded from events that no log needs to hold."""

from __future__ import annotations

from lattice.core.comments import comments, threads, to_json
from lattice.core.events import (
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    Event,
    ReactionAdded,
    ReactionRemoved,
    TaskEvent,
)


def said(*bodies: TaskEvent, by: str = "human:ann") -> list[Event]:
    """Events e1, e2, …, a second apart."""
    return [
        Event(f"e{number}", f"2026-11-20T00:00:{number:02d}Z", "task", by, body)
        for number, body in enumerate(bodies, start=1)
    ]


def test_replies_stand_below_what_they_answer() -> None:
    events = said(CommentAdded("a"), CommentAdded("b"), CommentAdded("c", parent_id="e1"))
    shape = [(top.body, [reply.body for reply in replies]) for top, replies in threads(comments(events))]
    assert [("a", ["c"]), ("b", [])] == shape


def test_a_reply_that_answers_nothing_here_is_not_lost() -> None:
    events = said(CommentAdded("a", parent_id="gone"), CommentAdded("b", parent_id="e1"), CommentAdded("c", None, "e2"))
    shape = [(top.body, [reply.body for reply in replies]) for top, replies in threads(comments(events))]
    assert [("a", ["b", "c"])] == shape


def test_a_circle_of_replies_ends_and_loses_nobody() -> None:
    events = said(CommentAdded("a", parent_id="e2"), CommentAdded("b", parent_id="e1"))
    shown = [comment.body for top, replies in threads(comments(events)) for comment in (top, *replies)]
    assert {"a", "b"} == set(shown)


def test_an_edit_keeps_what_was_said_before() -> None:
    events = said(CommentAdded("a"), CommentEdited("e1", "b", "a"), CommentEdited("e1", "c", "b", role="review"))
    shape = to_json(comments(events)["e1"])
    assert ("c", "review", True, "2026-11-20T00:00:03Z") == tuple(
        shape[key] for key in ("body", "role", "edited", "edited_at")
    )
    assert ["a", "b"] == [edit["body"] for edit in shape["edit_history"]]


def test_a_deleted_comment_keeps_its_place() -> None:
    shape = to_json(comments(said(CommentAdded("a"), CommentDeleted("e1")))["e1"])
    assert (True, "2026-11-20T00:00:02Z", "human:ann") == (shape["deleted"], shape["deleted_at"], shape["deleted_by"])


def test_a_reaction_is_its_givers_own() -> None:
    given = said(CommentAdded("a"), ReactionAdded("e1", "up"), ReactionAdded("e1", "up"))
    others = said(ReactionAdded("e1", "up"), ReactionRemoved("e1", "down"), by="agent:bot")
    assert {"up": ["human:ann", "agent:bot"]} == to_json(comments([*given, *others])["e1"])["reactions"]
    taken = said(ReactionRemoved("e1", "up"))
    assert {"up": ["agent:bot"]} == to_json(comments([*given, *others, *taken])["e1"])["reactions"]


def test_what_is_said_of_an_unknown_comment_is_passed_over() -> None:
    assert {} == comments(said(CommentEdited("e9", "x"), CommentDeleted("e9"), ReactionAdded("e9", "up")))
