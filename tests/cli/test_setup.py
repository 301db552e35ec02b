"""Setting agents up: idempotent, and never over somebody's own words."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from lattice.cli.main import COMMANDS
from lattice.commands.setup import block_text, skill_text, with_block
from lattice.errors import ValidationError
from tests.cli.conftest import CommandLine

FILES = {"setup-claude": "CLAUDE.md", "setup-agents": "AGENTS.md", "setup-gemini": "GEMINI.md"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    return path


@pytest.mark.parametrize("command", FILES)
def test_a_second_time_changes_nothing(outside: CommandLine, command: str) -> None:
    file = outside.folder / FILES[command]
    assert "created" == outside(command, "--json").data["action"]
    before = file.read_bytes()
    assert "unchanged" == outside(command, "--json").data["action"]
    assert before == file.read_bytes()


def test_what_stands_in_the_file_stays(outside: CommandLine) -> None:
    file = outside.folder / "CLAUDE.md"
    file.write_bytes(b"# Ours\r\n\r\nBe kind.")
    file.chmod(0o640)
    assert "updated" == outside("setup-claude", "--json").data["action"]
    assert file.read_bytes().startswith(b"# Ours\r\n\r\nBe kind.\n\n<!-- lattice:begin")
    assert 0o640 == file.stat().st_mode & 0o777
    file.write_bytes(file.read_bytes() + b"\nAfter.\n")
    before = file.read_bytes()
    assert 0 == outside("setup-claude", "--force").status
    assert before == file.read_bytes()


def test_an_older_block_is_replaced_and_one_changed_by_hand_is_kept_unless_forced() -> None:
    older = "Do as before."
    digest = hashlib.sha256(older.encode()).hexdigest()
    text = f"# A\n\n<!-- lattice:begin sha256:{digest} -->\n{older}\n<!-- lattice:end -->\n\n# B\n"
    replaced, action = with_block(text, force=False)
    assert "updated" == action
    assert older not in replaced
    assert replaced.startswith("# A\n\n<!--")
    assert replaced.endswith("-->\n\n# B\n")
    by_hand = text.replace("before", "I say")
    assert (by_hand, "kept") == with_block(by_hand, force=False)
    assert (replaced, "updated") == with_block(by_hand, force=True)


def test_the_earlier_tools_block_is_kept_unless_forced() -> None:
    text = "# proj\n\n## Lattice\n\n> MANDATORY\n\n### More\n\ntext\n\n## Ours\n\nx\n"
    assert (text, "kept") == with_block(text, force=False)
    replaced, _ = with_block(text, force=True)
    assert "MANDATORY" not in replaced
    assert replaced.startswith("# proj\n\n<!-- lattice:begin")
    assert replaced.endswith("<!-- lattice:end -->\n\n## Ours\n\nx\n")


@pytest.mark.parametrize("text", ["<!-- lattice:begin -->\nx\n", "x\n<!-- lattice:end -->\n"])
def test_marks_that_do_not_match_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="do not match"):
        with_block(text, force=True)


def test_a_link_within_the_project_is_written_through_and_one_out_of_it_refused(outside: CommandLine) -> None:
    (outside.folder / "AGENTS.md").write_text("Ours.\n", encoding="utf-8")
    (outside.folder / "CLAUDE.md").symlink_to("AGENTS.md")
    assert 0 == outside("setup-claude").status
    assert (outside.folder / "CLAUDE.md").is_symlink()
    assert "unchanged" == outside("setup-agents", "--json").data["action"]
    victim = outside.folder.parent / "victim"
    victim.write_text("Mine.\n", encoding="utf-8")
    (outside.folder / "GEMINI.md").symlink_to(victim)
    assert "VALIDATION_ERROR" == outside("setup-gemini", "--json").error["code"]
    assert "Mine.\n" == victim.read_text(encoding="utf-8")


def test_the_earlier_tools_agents_file_is_used_where_it_is_there(outside: CommandLine) -> None:
    (outside.folder / "agents.md").write_text("Ours.\n", encoding="utf-8")
    assert outside("setup-agents", "--quiet").out.strip().endswith("/agents.md")
    assert ["agents.md"] == os.listdir(outside.folder)


def test_a_file_that_is_not_text_is_refused(outside: CommandLine) -> None:
    (outside.folder / "CLAUDE.md").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in outside("setup-claude", "--json").error["message"]
    assert "VALIDATION_ERROR" == outside("setup-claude", "--path", "absent", "--json").error["code"]


@pytest.mark.parametrize(("command", "folder"), [("setup-claude-skill", ".claude"), ("setup-codex", ".agents")])
def test_a_skill_is_installed_refreshed_and_kept_when_changed(
    outside: CommandLine, home: Path, command: str, folder: str
) -> None:
    file = home / folder / "skills" / "lattice" / "SKILL.md"
    assert "created" == outside(command, "--json").data["action"]
    installed = file.read_text(encoding="utf-8")
    assert installed.startswith("---\nname: lattice\ndescription: ")
    assert "unchanged" == outside(command, "--json").data["action"]
    file.write_text(installed.replace("Take one task", "Take two"), encoding="utf-8")
    assert "kept" == outside(command, "--json").data["action"]
    assert "updated" == outside(command, "--force", "--json").data["action"]
    assert installed == file.read_text(encoding="utf-8")


def test_the_prompt_is_printed(outside: CommandLine) -> None:
    assert skill_text() == outside("setup-prompt").out
    assert block_text() == outside("setup-prompt", "--claude-md", "--json").data["text"]


def test_init_tells_agents_where_it_is_asked_to(outside: CommandLine) -> None:
    done = outside("init", "--project-code", "LAT", "--setup-claude", "--setup-agents", "--json")
    assert [str(outside.folder / name) for name in ("CLAUDE.md", "AGENTS.md")] == done.data["agent_files"]
    assert {".lattice", "CLAUDE.md", "AGENTS.md"} == set(os.listdir(outside.folder))


def test_init_leaves_the_projects_files_alone_otherwise(outside: CommandLine) -> None:
    assert 0 == outside("init", "--project-code", "LAT", "--no-setup-claude").status
    assert [".lattice"] == os.listdir(outside.folder)


def test_every_command_that_agents_are_told_of_is_there() -> None:
    named = re.findall(r"`lattice ([a-z-]+)(?: ([a-z]+))?", skill_text())
    assert len(named) > 10
    unknown = [(head, member) for head, member in named if head not in COMMANDS and f"{head} {member}" not in COMMANDS]
    assert [] == unknown
