"""What a binary says of itself, and that it is asked once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from lattice.errors import DefinitionError
from lattice.testing.engines import install
from lattice.workers.engines import probe as probing
from lattice.workers.engines.probe import flags_of, missing, probe, problem, ready
from lattice.workers.engines.table import NAMES, engine

HELP = """Usage: codex exec
  \x1b[1m-s, --sandbox\x1b[0m MODE
  -C, --cd <DIR>
  --json  as JSON; not well-known --config=K
"""


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}


def program(folder: Path, body: str) -> str:
    """A codex that counts its starts in `asked`."""
    path = folder / "codex"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n{body}\n')
    path.chmod(0o755)
    return str(path)


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text().splitlines()


def helpful(folder: Path, text: str = HELP) -> str:
    (folder / "help").write_text(text)
    return program(folder, f'case "$1" in --version) echo codex-cli 1.2;; *) cat {folder}/help;; esac')


def test_flags_are_the_words_of_a_help_that_begin_with_a_dash() -> None:
    assert {"-s", "--sandbox", "-C", "--cd", "--json", "--config"} == flags_of(HELP)


@pytest.mark.parametrize("name", NAMES)
def test_each_fake_has_all_that_its_engine_uses(name: str, tmp_path: Path, environ: Mapping[str, str]) -> None:
    place = install(tmp_path / "fakes", names=[name])
    found = ready(engine(name), str(place / name), environ, reviewer=True)
    assert found.version
    assert set() == set(engine(name).optional) - found.flags


def test_a_binary_is_asked_once_and_again_when_it_changed(tmp_path: Path, environ: Mapping[str, str]) -> None:
    path = helpful(tmp_path)
    first = probe(engine("codex"), path, environ)
    assert first == probe(engine("codex"), path, environ)
    assert ("codex-cli 1.2", ["exec --help", "--version"]) == (first.version, asked(tmp_path))
    os.utime(path, ns=(1, 1))
    probe(engine("codex"), path, environ)
    assert 4 == len(asked(tmp_path))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"engines": [1]}', b'{"engines": {"a": {"flags": 1}}}', b"\xff"]
)
def test_a_cache_that_is_off_is_no_cache(content: bytes, tmp_path: Path, environ: Mapping[str, str]) -> None:
    cache = tmp_path / "cache/lattice/engines.json"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(content)
    path = helpful(tmp_path)
    assert "--json" in probe(engine("codex"), path, environ).flags
    assert "--json" in probe(engine("codex"), path, environ).flags
    assert 2 == len(asked(tmp_path))


def test_without_a_home_there_is_no_cache(tmp_path: Path) -> None:
    path = helpful(tmp_path)
    assert "--json" in probe(engine("codex"), path, {"PATH": os.environ["PATH"]}).flags


def test_a_cache_that_cannot_be_written_costs_no_more_than_a_start(tmp_path: Path, environ: Mapping[str, str]) -> None:
    (tmp_path / "cache").write_text("a file where a folder would be")
    assert "--json" in probe(engine("codex"), helpful(tmp_path), environ).flags


def test_what_is_missing_is_named_with_the_way_to_get_it(tmp_path: Path, environ: Mapping[str, str]) -> None:
    found = probe(engine("codex"), helpful(tmp_path, "  --json\n  --cd DIR\n"), environ)
    assert ("--sandbox",) == missing(engine("codex"), found)
    assert ("--sandbox", "--config") == missing(engine("codex"), found, reviewer=True)
    off = problem(engine("codex"), found)
    assert off is not None
    assert f"codex: {tmp_path}/codex codex-cli 1.2 lacks --sandbox." == off.message
    assert "Install a version that has what is missing: npm install -g @openai/codex@latest" == off.hint
    with pytest.raises(DefinitionError, match="--sandbox, --config, without which a reviewer"):
        ready(engine("codex"), found.path, environ, reviewer=True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo broken install >&2; exit 3", "ended with 3 and said: broken install"),
        ("echo nothing of use", "named no flag"),
        ("", "named no flag"),
    ],
)
def test_a_binary_that_does_not_answer_is_named(
    body: str, words: str, tmp_path: Path, environ: Mapping[str, str]
) -> None:
    found = probe(engine("codex"), program(tmp_path, body), environ)
    assert found.error is not None
    assert words in found.error
    assert not (tmp_path / "cache").exists()


def test_a_binary_that_hangs_is_given_up(
    tmp_path: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "ANSWER_S", 0.2)
    found = probe(engine("codex"), program(tmp_path, "sleep 1000 & sleep 1000"), environ)
    assert found.error is not None
    assert "did not answer within 0.2 s" in found.error


def test_a_binary_that_reads_its_input_finds_its_end(tmp_path: Path, environ: Mapping[str, str]) -> None:
    found = probe(engine("codex"), program(tmp_path, f"cat; echo '{HELP}'"), environ)
    assert "--json" in found.flags


def test_what_it_leaves_running_holds_nobody_up(tmp_path: Path, environ: Mapping[str, str]) -> None:
    found = probe(engine("codex"), program(tmp_path, f"sleep 1000 & echo '{HELP}'"), environ)
    assert "--json" in found.flags


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path, environ: Mapping[str, str]) -> None:
    assert "cannot be read" in (probe(engine("codex"), str(tmp_path / "none"), environ).error or "")
