"""One script, two tools: the same exit statuses, the same error codes, and snapshots equal in all that they share.

What differs on purpose stands in `INTENDED`, each with its reason; a deviation that went away fails the test, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peer.conftest import Played
from tests.peer.sides import OURS_ON_DISK, READERS, Side, differences, earlier, ours

pytestmark = [pytest.mark.peer, pytest.mark.slow]

COMMANDS_MIN = 200
INTENDED = {
    "comment LAT-1": "a command line without its text is a usage error, as everywhere else: 2, not 1",
    "comment LAT-2 --file missing.md": "the command line is right and the file is missing: NOT_FOUND and 1, not 2",
    "next --claim": "default_actor of the board is who asks; it need not be named with each command",
    "resource create ''": "a resource without a name could never be named again",
    "resource create '../x'": "a name that climbs out of the folder of resources is refused",
}
TAGS = {"LAT-4": "a tag is kept once, however often it is given"}


def test_two_hundred_commands_do_the_same_in_both_tools(command: Path, played: Played) -> None:
    script, theirs, mine, there, here, _ = played
    assert len(script) >= COMMANDS_MIN
    found = {
        step.line: f"there {left.status} {left.code}, here {right.status} {right.code}: {right.said}"
        for step, left, right in zip(script, theirs, mine, strict=True)
        if left.status != right.status or (left.code != right.code and left.status != 2)
    }
    assert {} == {line: what for line, what in found.items() if line not in INTENDED}
    assert set(INTENDED) == set(found)
    for step, *answers in zip(script, theirs, mine, strict=True):
        if step.words[0] not in READERS and all(answer.status == 0 for answer in answers):
            said = [json.loads(_general(json.dumps(_tagged(answer.data)))) for answer in answers]
            assert [] == list(differences(said[0], said[1])), step
    left, right = dict(_comparable(there)), dict(_comparable(here))
    assert left.keys() == right.keys()
    assert 10 == len(left)
    for short_id, snapshot in left.items():
        assert snapshot == right[short_id]
    _each_opens_the_others_board(there, here, command)


def _each_opens_the_others_board(there: Side, here: Side, command: Path) -> None:
    listed_there, listed_here = there.ask("list", "--json"), ours(there.folder).ask("list", "--json")
    assert _titles(listed_there.data) == _titles(listed_here.data)
    checked = ours(there.folder).ask("doctor", "--json")
    assert _grave(checked.data) == [], checked.said
    back = earlier(command, here.folder)
    assert _titles(here.ask("list", "--json").data) == _titles(back.ask("list", "--json").data)
    seen = back.ask("doctor", "--json")
    assert _grave(seen.data) == [], seen.said


def _grave(report: Any) -> list[Any]:
    return [one for one in report["findings"] if one.get("level", one.get("severity")) in ("error", "warning")]


def _titles(tasks: Any) -> list[tuple[str, str, str]]:
    return sorted((task["short_id"], task["title"], task["status"]) for task in tasks)


def _comparable(side: Side) -> Iterator[tuple[str, dict[str, Any]]]:
    """Snapshots by short id, without times and without the ids that nobody can give."""
    for snapshot in side.snapshots().values():
        shared = {key: value for key, value in snapshot.items() if key not in OURS_ON_DISK}
        yield shared["short_id"], json.loads(_general(json.dumps(_tagged(shared))))


def _tagged(data: Any) -> Any:
    if isinstance(data, dict) and data.get("short_id") in TAGS:
        return data | {"tags": sorted(set(data["tags"]))}
    return data


def _general(text: str) -> str:
    timeless = re.sub(r'"\d{4}-\d\d-\d\dT[0-9:.+Z-]+"', '"TIME"', text)
    return re.sub(r"\b(ev|res|art|sess)_(?!01KA8Z)[0-9A-HJKMNP-TV-Z]{26}", r"\1_ID", timeless)
