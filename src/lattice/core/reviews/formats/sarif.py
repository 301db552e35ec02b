"""SARIF 2.1.0, the OASIS standard for what static analysis finds: a review by each run's tool, united.

The section numbers in the comments are those of the specification,
https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lattice.core.reviews.formats.account import Account
from lattice.core.reviews.formats.linters import by_tool, inner, json_of, listed, text_in
from lattice.core.reviews.model import (
    CONFIDENCES,
    NOT_READY,
    READY,
    SEVERITIES,
    Check,
    Finding,
    MergedFinding,
    Place,
    Review,
    Reviewer,
)
from lattice.errors import ValidationError

_LEVELS = {"error": "important", "warning": "potential", "note": "nit", "none": "nit"}
_FOUND = ("fail", "review", "open")  # §3.27.9: the other kinds say that nothing is wrong
_SECURITY_MIN = 9.0  # from which GitHub calls a result's security-severity critical
_BASES_MAX = 10
_Rules = Mapping[str, Mapping[str, Any]]


def read(data: bytes, account: Account, by: Reviewer) -> Review:
    """The results of every run. Raises ValidationError."""
    shape = json_of(data, "SARIF")
    runs = shape.get("runs") if isinstance(shape, dict) else None
    if not isinstance(runs, list):
        raise ValidationError("This is not SARIF: it has no list of runs.", hint="SARIF 2.1.0 is what can be read.")
    if text_in(shape, "version") != "2.1.0":
        account.remark(f"its SARIF version is {text_in(shape, 'version')[:20]!r}, and was read as 2.1.0")
    reviews = [_run(run, account, by) for run in listed(runs)]
    if not reviews:
        raise ValidationError("This SARIF holds no run, so nothing says which tool looked.", hint="Run the tool again.")
    reviewers = tuple(dict.fromkeys(one.reviewers[0] for one in reviews))
    merged: list[MergedFinding] = [found for one in reviews for found in one.findings]
    merged.sort(key=lambda found: SEVERITIES.index(found.finding.severity))
    kept = account.findings([found.finding for found in merged])
    checks: tuple[Check, ...] = tuple(check for one in reviews for check in one.checks)
    shas = {one.commit_sha for one in reviews if one.commit_sha}
    return Review(
        reviewers=reviewers,
        findings=tuple(merged[: len(kept)]),
        verdict=NOT_READY if any(one.verdict == NOT_READY for one in reviews) else READY,
        commit_sha=shas.pop() if len(shas) == 1 else None,
        checks=checks,
    )


def _run(run: Mapping[str, Any], account: Account, by: Reviewer) -> Review:
    driver = inner(inner(run, "tool"), "driver")
    name = text_in(driver, "name")[:200] or "SARIF"
    findings, suppressed = [], 0
    known = {text_in(rule, "id"): rule for rule in listed(driver.get("rules")) if text_in(rule, "id")}
    for result in account.rows(list(listed(run.get("results"))), "results"):
        kind = text_in(result, "kind") or "fail"
        if kind not in _FOUND or text_in(result, "baselineState") == "absent":
            continue
        if _is_suppressed(result):
            suppressed += 1
            continue
        findings.append(_finding(result, kind, run, known, account))
    versions = [text_in(one, "revisionId") for one in listed(run.get("versionControlProvenance"))]
    shas = {sha for sha in versions if re.fullmatch(r"[0-9a-f]{7,64}", sha)}
    review = by_tool(name, findings, account, by, suppressed)
    return review.replace(commit_sha=shas.pop() if len(shas) == 1 else None)


def _is_suppressed(result: Mapping[str, Any]) -> bool:
    """§3.27.23, §3.35.3: unless a suppression is under review or was rejected."""
    said = [text_in(one, "status") or "accepted" for one in listed(result.get("suppressions"))]
    return bool(said) and all(status == "accepted" for status in said)


def _finding(result: Mapping[str, Any], kind: str, run: Mapping[str, Any], known: _Rules, account: Account) -> Finding:
    rule = _rule(result, run, known)
    rule_id = text_in(result, "ruleId") or text_in(inner(result, "rule"), "id") or text_in(rule, "id")
    message = _message(result, rule)
    title, _, rest = message.partition("\n")
    about = [text_in(inner(rule, "shortDescription"), "text"), text_in(rule, "helpUri")]
    places = [_place(one, run, account) for one in listed(result.get("locations"))]
    more = [_place(one, run, account) for one in listed(result.get("relatedLocations"))]
    said = inner(result, "properties").get("status")
    return account.finding(
        severity=_severity(result, kind, rule),
        title=title or rule_id or "(without a message)",
        detail="\n\n".join(text for text in (rest.strip(), *about) if text and text != title),
        places=[*places, *more],
        category=rule_id[:60] or None,
        status=said if said in CONFIDENCES else "confirmed" if kind == "fail" else "likely",
        fix="\n".join(text_in(inner(fix, "description"), "text") for fix in listed(result.get("fixes"))).strip(),
        trace="\n".join(_steps(result, run, account)),
    )


def _rule(result: Mapping[str, Any], run: Mapping[str, Any], known: _Rules) -> Mapping[str, Any]:
    """The rule's description: by its index (§3.27.6), else by its id, of which the result's may be a part below it."""
    reference = inner(result, "rule")
    component = inner(inner(run, "tool"), "driver")
    if inner(reference, "toolComponent"):  # §3.52.7: it is an extension's
        component = _at(inner(run, "tool").get("extensions"), inner(reference, "toolComponent").get("index"))
    found = _at(component.get("rules"), result.get("ruleIndex", reference.get("index")))
    parts = (text_in(result, "ruleId") or text_in(reference, "id")).split("/")[:10]
    return found or next((one for end in range(len(parts), 0, -1) if (one := known.get("/".join(parts[:end])))), {})


def _at(rows: Any, at: Any) -> Mapping[str, Any]:
    """The object at an index of a list; an empty one for anything else."""
    is_index = isinstance(rows, list) and isinstance(at, int) and not isinstance(at, bool) and 0 <= at < len(rows)
    return rows[at] if is_index and isinstance(rows[at], dict) else {}


def _severity(result: Mapping[str, Any], kind: str, rule: Mapping[str, Any]) -> str:
    """What we wrote ourselves, else by the level (§3.27.10) and, where there is one, the security-severity."""
    said = inner(result, "properties").get("severity")
    if said in SEVERITIES:
        return str(said)
    security = inner(result, "properties").get("security-severity", inner(rule, "properties").get("security-severity"))
    try:
        if float(security) >= _SECURITY_MIN:
            return "blocker"
    except (TypeError, ValueError):
        security = None  # by the level, then
    level = text_in(result, "level") or text_in(inner(rule, "defaultConfiguration"), "level") or "warning"
    return "potential" if kind != "fail" else _LEVELS.get(level, "potential")


def _message(result: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    """§3.11: a text, or the id of one of the rule's, with its arguments in it."""
    message = inner(result, "message")
    text = text_in(message, "text") or text_in(inner(inner(rule, "messageStrings"), text_in(message, "id")), "text")
    arguments = message.get("arguments")
    words = [str(one) for one in arguments] if isinstance(arguments, list) else []

    def filled(found: re.Match[str]) -> str:
        at = int(found[1])
        return words[at] if at < len(words) else found[0]

    return re.sub(r"\{(\d{1,3})\}", filled, text).strip() if words else text.strip()


def _steps(result: Mapping[str, Any], run: Mapping[str, Any], account: Account) -> list[str]:
    """The first code flow, a line a step: §3.36."""
    flow = next(listed(result.get("codeFlows")), {})
    thread = next(listed(flow.get("threadFlows")), {})
    lines = []
    for step in list(listed(thread.get("locations")))[:100]:
        at = _place(inner(step, "location"), run, account)
        said = text_in(inner(inner(step, "location"), "message"), "text")
        where = f"{at.file}:{at.line}" if at is not None and at.line else at.file if at is not None else ""
        lines.append(": ".join(text for text in (where, said) if text))
    return [text for text in lines if text]


def _place(location: Mapping[str, Any], run: Mapping[str, Any], account: Account) -> Place | None:
    physical = inner(location, "physicalLocation")
    artifact = inner(physical, "artifactLocation")
    region = inner(physical, "region")
    if not text_in(artifact, "uri"):  # §3.4.5: the index of one of the run's artifacts in its place
        artifact = inner(_at(run.get("artifacts"), artifact.get("index")), "location")
    uri = text_in(artifact, "uri")
    if not uri:
        return None
    based = _path(_base(text_in(artifact, "uriBaseId"), run) + uri) if not re.match(r"[A-Za-z][\w+.-]*:|/", uri) else ""
    known = based if based and account.path(based) is not None else _path(uri)
    return account.place(known, region.get("startLine"), region.get("endLine"))


def _base(name: str, run: Mapping[str, Any]) -> str:
    """The URI that a base stands for, §3.14.14: itself below another one, or left to the reader."""
    uri = ""
    for _ in range(_BASES_MAX):
        base = inner(inner(run, "originalUriBaseIds"), name)
        uri = text_in(base, "uri") + uri
        name = text_in(base, "uriBaseId")
        if not name:
            break
    return uri


def _path(uri: str) -> str:
    """The path of a URI: without `file://` and its host, the escapes resolved. Other schemes stay, and are no path."""
    scheme = re.match(r"(?i)file:(?://[^/]*)?", uri)
    path = uri[scheme.end() :] if scheme else uri
    data = re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), path.encode("utf-8", "replace"))
    text = data.decode("utf-8", "replace")
    return text[1:] if re.match(r"/[A-Za-z]:/", text) else text
