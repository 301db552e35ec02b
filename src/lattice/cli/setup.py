"""Commands that tell agents about the board, each in the place where that agent looks."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import line
from lattice.commands import setup
from lattice.commands.setup import SetUp
from lattice.errors import ValidationError

_SAID: Mapping[str, str] = {
    "created": "Created {}.",
    "updated": "Updated the Lattice part of {}.",
    "unchanged": "{} says it already.",
    "kept": "{} has a Lattice part that was written by hand or by another tool; it was kept. "
    "To replace it, add --force.",
}


class SetUpProject(Command):
    """A marked block in a file of the project."""

    agent: ClassVar[str] = ""
    description = (
        "Puts a marked block into the file; all else in it stays as it is. A second time changes nothing, a newer\n"
        "version replaces an older one, and what was changed by hand is kept unless --force is given."
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--path", metavar="FOLDER", help="the project's folder (default: here)")
        parser.add_argument("--force", action="store_true", help="replace a Lattice part that was changed by hand")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        folder = context.folder / args.path if args.path is not None else context.folder
        return _answer(setup.set_up_project(folder, self.agent, force=args.force))


class SetUpClaude(SetUpProject):
    agent = "claude"
    examples = ("lattice setup-claude", "lattice setup-claude --path ../service --force")


class SetUpAgents(SetUpProject):
    agent = "agents"
    examples = ("lattice setup-agents",)


class SetUpGemini(SetUpProject):
    agent = "gemini"
    examples = ("lattice setup-gemini",)


class SetUpSkill(Command):
    """A skill in the home folder."""

    agent: ClassVar[str] = ""
    description = "For every project of yours. A skill that was changed by hand is kept unless --force is given."

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--force", action="store_true", help="replace a skill that was changed by hand")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        home = context.environ.get("HOME", "")
        if not home.startswith("/"):
            raise ValidationError("There is no home folder to install the skill in.", hint="Set HOME.")
        return _answer(setup.set_up_skill(Path(home), self.agent, force=args.force))


class SetUpClaudeSkill(SetUpSkill):
    agent = "claude"
    examples = ("lattice setup-claude-skill", "lattice setup-claude-skill --force")


class SetUpCodex(SetUpSkill):
    agent = "codex"
    examples = ("lattice setup-codex", "lattice setup-codex --force")


class SetUpPrompt(Command):
    description = "For any agent whose instructions you keep yourself."
    examples = ("lattice setup-prompt >> prompt.md", "lattice setup-prompt --claude-md")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--claude-md", action="store_true", help="the block of CLAUDE.md, not the skill")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        text = setup.block_text() if args.claude_md else setup.skill_text().rstrip("\n")
        return Answer(data=lambda: {"text": text}, text=lambda _: text, quiet=text)


def _answer(done: SetUp) -> Answer:
    return Answer(
        data=done.fields,
        text=lambda _: _SAID[done.action].format(line(done.path)),
        quiet=done.path,
    )
