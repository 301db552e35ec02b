"""Resources in memory and on files: one suite; on files, faults at every call, and snapshots that are derived."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lattice.commands import resources as commands
from lattice.commands.board import Board
from lattice.commands.rebuild import rebuild_all
from lattice.commands.resources import Acquire, CreateResource
from lattice.errors import LatticeError
from lattice.ledger import Signature
from lattice.store.files.resources import FileResources
from lattice.store.memory import MemoryResources
from tests.conftest import ANN, make_board, reopened
from tests.faults import KINDS, Acknowledge, Kind, Outcome, sweep
from tests.store.resources_conformance import ResourceConformance

BOT, OTHER = Signature("agent:bot"), Signature("agent:other")


class TestMemory(ResourceConformance):
    @pytest.fixture
    def resources(self) -> MemoryResources:
        return MemoryResources()


class TestFiles(ResourceConformance):
    @pytest.fixture
    def resources(self, tmp_path: Path) -> FileResources:
        return FileResources(make_board(tmp_path).folder)


class TestFilesOfAFreshClone(ResourceConformance):
    """git carries no empty folders: only the settings are there."""

    @pytest.fixture
    def resources(self, tmp_path: Path) -> FileResources:
        (tmp_path / ".lattice").mkdir()
        return FileResources(tmp_path / ".lattice")


@pytest.fixture
def pristine(tmp_path: Path) -> Path:
    """A board with a resource that is held, and a torn tail to be set aside, which is itself a thing that may fail."""
    board = make_board(tmp_path / "pristine")
    made = CreateResource("gpu", max_holders=2).run(board, ANN)
    Acquire().run(board, "gpu", BOT)
    with (board.folder / "events" / f"{made.id}.jsonl").open("ab") as log:
        log.write(b'{"actor":"human:ann","crc":"12')
    return tmp_path / "pristine"


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_any_call_loses_nothing_and_halves_nothing(pristine: Path, kind: Kind) -> None:
    root = pristine.with_name("board")
    config = reopened(make_board(pristine)).config

    def renew() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(pristine, root)

    def acts(acknowledge: Acknowledge) -> None:
        board = Board(root, config)
        Acquire().run(board, "gpu", OTHER)
        acknowledge("acquire")
        commands.release(board, "gpu", BOT)
        acknowledge("release")
        CreateResource("db").run(board, ANN)
        acknowledge("create")

    met = 0
    for k, outcome in sweep(acts, kind, renew):
        met += 1
        assert not outcome.crash, f"call {k}: {outcome.crash}"
        check(Board(root, config), outcome, f"call {k}, {outcome}")
    assert met > 15


def check(board: Board, outcome: Outcome, where: str) -> None:
    found = {resource.name: resource for resource in FileResources(board.folder).all()}
    holders = [holder.actor for holder in found["gpu"].holders]
    happened = {"acquire": OTHER.actor in holders, "release": BOT.actor not in holders, "create": "db" in found}
    assert set(holders) <= {OTHER.actor, BOT.actor}, where
    assert all(happened[act] for act in outcome.acknowledged), where
    assert outcome.killed or outcome.refused or 3 == len(outcome.acknowledged), where
    if outcome.refused == ("STORAGE_ERROR",):
        order = ("acquire", "release", "create")
        assert not any(happened[act] for act in order[len(outcome.acknowledged) :]), where
    goes_on(board, where)


def goes_on(board: Board, where: str) -> None:
    """Whatever happened, the next writer writes, and everything derived can be made again."""
    Acquire(force=True, reason="it is gone").run(board, "gpu", ANN)
    CreateResource("next").run(board, ANN)
    rebuilt = rebuild_all(board)
    assert ((), True) == (rebuilt.damaged, {"gpu", "next"} <= set(rebuilt.resources)), where
    for resource in FileResources(board.folder).all():
        path = board.folder / "resources" / resource.name / "resource.json"
        assert resource.last_event_id == json.loads(path.read_text("utf-8"))["last_event_id"], where


@pytest.mark.parametrize("name", ["../../out", "/abs", "a/../../../x"])
def test_a_name_that_leads_out_of_the_board_writes_nothing_there(tmp_path: Path, name: str) -> None:
    board = make_board(tmp_path / "in")
    line = {
        "schema_version": 1, "id": "ev_01JD0000000000000000000000", "ts": "2026-01-01T00:00:00Z",
        "type": "resource_created", "resource_id": "res_01JD0000000000000000000000", "actor": "human:ann",
        "data": {"name": name},
    }  # fmt: skip
    log = board.folder / "events" / f"{line['resource_id']}.jsonl"
    log.write_text(json.dumps(line) + "\n", encoding="utf-8")
    Acquire().run(board, name, BOT)
    commands.release(board, name, BOT)
    assert [name] == list(rebuild_all(board).resources)
    assert ["in"] == [path.name for path in tmp_path.iterdir()]
    assert [] == list(board.root.rglob("resource.json"))
    assert 3 == len(log.read_text("utf-8").splitlines())


@pytest.mark.parametrize("name", ["gpu", "staging db", "a.b_c-1", "Ü", "7"])
def test_a_name_that_a_new_resource_may_have(board: Board, name: str) -> None:
    assert name == CreateResource(name).run(board, ANN).name


@pytest.mark.parametrize("name", ["a:b", "a+b", "a/b", "x.", ".x", "-x", " x", "x ", "a\tb", "a\u0301", "", "x" * 81])
def test_a_name_that_it_may_not_have_leaves_no_trace(board: Board, name: str) -> None:
    before = sorted(board.folder.rglob("*"))
    with pytest.raises(LatticeError):
        CreateResource(name).run(board, ANN)
    assert before == sorted(board.folder.rglob("*"))


def test_a_rebuild_gives_the_same_bytes_and_the_older_of_two_its_name(board: Board) -> None:
    made = CreateResource("gpu").run(board, ANN)
    Acquire().run(board, "gpu", BOT)
    path = board.folder / "resources" / "gpu" / "resource.json"
    good = path.read_bytes()
    for damage in (b"", b"{", good.replace(b"bot", b"cat")):
        path.write_bytes(damage)
        assert ("gpu",) == rebuild_all(board).resources
        assert good == path.read_bytes()
    path.unlink()
    twin = "res_7ZZZZZZZZZZZZZZZZZZZZZZZZZ"
    line = json.loads((board.folder / "events" / f"{made.id}.jsonl").read_text("utf-8").splitlines()[0])
    del line["crc"], line["prev"]
    text = json.dumps(line | {"resource_id": twin, "id": "ev_7ZZZZZZZZZZZZZZZZZZZZZZZZZ"}) + "\n"
    (board.folder / "events" / f"{twin}.jsonl").write_text(text, encoding="utf-8")
    assert ("gpu",) == rebuild_all(board).resources
    assert good == path.read_bytes()
