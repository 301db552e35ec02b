"""A merge or a discard that is killed at any of its git commands leaves nothing that the next one cannot finish."""

from __future__ import annotations

import shutil
import signal

import pytest

from lattice.core.events import GitEvent
from tests.conftest import git
from tests.workers.conftest import Bench
from tests.workers.worktrees.test_branches import branch_of, branches, coded, kept_refs, links

# Before one git command is after the last, and whatever was done between. After the last alone it is tried, too.
KILLS = """
read -r n at kill < "{plan}"
n=$((n + 1)); echo $n $at $kill > "{plan}"
if [ $n = $at ]; then
    [ $kill = before ] || $real "$@" > /dev/null 2>&1 < /dev/stdin
    kill -9 $PPID
    exit 0
fi
"""
WAYS = {"a checkout": ("merge",), "another branch": ("merge", "--into", "develop"), "discard": ("discard",)}


@pytest.mark.parametrize("way", WAYS)
def test_a_command_that_is_killed_at_any_git_is_whole_or_made_whole_by_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    seen = coded(bench)
    tip = git(bench.repo, "rev-parse", branch_of(seen))
    bench.commit("c.txt", "three\n")
    git(bench.repo, "branch", "develop")
    begins = {name: git(bench.repo, "rev-parse", name) for name in ("main", "develop")}
    shutil.copytree(bench.repo, bench.folder / "before", ignore=shutil.ignore_patterns("control"))  # a named pipe
    plan = bench.folder / "plan"
    plan.write_text("0 0 never\n", encoding="ascii")
    bench.fake_git(monkeypatch, KILLS.format(plan=plan))
    act, *more = WAYS[way]
    words = ("worker", act, seen.run_id, *more, "--actor", "human:ann")

    def act_killed(at: int, kill: str) -> int:
        shutil.rmtree(bench.repo)
        shutil.copytree(bench.folder / "before", bench.repo)
        plan.write_text(f"0 {at} {kill}\n", encoding="ascii")
        return bench.lattice(*words).returncode

    assert 0 == act_killed(0, "never")
    calls = int(plan.read_text(encoding="ascii").split()[0])
    for at, kill in [*((at, "before") for at in range(1, calls + 1)), (calls, "after")]:
        told = f"{way}: killed {kill} git {at} of {calls}"
        assert -signal.SIGKILL == act_killed(at, kill), told
        assert "" == git(bench.repo, "status", "--porcelain", "--untracked-files=no"), told
        assert len(bench.events("git_event")) <= 1, told
        into = "develop" if more else "main"
        between = git(bench.repo, "rev-parse", into)
        again = bench.lattice(*words)
        assert 0 == again.returncode, f"{told}: {again.stderr}"
        (said,) = (event.body for event in bench.events("git_event"))
        assert isinstance(said, GitEvent)
        assert act == said.action, told
        if act == "merge":
            at_last = git(bench.repo, "rev-parse", into)
            assert between in (begins[into], at_last), told
            assert [begins[into], tip] == git(bench.repo, "rev-parse", f"{into}^1", f"{into}^2").split(), told
            assert "new\n" == git(bench.repo, "show", f"{into}:b.txt") + "\n", told
        else:
            assert ([], []) == (branches(bench), links(bench)), told
            assert [tip] == [git(bench.repo, "rev-parse", ref) for ref in kept_refs(bench)], told
        assert "" == git(bench.repo, "status", "--porcelain", "--untracked-files=no"), told
