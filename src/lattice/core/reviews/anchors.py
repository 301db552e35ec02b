"""Where a finding points, held against the commit: its file, its line, and a hash of that line's own content.

A number says where a line was; its content says which line it is. The hash covers the line without its
white space, the line that opens the block around it, and which of the equal lines in that block it is: so
two `return None` are told apart, and lines that come and go elsewhere change nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

from lattice.core.reviews.model import Finding, Place

PATH_CHARS_MAX = 4_096
_HOSTILE = re.compile(r"[\x00-\x1f\x7f]")
_LINES = re.compile(r":(\d{1,9})(?:-(\d{1,9})|:\d{1,9})?:?$|#L(\d{1,9})(?:-L?(\d{1,9}))?$")
_WRAPPED = re.compile(r"^([`'\"])(.*)\1$|^<(.*)>$", re.DOTALL)
_DRIVE = re.compile(r"^[A-Za-z]:(?=/)")
_WORDLESS = re.compile(r"[\W_]*")
_QUOTED = re.compile(r"`([^`\n]{6,300})`")
_ANCHOR = re.compile(r"[0-9a-f]{16}")


# Paths


def candidates(place: Place, roots: Sequence[str] = ()) -> tuple[Place, ...]:
    """What a place may mean, from the top of the repository: the likeliest first, none for a hostile path.

    Reviewers name files as they saw them: below a worktree (`roots` are the folders the commit was checked
    out in), with the `a/` and `b/` of a diff, with `./`, with the line appended, between quotes.
    """
    said = place.file.strip()
    if wrapped := _WRAPPED.match(said):
        said = wrapped[2] or wrapped[3] or ""
    if not said or len(said) > PATH_CHARS_MAX or _HOSTILE.search(said):
        return ()
    said = said.removeprefix("file://")
    read = [(said, place.line, place.end_line)]
    if found := _LINES.search(said):
        start, end = found[1] or found[3], found[2] or found[4]
        line = place.line or int(start) or None
        read.append((said[: found.start()], line, place.end_line or (int(end) if end else None)))
    tidied = ((path, line, end) for name, line, end in read for path in _paths(name, roots))
    return tuple(dict.fromkeys(Place(*one) for one in tidied))


def _paths(name: str, roots: Sequence[str]) -> list[str]:
    forms = [name] if "\\" not in name else [name, name.replace("\\", "/")]
    found: list[str] = []
    for form in forms:
        inside = next((form[len(root) :] for root in map(_folder, roots) if form.startswith(root)), None)
        if inside is None and (form.startswith("/") or _DRIVE.match(form)):
            parts = _parts(_DRIVE.sub("", form))
            # A checkout that is gone: the longest end that the commit knows, but never a bare name.
            found += ["/".join(parts[start:]) for start in range(len(parts) - 1)]
            continue
        parts = _parts(form if inside is None else inside)
        found.append("/".join(parts))
        if inside is None and len(parts) > 1 and parts[0] in ("a", "b"):
            found.append("/".join(parts[1:]))
    return [path for path in found if path]


def _folder(root: str) -> str:
    return root.rstrip("/") + "/"


def _parts(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return [] if ".." in parts else parts


# Lines


def line_anchors(content: bytes) -> list[str | None]:
    """The anchor of each line; None for one that says nothing, such as a lone bracket."""
    anchors: list[str | None] = []
    opened: list[tuple[int, str, Counter[str]]] = [(-1, "", Counter())]  # blocks: indentation, first line, its lines
    for line in lines_of(content):
        words = " ".join(line.split())
        if _WORDLESS.fullmatch(words):
            anchors.append(None)
            continue
        indent = len(line) - len(line.lstrip())
        while opened[-1][0] >= indent:
            opened.pop()
        _, opening, before = opened[-1]
        before[words] += 1
        anchors.append(_hash(words, opening, before[words]))
        opened.append((indent, words, Counter()))
    return anchors


def lines_of(content: bytes) -> list[str]:
    """The lines as an editor numbers them."""
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def _hash(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:16]


def located(finding: Finding, place: Place | None, content: bytes | None) -> Finding:
    """The finding with its place as the commit has it; `anchored` says what came of it.

    `place` is what of `candidates` the commit knows, None if it knows none; `content` what that file holds.
    With an anchor from another commit, the line is looked for by it. A line that the file does not have is
    looked for by the code that the finding quotes.
    """
    if place is None or content is None:
        return finding.replace(anchor=None, anchored="no_file")
    finding = finding.replace(file=place.file, line=place.line, end_line=place.end_line)
    if place.line is None:
        return finding.replace(end_line=None, anchor=None, anchored="found")
    anchors = line_anchors(content)
    if finding.anchor and finding.anchored in ("found", "moved") and _ANCHOR.fullmatch(finding.anchor):
        at = _nearest([number for number, one in enumerate(anchors, 1) if one == finding.anchor], place.line)
        at = at or _by_quotation(finding, content)
    elif place.line <= len(anchors):
        at = place.line
    else:
        at = _by_quotation(finding, content)
    if at is None:
        return finding.replace(anchor=None, anchored="no_line")
    end = None if place.end_line is None else min(at + place.end_line - place.line, len(anchors))
    return finding.replace(
        line=at,
        end_line=end if end is not None and end > at else None,
        anchor=_anchor_of(anchors, at, end or at),
        anchored="found" if at == place.line else "moved",
    )


def _anchor_of(anchors: Sequence[str | None], line: int, end: int) -> str | None:
    """That of the first line which says something."""
    return next((one for one in anchors[line - 1 : max(line, end)] if one), None)


def _nearest(numbers: Sequence[int], line: int) -> int | None:
    return min(numbers, key=lambda number: (abs(number - line), number), default=None)


def _by_quotation(finding: Finding, content: bytes) -> int | None:
    """The one line that holds code which the finding quotes; None where none does, or several."""
    lines = [" ".join(line.split()) for line in lines_of(content)]
    for quoted in _QUOTED.findall(f"{finding.title}\n{finding.detail}\n{finding.trace}"):
        words = " ".join(quoted.split())
        at = [number for number, line in enumerate(lines, 1) if words in line] if words else []
        if len(at) == 1:
            return at[0]
    return None
