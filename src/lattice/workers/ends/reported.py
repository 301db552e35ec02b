"""What was said of a run: by its engine in `out/result.json`, by its agent in `out/claim.json`.

An engine, or the adapter that reads its stream, reports its result by renaming this file into place:

    {"state": "succeeded" or "failed", "text": "…", "usage": {"tokens_in": 1, "cost_usd": 0.2}}

A failure that is a rate limit has `"rate_limit": {"resets_at": "2026-11-20T23:39:05Z"}` (or null) too.

`worker complete` and `worker fail` inside a run write the same shape as the claim, with `result` or
`error` for the text, and the run's id: one that was copied from another run is no word of this one.
Both are inputs of the verdict, and neither is the end of the run.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from lattice.core.codec import BadLine, parse
from lattice.core.run import Reported
from lattice.store.files import disk
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BYTES_MAX = 1 << 20
TEXT_CHARS_MAX = 2_000
USAGE_MAX = 32
_STATES = {"succeeded": True, "failed": False}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def result_of(folder: RunFolder, spec: RunSpec, now_ms: int) -> Reported | None:
    """The engine's result, of its stream or of its file; None where it reported none that can be read."""
    if spec.agent is not None:
        from lattice.workers.engines.following import told  # only the runs of agents pay for it

        if (said := told(folder, spec, now_ms)) is not None:
            return said
    return file_result_of(folder)


def file_result_of(folder: RunFolder) -> Reported | None:
    """What an engine put into `out/result.json`; None where there is nothing that can be read."""
    return _read(folder.result)


def claim_of(folder: RunFolder) -> Reported | None:
    """What the agent said of its own run; None where it said nothing."""
    return _read(folder.claim, of=folder.run_id)


def _read(path: Path, of: str | None = None) -> Reported | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None  # Not there, or not a file: the engine's folder is the engine's.
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > BYTES_MAX:
            return None
        shape = parse(disk.read_from(descriptor, 0, status.st_size))
        return _reported(shape) if of is None or shape.get("run_id") == of else None
    except (BadLine, OSError):
        return None
    finally:
        os.close(descriptor)


def _reported(shape: dict[str, Any]) -> Reported | None:
    state = shape.get("state")
    if not (isinstance(state, str) and state in _STATES):
        return None
    text = next((shape[key] for key in ("text", "error", "result") if isinstance(shape.get(key), str)), None)
    limit = shape.get("rate_limit") if state == "failed" else None
    resets_at = limit.get("resets_at") if isinstance(limit, dict) else None
    return Reported(
        _STATES[state],
        text[:TEXT_CHARS_MAX] if text else None,
        _usage(shape.get("usage")),
        rate_limited=isinstance(limit, dict),
        resets_at=resets_at if isinstance(resets_at, str) and _TIME.fullmatch(resets_at) else None,
    )


def _usage(shape: object) -> Mapping[str, Any] | None:
    """The numbers of a usage; what is not one is left out."""
    if not isinstance(shape, dict):
        return None
    numbers = {
        name[:100]: value
        for name, value in shape.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    }
    return dict(list(numbers.items())[:USAGE_MAX]) or None
