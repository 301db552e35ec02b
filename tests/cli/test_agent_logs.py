"""`worker logs` of an agent's run: its stream as text, its errors marked, and each of them alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from lattice.cli.worker_logs import tail_of
from lattice.workers.run_view import activity_of
from tests.workers.conftest import Bench, eventually
from tests.workers.conftest import bench as bench  # noqa: PLC0414  # a fixture is shared by its name
from tests.workers.test_agents import Agents
from tests.workers.test_agents import agents as agents  # noqa: PLC0414  # as above


def text(bench: Bench, *words: str) -> str:
    shown: str = bench.data("worker", "logs", *words)["text"]
    return shown


def test_a_stream_is_shown_as_text_and_errors_are_marked(agents: Agents) -> None:
    agents.behave("claude", "noise", text="Done \x1b[31mred\x07.", flood_bytes=100)
    run, _ = agents.ended()
    logs = text(agents.bench, run.run_id)
    lines = logs.splitlines()
    assert "I look at the change first." in lines
    assert "→ Bash git diff" in lines
    assert "result: success" in lines
    assert any(line.startswith("! ") for line in lines)
    assert "session_id" not in logs
    shown = agents.bench.lattice("worker", "logs", run.run_id).stdout
    assert "Done \\x1b[31mred\\x07." in shown
    assert "\x1b" not in shown
    assert ["→ Bash git diff"] == text(agents.bench, run.run_id, "--grep", "^→").splitlines()
    assert lines[-2:] == text(agents.bench, run.run_id, "--tail", "2").splitlines()
    assert "result: success" in list(tail_of(run, 50))


def test_raw_is_the_stream_and_errors_are_the_log_beside_it(agents: Agents) -> None:
    agents.behave("claude", flood_bytes=100)
    run, _ = agents.ended()
    raw = subprocess.run(
        agents.bench.command("worker", "logs", run.run_id, "--raw"),
        cwd=agents.bench.repo, env=agents.bench.environ(), capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert run.stream.read_bytes() == raw
    errors = run.output_log.read_text(encoding="utf-8")
    assert errors.strip()
    assert errors == text(agents.bench, run.run_id, "--errors")
    assert "USAGE" == agents.bench.error("worker", "logs", run.run_id, "--errors", "--guard")["code"]
    assert str(run.stream) == agents.bench.data("worker", "logs", run.run_id)["path"]


def test_a_script_has_no_error_stream_of_its_own(bench: Bench) -> None:
    refused = bench.error("worker", "logs", bench.ended("echo one").run_id, "--errors")
    assert "USAGE" == refused["code"]
    assert "is no agent's run" in refused["message"]


def test_since_begins_with_a_whole_line(agents: Agents) -> None:
    run, _ = agents.ended()
    first = run.stream.read_bytes().index(b"\n") + 1
    (run.path / "output.times").write_text(f"1700000000000 {first + 5} 0\n", encoding="ascii")  # 2023-11-14T22:13:20Z
    whole = text(agents.bench, run.run_id).splitlines()
    assert whole[1:] == text(agents.bench, run.run_id, "--since", "2m").splitlines()
    assert whole == text(agents.bench, run.run_id, "--since", "2023-11-14").splitlines()


@pytest.fixture
def follower(agents: Agents) -> Iterator[subprocess.Popen[str]]:
    agents.behave("claude", "hang_after_result")
    run = agents.bench.start(agents.define())
    eventually(lambda: run.stream.exists() and b'"result"' in run.stream.read_bytes())
    started = subprocess.Popen(
        agents.bench.command("worker", "logs", run.run_id, "--follow", "--grep", "^result", "--tail", "1"),
        cwd=agents.bench.repo, env=agents.bench.environ(), stdout=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    yield started
    if started.poll() is None:
        started.kill()
    started.wait()


def test_following_an_agent_shows_its_last_lines_and_ends_with_it(
    agents: Agents, follower: subprocess.Popen[str]
) -> None:
    assert follower.stdout is not None
    assert "result: success\n" == follower.stdout.readline()
    (run,) = agents.bench.data("worker", "ps")
    agents.bench.data("worker", "stop", run["run_id"], "--wait")
    rest, _ = follower.communicate(timeout=60)
    assert (0, "") == (follower.returncode, rest)


def test_waiting_shows_what_the_agent_does(agents: Agents) -> None:
    agents.behave("claude", "hang_without_result")
    run = agents.bench.start(agents.define())
    eventually(lambda: activity_of(run) == "→ Bash git diff")  # It has said something before.
    agents.bench.data("worker", "stop", run.run_id, "--wait")
