"""Times of a log as seconds: what `calendar` says, as far as a log may reach."""

from __future__ import annotations

from calendar import timegm
from time import strptime

import pytest

from lattice.ledger import timestamp
from lattice.workers.external.lapse import seconds_of

DAY_S = 86400


def test_a_time_is_the_seconds_since_1970_in_any_month_of_four_centuries() -> None:
    for seconds in range(12345, 400 * 366 * DAY_S, 9 * DAY_S):
        assert seconds == seconds_of(timestamp(seconds * 1000))


def test_it_agrees_with_the_calendar() -> None:
    for ts in ("1970-01-01T00:00:00Z", "2000-02-29T23:59:59Z", "2026-11-21T08:06:18Z", "2100-03-01T00:00:00Z"):
        assert timegm(strptime(ts, "%Y-%m-%dT%H:%M:%SZ")) == seconds_of(ts)


@pytest.mark.parametrize(
    "ts",
    ["", "yesterday", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-21 08:06:18", "2026-11-21T08:06:18Z "],
)
def test_what_is_no_time_of_a_log_is_a_value_error(ts: str) -> None:
    with pytest.raises(ValueError, match=r"no time|invalid literal"):
        seconds_of(ts)
