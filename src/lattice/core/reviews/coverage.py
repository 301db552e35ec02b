"""What a review covered: the hunks of its diff, each by its content.

The name of a hunk hangs on its file's path and on its added and removed lines without white space, not on line
numbers or on what stands around it, as git-patch-id(1) does for a whole patch. So a rebase changes none, and a
review is out of date only where what it looked at changed, or something came that it never saw.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from lattice.core.record import Record

Hunks = Mapping[str, Sequence[str] | str]
"""Of each file its hunks, as often as they are there; a text in their place is the digest of very many."""

FILE_HUNKS_MAX = 500
FILES_MAX = 4_000
ALL_FILES = "*"
"""The one entry of a diff of more files than are kept."""

_NAME_CHARS = 16
_RANGE = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


class Diff(Record):
    """The diff of a task as it is now: what a move asks of git before it takes the task's lock."""

    base_sha: str
    commit_sha: str
    hunks: Hunks
    branch: str | None  # the linked branch that it is of; None: what is checked out
    merged: bool = False  # the default branch has it already: the span is that of its last commit alone


def hunks_of(patch: str) -> dict[str, Sequence[str] | str]:
    """The hunks in a patch that git wrote with `-U0 --full-index --no-renames`, whatever else it holds."""
    found: dict[str, list[str]] = {}
    for path, lines in _pieces(patch.split("\n")):
        said = [re.sub(r"\s+", "", line) for line in lines]
        if any(len(line) > 1 for line in said):  # Empty lines alone are nothing to look at.
            found.setdefault(_as_text(path), []).append(_name("\n".join((path, *said))))
    return bounded(found)


def bounded(hunks: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str] | str]:
    """As a log can hold them: what is too many is kept as a digest, in which no part is known any more."""
    if len(hunks) > FILES_MAX:
        return {ALL_FILES: _name("\n".join(f"{path} {_of_one(names)}" for path, names in sorted(hunks.items())))}
    return {path: names if len(names) <= FILE_HUNKS_MAX else _of_one(names) for path, names in hunks.items()}


def digest(hunks: Hunks) -> str:
    """One name for all of them."""
    return _name("\n".join(f"{path} {_of_one(names)}" for path, names in sorted(hunks.items())))


def not_covered(now: Hunks, covered: Hunks) -> list[str]:
    """The files of a diff with a hunk that a review of `covered` did not see. What went away is no loss."""
    return [path for path, names in sorted(now.items()) if not _sees(covered.get(path), names)]


def _sees(covered: Sequence[str] | str | None, names: Sequence[str] | str) -> bool:
    if covered is None:
        return False
    if isinstance(covered, str) or isinstance(names, str):
        return _of_one(covered) == _of_one(names)
    return not Counter(names) - Counter(covered)


def _of_one(names: Sequence[str] | str) -> str:
    return names if isinstance(names, str) else _name(" ".join(sorted(names)))


def _name(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_NAME_CHARS]


def _as_text(path: str) -> str:
    """A path as a log can hold it: a byte that is no UTF-8 is spelled out."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _pieces(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each hunk's path and lines; of a file whose content is not shown, what git says in place of it."""
    path, at = "", 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith("diff --git "):
            path, facts, at = _head(lines, at)
            if facts:
                yield path, facts
        elif (found := _RANGE.match(line)) is not None:
            # By the counts, since a removed line `-- x` reads as the head of a file.
            left = sum(1 if count is None else int(count) for count in found.groups())
            changed: list[str] = []
            while left > 0 and at < len(lines):
                if not lines[at].startswith("\\"):  # "\ No newline at end of file"
                    changed.append(lines[at])
                    left -= 1
                at += 1
            yield path, changed


def _head(lines: Sequence[str], at: int) -> tuple[str, list[str], int]:
    """The path that a file's head names, what it says beside the hunks, and where it ends."""
    path = lines[at - 1].removeprefix("diff --git ")
    path = path[: len(path) // 2].strip('"').removeprefix("a/")  # Both sides are called the same: `a/x b/x`.
    facts, index, has_text = [], "", False
    while at < len(lines) and not lines[at].startswith(("diff --git ", "@@ ")):
        line = lines[at]
        if line.startswith(("old mode ", "new mode ", "new file mode ", "deleted file mode ")):
            facts.append(line)
        elif line.startswith("index "):
            index = line
        has_text = has_text or line.startswith("+++ ")
        at += 1
    if has_text:
        return path, facts if len(facts) > 1 else [], at  # A new file's mode alone is nothing beside its lines.
    return path, [*facts, index], at  # Binary, or empty: the content is known by its name alone.
