"""The outline of a Markdown report: its sections by what they are about, and the items of a section.

Reads what people and models write, not CommonMark: a heading is a line of `#` or a line that is bold as a
whole, an item begins at a list's mark and takes what is indented below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lattice.core.record import Record

UNKNOWN = "unknown"
_KINDS: Sequence[tuple[str, str]] = (
    ("title", r"(critical |standard |adversarial |code |plan |security |peer )*review( report| of .*)?"),
    ("summary", r"(the )?ugly truth|(executive )?summary|overview|the short of it"),
    ("checks", r"(phase \d+:? )?(execution|checks|commands|gates)( run| results?)?|(required )?(commands|checks)"),
    ("will_break", r"what (will|would|can|could|may) (break|fail)|what breaks|failure modes"),
    ("missing", r"what'?s missing|what is missing|missing|gaps"),
    ("nit", r"(the )?(nits?|nit ?picks?)|style"),
    ("blocker", r"blockers?|blocking( issues| findings)?|critical( issues| findings)?|must fix"),
    ("important", r"important( issues| findings)?|major( issues| findings)?|should fix"),
    ("potential", r"potential( issues| findings)?|minor( issues| findings)?|could fix|to consider"),
    ("validation", r"validation( pass)?|verification( pass)?|cross[- ]check"),
    ("verdict", r"(final |the )?verdict|closing|conclusion|(final )?recommendation"),
)
"""What a section is about, by its heading in small letters without marks, numbers and parentheses."""

_BOLD = re.compile(r"(?:\d{1,3}[.)]\s{1,3})?\*\*((?:[^*]|\*(?!\*)){1,300})\*\*:?")
_MARK = re.compile(r"( {0,40})([-*+•]|\d{1,4}[.)]) {1,8}(.*)", re.DOTALL)
_FIELD = re.compile(r"(?: {0,40}[-*+•] {1,8})?\*\*([A-Za-z][A-Za-z /]{0,30}?)(?::\*\*|\*\* ?:) ?(.*)", re.DOTALL)
_RULE = re.compile(r" {0,3}(?:-{3,}|\*{3,}|_{3,})\s*")
_FENCE = re.compile(r" *(`{3,}|~{3,})")


class Section(Record):
    """The lines below a heading. `kind` is one of those above, or unknown."""

    kind: str
    title: str
    lines: tuple[str, ...]


class Item(Record):
    """A list's item, a paragraph of its own (`mark` is empty), or what stands below a heading of a finding (`#`)."""

    mark: str
    lines: tuple[str, ...]


def kind_of(title: str) -> str:
    """What a section of this title is about."""
    words = re.sub(r"\([^()]{0,200}\)", " ", title[:200].replace("’", "'").casefold())
    words = re.sub(r"^[\W\d_]{1,20}(?=[a-z])|[^\w)]{1,20}$", "", " ".join(words.split()))
    return next((kind for kind, pattern in _KINDS if re.fullmatch(pattern, words)), UNKNOWN)


def sections(text: str) -> list[Section]:
    """The report's sections, in order; the first holds what stands before any heading."""
    found: list[tuple[str, str, list[str]]] = [("title", "", [])]
    level, findings_at = 0, 0
    for line, is_code in _fenced(text.split("\n")):
        title, level = (None, 0) if is_code else _heading(line)
        kind = UNKNOWN if title is None else kind_of(title)
        if title is not None and kind == UNKNOWN and findings_at and level > findings_at:
            found[-1][2].append(line)  # the heading of one finding
        elif title is not None and (kind != UNKNOWN or level):
            findings_at = (level or 1) if kind in ("blocker", "important", "potential", "nit") else 0
            found.append((kind, title, []))
        else:
            found[-1][2].append(line)
    return [Section(kind, title, tuple(lines)) for kind, title, lines in found]


def _heading(line: str) -> tuple[str | None, int]:
    """A heading's text and its level, 0 for one in bold alone; None where the line is none."""
    text = line.strip()
    marks = len(text) - len(text.lstrip("#"))
    if 0 < marks < 7 and text[marks : marks + 1] == " ":
        return text[marks:].strip().rstrip("#").strip(), marks
    bold = _BOLD.fullmatch(text)
    return (bold[1], 0) if bold is not None and not line.startswith("    ") else (None, 0)


def _fenced(lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it belongs to a fenced block of code."""
    fence = ""
    for line in lines:
        mark = _FENCE.match(line)
        if fence:
            yield line, True
            if mark is not None and mark[1].startswith(fence) and line.strip() == mark[1]:
                fence = ""
            continue
        fence = mark[1] if mark is not None else ""
        yield line, bool(fence)


def items(lines: Sequence[str]) -> list[Item]:
    """The items of a section, each with the lines that belong to it, without the list's mark."""
    found: list[tuple[str, list[str]]] = []
    base, gap = 40, False
    for line, is_code in _fenced([line.expandtabs(4).rstrip() for line in lines]):
        mark = None if is_code else _MARK.fullmatch(line)
        heading = None if is_code else _heading(line)
        inside = bool(found) and found[-1][0] == "#"
        if not line or (not is_code and _RULE.fullmatch(line)):
            gap = True
            if found:
                found[-1][1].append("")
            continue
        if heading is not None and heading[0] is not None and heading[1]:
            found.append(("#", [re.sub(r"^\d{1,3}[.)] {1,3}", "", heading[0])]))
        elif mark is not None and not inside and len(mark[1]) <= base and not (found and field(line)):
            base = len(mark[1])
            found.append((mark[2], [mark[3]]))
        elif found and (inside or is_code or not gap or line.startswith(" ") or field(line)):
            found[-1][1].append(line)
        else:
            found.append(("", [line]))
        gap = False
    return [Item(mark, _trimmed(body)) for mark, body in found if _trimmed(body)]


def _trimmed(lines: list[str]) -> tuple[str, ...]:
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines)


FIELDS = {
    "file": "file", "files": "file", "location": "file", "locations": "file", "where": "file", "place": "file",
    "issue": "issue", "problem": "issue", "detail": "issue", "details": "issue", "description": "issue",
    "fix": "fix", "suggested fix": "fix", "suggestion": "fix", "recommendation": "fix", "remedy": "fix",
    "trace": "trace", "execution trace": "trace", "how": "trace", "reproduction": "trace",
    "category": "category", "status": "status", "confidence": "status",
}  # fmt: skip
"""What the bold words before a colon announce, in small letters."""


def field(line: str) -> tuple[str, str, str] | None:
    """A field that a line begins with: what it is, its own name, and the rest of the line."""
    found = _FIELD.fullmatch(line.strip())
    kind = FIELDS.get(" ".join(found[1].casefold().split())) if found else None
    return (kind, found[1], found[2].strip()) if found and kind else None


def header(line: str) -> tuple[str, str] | None:
    """`- **Name:** value` of a report's head."""
    found = _FIELD.fullmatch(line.strip())
    return (found[1].strip(), found[2].strip()) if found else None


def prose(lines: Sequence[str]) -> str:
    """Lines as text: those of a paragraph on one line, lists and code as they stand; no bold marks."""
    parts: list[list[str]] = []
    gap = True
    for line, is_code in _fenced(lines):
        text = line if is_code else plain(line.strip())
        if not text:
            gap = True
        elif is_code or gap or _MARK.fullmatch(line):
            parts.append([text])
            gap = is_code
        else:
            parts[-1].append(text)
    return "\n".join(" ".join(part) for part in parts)


def plain(text: str) -> str:
    """`text` without the marks of bold; what is in code stays as it is."""
    spans = text.split("`")
    for at in range(0, len(spans), 2):
        spans[at] = re.sub(r"(?<![\w*])\*\*(?=\S)|(?<=\S)\*\*(?![\w*])", "", spans[at])
    return "`".join(spans)
