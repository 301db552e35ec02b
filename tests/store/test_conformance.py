"""Both stores are held to the same suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice.store.files.board import FileStore
from lattice.store.memory import MemoryStore
from tests.conftest import make_board
from tests.store.conformance import StoreConformance


class TestMemory(StoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestFiles(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FileStore:
        return FileStore(make_board(tmp_path).folder)


class TestFilesOfAFreshClone(StoreConformance):
    """git carries no empty folders: only the settings are there."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> FileStore:
        (tmp_path / ".lattice").mkdir()
        return FileStore(tmp_path / ".lattice")
