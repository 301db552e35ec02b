"""The bench measures what it says: in turn, whole processes, and nothing that failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.house.sources import TOP
from tools.bench import report
from tools.bench.boards import environment, history, make_ours
from tools.bench.content import RARE, content
from tools.bench.measure import SLOW_SAMPLES_MIN, Case, Failed, Stat, measure, peak_memory_mib, ratio, stat
from tools.bench.peers import Missing, _from_debian, peers
from tools.bench.plot import plot
from tools.bench.writes import SYNCS, counted

BARE = [sys.executable, "-I", "-S", "-c"]


def stats(**medians: float) -> dict[str, Stat]:
    return {key.replace("__", "/"): stat([ms / 1000]) for key, ms in medians.items()}


def test_imports_are_measured_beside_an_interpreter_that_does_nothing(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tools.bench", "--only", "imports", "--rounds", "3", "--json"],
        cwd=TOP,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    medians = json.loads(ran.stdout)["medians"]
    assert {"python -c pass", "import argparse", "import dataclasses"} <= medians.keys()
    assert {3} == {one["samples"] for one in medians.values()}
    assert [] == list((tmp_path / "lattice-bench").iterdir())


def test_a_command_that_takes_longer_has_the_higher_ratio(tmp_path: Path) -> None:
    quick = Case("pass", [*BARE, "pass"], cwd=tmp_path, env={})
    busy = Case("sum", [*BARE, "sum(range(10_000_000))"], cwd=tmp_path, env={})
    measure([quick, busy], rounds=3)
    middle, least, most = ratio(busy, quick)
    assert 1.0 < least <= most
    assert 1.0 < middle
    assert 3 == len(quick.seconds)
    assert SLOW_SAMPLES_MIN <= len(busy.seconds) <= 3  # A starved machine takes more than SLOW_S for it.


def test_cases_are_run_in_turn(tmp_path: Path) -> None:
    """A B A B: what is slow for a while is slow for both."""
    note = "import sys; open('turns', 'a').write(sys.argv[1])"
    measure([Case(name, [*BARE, note, name], cwd=tmp_path, env={}) for name in "AB"], rounds=3)
    assert "AB" * 4 == (tmp_path / "turns").read_text()  # once to look at them, and three rounds


def test_a_case_that_its_budget_does_not_pay_for_is_run_less_often(tmp_path: Path) -> None:
    cheap = Case("cheap", [*BARE, "pass"], cwd=tmp_path, env={}, budget_s=60.0)
    dear = Case("dear", [*BARE, "pass"], cwd=tmp_path, env={}, budget_s=0.0)
    measure([cheap, dear], rounds=6)
    assert 6 == len(cheap.seconds)
    assert [1, 3, 5] == list(dear.seconds)


def test_a_command_that_fails_is_not_measured(tmp_path: Path) -> None:
    failing = Case("refused", [sys.executable, "-c", "raise SystemExit('no board here')"], cwd=tmp_path, env={})
    with pytest.raises(Failed, match="no board here"):
        measure([failing], rounds=3)
    assert {} == failing.seconds


def test_the_memory_is_the_command_s_own(tmp_path: Path) -> None:
    """This process is larger than the small one, and must not show in its peak."""
    ballast = bytearray(64 << 20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    small = peak_memory_mib([*BARE, "pass"], cwd=tmp_path, env={})
    large = peak_memory_mib([*BARE, "bytearray(b'x') * (48 << 20)"], cwd=tmp_path, env={})
    assert small < 40
    assert small + 40 < large


def test_the_same_tasks_are_made_each_time() -> None:
    assert content(7) == content(7)
    assert history(content(7)) == history(content(7))
    assert RARE in content(7).title
    assert RARE in content(507).comments[0]
    assert 2 <= sum(len(content(number).comments) for number in range(1, 201)) / 200 <= 3


def test_a_board_that_is_made_is_whole(tmp_path: Path) -> None:
    make_ours(tmp_path, 60, environment(tmp_path / "home"))  # runs the doctor, and fails where it finds anything
    assert 61 == len(list((tmp_path / ".lattice" / "events").glob("*.jsonl")))


@pytest.mark.skipif(sys.platform != "linux", reason="strace is of Linux")
def test_syncs_are_counted_over_the_whole_process(tmp_path: Path) -> None:
    code = "import os; fd = os.open('x', os.O_CREAT | os.O_WRONLY); os.fdatasync(fd); os.fdatasync(fd); os.fsync(fd)"
    case = Case("syncs", [*BARE, code], cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    assert {**dict.fromkeys(SYNCS, 0), "fdatasync": 2, "fsync": 1} == counted(case)


def test_a_peer_that_cannot_be_had_is_named_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match="no apt-get"):
        _from_debian(tmp_path, "taskwarrior", "task")
    found, missing = peers(tmp_path, ["backlog.md"])
    assert {} == found
    assert "node" in missing["backlog.md"]
    assert "not asked for" == missing["taskwarrior"]


def test_the_page_keeps_what_stands_around_the_tables(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Ours\n\nbefore\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n", encoding="utf-8")
    row = {"name": "show", "work": "show at 100", "target": "≤ 5×", "measured": "6×", "value": 6.0, "met": False}
    found = {
        "measured_at": "2026-01-01T00:00:00Z", "took_s": 1, "rounds": 3, "peers": {}, "targets": [row],
        "machine": {"system": "Linux", "cores": 2, "load": 0.1, "python": "3.11.7"},
        "missing": {"backlog.md": "there is no npm"}, "medians": stats(show__lattice__100=50.0),
    }  # fmt: skip
    for _ in range(2):
        report.write(found, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Ours\n\nbefore\n\n")
    assert text.endswith("\n\nafter\n")
    assert "old" not in text
    assert "| show at 100 | ≤ 5× | 6× | **no** |" in text
    assert "Missing: backlog.md, there is no npm." in text
    assert found == json.loads((tmp_path / "performance.json").read_text(encoding="utf-8"))


def test_the_plot_has_a_point_for_each_median() -> None:
    drawn = plot(stats(show__lattice__100=50.0, show__lattice__1000=55.0, next__taskwarrior__100=9.0))
    tree = ElementTree.fromstring(drawn)  # noqa: S314  # our own text
    titles = [one.text for one in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert {"lattice, 100 tasks: 50.0 ms", "taskwarrior, 100 tasks: 9.0 ms"} <= set(titles)
    assert 2 == len(list(tree.iter("{http://www.w3.org/2000/svg}polyline")))
