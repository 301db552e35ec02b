"""Certifying: an adapter goes over every case of the suite, a worker over every behaviour of an agent, for real."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lattice.core.codec import BadLine, parse
from lattice.core.progress import Progress, told
from lattice.core.record import Record
from lattice.errors import NoEnd, NotFound, UsageError, ValidationError, choices, did_you_mean
from lattice.testing.conformance import cases, differences, succeeds
from lattice.testing.engines import SPEECHES, install
from lattice.testing.engines.behaviour import BEHAVIOURS, understand
from lattice.testing.rehearsal import Rehearsal, expected_end
from lattice.testing.starts import start
from lattice.workers.definitions import catalogue
from lattice.workers.engines import table

KIND_ADAPTER = "adapter"
KIND_WORKER = "worker"


class Row(Record):
    """One behaviour: how it has to end, how it ended, and what was different."""

    behaviour: str
    expected: str
    seen: str
    ok: bool
    differences: tuple[str, ...] = ()


class Certificate(Record):
    """What was certified, and every row of it."""

    name: str
    kind: str
    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)


def certify(
    name: str,
    top: Callable[[], Path],
    environ: Mapping[str, str],
    only: Sequence[str] = (),
    more: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Certificate:
    """Certify the adapter of that name, else the worker. `more` is told to the fakes of a worker beside each behaviour.

    `top` finds the checkout whose workers count; an adapter needs none.

    Raises NotFound, DefinitionError, UsageError, ValidationError, OSError.
    """
    if name in table.NAMES:
        if more:
            raise UsageError(f"{name} is an engine, whose cases are fixed.", hint="Leave out --behaviour.")
        return Certificate(name, KIND_ADAPTER, tuple(_of_adapter(name, only, progress)))
    checkout = top()
    try:
        definition = catalogue.find(name, checkout)
    except NotFound as why:
        hint = f"{why.hint} Adapters: {choices(table.NAMES)}."
        raise NotFound(f"No worker and no engine is named {name[:80]!r}.", hint=hint) from why
    chosen = _chosen(only, list(BEHAVIOURS))
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="lattice-certify-") as folder,
        Rehearsal(definition, checkout, Path(folder), environ, more or {}) as rehearsal,
    ):
        for behaviour in told(chosen, progress):
            expected = expected_end(definition, behaviour)
            end = rehearsal.run(behaviour)
            off = tuple(expected.differences(end))
            rows.append(Row(behaviour, expected.said(), end.said(), not off, off))
    return Certificate(definition.name, KIND_WORKER, tuple(rows))


def _of_adapter(name: str, only: Sequence[str], progress: Progress | None) -> list[Row]:
    engine, speech = table.engine(name), SPEECHES[name]
    suite = {case.name: case for case in cases(speech)}
    rows = []
    with tempfile.TemporaryDirectory(prefix="lattice-certify-") as folder:
        place = install(Path(folder), [name])
        for number, chosen in enumerate(told(_chosen(only, list(suite)), progress)):
            case = suite[chosen]
            expected = _result(succeeds(case), limited=case.behaviour.limited and not case.behaviour.limit_passes)
            own = Path(folder, str(number))
            own.mkdir()
            try:
                seen = start(engine, place, case, own)
            except NoEnd as why:
                rows.append(Row(chosen, expected, "no end", ok=False, differences=(why.message,)))
                continue
            said = seen.reported.succeeded or (None if seen.heard.succeeded is None else False)
            off = tuple(differences(case, seen, speech))
            rows.append(Row(chosen, expected, _result(said, limited=seen.reported.rate_limited), not off, off))
    return rows


def _result(succeeded: bool | None, *, limited: bool) -> str:
    if limited:
        return "rate limit"
    return "no result" if succeeded is None else "succeeded" if succeeded else "failed"


def _chosen(only: Sequence[str], known: list[str]) -> list[str]:
    """The behaviours that were asked for, else all. Raises UsageError for one that there is not."""
    for name in only:
        if name not in known:
            hint = did_you_mean(name, known, f"Behaviours: {choices(known)}.")
            raise UsageError(f"There is no behaviour {name[:80]!r} to certify here.", hint=hint)
    return [name for name in known if name in only] if only else known


def behaviour_of(path: Path) -> Mapping[str, Any]:
    """What a file tells the fakes beside each behaviour. Raises ValidationError, OSError."""
    try:
        shape = parse(path.read_bytes())
    except BadLine as why:
        raise ValidationError(f"{path} is not a JSON object: {why}.") from why
    understand(shape)
    return shape
