"""A review in Markdown, as people and models write it: header, ugly truth, findings by severity, verdict.

Of each part it takes what it understands; what it does not understand is kept in the review's summary below the
heading that it stood under, so that nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lattice.core.reviews.formats.account import Account
from lattice.core.reviews.formats.markdown_blocks import UNKNOWN, Item, Section, header, items, plain, prose, sections
from lattice.core.reviews.formats.markdown_findings import finding_of, validated
from lattice.core.reviews.formats.places import places_in
from lattice.core.reviews.model import NOT_READY, READY, SEVERITIES, Check, Finding, Review, Reviewer, by_one
from lattice.core.text import check_prose
from lattice.errors import ValidationError

LINES_MAX = 20_000
ITEMS_MAX = 2_000  # of one section of findings
_HEAD = {
    "date": "date", "model": "model", "reviewer": "reviewer", "branch": "branch", "latest commit": "commit_sha",
    "commit": "commit_sha", "head": "commit_sha", "base": "base_sha", "base commit": "base_sha", "task": "task",
    "linear story": "task", "story": "task", "ticket": "task", "review type": "kind", "type": "kind",
}  # fmt: skip
_NOT_READY = re.compile(
    r"\bnot\b[^.\n]{0,30}?\b(?:ready|safe|mergeable|production)"
    r"|\b(?:do not|don't|cannot|must not) (?:merge|ship|deploy)"
    r"|\b(?:ready|ship it|lgtm|approved?|mergeable)\b[^.;\n]{0,20}? (?:once|after|when|if|unless|with changes)\b"
    r"|\b(?:reject(?:ed)?|needs (?:work|changes)|changes requested|nack|blocked)\b",
    re.IGNORECASE,
)
_READY = re.compile(
    r"\bready\b|\b(?:approved?|lgtm|ship it|safe to (?:merge|ship|deploy)|good to (?:go|merge))\b", re.IGNORECASE
)
_CHECK = re.compile(r"`([^`\n]{1,200})`\s{0,3}(?:->|→|=>|—|–|:|-)\s{0,3}(.*)", re.DOTALL)
_CHECKS = (
    ("not_run", r"not (?:run|executed)|skipped"),
    ("timed_out", r"timed? ?out"),
    ("failed", r"fail\w*|errors?|❌"),
    ("passed", r"pass\w*|ok|success\w*|clean|✅|0 errors"),
)


def read(data: bytes, account: Account, by: Reviewer) -> Review:
    """The review that the report is; `by` says who gave it, where its header does not. Raises ValidationError."""
    try:
        text = check_prose(data.decode("utf-8-sig"), "report")
    except UnicodeDecodeError as off:
        raise ValidationError(
            f"The report is not UTF-8: {off.reason} at byte {off.start}.", hint="Convert it: iconv -t utf-8"
        ) from None
    lines = text.splitlines()
    if len(lines) > LINES_MAX:
        raise ValidationError(
            f"The report is too long: {len(lines)} lines; the limit is {LINES_MAX}.", hint="Import a part of it."
        )
    parts = sections("\n".join(lines))
    _check(parts)
    if len(parts) > 1 and parts[1].kind == UNKNOWN:
        parts[1] = parts[1].replace(kind="title")  # whatever it is called
    about, kept = _header(parts[:2])
    findings: list[Finding] = []
    for part in parts:
        if part.kind in SEVERITIES:
            findings += _findings(part, account, kept)
    findings = list(account.findings(findings))
    for part in parts:
        if part.kind == "validation":
            findings, left = validated(findings, part.lines)
            kept += [f"{plain(part.title)}: {words}" for words in left]
            account.remark_all(f"of the validation pass, this fits no finding alone: {words[:80]}" for words in left)
    checks = [found for part in parts if part.kind == "checks" for found in _checks(part, kept)]
    for number, part in enumerate(parts):
        if part.kind in (UNKNOWN, "verdict") or (part.kind == "title" and number > 1):
            kept += _kept(part)
    reviewer = _reviewer(about, by)
    return Review(
        reviewers=(reviewer,),
        findings=by_one(reviewer, findings),
        verdict=_verdict(parts, account),
        base_sha=about.get("base_sha"),
        commit_sha=about.get("commit_sha"),
        task=about.get("task"),
        branch=about.get("branch"),
        date=about.get("date"),
        kind=about.get("kind"),
        summary=account.text("\n\n".join([*_texts(parts, "summary"), *kept]), "the summary"),
        will_break=account.lines(_lines(parts, "will_break"), "what will break"),
        missing=account.lines(_lines(parts, "missing"), "what is missing"),
        checks=tuple(checks[:100]),
    )


def _check(parts: Sequence[Section]) -> None:
    kinds = {part.kind for part in parts[1:]}
    if not kinds & {*SEVERITIES, "verdict"}:
        raise ValidationError(
            "This is not a review report: it has no section Blockers, Important, Potential or Nits, and no Verdict.",
            hint="See docs/how-to/import-a-review.md for the form, or name another: --format sarif.",
        )


def _header(parts: Sequence[Section]) -> tuple[dict[str, str], list[str]]:
    """What the lines before the first section say of the review; and those that are not of its form."""
    about: dict[str, str] = {}
    kept: list[str] = []
    heads = [part for part in parts if part.kind == "title"]
    for line in (line for part in heads for line in part.lines if line.strip(" -*_")):
        found = header(line)
        key = _HEAD.get(found[0].casefold()) if found is not None else None
        value = plain(found[1]).strip() if found is not None else ""
        sha = re.search(r"\b[0-9a-f]{7,64}\b", value) if key in ("commit_sha", "base_sha") else None
        if key is None or not value or key in about or (key in ("commit_sha", "base_sha") and sha is None):
            kept.append(prose([line]))
        else:
            about[key] = sha[0] if sha is not None else value if key == "model" else value.strip("` ")
            if sha is not None and value.strip("` ") != sha[0]:
                kept.append(prose([line]))  # it says more of the commit than its name
    return about, kept


def _reviewer(about: dict[str, str], by: Reviewer) -> Reviewer:
    """Who it is by the header: `Name — `model``, a name alone, or a model alone."""
    said = about.get("model", "")
    exact = re.search(r"`([^`]{1,100})`", said)
    model = exact[1] if exact is not None else said.strip() or None
    called = re.split(r"\s[—–-]\s|`", said, maxsplit=1)[0].strip() or model
    kind = about.get("kind", "").casefold()
    kinds = [one for one in ("critical", "standard") if one in kind]
    return Reviewer(
        name=(by.name or about.get("reviewer") or called or "report")[:200],
        model=(by.model or model or "")[:200] or None,
        kind=by.kind or (kinds[0] if kinds else kind[:60] or None),
    )


def _findings(part: Section, account: Account, kept: list[str]) -> list[Finding]:
    found = []
    listed = items(part.lines)
    if len(listed) > ITEMS_MAX:
        account.remark(f"{len(listed) - ITEMS_MAX} of {len(listed)} items below {part.title[:60]!r} were left out")
    for item in listed[:ITEMS_MAX]:
        if not item.mark and not _is_finding(item):
            kept.append(f"{plain(part.title)}: {prose(item.lines)}")
            continue
        finding = finding_of(item, part.kind, account)
        if finding is not None:
            found.append(finding)
    return found


def _is_finding(item: Item) -> bool:
    """Whether a paragraph that is no item of a list tells of one thing that is wrong, and does not lead up to some."""
    first = item.lines[0].strip()
    return first.startswith("**") or (not first.endswith(":") and bool(places_in(prose(item.lines), Account())))


def _checks(part: Section, kept: list[str]) -> list[Check]:
    checks = []
    for item in items(part.lines):
        text = prose(item.lines)
        found = _CHECK.fullmatch(text)
        words = found[2].casefold() if found is not None else ""
        places = [
            (at.start(), status) for status, said in _CHECKS if (at := re.search(rf"(?<!\w)(?:{said})(?!\w)", words))
        ]
        if found is None or not places:
            kept.append(f"{plain(part.title)}: {text}")
            continue
        checks.append(Check(found[1], min(places)[1], found[2][:2000], tuple(found[1].split())))
    return checks


def _verdict(parts: Sequence[Section], account: Account) -> str | None:
    """By the first words that tell: of the section that gives it, else of the summary."""
    for kind in ("verdict", "summary"):
        text = " ".join(_texts(parts, kind))
        against, for_ = _NOT_READY.search(text), _READY.search(text)
        if against is not None and (for_ is None or against.start() <= for_.start()):
            return NOT_READY
        if for_ is not None and kind == "verdict":
            return READY
    account.remark("no verdict was found in it")
    return None


def _texts(parts: Sequence[Section], kind: str) -> list[str]:
    return [text for part in parts if part.kind == kind and (text := _whole(part))]


def _lines(parts: Sequence[Section], kind: str) -> list[str]:
    return [prose(item.lines) for part in parts if part.kind == kind for item in items(part.lines)]


def _kept(part: Section) -> list[str]:
    text = _whole(part)
    return [f"{plain(part.title)}: {text}"] if text else [plain(part.title)]


def _whole(part: Section) -> str:
    """All that a section says, its lists with their marks."""
    return "\n".join(f"{item.mark} {prose(item.lines)}".strip() for item in items(part.lines))
