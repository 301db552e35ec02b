"""A reviewer's own command line keeps an obedient agent from the orders of the branch, without any masking of files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lattice.testing.engines import install
from lattice.workers.engines import probe
from lattice.workers.engines.protocol import Work
from lattice.workers.engines.table import NAMES, engine
from tests.testing.engines.test_obedience import marks, plant


def obeyed(name: str, folder: Path, *, read_only: bool) -> list[str]:
    """The orders that an obedient fake followed, started as a reviewer or as a worker."""
    tree, out, prompt = folder / "tree", folder / "out", folder / "prompt.md"
    for made in (tree, out):
        made.mkdir()
    prompt.write_text("Review it.", encoding="utf-8")
    plant(tree)
    place = install(folder, [name], {"is": "obedient"})
    found = engine(name)
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    flags = probe.ready(found, str(place / found.program), environ, reviewer=read_only).flags
    made_of = found.invoke(Work(prompt, tree, out, out / "last", read_only=read_only), flags)
    with (made_of.stdin or Path(os.devnull)).open("rb") as stdin:
        subprocess.run(
            [place / found.program, *made_of.arguments],
            cwd=tree,
            env=environ | dict(made_of.set),
            stdin=stdin,
            capture_output=True,
            timeout=60,
            check=True,
        )
    return marks(tree)


@pytest.mark.parametrize("name", NAMES)
def test_a_reviewer_follows_no_order_of_the_branch(name: str, tmp_path: Path) -> None:
    assert [] == obeyed(name, tmp_path, read_only=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_canary_sings_where_nothing_is_forbidden(name: str, tmp_path: Path) -> None:
    assert obeyed(name, tmp_path, read_only=False)
