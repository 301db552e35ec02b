"""What the board's history adds up to: the figures of `stats`, and the day's digest, `weather`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lattice.core.actors import actor_text
from lattice.core.config import PRIORITIES, URGENCIES, Config
from lattice.core.events import Event, StatusChanged, TaskCreated
from lattice.core.record import Record
from lattice.core.task import Task

STALE_DAYS = 7
RECENT_DAYS = (1, 3)
WEEKS = 8
SHOWN_MAX = 5
UP_NEXT_MAX = 10
FINISHED = ("done", "cancelled")
ACTIVE = ("in_planning", "in_progress", "review")
WAITING = ("backlog", "planned")


class History(Record):
    """A task with its events."""

    task: Task
    events: Sequence[Event]


def statistics(live: Sequence[History], archived: Sequence[History], config: Config, now: datetime) -> dict[str, Any]:
    """The figures of a board. Those of work in hand leave archived tasks out; the velocity counts them."""
    tasks = [history.task for history in live]
    statuses = Counter(task.status for task in tasks)
    events = sum(len(history.events) for history in live)
    return {
        "summary": {
            "active_tasks": len(live),
            "archived_tasks": len(archived),
            "total_tasks": len(live) + len(archived),
            "active_events": events,
            "total_events": events + sum(len(history.events) for history in archived),
        },
        "by_status": [[name, statuses[name]] for name in _in_order(statuses, config)],
        "by_priority": _ranked(task.priority for task in tasks),
        "by_type": _ranked(task.type for task in tasks),
        "by_assignee": _ranked(actor_text(task.assigned_to) for task in tasks),
        "by_tag": _ranked(tag for task in tasks for tag in task.tags or ()),
        "wip": _work_in_progress(statuses, config),
        "recently_active": [
            _named(task) | {"status": task.status, "updated_ago": age_text(days(task.updated_at, now))}
            for task in sorted(tasks, key=lambda task: (task.updated_at, task.id), reverse=True)[:SHOWN_MAX]
        ],
        "stale": [_stale(task, now) for task in _idle(tasks, now)],
        "busiest": [
            _named(history.task) | {"event_count": len(history.events)}
            for history in sorted(live, key=lambda history: (-len(history.events), history.task.name))[:SHOWN_MAX]
        ],
        "agent_activity": [
            {"actor": actor, "event_count": count}
            for actor, count in _ranked(actor_text(event.actor) for history in live for event in history.events)
        ],
        "velocity": _velocity([*live, *archived], now),
        "time_in_status": _time_in_status(live, now),
        "blocked": _blocked(live, statuses, now),
    }


def weather(live: Sequence[History], config: Config, now: datetime) -> dict[str, Any]:
    """The day's digest: what moved, what wants attention, what comes next."""
    tasks = [history.task for history in live]
    idle = _idle(tasks, now)
    breaches = [row for row in _work_in_progress(Counter(task.status for task in tasks), config) if row["over"]]
    recent = _recently_done(tasks, now)
    since = now - timedelta(days=1)
    return {
        "headline": {
            "project": project_name(config),
            "date": now.date().isoformat(),
            "weather": forecast(len(tasks), len(idle), len(breaches)),
        },
        "vital_signs": {
            "active_tasks": len(tasks),
            "in_progress": sum(task.status in ACTIVE for task in tasks),
            "done_recently": len(recent),
            "events_24h": sum(_moment(event.ts, now) > since for history in live for event in history.events),
        },
        "attention": _attention(tasks, idle, breaches, now),
        "recently_completed": recent,
        "up_next": [
            {
                "id": task.name,
                "title": task.title,
                "status": task.status,
                "priority": task.priority,
                "assigned_to": None if task.assigned_to is None else actor_text(task.assigned_to),
            }
            for task in sorted((task for task in tasks if task.status in WAITING), key=_urgent_first)[:UP_NEXT_MAX]
        ],
    }


def forecast(tasks: int, idle: int, breaches: int) -> str:
    """The board's state as one word of weather: how much of it lies idle, and how many limits are passed."""
    if tasks and idle * 2 > tasks:
        return "Stormy"
    if idle >= 5 or breaches >= 2:
        return "Overcast"
    if idle >= 3 or breaches:
        return "Partly cloudy"
    return "Fair weather" if idle else "Clear skies"


def project_name(config: Config) -> str:
    """What people call the project."""
    names = (config.raw.get("instance_name"), config.raw.get("project_name"), config.project_code)
    return next((name for name in names if isinstance(name, str) and name), "Lattice")


def age_text(age_days: float) -> str:
    """An age in the largest unit that fits: 43m, 5h, 12d, 1.5mo."""
    if age_days * 24 < 1:
        return f"{int(age_days * 24 * 60)}m"  # cut off, so that 60m is never said in place of 1h
    if age_days < 1:
        return f"{age_days * 24:.0f}h"
    return f"{age_days:.0f}d" if age_days < 30 else f"{age_days / 30:.1f}mo"


def days(ts: str, now: datetime) -> float:
    """Days from an event's time until now; never less than none, whatever a clock said."""
    return max(0.0, (now - _moment(ts, now)).total_seconds() / 86_400)


def _moment(ts: str, now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(ts)
    except ValueError:
        return now  # An earlier or foreign writer's time that says nothing: no age is claimed for it.
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _in_order(statuses: Mapping[str, int], config: Config) -> list[str]:
    known = [status for status in config.statuses if status in statuses]
    return known + sorted(set(statuses) - set(known))


def _ranked(values: Iterable[str]) -> list[list[Any]]:
    return [[value, count] for value, count in sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))]


def _work_in_progress(statuses: Mapping[str, int], config: Config) -> list[dict[str, Any]]:
    workflow = config.raw.get("workflow")
    limits = workflow.get("wip_limits") if isinstance(workflow, Mapping) else None
    if not isinstance(limits, Mapping):
        return []
    whole = {status: limit for status, limit in limits.items() if isinstance(limit, int)}
    return [
        {"status": status, "current": statuses.get(status, 0), "limit": limit, "over": statuses.get(status, 0) > limit}
        for status, limit in whole.items()
    ]


def _idle(tasks: Sequence[Task], now: datetime) -> list[Task]:
    """Tasks that nobody has touched for long. What is finished does not wait for anybody."""
    idle = [t for t in tasks if t.status not in FINISHED and days(t.updated_at, now) >= STALE_DAYS]
    return sorted(idle, key=lambda task: (task.updated_at, task.id))


def _named(task: Task) -> dict[str, Any]:
    return {"id": task.name, "full_id": task.id, "title": task.title}


def _stale(task: Task, now: datetime) -> dict[str, Any]:
    return _named(task) | {"status": task.status, "days_stale": round(days(task.updated_at, now), 1)}


def _velocity(histories: Sequence[History], now: datetime) -> list[dict[str, Any]]:
    finished = Counter(
        _week(_moment(event.ts, now))
        for history in histories
        for event in history.events
        if (isinstance(event.body, StatusChanged) and event.body.to == "done")
        or (isinstance(event.body, TaskCreated) and event.body.status == "done")
    )
    weeks = [_week(now - timedelta(weeks=ago)) for ago in range(WEEKS - 1, -1, -1)]
    return [{"week": week, "count": finished[week]} for week in weeks]


def _week(moment: datetime) -> str:
    year, week, _ = moment.isocalendar()
    return f"{year}-W{week:02}"


def _stays(history: History, now: datetime) -> list[tuple[str, float, bool]]:
    """Each stay in a status: which, how many hours, and whether it is over."""
    stays: list[tuple[str, float, bool]] = []
    status, since = "", now
    for event in history.events:
        entered = event.body.to if isinstance(event.body, StatusChanged) else None
        if isinstance(event.body, TaskCreated):
            status, since = event.body.status, _moment(event.ts, now)
        elif entered is not None:
            moment = _moment(event.ts, now)
            stays.append((status, _hours(since, moment), True))
            status, since = entered, moment
    return [*stays, (status, _hours(since, now), False)]


def _hours(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds() / 3600)


def _time_in_status(live: Sequence[History], now: datetime) -> list[dict[str, Any]]:
    hours: dict[str, list[float]] = {}
    for history in live:
        for status, spent, _ in _stays(history, now):
            hours.setdefault(status, []).append(spent)
    longest = sorted(hours.items(), key=lambda item: (-sum(item[1]) / len(item[1]), item[0]))
    return [
        {"status": status, "avg_hours": round(sum(spent) / len(spent), 1), "sample_count": len(spent)}
        for status, spent in longest
    ]


def _blocked(live: Sequence[History], statuses: Mapping[str, int], now: datetime) -> dict[str, Any]:
    stays = [stay for history in live for stay in _stays(history, now) if stay[0] == "blocked"]
    over = [spent for _, spent, ended in stays if ended]
    return {
        "currently_blocked": statuses.get("blocked", 0),
        "total_blocked_episodes": len(stays),
        "avg_blocked_hours": round(sum(over) / len(over), 1) if over else 0,
    }


def _attention(
    tasks: Sequence[Task], idle: Sequence[Task], breaches: Sequence[Mapping[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    stale = [_wants(task, "stale", f"Idle for {age_text(round(days(task.updated_at, now), 1))}") for task in idle]
    over = [
        {
            "type": "wip_breach",
            "status": row["status"],
            "detail": f"{row['current']}/{row['limit']} (over by {row['current'] - row['limit']})",
        }
        for row in breaches
    ]
    unassigned = [
        _wants(task, "unassigned_active", f"Active ({task.status}) but unassigned") | {"status": task.status}
        for task in tasks
        if task.status in ACTIVE and task.assigned_to is None
    ]
    human = [
        _wants(task, "needs_human", "Waiting for human decision or input")
        for task in tasks
        if task.status == "needs_human"
    ]
    return [*stale, *over, *unassigned, *human]


def _wants(task: Task, kind: str, detail: str) -> dict[str, Any]:
    return {"type": kind, "id": task.name, "title": task.title, "detail": detail}


def _recently_done(tasks: Sequence[Task], now: datetime) -> list[dict[str, Any]]:
    """Tasks done within a day, or else within three; the latest first. What was said since does not count."""
    ages = [(days(task.done_at, now), task) for task in tasks if task.status == "done" and task.done_at]
    within = (sorted((a for a in ages if a[0] <= limit), key=lambda a: (a[0], a[1].id)) for limit in RECENT_DAYS)
    return [
        {"id": task.name, "title": task.title, "completed_ago": age_text(age), "days_ago": age}
        for age, task in next(filter(None, within), [])
    ]


def _urgent_first(task: Task) -> tuple[int, int, str]:
    return _place(task.priority, PRIORITIES), _place(task.urgency, URGENCIES), task.id


def _place(value: str | None, order: Sequence[str]) -> int:
    return order.index(value) if value in order else len(order)
