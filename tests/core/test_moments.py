"""Moments as people write them."""

from __future__ import annotations

import pytest

from lattice.core.moments import parse_moment
from lattice.errors import ValidationError

NOW_MS = 1_795_260_000_999  # 2026-11-21T11:20:00Z, and a bit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-21T11:20:00Z"),
        ("today", "2026-11-21T00:00:00Z"),
        ("Yesterday", "2026-11-20T00:00:00Z"),
        ("45s", "2026-11-21T11:19:15Z"),
        ("30m", "2026-11-21T10:50:00Z"),
        ("2h", "2026-11-21T09:20:00Z"),
        ("2h ago", "2026-11-21T09:20:00Z"),
        ("3d", "2026-11-18T11:20:00Z"),
        ("1w", "2026-11-14T11:20:00Z"),
        ("2026-11-01", "2026-11-01T00:00:00Z"),
        ("2026-11-01T09:30", "2026-11-01T09:30:00Z"),
        ("2026-11-01 09:30:15", "2026-11-01T09:30:15Z"),
        ("2026-11-01T09:30:15Z", "2026-11-01T09:30:15Z"),
        ("2026-11-01T09:30+02:00", "2026-11-01T07:30:00Z"),
    ],
)
def test_a_moment_is_read(text: str, expected: str) -> None:
    assert expected == parse_moment(text, NOW_MS)


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30", "2x", "-2h", "2026-11-01T25:00", "999999w", "２h", "1e3s"])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        parse_moment(text, NOW_MS)
    assert "2026-11-01" in (refused.value.hint or "")
