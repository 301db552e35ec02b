"""Commands of other packages: found by entry points, and broken ones break nothing but themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SOURCES, CommandLine, Outcome
from tests.docs.console import TOP, blocks

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


def test_the_plugin_of_the_guide_can_be_built_installed_and_used(cli: CommandLine, tmp_path: Path) -> None:
    page = (TOP / "docs" / "how-to" / "plugins.md").read_text("utf-8")
    source = tmp_path / "lattice-shout"
    source.mkdir()
    (source / "pyproject.toml").write_text(blocks(page, "toml")[0], "utf-8")
    (source / "lattice_shout.py").write_text(blocks(page, "python")[0], "utf-8")
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*pip, "--target", str(target), str(source)], capture_output=True, text=True, check=False, timeout=300
    )
    assert 0 == done.returncode, done.stderr
    shown = [part.splitlines() for part in blocks(page, "text")[0].split("$ lattice ")[1:]]
    assert 2 == len(shown)
    for command, *expected in shown:
        assert expected == run(cli, target, *command.split()).out.splitlines()
    assert ["FIRST"] == run(cli, target, "shout", "LAT-1", "--json").data["said"]
    assert "lattice shout LAT-1 --times 3 --json" in run(cli, target, "shout", "--help").out
    assert "Did you mean LAT-1?" in run(cli, target, "shout", "LTA-1").err
