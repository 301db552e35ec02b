"""Replies, edits, deletions, reactions: what is refused, and what is decided under the lock."""

from __future__ import annotations

import pytest

from lattice.commands.board import Board
from lattice.commands.talk import DeleteComment, EditComment, React, Reply, TalkRequest, Unreact, parse_emoji, say
from lattice.commands.tasks import Comment, change
from lattice.core.codec import body_data
from lattice.core.events import CommentAdded, CommentEdited, ReactionAdded
from lattice.core.task import Task
from lattice.errors import InvalidRole, LatticeError, NotFound, ValidationError
from lattice.ledger import Signature
from tests.commands.test_commands import contents
from tests.conftest import ANN

BOT = Signature("agent:bot")
UNKNOWN = "ev_01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
def first(board: Board, task: Task) -> str:
    """The id of a comment on LAT-1."""
    return change(board, task.id, Comment("first"), ANN).events[0].id


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (Reply(UNKNOWN, "x"), ValidationError),
        (Reply("../../etc", "x"), ValidationError),
        (EditComment("FIRST", " \n"), ValidationError),
        (EditComment("FIRST", "a\0b"), ValidationError),
        (EditComment("FIRST", "x", role="jester"), InvalidRole),
        (EditComment(UNKNOWN, "x"), ValidationError),
        (DeleteComment(UNKNOWN), ValidationError),
        (React("FIRST", "two words"), ValidationError),
        (React("FIRST", "\x1b[31m"), ValidationError),
        (React("FIRST", "a" * 51), ValidationError),
        (React(UNKNOWN, "up"), ValidationError),
        (Unreact("FIRST", "up"), NotFound),
    ],
    ids=repr,
)
def test_what_is_refused_leaves_no_trace(
    board: Board, first: str, request_: TalkRequest, error: type[LatticeError]
) -> None:
    if request_.comment_id == "FIRST":
        request_ = request_.replace(comment_id=first)
    before = contents(board)
    with pytest.raises(error):
        say(board, "LAT-1", request_, ANN)
    assert before == contents(board)


def test_a_reply_answers_a_comment_that_opens_a_thread(board: Board, first: str) -> None:
    reply = say(board, "LAT-1", Reply(first, "second"), BOT).events[0]
    assert CommentAdded("second", parent_id=first) == reply.body
    with pytest.raises(ValidationError, match="reply to a reply"):
        say(board, "LAT-1", Reply(reply.id, "third"), ANN)


def test_a_deleted_comment_is_neither_edited_nor_answered_nor_deleted_again(board: Board, first: str) -> None:
    assert 0 == say(board, "LAT-1", DeleteComment(first), ANN).task.comment_count
    for request in (DeleteComment(first), EditComment(first, "x"), Reply(first, "x"), React(first, "up")):
        with pytest.raises(ValidationError, match="deleted"):
            say(board, "LAT-1", request, ANN)


def test_an_edit_says_what_it_replaces(board: Board, first: str) -> None:
    written = say(board, "LAT-1", EditComment(first, "better", "review"), ANN)
    assert CommentEdited(first, "better", "first", "review", None) == written.events[0].body
    assert [(first, "review")] == [(ref.id, ref.role) for ref in written.task.evidence_refs]
    assert () == say(board, "LAT-1", EditComment(first, "better"), ANN).events


def test_a_reaction_is_given_once_by_each_and_taken_back_by_its_giver(board: Board, first: str) -> None:
    assert [ReactionAdded(first, "up")] == [e.body for e in say(board, "LAT-1", React(first, "up"), ANN).events]
    assert () == say(board, "LAT-1", React(first, "up"), ANN).events
    with pytest.raises(NotFound):
        say(board, "LAT-1", Unreact(first, "up"), BOT)
    assert 1 == len(say(board, "LAT-1", Unreact(first, "up"), ANN).events)


@pytest.mark.parametrize(("word", "given"), [("up", "up"), ("heart", ":heart:"), ("heart", "❤️"), ("thumbsup", "👍")])
def test_a_reaction_is_a_word(word: str, given: str) -> None:
    assert word == parse_emoji(given)


@pytest.mark.parametrize("given", ["", ":", "::", "🦄", "a b", "../x", "é"])
def test_what_is_no_word_is_no_reaction(given: str) -> None:
    with pytest.raises(ValidationError):
        parse_emoji(given)


@pytest.mark.parametrize("text", ["said", "said\n", " \n said\t\n\n"])
def test_a_comment_is_kept_without_the_white_space_around_it(board: Board, first: str, text: str) -> None:
    edited = say(board, "LAT-1", EditComment(first, text), ANN).events[0].body
    assert isinstance(edited, CommentEdited)
    assert "said" == edited.body
    assert CommentAdded("said", parent_id=first) == say(board, "LAT-1", Reply(first, text), ANN).events[0].body
    assert CommentAdded("said") == change(board, "LAT-1", Comment(text), ANN).events[0].body


def test_an_edit_that_gives_a_role_says_what_it_was_before_even_where_it_was_none(board: Board, first: str) -> None:
    say(board, "LAT-1", EditComment(first, "second"), ANN)
    say(board, "LAT-1", EditComment(first, "second", role="review"), ANN)
    say(board, "LAT-1", EditComment(first, "third", role="review"), ANN)
    _, events = board.store.history(board.resolve("LAT-1"))
    told = [body_data(event.body) for event in events if isinstance(event.body, CommentEdited)]
    assert [{}, {"previous_role": None}, {"previous_role": "review"}] == [
        {key: value for key, value in data.items() if key == "previous_role"} for data in told
    ]
