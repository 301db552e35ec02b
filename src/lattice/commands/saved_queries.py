"""Saved queries: `queries` of config.json, written, listed and taken away."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lattice.commands.board import Board
from lattice.commands.queries import saved_queries
from lattice.commands.settings import change_settings
from lattice.core.config import Config
from lattice.core.query import warnings
from lattice.core.query_language import parse_query
from lattice.core.record import Record
from lattice.core.text import check_line
from lattice.errors import Conflict, NotFound, ValidationError, choices, nearest

NAME_CHARS_MAX = 60
EXPRESSION_CHARS_MAX = 4_000
_NAME = re.compile(r"[^\W_][\w.-]*")


class Saved(Record):
    """A saved query. `problem` says why it cannot be asked, `warnings` what in it can never fit on this board."""

    name: str
    expression: str
    problem: str | None = None
    warnings: tuple[str, ...] = ()
    changed: bool = False


def save(board: Board, name: str, expression: str, *, replace: bool) -> Saved:
    """Save a query that can be asked under `name`. To change one needs `replace`; the same again changes nothing.

    Raises ValidationError, Conflict, ConfigError, StorageError; then the file is as it was.
    """
    check_query_name(name)
    expression = check_line(expression.strip(), "query", chars_max=EXPRESSION_CHARS_MAX)

    def decide(config: Config) -> Mapping[str, object]:
        before = saved_queries(config)
        after = before | {name: expression}
        parse_query(expression, after)
        if before.get(name, expression) != expression and not replace:
            raise Conflict(
                f"There is a saved query {name!r} already: {before[name]}", hint="Add --replace to change it."
            )
        _refuse_to_break(before, after, f"saving {name!r} so")
        return {"queries": after}

    settings = change_settings(board, decide)
    return _looked_at(settings.config, name, saved_queries(settings.config)).replace(changed=settings.changed)


def remove(board: Board, name: str) -> Saved:
    """Take a saved query away. Raises NotFound; ValidationError where another one is made of it."""

    def decide(config: Config) -> Mapping[str, object]:
        before = saved_queries(config)
        gone.append(_there(before, name))
        after = {other: text for other, text in before.items() if other != name}
        _refuse_to_break(before, after, f"removing {name!r}")
        return {"queries": after}

    gone: list[str] = []
    settings = change_settings(board, decide)
    return Saved(name, gone[0], changed=settings.changed)


def everything(board: Board) -> list[Saved]:
    """Every saved query, by name. Raises ConfigError."""
    queries = saved_queries(board.config)
    return [_looked_at(board.config, name, queries) for name in sorted(queries)]


def check_query_name(name: str) -> str:
    """`name` if a query may be saved under it, to be asked as `@name`. Raises ValidationError."""
    if not _NAME.fullmatch(name) or len(name) > NAME_CHARS_MAX:
        raise ValidationError(
            f"Invalid name of a query: {name[:NAME_CHARS_MAX]!r}. It begins with a letter or a digit, and has letters, "
            f"digits, dots, dashes and underscores, up to {NAME_CHARS_MAX}.",
            hint="Write it without the @: lattice query save mine 'assigned:me'",
        )
    return check_line(name, "name of the query")


def _there(queries: Mapping[str, str], name: str) -> str:
    if name in queries:
        return queries[name]
    meant = nearest(name, sorted(queries))
    hint = f"Did you mean {meant!r}?" if meant else f"Saved: {choices(sorted(queries)) or 'none'}."
    raise NotFound(f"There is no saved query {name[:NAME_CHARS_MAX]!r}.", hint=hint)


def _looked_at(config: Config, name: str, queries: Mapping[str, str]) -> Saved:
    query, problem = None, None
    try:
        query = parse_query(queries[name], queries)
    except ValidationError as off:
        problem = off.message
    return Saved(name, queries[name], problem, tuple(warnings(query, config)) if query is not None else ())


def _refuse_to_break(before: Mapping[str, str], after: Mapping[str, str], act: str) -> None:
    """Raise ValidationError where a query that could be asked before could not be asked afterwards."""
    broken = [
        name for name in sorted(after) if name in before and _can_be_asked(name, before) > _can_be_asked(name, after)
    ]
    if broken:
        raise ValidationError(
            f"{act[:1].upper()}{act[1:]} would break what is made of it: {choices(broken)}.",
            hint=f"Change that first: lattice query save {broken[0]} EXPR --replace",
        )


def _can_be_asked(name: str, queries: Mapping[str, str]) -> bool:
    try:
        parse_query(queries[name], queries)
    except ValidationError:
        return False
    return True
