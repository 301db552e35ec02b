"""Every adapter of the table hears every behaviour of its program's fake, started with the adapter's own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice.testing.conformance import Case, cases, differences
from lattice.testing.engines import SPEECHES, install
from lattice.testing.starts import start
from lattice.workers.engines.table import NAMES, engine

ROWS = [pytest.param(name, case, id=f"{name}: {case.name}") for name in NAMES for case in cases(SPEECHES[name])]


@pytest.mark.parametrize(("name", "case"), ROWS)
def test_an_adapter_makes_of_its_stream_what_it_has_to(name: str, case: Case, tmp_path: Path) -> None:
    seen = start(engine(name), install(tmp_path / "fakes", [name]), case, tmp_path)
    assert [] == differences(case, seen, SPEECHES[name]), seen.stderr


def test_every_engine_has_a_fake() -> None:
    assert set(NAMES) <= set(SPEECHES)
