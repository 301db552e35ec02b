"""The suite finds an adapter that is wrong: each way of being wrong is a difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lattice.testing.conformance import Case, cases, chunks, differences
from lattice.testing.engines import SPEECHES, install
from lattice.testing.starts import start
from lattice.workers.engines.heard import Heard, RateLimit, Usage
from lattice.workers.engines.protocol import Engine
from lattice.workers.engines.table import engine

CLAUDE = SPEECHES["claude"]
Change = Callable[[Heard], Heard]


def case(name: str) -> Case:
    return next(one for one in cases(CLAUDE) if one.name == name)


def adapter(change: Change) -> Engine:
    """The adapter of claude, with something wrong about what it makes of each line."""
    right = engine("claude")

    def hear(heard: Heard, line: Mapping[str, Any]) -> Heard:
        return change(right.hear(heard, line))

    return right.replace(hear=hear)


WRONG: Mapping[str, tuple[str, Change, str]] = {
    "believes a failure": (
        "error_exit_0",
        lambda heard: heard.replace(succeeded=heard.succeeded is not None),
        "success",
    ),
    "takes a limit for a success": ("rate_limit_called_success", lambda heard: heard.replace(rate_limit=None), "limit"),
    "keeps a limit that passed": ("rate_limit_passes", lambda heard: heard.replace(rate_limit=RateLimit()), "limit"),
    "loses the reset": (
        "rate_limit",
        lambda heard: heard.replace(rate_limit=heard.rate_limit and RateLimit()),
        "reset: it was said",
    ),
    "is off by an hour": (
        "rate_limit",
        lambda heard: heard.replace(rate_limit=heard.rate_limit and RateLimit("2026-01-01T00:00:00Z")),
        "is not 3600 s after",
    ),
    "has a price where none was said": (
        "no_usage",
        lambda heard: heard.replace(usage=heard.usage.replace(cost_usd=0)),
        "cost_usd is 0",
    ),
    "forgets tokens": ("ok", lambda heard: heard.replace(usage=Usage(cost_usd=0.25)), "tokens_in"),
    "has another text": ("two_results", lambda heard: heard.replace(text=heard.text and "First."), "text"),
    "counts what is newer": ("newer", lambda heard: heard.replace(unread=heard.unread + 1), "unread lines"),
    "forgets the session": ("ok", lambda heard: heard.replace(session_id=None), "session"),
    "counts no tool": ("ok", lambda heard: heard.replace(tools=0), "no tool"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_adapter_that_is_wrong_is_found(name: str, tmp_path: Path) -> None:
    behaviour, change, expected = WRONG[name]
    seen = start(adapter(change), install(tmp_path / "fakes", ["claude"]), case(behaviour), tmp_path)
    found = differences(case(behaviour), seen, CLAUDE)
    assert [line for line in found if expected in line], found


def test_the_chunks_are_the_bytes_and_cut_characters() -> None:
    data = "naïve ✓ ".encode() * 3000
    parts = list(chunks(data))
    assert data == b"".join(parts)
    assert any(part[:1] and part[0] & 0xC0 == 0x80 for part in parts)
    assert len(parts) < len(data)


def test_every_case_has_a_name_of_its_own() -> None:
    for speech in SPEECHES.values():
        names = [one.name for one in cases(speech)]
        assert len(names) == len(set(names))
