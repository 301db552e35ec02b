"""The earlier tool's command, and what came of the script in it and in ours: played once for all that compare."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.commands.earlier import install
from tests.peer.sides import SCRIPT, Answer, Side, Step, begin, both, earlier, ours, steps

NAMELESS = ("resource create ''", "resource create '../x'")
"""What we refuse, and what would lie on the earlier tool's board as no resource of ours."""


class Played(NamedTuple):
    """The script in the order in which it was played, the answers of both, and their boards."""

    script: list[Step]
    theirs: list[Answer]
    mine: list[Answer]
    there: Side
    here: Side
    copies: tuple[Path, Path]  # of the two boards before NAMELESS, which came last


@pytest.fixture(scope="session")
def command(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache is not None
    return install(pytestconfig.cache.mkdir("earlier-tool"))


@pytest.fixture(scope="session")
def played(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    there, here = earlier(command, tmp_path_factory.mktemp("there")), ours(tmp_path_factory.mktemp("here"))
    script = sorted(steps(SCRIPT.read_text(encoding="utf-8")), key=lambda step: step.line in NAMELESS)
    named = [step for step in script if step.line not in NAMELESS]
    begin(there)
    begin(here)
    theirs, mine = both(there, here, named)
    copies = tuple(
        Path(shutil.copytree(side.folder, tmp_path_factory.mktemp("copy") / "board", symlinks=True))
        for side in (there, here)
    )
    more_theirs, more_mine = both(there, here, script[len(named) :])
    return Played(script, theirs + more_theirs, mine + more_mine, there, here, (copies[0], copies[1]))
