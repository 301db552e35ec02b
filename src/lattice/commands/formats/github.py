"""GitHub issues: what `gh issue list --json …` prints, and what the REST API answers.

Of `gh`, ask for: number,title,body,state,stateReason,author,assignees,labels,milestone,comments,
createdAt,closedAt,url.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lattice.commands.formats.item import (
    Account,
    Item,
    Malformed,
    Remark,
    actor,
    json_items,
    list_of,
    needed,
    text_of,
    when,
)

PRIORITY_LABEL = re.compile(r"(?:priority|prio)\s*[:/=-]\s*(critical|urgent|high|medium|normal|low)\Z", re.IGNORECASE)
NUMBERED_LABEL = re.compile(r"p([0-4])\Z", re.IGNORECASE)
WORDS = {
    "urgent": "critical", "normal": "medium", "critical": "critical", "high": "high", "medium": "medium", "low": "low",
}  # fmt: skip
NUMBERS = ("critical", "high", "medium", "low", "low")
TYPES = {"bug": "bug", "spike": "spike", "chore": "chore"}
NOT_DONE = ("not_planned", "duplicate")
ISSUE_URL = re.compile(r"https?://[^/]+/(?:repos/)?([^/]+/[^/]+)/issues/(\d+)", re.ASCII)
READ = (
    "number", "title", "body", "state", "stateReason", "state_reason", "author", "user", "assignees", "assignee",
    "labels", "milestone", "comments", "createdAt", "created_at", "closedAt", "closed_at", "url", "html_url",
)  # fmt: skip
TELLS_NOTHING = (
    "id", "node_id", "updatedAt", "updated_at", "closed", "isPinned", "repository_url", "labels_url", "comments_url",
    "events_url", "timeline_url", "locked", "active_lock_reason", "closed_by", "author_association", "reactions",
    "reactionGroups", "performed_via_github_app", "score", "repository", "draft", "type", "sub_issues_summary",
    "issue_dependencies_summary",
)  # fmt: skip


def read(path: Path, account: Account) -> list[Item]:
    """The issues of an export; pull requests, which REST lists among them, are left out. Raises NotFound, …"""
    return json_items(path, account, _passed_over, _item)


def _passed_over(shape: Mapping[str, Any]) -> str | None:
    return f"#{shape.get('number')} is a pull request" if "pull_request" in shape else None


def _item(where: str, shape: Mapping[str, Any], account: Account) -> Item:
    account.drop(shape, READ + TELLS_NOTHING)
    number, url = needed(shape, "number"), text_of(shape, "html_url", "url")
    labels = [_name(label, "name") for label in list_of(shape, "labels")]
    assignees = [_name(who, "login") for who in list_of(shape, "assignees") or _one(shape.get("assignee"))]
    milestone = shape.get("milestone")
    found = ISSUE_URL.match(url) if url else None
    comments = shape.get("comments")
    if isinstance(comments, int) and comments > 0:
        account.dropped["comments (REST gives their number alone; gh issue list --json comments has them)"] += comments
    extra = {
        "url": url,
        "milestone": _name(milestone, "title") if milestone else None,
        "assignees": ", ".join(assignees) if len(assignees) > 1 else None,
    }
    return Item(
        key=f"{found[1]}#{number}" if found else f"#{number}",
        where=where,
        title=needed(shape, "title"),
        status=_status(shape, account),
        created_ms=when(text_of(shape, "createdAt", "created_at")),
        ended_ms=when(text_of(shape, "closedAt", "closed_at")),
        priority=next((priority for priority in map(_priority, labels) if priority), None),
        type=next((TYPES[label.lower()] for label in labels if label.lower() in TYPES), None),
        description=text_of(shape, "body"),
        tags=tuple(labels),
        author=_who(shape.get("author") or shape.get("user")),
        assigned_to=actor(assignees[0]) if assignees else None,
        remarks=tuple(map(_remark, comments)) if isinstance(comments, list) else (),
        custom={key: value for key, value in extra.items() if value},
    )


def _status(shape: Mapping[str, Any], account: Account) -> str:
    state = account.map("state", needed(shape, "state").lower(), {"open": "backlog", "closed": "done"}, "backlog")
    reason = (text_of(shape, "stateReason", "state_reason") or "").lower()
    return "cancelled" if state == "done" and reason in NOT_DONE else state


def _priority(label: str) -> str | None:
    word, number = PRIORITY_LABEL.match(label), NUMBERED_LABEL.match(label)
    if number is not None:
        return NUMBERS[int(number[1])]
    return WORDS[word[1].lower()] if word is not None else None


def _one(value: Any) -> list[Any]:
    return [value] if value else []


def _name(value: Any, key: str) -> str:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, dict):
        return needed(value, key, "name")
    raise Malformed(f"a {key} is not a text or an object")


def _who(value: Any) -> str | None:
    if not value:
        return None  # the account was deleted
    login = _name(value, "login")
    is_bot = isinstance(value, dict) and (value.get("is_bot") is True or value.get("type") == "Bot")
    return actor(login if not is_bot or login.endswith("[bot]") else f"{login.removeprefix('app/')}[bot]")


def _remark(shape: Any) -> Remark:
    if not isinstance(shape, dict):
        raise Malformed("a comment is not an object")
    at = when(text_of(shape, "createdAt", "created_at"))
    return Remark(text_of(shape, "body") or "(empty)", _who(shape.get("author") or shape.get("user")), at)
