"""Hostile text in every field of every command: refused by name, or kept whole and shown harmless."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.conftest import CommandLine, cli, outside

__all__ = ["cli", "outside"]

HOSTILE = {
    "escape sequences": "red \x1b[31m bell \x07 \x1b]0;owned\x07 back\x08 c1 \x9b31m",
    "bidi": "abc \u202e\u2066txt.exe\u2069",
    "NUL": "a\x00b",
    "a megabyte": "x" * (1 << 20),
    "a shell's substitution": "$(touch owned) `touch owned` ; touch owned",
    "a leading dash": "--force",
    "a way out": "../../../owned",
    "a newline": "one\nTwo: forged\r\nthree",
    "half a surrogate": "\udcff",
}
WRITERS: dict[str, tuple[str, ...]] = {
    "title": ("create", "--", "{}"),
    "description": ("create", "T", "--description={}"),
    "tags": ("create", "T", "--tags={}"),
    "assignee": ("create", "T", "--assigned-to=human:{}"),
    "type": ("create", "T", "--type={}"),
    "id": ("create", "T", "--id={}"),
    "actor": ("create", "T", "--actor=human:{}"),
    "model": ("create", "T", "--model={}"),
    "session": ("create", "T", "--session={}"),
    "trigger": ("create", "T", "--triggered-by={}"),
    "reason": ("status", "LAT-1", "done", "--force", "--reason={}"),
    "status": ("status", "--", "LAT-1", "{}"),
    "task": ("status", "--", "{}", "done"),
    "assign": ("assign", "--", "LAT-1", "agent:{}"),
    "comment": ("comment", "--", "LAT-1", "{}"),
    "role": ("comment", "LAT-1", "x", "--role={}"),
    "file": ("comment", "LAT-1", "--file={}"),
    "reply": ("comment", "LAT-1", "x", "--reply-to={}"),
    "edited": ("comment-edit", "--", "LAT-1", "{comment}", "{}"),
    "emoji": ("react", "--", "LAT-1", "{comment}", "{}"),
    "new title": ("update", "--", "LAT-1", "title={}"),
    "field": ("update", "--", "LAT-1", "{}=x"),
    "custom value": ("update", "--", "LAT-1", "custom_fields.x={}"),
    "custom name": ("update", "--", "LAT-1", "custom_fields.{}=x"),
    "note": ("link", "LAT-1", "blocks", "LAT-2", "--note={}"),
    "edge": ("link", "--", "LAT-1", "{}", "LAT-2"),
    "branch": ("branch-link", "--", "LAT-1", "{}"),
    "repository": ("branch-link", "LAT-1", "b", "--repo={}"),
    "inline": ("attach", "LAT-1", "--inline={}"),
    "source": ("attach", "--", "LAT-1", "{}"),
    "address": ("attach", "--", "LAT-1", "https://example.org/{}"),
    "artifact's title": ("attach", "LAT-1", "--inline=x", "--title={}"),
    "artifact's summary": ("attach", "LAT-1", "--inline=x", "--summary={}"),
    "artifact's role": ("attach", "LAT-1", "--inline=x", "--role={}"),
    "event type": ("event", "--", "LAT-1", "x_{}"),
    "event data": ("event", "LAT-1", "x_a", "--data={json}"),
    "review": ("complete", "LAT-2", "--review={}"),
    "archived": ("archive", "--", "{}"),
    "resource": ("resource", "create", "--", "{}"),
    "resource's description": ("resource", "create", "r", "--description={}"),
    "framework": ("session", "start", "--name", "Argus", "--model", "m", "--framework={}"),
    "session's name": ("session", "start", "--model", "m", "--framework", "f", "--name={}"),
    "ended session": ("session", "end", "--", "{}"),
    "project code": ("set-project-code", "--", "{}"),
}
READERS: tuple[tuple[str, ...], ...] = (
    ("show", "LAT-1"),
    ("show", "LAT-1", "--full"),
    ("list",),
    ("comments", "LAT-1"),
    ("log",),
    ("search", "T"),
    ("search", "red"),
    ("graph",),
    ("graph", "--format", "dot"),
    ("graph", "--format", "mermaid"),
    ("stats",),
    ("weather",),
    ("since", "1d"),
    ("ready",),
    ("blocked",),
    ("resource", "list"),
    ("session", "list"),
    ("doctor",),
)
EXPECTED_REFUSALS = {
    "VALIDATION_ERROR", "INVALID_ID", "INVALID_ACTOR", "INVALID_STATUS", "INVALID_ROLE", "NOT_FOUND", "USAGE",
    "SESSION_NOT_FOUND",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_refused_by_name_or_shown_harmless(cli: CommandLine, text: str) -> None:
    assert 0 == cli("create", "T").status
    assert 0 == cli("status", "LAT-2", "review", "--force", "--reason=work is done").status
    comment = cli("comment", "LAT-1", "first", "--json").data["last_event_id"]
    outside_before = sorted(path.name for path in cli.folder.parent.rglob("*") if path.stem == "owned")
    for field, words in WRITERS.items():
        said = cli(*(filled(words, text, comment)))
        assert harmless(said.out + said.err), (field, said)
        if said.status:
            assert said.err.startswith("Error: "), (field, said)
            assert len(said.err) < 4000, field
            refused = cli(*filled(words, text, comment, "--json"))
            assert refused.error["code"] in EXPECTED_REFUSALS, (field, refused)
    for words in READERS:
        if words[0] in ("weather", "stats", "since") and not offered(cli, words[0]):
            continue
        shown = cli(*words)
        assert 0 == shown.status, (words, shown.err)
        assert harmless(shown.out + shown.err), words
        parsed = cli(*words, "--json")
        assert parsed.json["ok"] is True, words
        assert parsed.out.isascii(), words
    assert outside_before == sorted(path.name for path in cli.folder.parent.rglob("*") if path.stem == "owned")


@pytest.mark.parametrize("text", ["escape sequences", "bidi", "a shell's substitution", "a way out", "a newline"])
def test_a_comment_comes_back_from_json_as_it_was_given(cli: CommandLine, text: str) -> None:
    said = cli("comment", "--json", "--", "LAT-1", HOSTILE[text])
    if said.status:
        assert "VALIDATION_ERROR" == said.error["code"]
        assert "comment" in said.error["message"]
        return
    bodies = [event["data"].get("body") for event in cli("show", "LAT-1", "--json").data["events"]]
    assert HOSTILE[text] == bodies[-1]


def filled(words: tuple[str, ...], text: str, comment: str, *more: str) -> list[str]:
    told = json.dumps({"k": text})
    line = [word.replace("{comment}", comment).replace("{json}", told).replace("{}", text) for word in words]
    if not more or "--" not in words:
        return [*line, *more]
    place = words.index("--")
    return [*line[:place], *more, *line[place:]]


def harmless(shown: str) -> bool:
    return all(char == "\n" or char.isprintable() for char in shown) and not list(forged(shown))


def forged(shown: str) -> Iterator[str]:
    """Lines that a newline in a name made, and that pass for the program's own."""
    return (line for line in shown.split("\n") if line.startswith("Two: forged"))


def offered(cli: CommandLine, name: str) -> bool:
    return f"  {name} " in cli("--help").out
