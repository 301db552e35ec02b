"""The figures and the weather follow from events, the settings and the time alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lattice.core.config import Config, new_config, parse_config
from lattice.core.events import CommentAdded, Event, StatusChanged, TaskCreated, TaskEvent, evolve
from lattice.core.ids import ulid
from lattice.core.stats import History, age_text, forecast, statistics, weather
from lattice.core.task import Task

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONFIG: Config = parse_config(new_config(instance_id="inst_x", project_code="LAT", default_actor=None))


def history(number: int, *steps: tuple[float, TaskEvent], actor: str = "human:ann") -> History:
    """A task created so many days ago as the first step says, and what came after."""
    task: Task | None = None
    events = []
    for place, (ago, body) in enumerate(steps):
        moment = NOW - timedelta(days=ago)
        ts = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        event = Event(f"ev_{ulid(int(moment.timestamp() * 1000), place)}", ts, f"task_{ulid(number, 0)}", actor, body)
        task = evolve(task, event)
        events.append(event)
    assert task is not None
    return History(task, events)


def created(number: int, **given: Any) -> TaskCreated:
    fields = {"title": f"T{number}", "status": "backlog", "type": "task", "priority": "medium"} | given
    return TaskCreated(**fields, short_id=f"LAT-{number}")


def moved(to: str, from_: str = "backlog") -> StatusChanged:
    return StatusChanged(from_=from_, to=to)


def digest(*histories: History) -> dict[str, Any]:
    return weather(histories, CONFIG, NOW)


def figures(live: Sequence[History], archived: Sequence[History] = ()) -> dict[str, Any]:
    return statistics(live, archived, CONFIG, NOW)


def test_an_empty_board_has_clear_skies_and_figures_of_nothing() -> None:
    assert "Clear skies" == digest()["headline"]["weather"]
    found = figures([])
    assert 0 == found["summary"]["total_tasks"]
    assert [0] * 8 == [week["count"] for week in found["velocity"]]
    assert ["2026-W40", "2026-W47"] == [found["velocity"][place]["week"] for place in (0, -1)]


@pytest.mark.parametrize(
    ("expected", "tasks", "idle", "breaches"),
    [
        ("Clear skies", 5, 0, 0), ("Fair weather", 4, 2, 0), ("Stormy", 5, 3, 0), ("Partly cloudy", 8, 3, 0),
        ("Partly cloudy", 6, 0, 1), ("Overcast", 10, 5, 0), ("Overcast", 17, 0, 2), ("Stormy", 11, 6, 1),
    ],
)  # fmt: skip
def test_the_forecast(expected: str, tasks: int, idle: int, breaches: int) -> None:
    assert expected == forecast(tasks, idle, breaches)


def test_stays_are_measured_to_the_next_status_and_to_now() -> None:
    found = figures([history(1, (3, created(1)), (2, moved("blocked")), (1.5, moved("planned", "blocked")))])
    hours = {row["status"]: row["avg_hours"] for row in found["time_in_status"]}
    assert {"backlog": 24.0, "blocked": 12.0, "planned": 36.0} == hours
    assert {"currently_blocked": 0, "total_blocked_episodes": 1, "avg_blocked_hours": 12.0} == found["blocked"]


def test_who_is_still_blocked_is_counted_and_not_averaged() -> None:
    found = figures([history(1, (3, created(1)), (2, moved("blocked")))])
    assert {"currently_blocked": 1, "total_blocked_episodes": 1, "avg_blocked_hours": 0} == found["blocked"]


def test_what_is_finished_is_not_idle() -> None:
    done = history(1, (20, created(1)), (19, moved("done")))
    waiting = history(2, (8, created(2)))
    found = figures([done, waiting])
    assert ["LAT-2"] == [task["id"] for task in found["stale"]]
    assert [("stale", "LAT-2", "Idle for 8d")] == [
        (item["type"], item["id"], item["detail"]) for item in digest(done, waiting)["attention"]
    ]


def test_velocity_counts_what_was_archived_since() -> None:
    done = history(1, (20, created(1)), (1, moved("done")))
    assert 1 == figures([], [done])["velocity"][-1]["count"]
    assert {"active_tasks": 0, "archived_tasks": 1, "total_tasks": 1, "active_events": 0, "total_events": 2} == figures(
        [], [done]
    )["summary"]


def test_a_comment_does_not_make_an_old_task_recently_completed() -> None:
    old = history(1, (9, created(1)), (5, moved("done")), (0.1, CommentAdded(body="x")))
    assert [] == digest(old)["recently_completed"]
    fresh = history(2, (9, created(2)), (0.5, moved("done")))
    assert [("LAT-2", "12h")] == [(t["id"], t["completed_ago"]) for t in digest(old, fresh)["recently_completed"]]


def test_where_nothing_was_done_today_three_days_are_looked_at() -> None:
    done = [history(number, (9, created(number)), (ago, moved("done"))) for number, ago in ((1, 2.5), (2, 3.5))]
    assert ["LAT-1"] == [task["id"] for task in digest(*done)["recently_completed"]]


def test_a_passed_limit_an_unassigned_task_and_a_waiting_one_want_attention() -> None:
    review = [history(number, (1, created(number)), (0.5, moved("review"))) for number in range(1, 7)]
    human = history(7, (1, created(7)), (0.5, moved("needs_human")))
    found = digest(*review, human)
    kinds = [item["type"] for item in found["attention"]]
    assert ["wip_breach", *["unassigned_active"] * 6, "needs_human"] == kinds
    assert "6/5 (over by 1)" == found["attention"][0]["detail"]


def test_the_most_urgent_comes_next() -> None:
    tasks = [
        history(1, (1, created(1, priority="low", urgency="immediate"))),
        history(2, (1, created(2, priority="critical"))),
        history(3, (1, created(3, priority="critical", urgency="low"))),
        history(4, (1, created(4, priority="critical")), (0.5, moved("in_progress"))),
    ]
    assert ["LAT-3", "LAT-2", "LAT-1"] == [task["id"] for task in digest(*tasks)["up_next"]]


@pytest.mark.parametrize(
    ("expected", "age_days"),
    [("0m", 0.0), ("43m", 0.03), ("59m", 0.0416), ("5h", 0.2), ("12d", 12.2), ("30d", 29.6), ("1.5mo", 45.0)],
)
def test_ages_are_told_in_the_largest_unit(expected: str, age_days: float) -> None:
    assert expected == age_text(age_days)
