"""`make profile` tells where a command's time goes, on a board of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from tests.house.sources import TOP
from tools.profile import PARTS, _part


def profile(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.profile", "--tasks", "10", *words], cwd=TOP, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_command_that_writes_is_taken_apart() -> None:
    ran = profile("comment LAT-1 'two words'")
    assert 0 == ran.returncode, ran.stderr
    assert "lattice comment LAT-1 'two words', on a board of 10 tasks" in ran.stdout
    for head in ("whole processes", "imports", "under the profiler"):
        assert re.search(rf"^{head}", ran.stdout, re.MULTILINE)
    shares = [int(share) for share in re.findall(r"(\d+) %$", ran.stdout, re.MULTILINE)]
    assert 90 <= sum(shares) <= 110  # rounded, each by itself
    if shutil.which("strace") is None:
        assert "strace is missing" in ran.stdout
    else:
        assert re.search(r"^fdatasync +1 +0$", ran.stdout, re.MULTILINE)
        assert re.search(r"^board: \.lattice/events/task_\w+\.jsonl +\d+$", ran.stdout, re.MULTILINE)


def test_a_command_that_fails_is_refused_with_its_own_words() -> None:
    ran = profile("show LAT-99")
    assert 1 == ran.returncode
    assert "LAT-99" in ran.stderr
    assert "" == ran.stdout


@pytest.mark.parametrize(
    ("expected", "place"),
    [
        ("imports", "<frozen importlib._bootstrap_external>:get_data"),
        ("regular expressions", "lib/re/_parser.py:parse"),
        ("index", "src/lattice/store/files/index.py:opened"),
        ("locks and writes", "~:<built-in method posix.fdatasync>"),
        ("reads", "~:<built-in method posix.pread>"),
        ("parse", "src/lattice/core/codec.py:decode"),
        ("arguments", "lib/argparse.py:parse_args"),
        ("decide", "src/lattice/core/events.py:evolve"),
        ("render", "src/lattice/cli/render.py:line"),
        ("the rest", "~:<built-in method builtins.len>"),
    ],
)
def test_a_place_in_the_code_belongs_to_a_part(expected: str, place: str) -> None:
    assert expected in {*PARTS, "the rest"}
    assert expected == _part(place)
