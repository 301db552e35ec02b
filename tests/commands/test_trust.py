"""What is trusted is exactly what was granted, and a file that others could have written grants nothing."""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from lattice.commands.trust import Grant, TrustStore, trust_store
from lattice.errors import ValidationError


def grant(digest: str = "sha256:1", path: str = "/board", kind: str = "hook") -> Grant:
    return Grant(kind, path, digest, "hooks.post_event", "2026-11-20T23:39:05Z")


@pytest.fixture
def store(tmp_path: Path) -> TrustStore:
    return TrustStore(tmp_path / "config" / "lattice" / "trust.json")


def test_nothing_is_trusted_at_first(store: TrustStore) -> None:
    assert () == store.grants()
    assert not store.is_trusted("hook", "/board", "sha256:1")
    assert () == store.remove("/board")


def test_trust_is_by_kind_path_and_content(store: TrustStore) -> None:
    store.add([grant()])
    assert store.is_trusted("hook", "/board", "sha256:1")
    others = [("trigger", "/board", "sha256:1"), ("hook", "/other", "sha256:1"), ("hook", "/board", "sha256:2")]
    assert [False] * 3 == [store.is_trusted(*other) for other in others]


def test_the_file_is_for_its_owner_alone(store: TrustStore) -> None:
    store.add([grant()])
    assert 0o600 == store.file.stat().st_mode & 0o777
    assert 0o700 == store.file.parent.stat().st_mode & 0o777


def test_taking_trust_back_leaves_that_of_other_boards(store: TrustStore) -> None:
    store.add([grant("sha256:1"), grant("sha256:2"), grant(path="/other")])
    assert ["sha256:1", "sha256:2"] == [gone.digest for gone in store.remove("/board")]
    assert (grant(path="/other"),) == store.grants()


def test_the_trust_of_one_worker_is_taken_back_by_its_name_in_any_case(store: TrustStore) -> None:
    lint = Grant("worker", "/board", "sha256:3", "Lint", "2026-11-20T23:39:05Z")
    other = lint.replace(name="Other")
    hook = grant().replace(name="Lint")
    store.add([lint, lint.replace(digest="sha256:4"), other.replace(digest="sha256:5"), hook])
    assert ["sha256:3", "sha256:4"] == [gone.digest for gone in store.remove("/board", "worker", "lint")]
    assert {("worker", "Other"), ("hook", "Lint")} == {(kept.kind, kept.name) for kept in store.grants()}


def test_the_same_grant_twice_is_one(store: TrustStore) -> None:
    store.add([grant()])
    store.add([grant()])
    assert 1 == len(store.grants())


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_can_write_grants_nothing(store: TrustStore, mode: int) -> None:
    store.add([grant()])
    store.file.chmod(mode)
    with pytest.raises(ValidationError, match="others than you can write it"):
        store.is_trusted("hook", "/board", "sha256:1")


def test_a_link_in_place_of_the_file_grants_nothing(store: TrustStore, tmp_path: Path) -> None:
    store.add([grant()])
    os.rename(store.file, tmp_path / "elsewhere.json")
    store.file.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ValidationError, match="not a plain file"):
        store.grants()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"trusted": {}}', '{"trusted": [{"kind": "hook"}]}', '{"a": 1, "a": 2}']
)
def test_a_damaged_file_grants_nothing_and_is_not_written_over(store: TrustStore, text: str) -> None:
    store.add([grant()])
    store.file.write_text(text, encoding="utf-8")
    if text:
        with pytest.raises(ValidationError):
            store.add([grant()])
        assert text == store.file.read_text(encoding="utf-8")
    else:
        assert () == store.grants()


def _add(file: Path, number: int) -> None:
    TrustStore(file).add([grant(f"sha256:{number}")])


def test_grants_made_at_once_are_all_kept(store: TrustStore) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        list(pool.map(_add, [store.file] * 12, range(12)))
    assert 12 == len(store.grants())


def test_it_is_kept_where_the_user_keeps_settings(tmp_path: Path) -> None:
    assert tmp_path / "c/lattice/trust.json" == trust_store({"XDG_CONFIG_HOME": str(tmp_path / "c"), "HOME": "/h"}).file
    assert Path("/h/.config/lattice/trust.json") == trust_store({"XDG_CONFIG_HOME": "relative", "HOME": "/h"}).file


def test_what_is_written_is_plain_json(store: TrustStore) -> None:
    store.add([grant()])
    assert [grant().fields()] == json.loads(store.file.read_text(encoding="utf-8"))["trusted"]
