"""What is attached can be read: as harmless text, or byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import CommandLine


def attached(cli: CommandLine, path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return cli("attach", "LAT-1", str(path), "--role", "review", "--quiet").out.strip()


def test_a_text_is_shown_and_cannot_act_on_a_terminal(cli: CommandLine, tmp_path: Path) -> None:
    cli("create", "one")
    artifact = attached(cli, tmp_path / "review.md", b"# fine\n\x1b[31mred\n")
    assert "# fine\n\\x1b[31mred\n" == cli("artifact", "show", artifact).out
    assert [artifact] == cli("artifact", "list", "LAT-1", "--quiet").out.split()
    assert "review" == json.loads(cli("artifact", "list", "LAT-1", "--json").out)["data"][0]["role"]


def test_what_is_no_text_is_refused_with_the_way_to_get_it(cli: CommandLine, tmp_path: Path) -> None:
    cli("create", "one")
    artifact = attached(cli, tmp_path / "picture.png", b"\x89PNG\xff\x00")
    refused = cli("artifact", "show", artifact)
    assert 1 == refused.status
    assert "--raw" in refused.err


def test_an_artifact_that_is_not_there_is_named(cli: CommandLine) -> None:
    refused = cli("artifact", "show", "art_01M7XW8NEPVQKTM70ZTMS0V70T", "--json")
    assert (1, "NOT_FOUND") == (refused.status, json.loads(refused.out)["error"]["code"])
    assert "INVALID_ID" == json.loads(cli("artifact", "show", "../x", "--json").out)["error"]["code"]
