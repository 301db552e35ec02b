"""Eight programs, ten claims each, all at once: everybody gets a task of their own, and nobody is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from lattice.commands.board import Board
from lattice.commands.tasks import CreateTask
from tests.cli.conftest import SOURCES
from tests.conftest import ANN

CLAIMERS, EACH = 8, 10
PROGRAM = """
import sys
from lattice.cli.main import main
for number in range(int(sys.argv[2])):
    status = main(["next", "--claim", "--actor", f"agent:{sys.argv[1]}-{number}", "--json"])
    if status:
        sys.exit(status)
"""


@pytest.mark.slow
def test_eighty_claims_by_eight_programs_get_eighty_tasks(board: Board) -> None:
    for number in range(CLAIMERS * EACH):
        task = CreateTask(f"{number}", status="planned").run(board, ANN).task
        (board.folder / "plans" / f"{task.id}.md").write_text("Do it.\n", encoding="utf-8")
    environ = os.environ | {"PYTHONPATH": str(SOURCES)}
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(claimer), str(EACH)],
            cwd=board.root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for claimer in range(CLAIMERS)
    ]  # fmt: skip
    claimed: list[str] = []
    for program in programs:
        out, err = program.communicate(timeout=120)
        assert (0, "") == (program.returncode, err), out
        claimed += [answer["data"]["id"] for answer in answers(out)]
    assert CLAIMERS * EACH == len(claimed) == len(set(claimed))
    assert {"in_progress"} == {task.status for task in board.store.tasks()}


def answers(out: str) -> list[dict[str, dict[str, str]]]:
    """The JSON texts that stand one after the other in `out`."""
    found, decoder, rest = [], json.JSONDecoder(), out.lstrip()
    while rest:
        answer, end = decoder.raw_decode(rest)
        found.append(answer)
        rest = rest[end:].lstrip()
    return found
