"""One board, two readers: `data` equal in all that the earlier tool says, on a board of its making and on one of ours.

What differs on purpose stands in `INTENDED`, each with its reason; a deviation that went away fails the test, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.peer.conftest import Played
from tests.peer.sides import SCRIPT, Side, differences, earlier, ours, steps

pytestmark = [pytest.mark.peer, pytest.mark.slow]

READERS = SCRIPT.with_name("readers.txt")
ARCHIVED = ("LAT-4", "LAT-10")
INTENDED = {
    "show LAT-4": "the plan's path leads to the file, which archiving moved: theirs is the one that it had before",
    "show LAT-10": "the same",
    "list --assigned none": "in the query language, none finds what is assigned to nobody",
    "list --priority nonsense": "a grade that there is not is refused, with those there are",
    "next": "a task that waits for another is not the next one",
    "next --actor agent:bot": "the same",
    "next --actor team:core": "the same",
    "stats": "a resource is no task: its events are none of a task's, and it is never the busiest one",
    "weather": "the same: the day's events are those of tasks",
}
Data = Any


@pytest.fixture(scope="module")
def boards(command: Path, played: Played) -> dict[str, Side]:
    """The earlier tool, on a board that it has made itself and on one that we have."""
    made = dict(zip(("theirs", "ours"), (earlier(command, copy) for copy in played.copies), strict=True))
    for peer in made.values():
        for task in ARCHIVED:
            assert 0 == peer.ask("archive", task, "--actor", "human:ann").status
    return made


@pytest.fixture(params=["theirs", "ours"])
def board(boards: dict[str, Side], request: pytest.FixtureRequest) -> Side:
    return boards[request.param]


def test_both_tools_say_the_same_of_one_board(board: Side) -> None:
    found = {}
    for step in steps(READERS.read_text(encoding="utf-8")):
        theirs, mine = (side.ask(*step.words, "--json") for side in (board, ours(board.folder)))
        compared = COMPARED.get(step.words[0], _as_it_is)
        differing = list(differences(compared(theirs.data), compared(mine.data)))
        if theirs.status != mine.status or differing:
            found[step.line] = (theirs.status, mine.status, differing[:5])
    assert {} == {line: what for line, what in found.items() if line not in INTENDED}
    assert set(INTENDED) == set(found)


def test_what_differs_on_purpose_differs_in_nothing_else(board: Side) -> None:
    def told(*words: str) -> set[str]:
        theirs, mine = (side.ask(*words, "--json").data for side in (board, ours(board.folder)))
        compared = COMPARED.get(words[0], _as_it_is)
        return {re.split(r"[.\[]", one.where)[1] for one in differences(compared(theirs), compared(mine))}

    assert {"plan_path"} == told("show", "LAT-4")
    assert {"summary", "busiest", "agent_activity"} == told("stats")
    assert {"vital_signs"} == told("weather")


def _as_it_is(data: Data) -> Data:
    return data


def _show(data: Data) -> Data:
    # They list incoming edges as the file system lists the files of the tasks, which is no order; ours is stable.
    if not isinstance(data, dict) or "relationships_in" not in data:
        return data
    return data | {"relationships_in": _sorted(data["relationships_in"])}


def _stats(data: Data) -> Data:
    # What is equal in number stands as the file system lists the files, there; it is in a stable order, here. And
    # two readings are not made in the same second.
    timeless = json.loads(re.sub(r'"(\d+[mhd]|[0-9.]+mo)"', '"AGE"', json.dumps(data)))
    unordered = {"by_assignee", "by_priority", "by_type", "by_tag", "recently_active", "time_in_status"}
    hourless = [{key: row[key] for key in ("status", "sample_count")} for row in timeless["time_in_status"]]
    timeless["time_in_status"] = hourless
    timeless["recently_active"] = [row["status"] for row in timeless["recently_active"][:1]]
    return {key: _sorted(value) if key in unordered else value for key, value in timeless.items()}


def _weather(data: Data) -> Data:
    done = [
        {key: value for key, value in row.items() if key not in ("days_ago", "completed_ago")}
        for row in data["recently_completed"]
    ]
    return data | {"recently_completed": done}


def _sorted(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


COMPARED: Mapping[str, Callable[[Data], Data]] = {"show": _show, "stats": _stats, "weather": _weather}
"""What is taken out of an answer before it is compared, by command; each with its reason."""
