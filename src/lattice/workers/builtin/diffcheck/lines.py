"""Rules on added lines: conflict markers, debug leftovers, focused tests, notes to self, white space."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

from lattice.core.markup import visible
from lattice.core.record import Record
from lattice.core.reviews.model import Finding
from lattice.workers.builtin.diffcheck import paths
from lattice.workers.builtin.diffcheck.changes import AddedLine, Change
from lattice.workers.builtin.diffcheck.findings import Severity, finding

_MARKER = re.compile(r"^(?:(?P<open><{7})(?: |$)|(?P<base>\|{7})(?: |$)|(?P<middle>={7})$|(?P<close>>{7})(?: |$))")
_NOTE = re.compile(r"\b(TODO|FIXME|XXX)\b")
_DEBUGGERS = frozenset({"pdb", "ipdb", "pudb"})
# Strings of one line and comments to the end of it; enough to keep a word in a message from counting as code.
_JS_INERT = re.compile(r"""//.*$|/\*.*?\*/|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`""")
_HASH_INERT = re.compile(r"""#(?!\{).*$|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")


class _Leftover(Record):
    """A pattern that has no business in a commit, for files with these suffixes."""

    suffixes: frozenset[str]
    pattern: re.Pattern[str]
    inert: re.Pattern[str]
    severity: Severity
    category: str
    title: str
    tests_only: bool = False


_LEFTOVERS = (
    _Leftover(
        paths.JAVASCRIPT, re.compile(r"(?<![\w.$])debugger\s*(?:;|$)"), _JS_INERT, "important", "debug_leftover",
        "debugger statement left in",
    ),
    _Leftover(
        paths.JAVASCRIPT, re.compile(r"(?<![\w.$])console\.(?:log|debug|trace)\s*\("), _JS_INERT, "potential",
        "debug_leftover", "console output left in",
    ),
    _Leftover(
        paths.JAVASCRIPT, re.compile(r"(?<![\w.$])(?:describe|it|test|context|suite)\.only\s*\("), _JS_INERT,
        "important", "focused_test", "focused test: the others are silently skipped",
    ),
    _Leftover(
        paths.JAVASCRIPT, re.compile(r"(?<![\w.$])(?:fit|fdescribe)\s*\("), _JS_INERT, "important", "focused_test",
        "focused test: the others are silently skipped", tests_only=True,
    ),
    _Leftover(
        frozenset({".rb", ".rake"}), re.compile(r"(?<![\w.])(?:binding\.(?:pry|irb)|byebug)\b"), _HASH_INERT,
        "important", "debug_leftover", "debugger call left in",
    ),
    _Leftover(
        frozenset({".rs"}), re.compile(r"(?<!\w)dbg!\s*\("), _JS_INERT, "important", "debug_leftover",
        "dbg! macro left in",
    ),
    _Leftover(
        frozenset({".php"}), re.compile(r"(?<![\w>$:])var_dump\s*\("), _JS_INERT, "important", "debug_leftover",
        "var_dump call left in",
    ),
)  # fmt: skip


def check_lines(change: Change) -> Iterator[Finding]:
    """Every rule of this module on one text file."""
    yield from _conflicts(change)
    if paths.is_foreign(change.path):
        return  # Nobody wrote these lines by hand, and nobody would mend them by hand.
    if paths.suffix(change.path) in paths.PYTHON:
        yield from _python_leftovers(change)
    yield from _pattern_leftovers(change)
    yield from _notes(change)
    yield from _trailing_space(change)


def _conflicts(change: Change) -> Iterator[Finding]:
    """One finding a conflict. In prose only whole ones count: `=======` underlines, `>>>>>>>` quotes."""
    opened: AddedLine | None = None
    divided = False
    for line in change.added:
        match = _MARKER.match(line.text.rstrip("\r"))
        kind = match.lastgroup if match else None
        if kind == "open":
            if opened and not _is_prose(change):
                yield _conflict(change, opened.number)
            opened, divided = line, False
        elif kind == "middle":
            divided = opened is not None
        elif kind == "close":
            if (opened and divided) or not _is_prose(change):
                yield _conflict(change, (opened or line).number)
            opened, divided = None, False
    if opened and not _is_prose(change):
        yield _conflict(change, opened.number)


def _is_prose(change: Change) -> bool:
    return paths.suffix(change.path) in paths.PROSE


def _conflict(change: Change, number: int) -> Finding:
    return finding(
        severity="blocker",
        category="conflict_marker",
        title="merge conflict marker left in",
        detail="A merge was committed before its conflict was settled; both sides stand in the file.",
        file=change.path,
        line=number,
        fix="Keep the side that is meant and remove the markers.",
    )


def _python_leftovers(change: Change) -> Iterator[Finding]:
    """Debugger calls found in the syntax tree, so that a string naming one is not one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(change.content or b"")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # The syntax rule reports it, as a blocker.
    added = {line.number for line in change.added}
    for node in ast.walk(tree):
        word = _debugger_of(node)
        if word and getattr(node, "lineno", 0) in added:
            yield finding(
                severity="important",
                category="debug_leftover",
                title=f"{word} left in",
                detail="The program stops here and waits for a person.",
                file=change.path,
                line=getattr(node, "lineno", None),
                fix="Remove it.",
            )


def _debugger_of(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Name(id="breakpoint")):
            return "breakpoint()"
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="set_trace")) if name in _DEBUGGERS:
            return f"{name}.set_trace()"
        case ast.Import(names=names) if any(one.name.split(".")[0] in _DEBUGGERS for one in names):
            return "debugger import"
        case ast.ImportFrom(module=str(module), level=0) if module.split(".")[0] in _DEBUGGERS:
            return "debugger import"
        case _:
            return None


def _pattern_leftovers(change: Change) -> Iterator[Finding]:
    rules = [
        rule
        for rule in _LEFTOVERS
        if paths.suffix(change.path) in rule.suffixes and (paths.is_test(change.path) or not rule.tests_only)
    ]
    for line in change.added:
        for rule in rules:
            if rule.pattern.search(rule.inert.sub(" ", line.text)):
                yield finding(
                    severity=rule.severity,
                    category=rule.category,
                    title=rule.title,
                    detail=f"The line reads: {visible(line.text.strip(), 160)}",
                    file=change.path,
                    line=line.number,
                    fix="Remove it.",
                )


def _notes(change: Change) -> Iterator[Finding]:
    for line in change.added:
        if match := _NOTE.search(line.text):
            yield finding(
                severity="nit",
                category="todo",
                title=f"{match[1]} left in",
                detail=f"The line reads: {visible(line.text.strip(), 160)}",
                file=change.path,
                line=line.number,
                fix="Do it now, or make it a task and name the task here.",
            )


def _trailing_space(change: Change) -> Iterator[Finding]:
    """One finding a file, on its first line. Two blanks at the end are a line break in Markdown."""
    if _is_prose(change) or paths.suffix(change.path) in {".diff", ".patch"}:
        return
    ragged = [line for line in change.added if line.text.rstrip("\r").endswith((" ", "\t"))]
    if ragged:
        yield finding(
            severity="nit",
            category="whitespace",
            title="trailing white space",
            detail=f"{len(ragged)} added line(s) of this file end in blanks.",
            file=change.path,
            line=ragged[0].number,
            fix="Strip it; an editor setting does it for good.",
        )
