"""The kept stream of an agent's run, read again by today's adapter, beside what was recorded at its end.

Nothing is changed. An adapter that was mended reads an old stream better than the one that was there then: what
differs says so, and the board keeps what was decided.
"""

from __future__ import annotations

from typing import Any

from lattice.commands.board import Board
from lattice.core.record import Record
from lattice.core.run import Exited, Reported, Signalled
from lattice.errors import NotFound
from lattice.workers.agent_runs import session_of
from lattice.workers.ends import certificate
from lattice.workers.engines import table
from lattice.workers.engines.heard import Heard
from lattice.workers.engines.stream import finished, replay
from lattice.workers.external.lapse import seconds_of
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder

USAGE = ("tokens_in", "tokens_cached", "tokens_out", "cost_usd")


class Replay(Record):
    """What a stream says: `today` by today's adapter, `then` as it was recorded; by the same names."""

    run_id: str
    engine: str
    today: dict[str, Any]
    then: dict[str, Any] | None  # None: nothing was
    turns: int
    tools: int
    unread: int  # lines that were not what the engine's format says
    differences: tuple[str, ...]


def again(board: Board, run: RunView) -> Replay:
    """Read the run's stream again. Raises NotFound where it has none here, DefinitionError for an unknown engine."""
    folder = RunFolder(board.folder, run.run_id)
    spec = folder.spec()
    if spec is None or spec.agent is None or not folder.stream.is_file():
        why = "it is no agent's" if spec is not None and spec.agent is None else "there is none on this machine"
        raise NotFound(
            f"Run {run.run_id} has no stream to read again: {why}.", hint=f"lattice worker logs {run.run_id}"
        )
    engine = table.engine(spec.engine)
    heard = replay(engine, folder.stream, spec.agent.before)
    kept = certificate.read(folder) or {}
    evidence = kept.get("evidence") or {}
    at = kept.get("at")
    now_ms = seconds_of(at) * 1000 if isinstance(at, str) else board.ledger.source.now_ms()
    reported = finished(engine, heard, _status_of(evidence.get("status")), now_ms).replace(model=heard.model)
    today = _said(reported, heard.session_id)
    recorded = evidence.get("result")
    then = _recorded(recorded, session_of(folder)) if isinstance(recorded, dict) else None
    return Replay(
        run_id=run.run_id,
        engine=engine.name,
        today=today,
        then=then,
        turns=heard.turns,
        tools=heard.tools,
        unread=heard.unread,
        differences=tuple(name for name in today if then is not None and _differs(name, heard, today, then)),
    )


def _said(reported: Reported, session_id: str | None) -> dict[str, Any]:
    used = reported.usage or {}
    return {
        "result": "succeeded" if reported.succeeded else "failed",
        "text": reported.text,
        **{name: used.get(name) for name in USAGE},
        "model": reported.model,
        "session_id": session_id,
        "rate_limited": reported.rate_limited,
        "resets_at": reported.resets_at,
    }


def _recorded(shape: dict[str, Any], session_id: str | None) -> dict[str, Any]:
    """What the certificate says of the engine's result; what a version of then did not keep is None."""
    known = {name: shape.get(name) for name in ("text", "usage", "resets_at", "model")}
    reported = Reported(
        succeeded=shape.get("succeeded") is True, rate_limited=shape.get("rate_limited") is True, **known
    )
    return _said(reported, session_id)


def _differs(name: str, heard: Heard, today: dict[str, Any], then: dict[str, Any]) -> bool:
    limit = heard.rate_limit
    if name == "resets_at" and limit is not None and limit.resets_at is None:
        return (today[name] is None) != (then[name] is None)  # counted from the moment that it was read
    return bool(today[name] != then[name])


def _status_of(shape: Any) -> Exited | Signalled | None:
    """How the engine's process ended, as the certificate has it."""
    if not isinstance(shape, dict):
        return None
    if shape.get("is") == "Exited" and isinstance(shape.get("code"), int):
        return Exited(shape["code"])
    if shape.get("is") == "Signalled" and isinstance(shape.get("signum"), int):
        return Signalled(shape["signum"])
    return None
