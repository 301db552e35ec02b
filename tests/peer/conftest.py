"""The earlier tool's command, and what came of the script in it and in ours: played once for all that compare."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.commands.earlier import install
from tests.peer.sides import SCRIPT, Answer, Side, Step, begin, both, earlier, ours, steps

NAMELESS = ("resource create ''", "resource create '../x'")
"""What we refuse, and what would lie on the earlier tool's board as no resource of ours."""
ANSWERS = "answers"
"""The file with the script and what both said to it, written last."""


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
    """Played by the first of pytest's workers that asks for it; each compares boards of its own, which are copies."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with (shared / "peer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "peer" / ANSWERS).exists():
            shutil.rmtree(shared / "peer", ignore_errors=True)  # of one who failed
            _play(command, shared / "peer")
    place = Path(shutil.copytree(shared / "peer", tmp_path_factory.mktemp("peer") / "boards", symlinks=True))
    script, theirs, mine = json.loads((place / ANSWERS).read_bytes())
    there, here = earlier(command, place / "there"), ours(place / "here")
    return Played(
        [Step(line, tuple(words), kept) for line, words, kept in script],
        [Answer(*answer) for answer in theirs],
        [Answer(*answer) for answer in mine],
        there,
        here,
        (place / "there before", place / "here before"),
    )


def _play(command: Path, place: Path) -> None:
    there, here = earlier(command, place / "there"), ours(place / "here")
    for side in (there, here):
        side.folder.mkdir(parents=True)
        begin(side)
    script = sorted(steps(SCRIPT.read_text(encoding="utf-8")), key=lambda step: step.line in NAMELESS)
    named = [step for step in script if step.line not in NAMELESS]
    theirs, mine = both(there, here, named)
    for side in (there, here):
        shutil.copytree(side.folder, place / f"{side.folder.name} before", symlinks=True)
    more_theirs, more_mine = both(there, here, script[len(named) :])
    played = (script, theirs + more_theirs, mine + more_mine)
    (place / ANSWERS).write_text(json.dumps(played), encoding="utf-8")
