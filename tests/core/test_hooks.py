"""Which hooks an event calls for, and which settings are refused."""

from __future__ import annotations

from typing import Any

import pytest

from lattice.core.events import CommentAdded, Event, Foreign, StatusChanged, TaskEvent
from lattice.core.hooks import parse_hooks, variables
from lattice.errors import ConfigError


def event(body: TaskEvent | Foreign, actor: Any = "human:ann") -> Event:
    return Event("ev_1", "2026-11-20T23:39:05Z", "task_1", actor, body)


MOVED = event(StatusChanged(from_="planned", to="review"))


def test_an_event_calls_the_general_hook_then_its_types_then_the_most_exact_transition() -> None:
    hooks = parse_hooks(
        {
            "post_event": "every",
            "on": {"status_changed": ["moved", "x"], "comment_added": "said"},
            "transitions": {
                "* -> review": "to",
                "planned->review": "exact",
                "planned -> *": "from",
                "* -> done": "other",
            },
        }
    )
    assert ["every", "moved", "exact", "to", "from"] == [hook.argv[0] for hook in hooks.called_by(MOVED)]
    assert ["every", "said"] == [hook.argv[0] for hook in hooks.called_by(event(CommentAdded(body="Hi")))]


def test_a_text_is_one_program_and_is_not_split() -> None:
    hook = parse_hooks({"post_event": "notify me; rm -rf x"}).post_event
    assert hook is not None
    assert ("notify me; rm -rf x",) == hook.argv


def test_no_settings_are_no_hooks() -> None:
    assert () == parse_hooks(None).all() == parse_hooks({}).all() == parse_hooks({"post_event": None}).all()


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("x", "hooks"),
        ({"post_evnet": "x"}, "hooks.post_evnet"),
        ({"post_event": []}, "hooks.post_event"),
        ({"post_event": " "}, "hooks.post_event"),
        ({"post_event": ["a", 1]}, "hooks.post_event"),
        ({"post_event": ["a", "b\0c"]}, "hooks.post_event"),
        ({"on": ["x"]}, "hooks.on"),
        ({"on": {"comment_added": {}}}, "hooks.on.comment_added"),
        ({"transitions": {"review": "x"}}, "hooks.transitions"),
        ({"transitions": {"a -> b -> c": "x"}}, "hooks.transitions"),
        ({"timeout_seconds": 0}, "hooks.timeout_seconds"),
        ({"timeout_seconds": True}, "hooks.timeout_seconds"),
        ({"timeout_seconds": 10_000}, "hooks.timeout_seconds"),
    ],
)
def test_settings_that_are_off_are_refused_by_name(raw: Any, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_hooks(raw)
    assert f"off at {key}" in refused.value.message


def test_a_hook_is_told_of_the_event_by_variables() -> None:
    said = variables(MOVED, short_id="LAT-1", root="/board")
    assert {
        "LATTICE_ROOT": "/board",
        "LATTICE_EVENT_ID": "ev_1",
        "LATTICE_EVENT_TYPE": "status_changed",
        "LATTICE_TASK_ID": "task_1",
        "LATTICE_SHORT_ID": "LAT-1",
        "LATTICE_ACTOR": "human:ann",
        "LATTICE_FROM_STATUS": "planned",
        "LATTICE_TO_STATUS": "review",
    } == said


def test_no_variable_holds_what_an_environment_cannot() -> None:
    said = variables(event(Foreign("x_a\0b", {}), {"name": "Vega-1"}), short_id=None, root="/board")
    assert "x_ab" == said["LATTICE_EVENT_TYPE"]
    assert "agent:Vega-1" == said["LATTICE_ACTOR"]
