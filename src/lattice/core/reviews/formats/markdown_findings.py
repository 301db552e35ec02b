"""One item of a Markdown report as a finding; and what a validation pass says of the findings."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lattice.core.reviews.formats.account import Account
from lattice.core.reviews.formats.markdown_blocks import Item, field, items, plain, prose
from lattice.core.reviews.formats.places import field_places, places_in, without_places
from lattice.core.reviews.model import Finding, Place

_MARKS = {
    "✅": "confirmed", "✔": "confirmed", "☑": "confirmed", "❓": "likely", "⚠": "likely", "🤔": "likely",
    "❌": "refuted", "✗": "refuted", "✘": "refuted", "🚫": "refuted",
}  # fmt: skip
_SAID = (
    ("refuted", r"refuted|false positive|not an issue|disproved"),
    ("likely", r"likely|plausible|unconfirmed|unverified|possible"),
    ("confirmed", r"confirmed|verified|proven"),
)
_STATUS = re.compile(
    rf"\*{{0,2}}(?P<said>{'|'.join(words for _, words in _SAID)})\b(?P<more>[^—–:.\n*]{{0,40}})\*{{0,2}}"
    r"\s{0,3}(?:—|–|:|-{1,2}(?=\s))\*{0,2}\s{0,3}",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"(?:none|n/a|nothing|no (?:\w+ )?(?:blockers?|issues?|findings?|nits?))\b.{0,20}", re.IGNORECASE)
_TITLE = re.compile(r"\*\*((?:[^*]|\*(?!\*)){1,1000})\*\*(.*)", re.DOTALL)
_INLINE = re.compile(
    r"(?:^|(?<=[.!?;] ))(?:(?:execution )?(?P<trace>trace)|(?:suggested )?(?P<fix>fix)): ", re.IGNORECASE
)
_SHORT = ("e.g.", "i.e.", "etc.", "vs.", "cf.", "approx.", "no.")
_VALIDATED_MAX = 1_000
_LEFT = " .:—–-\t"


def finding_of(item: Item, severity: str, account: Account) -> Finding | None:
    """The finding that an item of a section of this severity is; None where it says that there is none."""
    if _NOTHING.fullmatch(plain(item.lines[0]).strip()) and len(item.lines) == 1:
        return None
    fields, rest = _fields(item)
    status, head = status_of(rest[0]) if rest else (None, "")
    bold = _TITLE.fullmatch(head)
    if bold is not None:
        title, body = bold[1], prose([bold[2].lstrip(_LEFT), *rest[1:]])
        body = body if re.search(r"\w", without_places(body)) else ""
    else:
        title, body = first_sentence(prose([head, *rest[1:]]))
    issue = prose(fields.get("issue", ()))
    if not title.strip():
        title, issue = first_sentence(issue)
    detail, trace, fix = _inline("\n\n".join(text for text in (body, issue) if text))
    where = prose(fields.get("file", ()))
    places = [*field_places(where, account), *places_in(prose(item.lines), account)]
    unplaced = bool(where) and not field_places(where, Account())
    if unplaced:
        detail = f"{detail}\n\nFile: {where}".strip()
    said = status_in(prose(fields.get("status", ())))
    return account.finding(
        severity=severity,
        title=without_places(plain(title)).strip(_LEFT + "*#") or plain(title),
        detail=detail,
        places=_without_bare(places),
        category=prose(fields.get("category", ()))[:60] or None,
        status=status or said or "likely",
        fix="\n\n".join(text for text in (prose(fields.get("fix", ())), fix) if text),
        trace="\n\n".join(text for text in (prose(fields.get("trace", ())), trace) if text),
    )


def _fields(item: Item) -> tuple[dict[str, list[str]], list[str]]:
    """The lines of each field, and those that belong to none. Below a heading a field may follow another text."""
    fields: dict[str, list[str]] = {}
    rest: list[str] = []
    into = rest
    for line in item.lines:
        found = field(line)
        if found is not None:
            into = fields.setdefault(found[0], [])
            into.append(found[2])
        elif line:
            into.append(line)
        elif into:
            into.append("")
    return fields, rest


def _without_bare(places: Sequence[Place]) -> list[Place]:
    """Without the file as a whole where one of its lines is named, too."""
    exact = {place.file for place in places if place.line is not None}
    return [place for place in places if place.line is not None or place.file not in exact]


def status_of(text: str) -> tuple[str | None, str]:
    """The status that a text begins with, by its mark or its words; and the rest of it."""
    text = text.strip()
    mark = _MARKS.get(text[:1])
    rest = text[1:].lstrip("\ufe0f ") if mark else text
    said = _STATUS.match(rest)
    if said is None:
        return mark, rest
    return mark or status_in(said["said"]), rest[said.end() :]


def status_in(text: str) -> str | None:
    """The status that a few words tell."""
    marked = _MARKS.get(text.strip()[:1])
    return marked or next((kind for kind, words in _SAID if re.search(rf"\b(?:{words})\b", text.casefold())), None)


def first_sentence(text: str) -> tuple[str, str]:
    """A text's first sentence and the rest: a stop in code or in parentheses ends none, nor does `e.g.`"""
    depth, code = 0, False
    for at, char in enumerate(text):
        if char == "\n":
            return text[:at].strip(), text[at + 1 :].strip()
        if char == "`":
            code = not code
        elif not code and char in "()":
            depth = max(0, depth + (1 if char == "(" else -1))
        elif char in ".!?" and not code and not depth and text[at + 1 : at + 2] == " ":
            after = text[at + 2 : at + 3]
            short = text[max(0, at - 10) : at + 1].casefold().endswith(_SHORT)
            if not short and (after.isupper() or after.isdigit() or after in "`\"“'"):
                return text[:at].strip(), text[at + 2 :].strip()
    return text.strip(), ""


def _inline(text: str) -> tuple[str, str, str]:
    """A detail, and the trace and the fix that sentences in it announce."""
    parts = {"detail": text, "trace": "", "fix": ""}
    marks = list(_INLINE.finditer(text))
    if marks:
        parts["detail"] = text[: marks[0].start()].strip()
    for mark, following in zip(marks, [*marks, None][1:], strict=True):
        kind = "trace" if mark["trace"] else "fix"
        end = following.start() if following is not None else len(text)
        parts[kind] = f"{parts[kind]}\n\n{text[mark.end() : end].strip()}".strip()
    return parts["detail"], parts["trace"], parts["fix"]


def validated(findings: Sequence[Finding], lines: Sequence[str]) -> tuple[list[Finding], list[str]]:
    """The findings as a validation pass leaves them, and those of its words that fit no finding, or fit several."""
    known = list(findings)
    left: list[str] = []
    words = [_words(one.title) for one in findings]
    for number, item in enumerate(items(lines)):
        whole = prose(item.lines)
        status, rest = status_of(item.lines[0])
        bold = _TITLE.fullmatch(rest)
        name, _, after = rest.partition(":") if bold is None else (bold[1], "", bold[2])
        at = _named(name, words) if number < _VALIDATED_MAX else None
        said = status or status_in(after)
        if at is None or said is None:
            left.append(whole)
            continue
        why = prose([after.strip(" :—–-"), *item.lines[1:]])
        detail = "\n\n".join(text for text in (known[at].detail, f"Validation: {why}" if why else "") if text)
        known[at] = known[at].replace(status=said, detail=detail)
    return known, left


def _named(name: str, titles: Sequence[frozenset[str]]) -> int | None:
    """The one finding whose title has all words of the name: of several the one with the fewest words beside them."""
    words = _words(name)
    fitting = [at for at, title in enumerate(titles) if words and words <= title]
    fewest = min((len(titles[at]) for at in fitting), default=0)
    best = [at for at in fitting if len(titles[at]) == fewest]
    return best[0] if len(best) == 1 else None


def _words(text: str) -> frozenset[str]:
    return frozenset(word.removesuffix("s") for word in re.findall(r"\w+", text.casefold().replace("_", " ")))
