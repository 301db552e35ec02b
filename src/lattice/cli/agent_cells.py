"""What the lists of runs show of agents: a cell each, empty where it is not known or the run is no agent's."""

from __future__ import annotations

from collections.abc import Sequence

from lattice.cli.render import Terminal, line, table
from lattice.core.costs import tokens
from lattice.workers.run_view import RunView

INDENT = "  "
WHOLE_IDS_FROM = 60
"""Terminals with fewer columns have the end of each run's id: whole ones would leave room for nothing else."""

SHORT_CHARS = 8
_THOUSAND = 1_000


def model_cell(run: RunView) -> str:
    return line(run.said_model or "")


def turns_cell(run: RunView) -> str:
    turns = (run.progress or {}).get("turns")
    return line(turns) if isinstance(turns, int) and turns else ""


def tokens_cell(run: RunView) -> str:
    """Both kinds together, in three figures or so."""
    counts = [tokens(run.used or {}, name) for name in ("tokens_in", "tokens_out")]
    known = [count for count in counts if count is not None]
    return short(sum(known)) if known else ""


def short(count: int) -> str:
    """A count for people: 940, 12.4k, 3.1M."""
    amount, unit = float(count), ""
    for larger in ("k", "M", "G"):
        if amount < _THOUSAND:
            break
        amount, unit = amount / _THOUSAND, larger
    return f"{count}" if not unit else f"{amount:.1f}{unit}"


def names(runs: Sequence[RunView]) -> list[str]:
    """The runs' ids, indented where the run's team is among them: it then stands above."""
    here = {run.run_id for run in runs}
    return [f"{INDENT}{run.run_id}" if run.parent in here else run.run_id for run in runs]


def short_id(name: str) -> str:
    """The end of a run's id, which every command takes for the whole, with its indentation."""
    indent = len(name) - len(name.lstrip())
    return name[:indent] + name.lstrip()[-SHORT_CHARS:]


def runs_table(
    rows: Sequence[Sequence[str]],
    terminal: Terminal,
    heads: Sequence[str],
    flexible: str,
    first_to_go: Sequence[str],
    if_any: Sequence[str],
) -> str:
    """A table by the names of its columns; those of `if_any` are there where some row has something in them."""
    kept = [at for at, name in enumerate(heads) if name not in if_any or any(row[at] for row in rows)]
    shown = [heads[at] for at in kept]
    cells = [[row[at] for at in kept] for row in rows]
    if terminal.columns and terminal.columns < WHOLE_IDS_FROM:
        cells = [[short_id(name), *others] for name, *others in cells]
    going = [shown.index(name) for name in first_to_go if name in shown]
    return table(cells, terminal, shown.index(flexible), shown, going)
