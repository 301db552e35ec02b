"""Commands of other packages: found by entry points, and broken ones break nothing but themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import SOURCES, CommandLine, Outcome

MODULE = '''
import argparse
from lattice.cli.arguments import Answer, Command, Context, Parser

class Shout(Command):
    """Say a task's title loudly."""
    examples = ("lattice shout LAT-1",)

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("task")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        task = context.board.store.task(context.board.resolve(args.task))
        return Answer(data=lambda: {"said": task.title}, text=lambda _: task.title.upper(), quiet=task.id)

not_a_command = 7
'''


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder of installed packages: one with a good, a hidden and a wrong entry, one that cannot be imported."""
    folder = tmp_path / "packages"
    install(folder, "loud", "shout = loud:Shout\nlist = loud:Shout\nseven = loud:not_a_command\n")
    (folder / "loud.py").write_text(MODULE, encoding="utf-8")
    install(folder, "sick", "sick = sick:Command\ndies = dies:Command\n")
    (folder / "sick.py").write_text("raise RuntimeError('no\\x1b[2J')\n", encoding="utf-8")
    (folder / "dies.py").write_text("raise SystemExit(0)\n", encoding="utf-8")
    return folder


def install(folder: Path, name: str, entries: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[lattice.commands]\n{entries}", encoding="utf-8")


def run(cli: CommandLine, packages: Path, *words: str) -> Outcome:
    return cli.program(*words, PYTHONPATH=f"{SOURCES}:{packages}")


def test_a_plugins_command_is_one_like_any_other(cli: CommandLine, packages: Path) -> None:
    assert "FIRST\n" == run(cli, packages, "shout", "LAT-1").out
    assert {"said": "First"} == run(cli, packages, "shout", "LAT-1", "--json").data
    page = run(cli, packages, "shout", "--help").out
    assert "Say a task's title loudly." in page
    assert "lattice shout LAT-1" in page
    assert 2 == run(cli, packages, "shout").status


def test_plugins_are_listed_and_broken_ones_named(cli: CommandLine, packages: Path) -> None:
    found = {row["name"]: row for row in run(cli, packages, "plugins", "--json").data["cli_plugins"]}
    assert {"dies", "list", "seven", "shout", "sick"} == set(found)
    assert ("loud 1.0", "loud:Shout", None) == tuple(
        found["shout"][key] for key in ("distribution", "value", "problem")
    )
    assert "goes before it" in found["list"]["problem"]
    assert "not a Command class" in found["seven"]["problem"]
    assert "RuntimeError" in found["sick"]["problem"]
    text = run(cli, packages, "plugins")
    assert 0 == text.status
    assert "BROKEN" in text.out
    assert "\x1b" not in text.out


@pytest.mark.parametrize("name", ["sick", "dies", "seven"])
def test_a_broken_plugin_breaks_nothing_but_itself(cli: CommandLine, packages: Path, name: str) -> None:
    assert "PLUGIN_BROKEN" == run(cli, packages, name, "--json").error["code"]
    assert "LAT-1" == run(cli, packages, "list", "--quiet").out.strip()
    assert 0 == run(cli, packages, "--help").status


def test_without_plugins_it_says_so(cli: CommandLine, packages: Path) -> None:
    (packages / "loud-1.0.dist-info" / "entry_points.txt").unlink()
    (packages / "sick-1.0.dist-info" / "entry_points.txt").unlink()
    assert [] == run(cli, packages, "plugins", "--json").data["cli_plugins"]
    assert "USAGE" == run(cli, packages, "shout", "--json").error["code"]
