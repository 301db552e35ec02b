"""The reference is what the code says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from lattice.cli.main import COMMANDS
from lattice.core import hooks, resource
from lattice.core.events import every_kind
from tests.docs.console import TOP
from tools import reference, reference_words


@pytest.mark.parametrize("page", ["commands.md", "events.md", "fields.md", "errors.md"])
def test_a_page_is_not_stale(page: str) -> None:
    """`make docs` writes it again."""
    path = TOP / "docs" / "reference" / page
    assert reference.pages()[path] == path.read_text("utf-8"), "run make docs"


def test_every_command_and_event_has_its_part() -> None:
    assert [f"lattice {name}" for name in COMMANDS] == re.findall(
        r"^## (lattice .+)$", reference.commands(), re.MULTILINE
    )
    assert list(every_kind()) == re.findall(r"^## ([a-z_]+)$", reference.events(), re.MULTILINE)


def test_every_event_of_resources_is_named() -> None:
    """What the fold of resources knows, and what is written of them, is in the table."""
    assert resource.__file__ is not None
    tree = ast.parse(Path(resource.__file__).read_text("utf-8"))
    known = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    kinds = {value for value in known if re.fullmatch(r"resource_[a-z]+", value) and value != "resource_id"}
    assert kinds
    assert kinds <= reference_words.RESOURCE_EVENTS.keys()


def test_a_field_without_a_sentence_stops_the_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_words, "FIELDS", {**reference_words.FIELDS, "task": {"id": "its id"}})
    with pytest.raises(KeyError, match="no sentence for"):
        reference.fields()


def test_a_setting_without_a_sentence_stops_the_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    less = {key: what for key, what in reference_words.SETTINGS.items() if key != "project_code"}
    monkeypatch.setattr(reference_words, "SETTINGS", less)
    with pytest.raises(KeyError, match="project_code"):
        reference.fields()


def test_every_setting_that_is_read_has_its_sentence() -> None:
    """Most are noted as they are read; the rest are read off the raw settings, by name."""
    source = "\n".join(path.read_text("utf-8") for path in (TOP / "src" / "lattice").rglob("*.py"))
    read = set(re.findall(r"config\.raw(?:\.get\(|\[)\"(\w+)\"", source))
    assert {"hooks", "queries"} <= read
    assert set() == read - {key.partition(".")[0] for key in reference_words.SETTINGS}


def test_every_kind_of_hook_has_its_sentence() -> None:
    said = {key.removeprefix("hooks.") for key in reference_words.SETTINGS if key.startswith("hooks.")}
    assert set(hooks._KEYS) == said
