"""Conditions of workers: `tag:security or (diff_lines>500 and not path:docs/*)`.

The terms are those of the query language, with what only a worker asks beside them: `diff_lines` and
`diff_files` (numbers), `path:GLOB` and `branch:GLOB`, `has:ROLE` and `missing:ROLE`. Terms that follow each
other must all hold, as `and` says too; `or` binds less, `not` more, and parentheses group. The terms are asked
from the left, and none that cannot matter any more: what is cheap goes first, and git is asked last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lattice.core.query import Query, Setting, fits, read_field
from lattice.core.query_language import parse_query
from lattice.core.record import Protocol, Record
from lattice.core.summary import Summary
from lattice.errors import ValidationError

CONDITION_CHARS_MAX = 2_000
DEPTH_MAX = 20
NUMBERS = ("diff_lines", "diff_files")
_PATTERNS = ("path", "branch", "has", "missing")
_TOKEN = re.compile(r'[()]|(?:"[^"]*"|[^\s()"])+|"')
_NUMBER = re.compile(rf"([-!]?)({'|'.join(NUMBERS)})(?::?(<=|>=|<|>|=)|:)(.*)", re.DOTALL)
_PATTERN = re.compile(rf"([-!]?)({'|'.join(_PATTERNS)}):(.*)", re.DOTALL)
_COMPARED_WITHOUT_COLON = re.compile(r"[-!]?([A-Za-z_][\w.-]*)(<=|>=|<|>|=)")
_WORDS = ("and", "or", "not")


class Term(Record):
    """A term of the query language."""

    text: str
    query: Query


class Fact(Record):
    """A term that only a worker's condition has."""

    text: str
    name: str
    value: str
    operator: str = ""
    negated: bool = False


class Not(Record):
    """The opposite of what it holds."""

    of: Condition


class All(Record):
    """Every part holds."""

    parts: tuple[Condition, ...]


class Either(Record):
    """One part holds, or more."""

    parts: tuple[Condition, ...]


Condition = Term | Fact | Not | All | Either


class Seen(Record):
    """A term that was asked, what the task has there, and whether the term holds."""

    term: str
    value: str
    holds: bool


class Facts(Protocol):
    """What a condition may ask of a task; each answer is made when it is asked for."""

    @property
    def row(self) -> Summary:
        """The task as a query knows it."""

    def roles(self) -> Sequence[str]:
        """The roles that its comments and artifacts play."""

    def lines_changed(self) -> int:
        """Lines added and deleted between base and commit. Raises LatticeError where there is no diff."""

    def paths_changed(self) -> Sequence[str]:
        """The files changed between base and commit. Raises LatticeError where there is no diff."""

    def branches(self) -> Sequence[str]:
        """The task's linked branches, else the one that is checked out. Raises LatticeError."""

    def matching(self, names: Sequence[str], pattern: str) -> Sequence[str]:
        """Those of the names that the pattern fits; `*` stands for any characters, `/` too."""


def parse_condition(text: str) -> Condition:
    """The condition in `text`. Raises ValidationError that names the word and its place, counted from 1."""
    if len(text) > CONDITION_CHARS_MAX:
        raise ValidationError(f"A condition has at most {CONDITION_CHARS_MAX} characters.")
    return _Parser(text).whole()


def holds(condition: Condition, facts: Facts, setting: Setting, seen: list[Seen]) -> bool:
    """Whether it holds now; each term that was asked is added to `seen`.

    Raises ValidationError where a term means nobody, LatticeError where a fact of the diff cannot be had.
    """
    match condition:
        case Term(text=text, query=query):
            answer = fits(query, setting)(facts.row)
            seen.append(Seen(text, _value_of(query, facts.row), answer))
            return answer
        case Fact(text=text, negated=negated):
            value, fact_holds = _ask(condition, facts)
            seen.append(Seen(text, value, fact_holds != negated))
            return fact_holds != negated
        case Not(of=inner):
            return not holds(inner, facts, setting, seen)
        case All(parts=parts):
            return all(holds(part, facts, setting, seen) for part in parts)
        case Either(parts=parts):
            return any(holds(part, facts, setting, seen) for part in parts)


class _Parser:
    """Recursive descent over the words of one condition."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [(found.group(), found.start()) for found in _TOKEN.finditer(text)]
        self._next = 0

    def whole(self) -> Condition:
        if not self._tokens:
            raise ValidationError("A condition needs a term.", hint="Write tag:security, or diff_lines>500.")
        found = self._either(0)
        word = self._peek()
        if word is not None:
            raise self._off("closes what nothing opened", "Write a text with parentheses in quotes.")
        return found

    def _either(self, depth: int) -> Condition:
        parts = [self._all(depth)]
        while self._peek() == "or":
            self._next += 1
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _all(self, depth: int) -> Condition:
        parts = [self._one(depth)]
        while self._peek() not in (None, "or", ")"):
            if self._peek() == "and":
                self._next += 1
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self, depth: int) -> Condition:
        word = self._peek()
        if depth > DEPTH_MAX:
            raise self._off("goes too deep", f"Parentheses and `not` go {DEPTH_MAX} deep.")
        match word:
            case None:
                raise self._end("a term is missing")
            case "(":
                opened = self._next
                self._next += 1
                inner = self._either(depth + 1)
                if self._peek() != ")":
                    self._next = opened
                    raise self._off("is not closed", "Write ) where it ends.")
                self._next += 1
                return inner
            case "not":
                self._next += 1
                return Not(self._one(depth + 1))
            case "and" | "or" | ")":
                raise self._off("needs a term before it", 'A word that is meant as text stands in quotes: "or".')
            case _:
                term = self._term()
                self._next += 1
                return term

    def _term(self) -> Condition:
        word, at = self._tokens[self._next]
        number, pattern = _NUMBER.fullmatch(word), _PATTERN.fullmatch(word)
        if number is not None:
            sign, name, operator, value = number.groups()
            if not (value.isascii() and value.isdecimal() and len(value) < 10):
                raise self._off("needs a number", f"Write {name}>500 or {name}<=3.")
            return Fact(word, name, value, (operator or "").removeprefix("="), bool(sign))
        if pattern is not None:
            sign, name, value = pattern.groups()
            if not value.replace('"', ""):
                raise self._off("has no value", f"Write {name}:VALUE.")
            return Fact(word, name, value.replace('"', ""), negated=bool(sign))
        compared = _COMPARED_WITHOUT_COLON.match(word)
        if compared is not None:
            hint = f"Write {compared[1]}:{compared[2]}…; without a colon stand {' and '.join(NUMBERS)}."
            raise self._off("compares what has no colon", f'{hint} A text stands in quotes: "{word[:40]}"')
        if word.lstrip("-!").startswith("@"):
            raise self._off("is a saved query, which can change unseen", "Write its terms instead.")
        # The spaces keep the place, which the query language counts from the beginning of its text.
        return Term(word, parse_query(" " * at + word))

    def _peek(self) -> str | None:
        """The next word, an operator in small letters; None at the end."""
        if self._next >= len(self._tokens):
            return None
        word = self._tokens[self._next][0]
        return word.lower() if word.lower() in _WORDS else word

    def _off(self, why: str, hint: str) -> ValidationError:
        word, at = self._tokens[min(self._next, len(self._tokens) - 1)]
        return ValidationError(f"{word[:60]!r}, at character {at + 1}, {why}.", hint=hint)

    def _end(self, why: str) -> ValidationError:
        word, at = self._tokens[-1]
        return ValidationError(f"After {word[:60]!r}, at character {at + 1}, {why}.", hint="Write tag:security, say.")


def _ask(fact: Fact, facts: Facts) -> tuple[str, bool]:
    """What the task has, and whether the term holds, before its minus."""
    match fact.name:
        case "diff_lines":
            return _compared(fact, facts.lines_changed())
        case "diff_files":
            return _compared(fact, len(facts.paths_changed()))
        case "has" | "missing":
            roles = facts.roles()
            there = any(role in roles for role in fact.value.split(","))
            return _some(roles), there == (fact.name == "has")
        case "branch":
            names = facts.branches()
            return _some(names), bool(facts.matching(names, fact.value))
        case _:
            paths = facts.paths_changed()
            found = facts.matching(paths, fact.value)
            return _some(found or paths), bool(found)


def _compared(fact: Fact, number: int) -> tuple[str, bool]:
    wanted = int(fact.value)
    answer = {
        "": number == wanted,
        "<": number < wanted,
        "<=": number <= wanted,
        ">": number > wanted,
        ">=": number >= wanted,
    }[fact.operator]
    return str(number), answer


def _value_of(query: Query, row: Summary) -> str:
    """What the task has in the field that the term asks for; of its text nothing is repeated."""
    return "; ".join(read_field(one.field, row) or "none" for one in query.conditions if one.field != "text")


def _some(names: Sequence[str], count: int = 3) -> str:
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more} more" if more > 0 else "") or "none"
