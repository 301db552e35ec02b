"""What single imports add to an interpreter that does nothing: the figures of decision 0002."""

from __future__ import annotations

import sys

from tools.bench.bench import Bench
from tools.bench.measure import Case, measure

IMPORTS = (
    "re", "json", "argparse", "argparse, json", "typing", "dataclasses", "pathlib", "subprocess", "ctypes", "sqlite3",
)  # fmt: skip


def imports(bench: Bench) -> None:
    """Each import in an interpreter of its own, beside one that does nothing. No target hangs on it."""
    cases = [Case(f"import {names}", [sys.executable, "-c", f"import {names}"], cwd=bench.home, env=bench.env)
             for names in IMPORTS]  # fmt: skip
    bench.keep(measure([bench.idle(), *cases], bench.rounds))
