"""What holds of every board after every command. Each law raises AssertionError."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lattice.core import resource as resources
from lattice.core.codec import decode
from lattice.core.events import Event, ShortIdAssigned, TaskCreated
from lattice.core.resource import Resource, instant
from lattice.core.task import Task, to_snapshot
from tests.properties.world import Files, History, World, histories, logs

FOLLOWS = {"cycle"}
"""What the doctor may say of a board on which nothing went wrong: people may let tasks wait for each other."""


def hold(world: World, files: Files) -> None:
    """All of them."""
    found = histories(files)
    events_stand_once_and_in_order(files)
    one_truth(world, files, found)
    short_ids_agree(files, found)
    resources_agree(files)
    sessions_agree(files)
    the_doctor_names_nothing(world)


def events_stand_once_and_in_order(files: Files) -> None:
    """Every event of the board has an id of its own, and says which one came before it.

    Ids grow, but for those of custom events, which their caller may choose.
    """
    seen: set[str] = set()
    for stream, lines in logs(files).items():
        prev, chosen = None, False
        for event in map(decode, lines):
            assert event.id not in seen, f"{event.id} stands twice"
            assert (prev, stream) == (event.prev, event.task_id), "an event is not in its place"
            choosable = event.type.startswith("x_")
            assert prev is None or prev < event.id or chosen or choosable, "an id is older than the one before it"
            seen.add(event.id)
            prev, chosen = event.id, choosable


def one_truth(world: World, files: Files, found: dict[str, History]) -> None:
    """The fold of the log is the snapshot on disk is the row of the index."""
    listed = world("list", "--include-archived", "--json").data
    assert [row["id"] for row in listed] == sorted(found), "the list is of other tasks than the logs"
    for row in listed:
        task, _, archived = found[row["id"]]
        folded = plain(task)
        assert task.archived == archived, f"{task.name} lies in the wrong folder"
        assert folded == row, f"the index is off for {task.name}"
        path = f"{'archive/' if archived else ''}tasks/{task.id}.json"
        kept = json.loads(files[path])
        kept.pop("log_mark")
        assert folded == kept, f"the snapshot is off for {task.name}"
    snapshots = {path for path in files if path.startswith(("tasks/", "archive/tasks/"))}
    assert len(found) == len(snapshots), "a snapshot has no log"


def short_ids_agree(files: Files, found: dict[str, History]) -> None:
    """`ids.json` knows every short id that was ever given, and gives none a second time."""
    given: dict[str, str] = {}
    for task, events, _ in found.values():
        for short_id in short_ids_of(events):
            assert given.setdefault(short_id, task.id) == task.id, f"{short_id} is had twice"
    if "ids.json" not in files:
        assert not given
        return
    ids = json.loads(files["ids.json"])
    assert given == ids["map"]
    for short_id in given:
        prefix, _, number = short_id.rpartition("-")
        assert ids["next_seqs"][prefix] > int(number)


def short_ids_of(events: list[Event]) -> Iterator[str]:
    for event in events:
        if isinstance(event.body, (TaskCreated, ShortIdAssigned)) and event.body.short_id:
            yield event.body.short_id


def resources_agree(files: Files) -> None:
    """A resource's log adds up to its `resource.json`; never do more hold it than may."""
    names = set()
    for stream, lines in logs(files).items():
        if not stream.startswith("res_"):
            continue
        resource: Resource | None = None
        for event in map(decode, lines):
            resource = resources.evolve(resource, event)
            holding = [holder for holder in resource.holders if holder.expires_at > event.ts]
            assert len(holding) <= resource.max_holders, f"{len(holding)} hold {resource.name}"
            assert len({json.dumps(holder.actor) for holder in holding}) == len(holding), "one holds it twice"
        assert resource is not None
        assert resource.name not in names, f"two resources are called {resource.name}"
        names.add(resource.name)
        kept = json.loads(files[f"resources/{resource.name}/resource.json"])
        assert json.loads(json.dumps(resources.to_snapshot(resource, resource.holders))) == kept, "resource.json is off"
    assert names == {path.split("/")[1] for path in files if path.startswith("resources/")}


def sessions_agree(files: Files) -> None:
    """The index of sessions names the active ones, and no name was given twice."""
    active, ended = {}, []
    for path, data in files.items():
        if path.startswith("sessions/archive/"):
            ended.append(json.loads(data)["name"])
        elif path.startswith("sessions/") and path != "sessions/index.json":
            session = json.loads(data)
            assert path == f"sessions/{session['name']}.json"
            active[session["name"]] = session["session"]
    assert len({*ended, *active}) == len(ended) + len(active), "a session's name was given twice"
    if active or ended:
        assert active == json.loads(files["sessions/index.json"])["active_sessions"]


def the_doctor_names_nothing(world: World) -> None:
    found = world("doctor", "--json").data["findings"]
    named = [finding["message"] for finding in found if finding["check"] not in FOLLOWS]
    assert not named, f"the doctor names {named}"


def plain(task: Task) -> dict[str, Any]:
    """A task's snapshot as JSON gives it back."""
    shape = json.loads(json.dumps(to_snapshot(task)))
    assert isinstance(shape, dict)
    return shape


def holders_at(files: Files, now_ms: int) -> dict[str, list[str]]:
    """Who holds what at this time, by resource.json alone."""
    now = instant(now_ms)
    return {
        shape["name"]: [json.dumps(holder["actor"]) for holder in shape["holders"] if holder["expires_at"] > now]
        for path, data in files.items()
        if path.startswith("resources/")
        for shape in (json.loads(data),)
    }


def untimed(task: Task) -> dict[str, Any]:
    """What an undo has to bring back: all but times, counters, and what names events."""
    shape = plain(task)
    for key in ("updated_at", "last_event_id", "last_status_changed_at", "done_at", "reopened_count"):
        del shape[key]
    shape["tags"] = shape["tags"] or None
    for key, timed in (
        ("relationships_out", ("created_at", "created_by")),
        ("branch_links", ("linked_at", "linked_by")),
    ):
        edges = [{name: value for name, value in edge.items() if name not in timed} for edge in shape[key]]
        shape[key] = sorted(edges, key=str)
    shape["evidence_refs"] = sorted(shape["evidence_refs"], key=str)
    return shape
