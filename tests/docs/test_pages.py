"""What the documentation shows works: pages with a console are run, all other commands are parsed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from lattice.cli.arguments import Parser, build
from lattice.cli.main import COMMANDS
from lattice.core.config import parse_config
from lattice.core.hooks import parse_hooks
from lattice.errors import UsageError
from lattice.testing.engines import install
from lattice.workers import prompts
from lattice.workers.definitions import agents
from lattice.workers.definitions.file import KEYS
from tests.docs.console import TOP, blocks, commands_in, fits, lattice_in, pages, run, steps

RUN = [page for page in pages() if blocks(page.read_text("utf-8"), "console")]
WITH_AGENTS = ("agents-as-workers.md", "teams.md")
"""Pages that take agents to be installed: fakes of them are."""

_LINK = re.compile(r"\]\((?!https?:|mailto:)(?P<path>[^)#\s]*)(?:#(?P<part>[^)\s]*))?\)")


def name(page: Path) -> str:
    return str(page.relative_to(TOP))


def parser_of(words: list[str]) -> tuple[Parser, list[str]] | None:
    """The parser of the command, and the words that are its own; None for the overview, or a group's."""
    for length in (2, 1):
        called = " ".join(words[:length])
        if called in COMMANDS:
            entry = COMMANDS[called]
            return build(called, getattr(import_module(entry.module), entry.kind)(), entry.summary), words[length:]
    return None


def off(words: list[str]) -> str | None:
    """What is wrong with a command line, or None."""
    found = parser_of(words)
    if found is None:
        groups = {known.split()[0] for known in COMMANDS if " " in known}
        fine = words[:1] in ([["--help"], ["--version"], ["help"], ["COMMAND"]]) or (
            words[0] in groups and len(words) < 3
        )
        return None if fine else "there is no such command"
    parser, rest = found
    if not rest or "--help" in rest:  # a command that is only named
        return None
    try:
        parser.understand([word for word in rest if word != "…"] or rest)
    except UsageError as error:
        return error.message
    return None


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=name)
def test_what_a_page_shows_is_what_happens(page: Path, tmp_path: Path) -> None:
    """Every command ends as the page says: with what it prints, and with 0 unless an error is shown."""
    tools, folder = tmp_path / "tools", tmp_path / "project"
    lattice_in(tools)
    if page.name in WITH_AGENTS:
        install(tools)
    folder.mkdir()
    for step in steps(page.read_text("utf-8")):
        status, printed = run(step, folder, tools)
        refused = any(line.startswith(("Error:", "✗")) for line in step.expected)
        assert refused == (status != 0), (step, status, printed)
        assert fits(step.expected, printed), (step, printed)


def test_the_tutorial_is_among_the_pages_that_are_run() -> None:
    shown = [step for page in RUN if page.name == "first-ten-minutes.md" for step in steps(page.read_text("utf-8"))]
    assert len(shown) > 25


def test_the_page_on_agents_names_every_placeholder_and_key() -> None:
    text = (TOP / "docs" / "how-to" / "agents-as-workers.md").read_text("utf-8")
    for name, meaning in prompts.PLACEHOLDERS.items():
        assert f"| `{name}` | {meaning} |" in text
    assert [] == [key for key in agents.OWN if f"`{key}`" not in text and f'"{key}"' not in text]


def test_the_page_on_workers_names_every_key_of_a_definition() -> None:
    text = (TOP / "docs" / "how-to" / "write-a-worker.md").read_text("utf-8")
    assert [] == [key for key in KEYS if f"`{key}`" not in text]


def test_output_that_differs_is_seen() -> None:
    assert fits(("a …", "…", "z"), ["a b", "c", "d", "z"])
    assert fits(("…",), [])
    assert not fits(("a",), ["a", "b"])
    assert not fits((), ["a"])
    assert not fits(("a … c",), ["a b"])


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_command_that_a_page_shows_is_one(page: Path) -> None:
    assert [] == [(words, wrong) for words in commands_in(page.read_text("utf-8")) if (wrong := off(words))]


def test_commands_are_found_wherever_they_stand() -> None:
    text = (
        "Say `lattice list --nope`.\n\n    LATTICE_ACTOR=human:a lattice lisst\n\n"
        '```sh\n$ cd x && lattice status --bad | less\nedit "$(lattice plan LAT-1 --quiett)"\n```\n'
    )
    found = list(commands_in(text))
    assert 4 == len(found)
    assert all(off(words) for words in found)


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [] == list(broken_links(page))


def broken_links(page: Path) -> Iterator[str]:
    for found in _LINK.finditer(page.read_text("utf-8")):
        target = page.parent / found["path"] if found["path"] else page
        part = found["part"]
        if not target.exists() or (part and part not in anchors(target.read_text("utf-8"))):
            yield found[0]


def anchors(text: str) -> set[str]:
    """The parts of a page that a link can name, as the usual renderers make them from headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    }


def test_the_index_names_every_page() -> None:
    index = (TOP / "docs" / "README.md").read_text("utf-8")
    named = {(TOP / "docs" / found["path"]).resolve() for found in _LINK.finditer(index)}
    there = {page for page in pages() if page.parent.name not in {"decisions", "docs"} and page.parent != TOP}
    assert set() == there - named


def test_the_settings_that_pages_show_are_settings() -> None:
    shown = [json.loads(body) for page in pages() for body in blocks(page.read_text("utf-8"), "json")]
    settings = [shape for shape in shown if "hooks" in shape or "workflow" in shape]
    assert settings
    for shape in settings:
        parse_config(shape)
        parse_hooks(shape.get("hooks"))
