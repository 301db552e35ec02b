"""The query language: what a text asks for, and how it refuses what it cannot read."""

from __future__ import annotations

import pytest

from lattice.core.config import new_config, parse_config
from lattice.core.query import Query as Asked
from lattice.core.query import Setting, fits, parse_sort, warnings
from lattice.core.query_language import any_of, condition, parse_query
from lattice.core.summary import Summary
from lattice.errors import ValidationError

CONFIG = parse_config(new_config(instance_id="inst_x", project_code="LAT", default_actor=None))
SETTING = Setting("2026-11-21T12:00:00Z", "human:ann", CONFIG)


def row(**given: object) -> Summary:
    plain = Summary(
        id="task_01JD0000000000000000000001", short_id="LAT-1", title="Parse the Header", status="review",
        priority="high", urgency=None, complexity="medium", type="bug", description="It crashes: see log",
        assigned_to="human:ann", created_by="agent:bot", created_at="2026-11-01T08:00:00Z",
        updated_at="2026-11-20T12:00:01Z", done_at=None, last_status_changed_at="2026-11-10T00:00:00Z",
        comment_count=3, reopened_count=0, tags=("web", "needs, care"), branches=("fix/1",),
        custom_fields={"team": "Core"}, active_processes=(), archived=False,
    )  # fmt: skip
    return plain._replace(**given)  # type: ignore[arg-type]  # a test gives what the field takes


@pytest.mark.parametrize(
    "text",
    [
        "", "status:review", "STATUS:review", "status:done,review", "priority:high", "priority:>=medium",
        "priority:>low",
        "priority:<critical", "urgency:none", "complexity:any", "tag:web", 'tag:"needs, care"', "-tag:wip", "!tag:wip",
        "assigned:me", "assigned:ann", "assigned:human:ann", "creator:bot", "id:lat-1", "title:header",
        'title:"the header"', "description:CRASHES", "branch:fix/1", "worker:none", "comments:3", "comments:>2",
        "comments:<=3", "reopened:0", "updated:<1d", "updated:1d", "-updated:<12h", "created:>2w", "created:2026-11-01",
        "created:>=2026-11-01", "created:<2026-11-02", "created:2026-11-01T08:00", "done:none", "moved:>10d",
        "field.team:core", "custom_fields.team:Core", "field.other:none", '"see log"', "parse crashes", '-"no such"',
        "status:review priority:high -tag:wip assigned:me updated:<2d \"header\"",
        "assigned_to:me", '"it crashes: see"',
    ],
)  # fmt: skip
def test_a_task_that_fits(text: str) -> None:
    assert fits(parse_query(text), SETTING)(row())


@pytest.mark.parametrize(
    "text",
    [
        "status:done", "-status:review", "priority:>high", "priority:<high", "urgency:any", "tag:we", "-tag:web",
        "assigned:none", "assigned:an", "title:footer", "comments:>3", "updated:<23h", "created:<1w",
        "created:>2026-11-01", "done:any", "field.team:none", '"log see"', "parse footer", "-parse",
        "status:review tag:no",
    ],
)  # fmt: skip
def test_a_task_that_does_not_fit(text: str) -> None:
    assert not fits(parse_query(text), SETTING)(row())


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("tag:x stauts:done", "'stauts:done', at character 7,", "Did you mean status?"),
        ("tag:", "has no value", "tag:VALUE"),
        ("tag:,", "has no value", "tag:none"),
        ('title:"open', "cannot be read", "Close the quotes"),
        ("priority:urgent", "has no grade of priority", "critical, high, medium, low"),
        ("comments:many", "needs a number", "comments:>3"),
        ("updated:<2y", "needs an age or a date", "updated:<2d"),
        ("created:2026-13-01", "needs an age or a date", ">=2026-11-01"),
        ("@mine", "is no saved query", "Saved: none"),
        ("http://x", "is no field", 'Text with a colon: "http://x"'),
    ],
)
def test_a_word_that_cannot_be_read_is_named(text: str, said: str, hint: str) -> None:
    with pytest.raises(ValidationError) as refused:
        parse_query(text)
    assert said in refused.value.message
    assert hint in (refused.value.hint or "")


def test_a_saved_query_stands_for_its_text_and_a_circle_is_refused() -> None:
    saved = {"mine": "assigned:me", "open": "@mine -status:done", "loop": "@loop"}
    assert (
        parse_query("assigned:me -status:done tag:web", saved).conditions
        == parse_query("@open tag:web", saved).conditions
    )
    with pytest.raises(ValidationError, match="leads back to itself"):
        parse_query("@loop", saved)
    with pytest.raises(ValidationError) as refused:
        parse_query("@mien", saved)
    assert "Did you mean @mine?" == refused.value.hint


def test_me_needs_a_name() -> None:
    with pytest.raises(ValidationError, match="Nobody is named"):
        fits(parse_query("assigned:me"), SETTING.replace(me=None))


def test_flags_of_one_field_are_alternatives_and_comparisons_narrow() -> None:
    either = Asked(tuple(any_of([condition("status", "done"), condition("status", "review")])))
    assert fits(either, SETTING)(row())
    neither = Asked(tuple(any_of([condition("tag", word, negated=True) for word in ("wip", "web")])))
    assert not fits(neither, SETTING)(row())
    between = Asked(tuple(any_of([condition("comments", ">2"), condition("comments", "<3")])))
    assert not fits(between, SETTING)(row())
    assert [] == any_of([])


def test_a_flags_value_is_taken_whole() -> None:
    assert fits(Asked((condition("tag", "needs, care"),)), SETTING)(row())


def test_a_status_that_no_task_can_have_is_warned_of() -> None:
    assert [] == warnings(parse_query("status:review,none type:bug"), CONFIG)
    said = warnings(parse_query("status:dnoe type:bgu"), CONFIG)
    assert [True, True] == ["'dnoe' is not a configured status. Did you mean done?" in said[0], "'bgu'" in said[1]]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("priority", "bca"), ("priority:desc", "acb"), ("status", "acb"), ("title", "cba"), ("id:desc", "cba"),
        ("urgency", "cab"), ("comments:desc,id", "bca"), ("assigned,id:desc", "cba"),
    ],
)  # fmt: skip
def test_sorting(sort: str, expected: str) -> None:
    rows = [
        row(short_id="LAT-2", priority="low", status="backlog", title="z", comment_count=1),
        row(short_id="LAT-9", priority="critical", status="done", title="Y", comment_count=12),
        row(short_id="LAT-10", priority="medium", status="review", title="x", comment_count=2, urgency="low"),
    ]
    names = dict(zip(("LAT-2", "LAT-9", "LAT-10"), "abc", strict=True))
    assert expected == "".join(names[one.name] for one in parse_sort(sort, CONFIG)(rows))


def test_a_sort_that_cannot_be_is_refused() -> None:
    for text, said in (("prority", "There is no field 'prority'"), ("title:down", "Cannot sort 'down'")):
        with pytest.raises(ValidationError, match=said):
            parse_sort(text, CONFIG)
