"""Conditions: what they mean, what they ask, and what is said of one that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import pytest

from lattice.core.conditions import Seen, holds, parse_condition
from lattice.core.config import parse_config
from lattice.core.query import Setting
from lattice.core.summary import Summary, summary
from lattice.core.task import Task
from lattice.errors import ValidationError


class Known:
    """Facts that are given, and a note of those that were asked."""

    def __init__(self, task: Task, lines: int = 0, paths: Sequence[str] = (), roles: Sequence[str] = ()) -> None:
        self.row: Summary = summary(task)
        self._lines = lines
        self._paths = paths
        self._roles = roles
        self.asked: list[str] = []

    def roles(self) -> Sequence[str]:
        self.asked.append("roles")
        return self._roles

    def lines_changed(self) -> int:
        self.asked.append("lines")
        return self._lines

    def paths_changed(self) -> Sequence[str]:
        self.asked.append("paths")
        return self._paths

    def branches(self) -> Sequence[str]:
        self.asked.append("branches")
        return ["feature/x"]

    def matching(self, names: Sequence[str], pattern: str) -> Sequence[str]:
        return [name for name in names if fnmatchcase(name, pattern)]


SETTING = Setting("2026-11-21T12:00:00Z", "agent:bot", parse_config({}))


def tagged(task: Task, *tags: str) -> Task:
    return task.replace(tags=tags, priority="high")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tag:a", True),
        ("tag:a tag:b", False),
        ("tag:b or tag:a", True),
        ("tag:b or tag:c tag:a", False),  # `or` binds less than what follows each other
        ("(tag:b or tag:a) tag:a", True),
        ("(tag:b or tag:c) and tag:a", False),
        ("tag:a and not tag:b", True),
        ("not (tag:a or tag:b)", False),
        ("not not tag:a", True),
        ("NOT tag:b AND tag:a", True),
        ("-tag:b", True),
        ("priority:>=high", True),
        ("priority:>high or priority:<high", False),
        ("diff_lines>500", True),
        ("diff_lines:>500", True),
        ("diff_lines>501", False),
        ("diff_lines<=501", True),
        ("diff_lines=501", True),
        ("-diff_lines>500", False),
        ("diff_files:2", True),
        ("path:*.py", True),
        ("path:src/*", True),
        ("-path:docs/*", True),
        ("path:docs/*", False),
        ("branch:feature/*", True),
        ("branch:main", False),
        ("has:review", False),
        ("has:test,review", True),
        ("missing:review", True),
        ("missing:test", False),
        ("-missing:review", False),
        ('"or" or title:"(First)"', False),
        ('title:First "First"', True),
    ],
)
def test_a_condition_means_what_it_says(task: Task, text: str, expected: bool) -> None:
    facts = Known(tagged(task, "a"), 501, ["src/deep/a.py", "README"], ["test"])
    assert expected is holds(parse_condition(text), facts, SETTING, [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs a term"),
        ("   ", "needs a term"),
        ("tag:a or", "After 'or', at character 7, a term is missing"),
        ("or tag:a", "'or', at character 1, needs a term before it"),
        ("tag:a and or tag:b", "'or', at character 11"),
        ("tag:a (tag:b", "'(', at character 7, is not closed"),
        ("tag:a )", "')', at character 7, closes what nothing opened"),
        ("()", "')', at character 2, needs a term"),
        ("tag:a or taag:b", "'taag:b', at character 10, asks for 'taag'"),
        ("tag:a (updated:soon)", "'updated:soon', at character 8, needs an age"),
        ("diff_lines>many", "'diff_lines>many', at character 1, needs a number"),
        ("diff_lines>", "'diff_lines>', at character 1, needs a number"),
        ("tag:a diff_line>5", "'diff_line>5', at character 7, compares what has no colon"),
        ("path:", "'path:', at character 1, has no value"),
        ('has:""', "has no value"),
        ("@mine", "'@mine', at character 1, is a saved query"),
        ("-@mine", "is a saved query"),
        ("tag:" + "a" * 2000, "at most 2000 characters"),
        ("(" * 2000, "goes too deep"),
        ("not " * 490 + "tag:a", "goes too deep"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ValidationError) as off:
        parse_condition(text)
    assert words in off.value.message


@pytest.mark.parametrize("text", ['tag:"', '"a', 'tag:a "'])
def test_open_quotes_are_an_error(text: str) -> None:
    with pytest.raises(ValidationError):
        parse_condition(text)


def test_git_is_not_asked_where_its_answer_cannot_matter(task: Task) -> None:
    facts = Known(tagged(task, "a"))
    assert holds(parse_condition("tag:a or diff_lines>5"), facts, SETTING, [])
    assert not holds(parse_condition("tag:b path:*.py"), facts, SETTING, [])
    assert [] == facts.asked


def test_what_each_term_saw_is_told(task: Task) -> None:
    facts = Known(tagged(task, "a"), 12, ["a", "b", "c", "d", "e"])
    seen: list[Seen] = []
    assert not holds(parse_condition("(tag:x or diff_lines<=12) path:docs/*"), facts, SETTING, seen)
    assert [
        Seen("tag:x", "a", holds=False),
        Seen("diff_lines<=12", "12", holds=True),
        Seen("path:docs/*", "a, b, c and 2 more", holds=False),
    ] == seen
