"""Text from a task is data: it never acts on a terminal, whatever wrote it, and no locale makes it fail."""

from __future__ import annotations

import json

from tests.cli.conftest import CommandLine

EVIL = "red \x1b[31m bell \x07 title \x1b]0;owned\x07 back\x08 c1 \x9b31m bidi \u202e"


def plant(cli: CommandLine) -> None:
    """Put hostile text in a log as an earlier tool could have written it: no checksum, snapshot gone."""
    log = next((cli.folder / ".lattice" / "events").glob("task_*.jsonl"))
    event = json.loads(log.read_text())
    event["data"] |= {"title": EVIL, "description": f"first\n{EVIL}", "tags": [EVIL], "assigned_to": f"a:{EVIL}"}
    event["actor"] = f"human:{EVIL}"
    del event["crc"], event["prev"]
    log.write_text(json.dumps(event, sort_keys=True, separators=(",", ":")) + "\n")
    for snapshot in (cli.folder / ".lattice" / "tasks").glob("*.json"):
        snapshot.unlink()


def test_hostile_text_in_a_log_is_spelled_out_for_people(cli: CommandLine) -> None:
    plant(cli)
    for words in (("list",), ("show", "LAT-1"), ("show", "LAT-1", "--full"), ("assign", "LAT-1", "none")):
        said = cli(*words)
        assert (0, "") == (said.status, said.err)
        assert "\\x1b" in said.out
        assert [] == [c for c in said.out if c != "\n" and (not c.isprintable())]


def test_hostile_text_is_whole_and_escaped_in_json(cli: CommandLine) -> None:
    plant(cli)
    for words in (("list",), ("show", "LAT-1")):
        said = cli(*words, "--json")
        assert said.out.isascii()
        assert "\x1b" not in said.out
        data = said.data[0] if words == ("list",) else said.data
        assert EVIL == data["title"]


def test_hostile_arguments_come_back_harmless(cli: CommandLine) -> None:
    for words in (("show", EVIL), ("status", "LAT-1", EVIL), ("assign", "LAT-1", EVIL), (EVIL,), ("list", f"--{EVIL}")):
        said = cli(*words)
        assert (True, "") == (said.status in (1, 2), said.out)
        assert [] == [c for c in said.err if c != "\n" and not c.isprintable()]


def test_bytes_that_are_no_text_get_a_clear_error(cli: CommandLine) -> None:
    before = cli.tree()
    for words in (
        (b"create", b"x\xff"), (b"comment", b"LAT-1", b"\xff"), (b"show", b"\xff"), (b"\xff",), (b"list", b"--\xff"),
        (b"attach", b"LAT-1", b"\xff.md"), (b"event", b"LAT-1", b"x_a", b"--data", b'{"a": "\xff"}'),
        (b"create", b"x", b"--actor", b"human:\xff"), (b"comment", b"LAT-1", b"--file", b"\xff"),
    ):  # fmt: skip
        text = cli.program(*words, LC_ALL="C.UTF-8")
        assert text.err.startswith("Error: "), words
        assert (True, "") == (text.status in (1, 2), text.out)
        refused = cli.program(*words, b"--json", LC_ALL="C.UTF-8")
        assert refused.error["code"] in ("VALIDATION_ERROR", "INVALID_ID", "NOT_FOUND", "INVALID_ACTOR", "USAGE")
    assert before == cli.tree()


def test_a_plain_locale_shows_all_text_all_the_same(cli: CommandLine) -> None:
    cli("create", "Größe 日本")
    for on in ("1", "0"):
        said = cli.program("list", LC_ALL="C", PYTHONUTF8=on, PYTHONCOERCECLOCALE=on)
        assert (0, "") == (said.status, said.err)
        assert "Größe 日本" in said.out
