"""Triggers: a change of status starts what is trusted and due, nothing else, and never fails the command."""

from __future__ import annotations

import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lattice.commands import firing, hooks
from lattice.commands.tasks import CreateTask
from lattice.core.run_events import ProcessRequested
from lattice.errors import NotTrusted
from lattice.workers.definitions import catalogue, trust
from lattice.workers.processes import marks
from lattice.workers.runs import RunFolder
from tests.conftest import git
from tests.workers.conftest import ANN, Bench, eventually

TO_PLANNED = {"transitions": ["* -> planned"]}
QUICK = 'echo "$LATTICE_TASK_SHORT_ID" >> "$NOTES/ran"'


@pytest.fixture(autouse=True)
def _own_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def define(bench: Bench, script: str = QUICK, name: str = "Lite", *, trusted: bool = True, **more: Any) -> None:
    """A worker with triggers, and trust in it."""
    bench.worker(script, name, **({"triggers": TO_PLANNED} | more))
    if trusted:
        assert 0 == bench.lattice("worker", "trust", name, "--yes").returncode


def move(bench: Bench, to: str = "planned", task: str = "LAT-1", **environ: str) -> subprocess.CompletedProcess[str]:
    """Change the status, and look at the answer: whatever a trigger does, it is the same."""
    done = bench.lattice("status", task, to, "--force", "--reason", "test", "--json", **environ)
    assert 0 == done.returncode, done
    assert json.loads(done.stdout)["ok"]
    return done


def started(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str]]:
    """The workers that were started, each with its run."""
    return re.findall(r"^Started (\w+).* on \S+: (run_\w+)$", done.stderr, re.MULTILINE)


def requests(bench: Bench) -> list[str]:
    """The workers whose runs were requested on LAT-1."""
    bodies = [event.body for event in bench.events("process_requested")]
    return [body.process_type for body in bodies if isinstance(body, ProcessRequested)]


def reasons(bench: Bench, *words: str, **environ: str) -> list[str]:
    """Why the only worker with triggers would not start on LAT-1."""
    (row,) = bench.data("worker", "triggers", "LAT-1", *words, **environ)
    assert row["starts"] is (row["reasons"] == [])
    return [reason["kind"] for reason in row["reasons"]]


def test_a_change_of_status_starts_a_real_run(bench: Bench) -> None:
    define(bench)
    ((worker, run_id),) = started(move(bench))
    assert "Lite" == worker
    assert "succeeded" == bench.finished(RunFolder(bench.board.folder, run_id)).state
    assert "LAT-1" == bench.note("ran")
    (changed,) = bench.events("status_changed")
    (requested,) = bench.events("process_requested")
    assert "agent:bot" == requested.actor
    assert {"triggered_by": changed.id, "on_behalf_of": "human:ann", "reason": "backlog -> planned"} == (
        requested.provenance
    )
    assert "  because      backlog -> planned\n" in bench.lattice("worker", "show", run_id).stdout


def test_another_move_and_another_change_start_nothing(bench: Bench) -> None:
    define(bench, triggers={"transitions": ["in_progress -> review"]})
    assert "" == move(bench, "review").stderr
    assert 0 == bench.lattice("comment", "LAT-1", "hello").returncode
    assert [] == requests(bench)
    move(bench, "in_progress")
    assert 1 == len(started(move(bench, "review")))


def test_what_is_not_trusted_is_told_once_and_not_started(bench: Bench) -> None:
    define(bench, trusted=False)
    define(bench, name="Other", trusted=False)
    said = move(bench).stderr
    assert 1 == said.count("Warning")
    assert "Not trusted, and not started: Lite, Other." in said
    assert "lattice worker trust Lite" in said
    assert [] == requests(bench)
    assert [] == bench.worktrees()


@pytest.mark.parametrize("file", ["lite.json", "lite.sh", "prompt.md", "schema.json", "tool.py"])
def test_one_changed_byte_asks_again(bench: Bench, file: str) -> None:
    for name in ("prompt.md", "tool.py"):
        bench.commit(name, "text\n")
    bench.commit("schema.json", "{}\n")
    define(
        bench,
        prompt_file="prompt.md",
        outputs={"o": {"path": "o.json", "schema": "schema.json"}},
        setup={"run": [["true", "--config={repo}/tool.py"]]},
    )
    assert ["not_trusted"] != reasons(bench)
    path = next(path for path in (bench.repo / "workers" / file, bench.repo / file) if path.exists())
    before = path.read_bytes()
    path.write_bytes(before + b"\n")
    assert ["not_trusted"] == reasons(bench)
    assert [] == started(move(bench))
    path.write_bytes(before)
    assert [] == reasons(bench)


@pytest.mark.parametrize("file", ["one.md", "tool.py", "second.md", "workers/helper.json", "workers/helper.sh"])
def test_one_changed_byte_of_a_teams_member_asks_again(bench: Bench, file: str) -> None:
    for name in ("one.md", "tool.py", "second.md"):
        bench.commit(name, "Review {{short_id}}\n")
    bench.worker("true", "Helper")
    members = {
        "agent": {"engine": "claude", "prompt_file": "one.md"},
        "tool": {"engine": "command", "command": ["{python}", "{repo}/tool.py"]},
        "helper": {"worker": "Helper"},
    }
    team = {"name": "Crew", "actor": "agent:crew", "engine": "team", "members": members, "second_round": "second.md"}
    team |= {"triggers": {"transitions": ["* -> review"]}}
    (bench.repo / "workers" / "crew.json").write_text(json.dumps({**team, "quorum": 1}), encoding="utf-8")

    def shown() -> trust.Shown:
        return trust.shown(catalogue.find("Crew", bench.repo), bench.repo, os.environ)

    trust.trust(shown(), os.environ, "2026-11-21T00:00:00Z")
    assert shown().trusted
    assert ["Crew/agent", "Crew/tool", "Helper"] == [member.name for member in shown().members]
    path = bench.repo / file
    path.write_bytes(path.read_bytes() + b"\n")
    assert not shown().trusted
    for words in (("trust", "crew"), ("triggers",)):
        assert "Crew  changed since it was trusted\n" in bench.lattice("worker", *words).stdout


def test_trust_is_for_one_checkout(bench: Bench) -> None:
    define(bench)
    other = bench.folder / "clone"
    git(bench.folder, "clone", "--quiet", str(bench.repo), str(other))
    (other / "workers").mkdir()
    for path in (bench.repo / "workers").iterdir():
        (other / "workers" / path.name).write_bytes(path.read_bytes())
        (other / "workers" / path.name).chmod(0o755)
    found = catalogue.find("Lite", other)
    trust.require_trusted(found.replace(source=None), bench.repo, os.environ)
    with pytest.raises(NotTrusted, match="Lite is not trusted") as off:
        trust.require_trusted(found, other, os.environ)
    assert "lattice worker trust Lite" in str(off.value.hint)


def test_one_hour_and_one_minute_are_told_as_one(bench: Bench) -> None:
    sweep = {"when": "status:backlog", "every_hours": 1, "limit": 2}
    define(bench, trusted=False, sweep=sweep, triggers={"transitions": ["* -> review"], "cooldown_minutes": 1})
    shown = bench.lattice("worker", "trust", "lite").stdout
    assert "  pause     1 minute\n" in shown
    assert "  sweep     status:backlog; every hour, 2 at most\n" in shown


def test_trust_shows_what_would_run_and_is_taken_back(bench: Bench) -> None:
    define(bench, trusted=False, env={"strip": ["SECRET_*"], "set": {"MODE": "fast"}})
    shown = bench.lattice("worker", "trust", "lite").stdout
    for words in ("Lite  not trusted", "workers/lite.sh", "MODE=fast", "without SECRET_*", "* -> planned", "--yes"):
        assert words in shown
    assert "  sandbox   none\n" in shown
    assert ["not_trusted"] == reasons(bench)
    assert bench.data("worker", "trust", "Lite", "--yes")["trusted"]
    assert [] == reasons(bench)
    assert ["Lite"] == [grant["name"] for grant in bench.data("worker", "untrust", "lite")["removed"]]
    assert ["not_trusted"] == reasons(bench)
    assert "VALIDATION_ERROR" == bench.error("worker", "untrust", "")["code"]


def test_a_worker_that_is_not_there_is_named_in_whole_sentences(bench: Bench) -> None:
    define(bench, trusted=False, escalate=[{"to": "Nope", "when": "status:backlog"}])
    told = bench.lattice("worker", "triggers", "LAT-1", "--to", "planned").stdout
    assert "no        No worker is named 'Nope'. Workers: " in told


def test_a_person_who_names_the_worker_needs_no_trust(bench: Bench) -> None:
    define(bench, trusted=False)
    assert 0 == bench.lattice("worker", "run", "Lite", "LAT-1", "--wait").returncode


@pytest.mark.parametrize("name", firing.INSIDE)
def test_nothing_starts_from_inside_a_run_or_a_hook(bench: Bench, name: str) -> None:
    define(bench)
    assert "" == move(bench, **{name: "1"}).stderr
    assert ["inside_run"] == reasons(bench, **{name: "1"})
    assert [] == requests(bench)


def test_the_names_of_what_is_inside_are_those_that_are_set() -> None:
    assert {marks.RUN_MARK, hooks.IN_HOOK} == set(firing.INSIDE)


def test_a_worker_that_moves_its_own_task_starts_no_circle(bench: Bench) -> None:
    """Its script moves the task back and forth, as itself: with the run's environment, and after clearing it."""
    call = '"$PY" -m lattice.cli.main status LAT-1 {} --force --reason r --actor agent:bot'
    script = f"{call.format('in_progress')}\n{call.format('planned')}\nunset LATTICE_RUN_ID LATTICE_IN_HOOK\n"
    script += f'{call.format("in_progress")}\n{call.format("planned")} 2> "$NOTES/said"\necho done >> "$NOTES/said"'
    define(bench, script, env={"set": {"NOTES": str(bench.notes), "PY": bench.command()[0]}})
    ((_, run_id),) = started(move(bench))
    bench.finished(RunFolder(bench.board.folder, run_id))
    assert "done" == bench.note("said")
    assert 5 == len(bench.events("status_changed"))
    assert ["Lite"] == requests(bench)
    move(bench, "in_progress")
    assert 1 == len(started(move(bench, LATTICE_ACTOR="agent:bot")))  # no run of its is alive any more


def test_a_second_move_waits_for_the_cooldown(bench: Bench) -> None:
    define(bench, triggers=TO_PLANNED | {"cooldown_minutes": 5})
    ((_, run_id),) = started(move(bench))
    bench.finished(RunFolder(bench.board.folder, run_id))
    move(bench, "in_progress")
    assert "" == move(bench).stderr
    assert ["cooling_down"] == reasons(bench)
    CreateTask("Second").run(bench.board, ANN)
    assert 1 == len(started(move(bench, task="LAT-2")))  # each task has a pause of its own


def test_a_run_that_is_there_already_is_no_error(bench: Bench) -> None:
    define(bench, "exec sleep 300")
    assert 1 == len(started(move(bench)))
    move(bench, "in_progress")
    assert "running already" in move(bench).stderr
    assert ["already_running"] == reasons(bench)
    assert ["Lite"] == requests(bench)


def test_of_many_moves_at_once_one_starts_the_worker(bench: Bench) -> None:
    define(bench, triggers={"transitions": ["* -> *"], "cooldown_minutes": 5})
    with ThreadPoolExecutor(4) as pool:
        moves = list(pool.map(lambda to: move(bench, to), ("planned", "in_progress", "review", "in_planning")))
    assert 1 == sum(len(started(done)) for done in moves)
    assert ["Lite"] == requests(bench)


def test_a_condition_decides_by_the_diff_and_says_what_it_saw(bench: Bench) -> None:
    define(bench, triggers=TO_PLANNED | {"when": "tag:security or diff_lines>500"})
    bench.commit("b.txt", "line\n" * 500)
    assert "" == move(bench).stderr
    (row,) = bench.data("worker", "triggers", "LAT-1")
    assert ["condition"] == [reason["kind"] for reason in row["reasons"]]
    assert [("tag:security", "none", False), ("diff_lines>500", "500", False)] == [
        (seen["term"], seen["value"], seen["holds"]) for seen in row["seen"]
    ]
    bench.commit("c.txt", "line\n" * 501)
    move(bench, "in_progress")
    assert 1 == len(started(move(bench)))


def test_the_diff_is_that_of_the_linked_branch(bench: Bench) -> None:
    define(bench, triggers=TO_PLANNED | {"when": "branch:feature/* path:src/* diff_files:1"})
    git(bench.repo, "checkout", "--quiet", "-b", "feature/x")
    (bench.repo / "src").mkdir()
    bench.commit("src/x.py", "x = 1\n")
    git(bench.repo, "checkout", "--quiet", "main")
    assert ["condition"] == reasons(bench)
    assert 0 == bench.lattice("branch-link", "LAT-1", "feature/x").returncode
    assert [] == reasons(bench)
    assert 1 == len(started(move(bench)))


def test_a_diff_that_cannot_be_had_is_told_and_starts_nothing(bench: Bench) -> None:
    define(bench, triggers=TO_PLANNED | {"when": "diff_lines>0"})
    assert 0 == bench.lattice("branch-link", "LAT-1", "no-such-branch").returncode
    said = move(bench).stderr
    assert "Lite was not started: no commit is named 'no-such-branch'" in said
    assert ["undecided"] == reasons(bench)


def test_escalation_starts_the_other_worker(bench: Bench) -> None:
    define(bench, 'echo heavy >> "$NOTES/ran"', "Heavy", triggers=None, trusted=False)
    define(bench, escalate=[{"to": "Heavy", "when": "priority:>=high"}], triggers=TO_PLANNED | {"cooldown_minutes": 5})
    assert 0 == bench.lattice("update", "LAT-1", "priority=critical").returncode
    assert "Not trusted, and not started: Heavy." in move(bench).stderr
    assert 0 == bench.lattice("worker", "trust", "Heavy", "--yes").returncode
    move(bench, "in_progress")
    done = move(bench)
    assert "Started Heavy (in the place of Lite) on LAT-1" in done.stderr
    ((_, run_id),) = started(done)
    bench.finished(RunFolder(bench.board.folder, run_id))
    assert "heavy" == bench.note("ran")
    assert ["cooling_down"] == reasons(bench)  # the run of the other counts for the pause
    assert ["Heavy"] == requests(bench)


def test_a_move_that_no_trigger_names_is_a_reason(bench: Bench) -> None:
    define(bench, triggers={"transitions": ["in_progress -> review", "* -> done"]})
    assert ["transition"] == reasons(bench, "--to", "review")
    assert [] == reasons(bench, "--to", "done")
    assert [] == reasons(bench)
    assert "VALIDATION_ERROR" == bench.error("worker", "triggers", "LAT-1", "--to", "reveiw")["code"]
    assert "USAGE" == bench.error("worker", "triggers", "--to", "review")["code"]


def test_a_status_that_the_board_does_not_have_is_told(bench: Bench) -> None:
    define(bench, triggers={"transitions": ["* -> reveiw"]})
    for words in (("triggers",), ("check",), ("check", "Lite")):
        assert "Lite: 'reveiw' is no status of this board." in bench.lattice("worker", *words).stderr


def test_a_broken_definition_is_told_and_hinders_no_other(bench: Bench) -> None:
    define(bench)
    (bench.repo / "workers" / "bad.json").write_text('{"name": "Bad", "triggers": {"transition": []}}')
    (bench.repo / "workers" / "worse.json").write_text("{")
    done = move(bench)
    assert 1 == len(started(done))
    assert 1 == done.stderr.count("Warning")
    assert "bad.json" in done.stderr


def test_a_worker_that_cannot_run_is_a_warning(bench: Bench) -> None:
    define(bench)
    (bench.repo / "workers" / "lite.sh").chmod(0o644)
    assert "Lite was not started" in move(bench).stderr
    assert [] == requests(bench)


def test_a_trust_file_that_others_can_write_starts_nothing(bench: Bench) -> None:
    define(bench)
    (bench.folder / "config" / "lattice" / "trust.json").chmod(0o666)
    assert "Nothing is trusted" in move(bench).stderr
    assert [] == requests(bench)


HOSTILE = "$(touch pwned) `touch pwned`; touch pwned | ../../pwned %s {run_id} -rf \x1b[31m"


def test_text_of_a_task_reaches_no_shell_and_no_path(bench: Bench) -> None:
    """A title, tags and a branch as an attacker writes them; the script sees none of it but through its board."""
    title = HOSTILE.replace("\x1b", "")
    CreateTask(title, tags="$(touch pwned),../../x,`id`").run(bench.board, ANN)
    define(
        bench,
        'printf "%s\\n" "$@" > "$NOTES/argv"; env > "$NOTES/environ"',
        triggers=TO_PLANNED | {"when": "title:touch tag:../../x"},
    )
    done = move(bench, task="LAT-2")
    ((_, run_id),) = started(done)
    run = RunFolder(bench.board.folder, run_id)
    eventually(lambda: run.is_closed() and not run.alive())
    assert "" == (bench.notes / "argv").read_text().strip()
    assert "touch" not in (bench.notes / "environ").read_text()
    assert [] == list(bench.folder.rglob("*pwned*"))
    shown = bench.lattice("worker", "triggers", "LAT-2").stdout
    assert "$(touch pwned), ../../x, `id`" in shown


def test_a_board_without_triggers_does_not_even_ask_git(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.worker(QUICK, "Lite")
    bench.fake_git(monkeypatch, 'echo "$*" >> "' + str(bench.notes / "git") + '"')
    move(bench)
    assert not (bench.notes / "git").exists()


def test_a_key_that_is_spelled_with_escapes_counts(bench: Bench) -> None:
    define(bench)
    path = bench.repo / "workers" / "lite.json"
    path.write_text(path.read_text().replace('"triggers"', '"\\u0074riggers"'))
    assert "Not trusted, and not started: Lite" in move(bench).stderr


def test_a_run_that_has_to_wait_is_told_as_queued(bench: Bench) -> None:
    CreateTask("Second").run(bench.board, ANN)
    define(bench, "exec sleep 300", max_parallel=1)
    assert 1 == len(started(move(bench)))
    assert re.search(r"^Queued Lite on LAT-2: run_\w+$", move(bench, task="LAT-2").stderr, re.MULTILINE)


def test_a_worker_with_a_broken_condition_does_not_pass_the_check(bench: Bench) -> None:
    bench.worker(QUICK, "Lite", triggers=TO_PLANNED | {"when": "tag:a or (diff_lines>5"})
    error = bench.error("worker", "check", "Lite")
    assert "INVALID_DEFINITION" == error["code"]
    assert "triggers.when: '(', at character 10, is not closed" in error["message"]
