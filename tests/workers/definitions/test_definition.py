"""Definitions: what a file may say, where it is found, and whether it could run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from lattice.errors import DefinitionError, NotFound
from lattice.testing.engines import install
from lattice.workers.definitions.catalogue import check, find, load_all, program
from lattice.workers.definitions.definition import Definition, Output, Retries, Setup, expand
from lattice.workers.definitions.triggering import Escalation, Sweep, Triggers
from lattice.workers.environment import EnvironmentRules
from lattice.workers.sandboxes.sandbox import SandboxRules

GOOD: dict[str, Any] = {"name": "Lint", "actor": "agent:lint", "engine": "script", "script": "tools/lint.sh"}
COMMAND: dict[str, Any] = {"name": "Cmd", "actor": "agent:cmd", "engine": "command", "command": ["sh", "-c", "true"]}
ENVIRON = {"PATH": os.environ["PATH"]}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "repo/workers").mkdir(parents=True)
    (tmp_path / "repo/tools").mkdir()
    script = tmp_path / "repo/tools/lint.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    return tmp_path / "repo"


def put(top: Path, shape: object, name: str = "lint.json") -> Path:
    path = top / "workers" / name
    path.write_bytes(shape if isinstance(shape, bytes) else json.dumps(shape).encode())
    return path


def problem(top: Path) -> DefinitionError:
    problems = load_all(top).problems
    assert 1 == len(problems)
    return problems[0].error


def test_every_field_is_read(top: Path) -> None:
    full = GOOD | {
        "description": "d",
        "prompt_file": "p.md",
        "model": "m",
        "worktree": False,
        "base": "main",
        "timeout_minutes": 0.5,
        "idle_timeout_minutes": 3,
        "grace_seconds": 0,
        "interrupt_seconds": 0,
        "after_result_seconds": 20,
        "log_limit_mb": 0.5,
        "max_parallel": 2,
        "retries": {"times": 3, "backoff_seconds": 5, "backoff_factor": 1.5, "on": ["exit", "setup"]},
        "env": {"strip": ["FOO_*"], "keep": ["FOO_B"], "set": {"A": "1"}},
        "outputs": {"review": {"role": "review", "path": "out/review.json", "required": True, "schema": "s.json"}},
        "artifact_role": "review",
        "report_prefix": "CR",
        "report_dir": "notes",
        "sandbox": {"mode": "read-only", "worktree": "writable", "network": False, "home": [".x"], "paths": ["/usr/"]},
        "sandbox_fallback": "none",
        "triggers": {"transitions": ["* -> review", "a->b"], "when": "tag:a or diff_lines>5", "cooldown_minutes": 5},
        "escalate": [{"to": "Heavy", "when": "priority:>=high"}],
        "sweep": {"when": "status:review missing:review", "every_hours": 12, "limit": 3},
    }
    put(top, full)
    found = find("lint", top)
    expected = Definition(
        name="Lint",
        engine="script",
        actor="agent:lint",
        digest=found.digest,
        source=top / "workers/lint.json",
        description="d",
        script="tools/lint.sh",
        prompt_file="p.md",
        model="m",
        worktree=False,
        base="main",
        timeout_minutes=0.5,
        idle_timeout_minutes=3,
        grace_seconds=0,
        interrupt_seconds=0,
        after_result_seconds=20,
        log_limit_mb=0.5,
        max_parallel=2,
        retries=Retries(times=3, backoff_seconds=5, backoff_factor=1.5, on=("exit", "setup")),
        env=EnvironmentRules(("FOO_*",), ("FOO_B",), (("A", "1"),)),
        outputs=(Output("review", "review", "out/review.json", True, "s.json"),),
        artifact_role="review",
        report_prefix="CR",
        report_dir="notes",
        sandbox=SandboxRules("read-only", "writable", False, (".x",), (), ("/usr",), fallback="none"),
        triggers=Triggers((("*", "review"), ("a", "b")), "tag:a or diff_lines>5", 5),
        escalate=(Escalation("Heavy", "priority:>=high"),),
        sweep=Sweep("status:review missing:review", 12, 3),
    )
    assert expected == found
    assert top / "tools/lint.sh" == found.script_path(top)


def test_an_output_that_names_no_role_has_that_of_the_worker(top: Path) -> None:
    outputs = {"review": {"path": "r.json"}, "log": {"path": "l.txt", "role": "log"}}
    put(top, {**GOOD, "outputs": outputs, "artifact_role": "review"})
    assert ["review", "log"] == [output.role for output in find("lint", top).outputs]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": None}, "name: is missing"),
        ({"name": "../x"}, "name: '../x' must be"),
        ({"name": "a" * 65}, "name: "),
        ({"actor": "nobody"}, "actor: "),
        ({"actor": None}, "actor: is missing"),
        ({"engine": "cloude"}, "engine 'cloude' is not known; did you mean 'claude'?"),
        ({"engine": "claude"}, "script: a key the engine does not use: 'claude' is not 'script'"),
        ({"engine": "claude", "script": None}, "prompt_file: is missing: engine 'claude' needs it"),
        ({"budget_usd": 1}, "budget_usd: a key the engine does not use: 'script' is no agent"),
        ({"engine": "team"}, "members: is missing: a team needs them"),
        ({"engine": "team", "members": {"a": {"engine": "team"}}}, "members.a.engine: a team cannot be a member"),
        ({"engine": "team", "members": {"a/b": {"worker": "X"}}}, "members.a/b: must be a name of at most 41"),
        (
            {"engine": "team", "members": {"a": {"worker": "X"}}, "quorum": 2},
            "quorum: must be a whole number from 1 to 1",
        ),
        ({"quorum": 1}, "quorum: a key of engine 'team', not of 'script'"),
        ({"engine": "scripd"}, "did you mean 'script'?"),
        ({"script": None}, "script: is missing"),
        ({"script": "/bin/sh"}, "script: '/bin/sh' must be a relative path"),
        ({"script": "a/../../b"}, "without '..'"),
        ({"script": "a\nb"}, "script: must be a text of one line"),
        ({"command": ["true"]}, "command: a key the engine does not use"),
        ({"timeout_minute": 3}, "did you mean 'timeout_minutes'?"),
        ({"timeout_minutes": True}, "timeout_minutes: must be a number"),
        ({"timeout_minutes": 0}, "timeout_minutes: must be more than 0"),
        ({"timeout_minutes": 10081}, "at most 10080"),
        ({"timeout_minutes": "5"}, "must be a number"),
        ({"idle_timeout_minutes": -1}, "idle_timeout_minutes: must be more than 0"),
        ({"grace_seconds": 601}, "grace_seconds: must be from 0 to 600"),
        ({"interrupt_seconds": 10.5}, "interrupt_seconds: must be from 0 to grace_seconds, 10"),
        ({"interrupt_seconds": -1}, "interrupt_seconds: must be from 0"),
        ({"after_result_seconds": 0}, "after_result_seconds: must be more than 0 and at most 3600"),
        ({"log_limit_mb": 0}, "log_limit_mb: must be more than 0 and at most 10240"),
        ({"log_limit_mb": "1"}, "log_limit_mb: must be a number"),
        ({"max_parallel": 0}, "max_parallel: must be a whole number from 1 to 1000"),
        ({"max_parallel": 1.5}, "max_parallel: must be a whole number from 1 to 1000"),
        ({"retries": {}}, "retries.times: is missing"),
        ({"retries": {"times": 1, "wait": 1}}, "retries.wait: unknown key"),
        ({"retries": {"times": 1, "backoff_factor": 0.5}}, "retries.backoff_factor: must be from 1 to 100"),
        ({"retries": {"times": 1, "backoff_seconds": -1}}, "retries.backoff_seconds: must be from 0 to 86400"),
        ({"retries": {"times": 1, "on": []}}, "retries.on: must name a cause"),
        ({"retries": {"times": 1, "on": ["verdict"]}}, "retries.on: 'verdict' is never tried again"),
        ({"retries": {"times": 1, "on": ["exits"]}}, "retries.on: 'exits' is no cause; did you mean 'exit'?"),
        ({"outputs": {"r": {"path": "result.json"}}}, "outputs.r.path: 'result.json' is where an engine reports"),
        ({"outputs": {"r": {"path": "r", "schema": "../s"}}}, "outputs.r.schema: "),
        ({"worktree": 1}, "worktree: must be true or false"),
        ({"branch": "lattice/{short_id}"}, "names one branch for every run"),
        ({"branch": "lattice/{shortid}/{run}"}, "did you mean {short_id}?"),
        ({"branch": "lattice/{run}..x"}, "branch: git allows no branch"),
        ({"branch": "-{run}"}, "branch: git allows no branch"),
        ({"branch": "x/{run}", "worktree": False}, "branch: needs a worktree of its own"),
        ({"keep": "build"}, "keep: must be a list of texts"),
        ({"keep": ["../x"]}, "keep: '../x' must be a relative path"),
        ({"copy": ["/etc/passwd"]}, "copy: '/etc/passwd' must be a relative path"),
        ({"copy": [".git/config"]}, "copy: '.git/config' leads into .git or .lattice"),
        ({"copy": [".env"], "worktree": False}, "copy: needs a worktree of its own"),
        ({"setup": {"run": []}}, "setup.run: must be a list of commands"),
        ({"setup": {"run": ["npm ci"]}}, "setup.run: must be a list of lists of texts"),
        ({"setup": {"run": [[""]]}}, "setup.run: must be a list of commands"),
        ({"setup": {"run": [["{worktree}/x"]]}}, "setup.run: placeholder {worktree} is not known here"),
        ({"setup": {"runs": []}}, "setup.runs: unknown key; did you mean 'run'?"),
        ({"setup": {"run": [["true"]], "cache": ["x"]}}, "setup.key: is missing"),
        ({"setup": {"run": [["true"]], "key": ["x"]}}, "setup.cache: is missing"),
        ({"setup": {"run": [["true"]], "timeout_minutes": 0}}, "setup.timeout_minutes: must be more than 0"),
        ({"setup": {"run": [["no-such-program"]]}, "worktree": False}, "setup: needs a worktree of its own"),
        ({"base": "--upload-pack=x"}, "base: "),
        ({"env": {"stripp": []}}, "env.stripp: unknown key; did you mean 'strip'?"),
        ({"env": {"strip": "FOO"}}, "env.strip: must be a list"),
        ({"env": {"set": {"A=B": "1"}}}, "'A=B' is not a variable's name"),
        ({"env": {"set": {"A": 1}}}, "the value of A must be a text"),
        ({"outputs": {"r": {"path": "../r"}}}, "outputs.r.path: "),
        ({"outputs": {f"r{n}": {"path": "r"} for n in range(101)}}, "outputs: at most 100 are possible"),
        ({"outputs": {"r": {}}}, "outputs.r.path: is missing"),
        ({"outputs": {"r": {"path": "r", "requird": True}}}, "did you mean 'required'?"),
        ({"report_dir": "/tmp"}, "report_dir: "),
        ({"triggers": {}}, "triggers.transitions: is missing"),
        ({"triggers": {"transitions": ["review"]}}, "triggers.transitions: 'review' is no transition"),
        ({"triggers": {"transition": ["* -> a"]}}, "did you mean 'transitions'?"),
        ({"triggers": {"transitions": ["* -> a"], "when": "tag:a or x>5"}}, "triggers.when: 'x>5', at character 10"),
        ({"triggers": {"transitions": ["* -> a"], "when": ""}}, "triggers.when: must be a text of one line"),
        ({"triggers": {"transitions": ["* -> a"], "cooldown_minutes": -1}}, "cooldown_minutes: must be from 0"),
        ({"escalate": {"to": "Heavy"}}, "escalate: must be a list of objects"),
        ({"escalate": [{"to": "Heavy"}]}, "escalate[0].when: is missing"),
        ({"escalate": [{"to": "lint", "when": "tag:a"}]}, "escalate[0].to: 'lint' is this worker itself"),
        ({"escalate": [{"to": "H", "when": "(tag:a"}]}, "escalate[0].when: '(', at character 1, is not closed"),
        ({"sweep": {"every_hours": 1}}, "sweep.when: is missing"),
        ({"sweep": {"when": "tag:a", "every_hours": 0}}, "sweep.every_hours: must be more than 0"),
        ({"sweep": {"when": "tag:a", "limit": 1.5}}, "sweep.limit: must be a whole number from 1"),
        ({"sandbox": "strict"}, "sandbox: 'strict' is not known"),
    ],
)
def test_a_field_that_is_off_is_named_with_its_file(top: Path, change: dict[str, Any], words: str) -> None:
    path = put(top, GOOD | change)
    error = problem(top)
    assert words in error.message
    assert str(path) in error.message


def test_review_b_nit_a_command_on_an_engine_that_does_not_use_it_is_refused(top: Path) -> None:
    put(top, COMMAND | {"script": "tools/lint.sh"})
    assert "script: a key the engine does not use" in problem(top).message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"name": "A", "engine": "auto", "name": "B"}', "the key 'name' stands twice"),
        (b'{"timeout_minutes": NaN}', "NaN"),
        (b'["name"]', "not a JSON object"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"name": "\xff"}', "not UTF-8"),
        (b'{"name": "A", "description": "\\ud800"}', "surrogate"),
        (b'{"timeout_minutes": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"description": "' + b"x" * (1 << 20) + b'"}', "longer than"),
        (b"", "not JSON"),
    ],
    ids=["twice", "nan", "list", "deep", "utf8", "surrogate", "digits", "long", "empty"],
)
def test_hard_json_is_a_named_error(top: Path, data: bytes, words: str) -> None:
    path = put(top, data)
    error = problem(top)
    assert words in error.message
    assert str(path) in error.message


def test_a_file_that_is_no_file_is_named_and_holds_nobody(top: Path) -> None:
    os.mkfifo(top / "workers/fifo.json")
    assert "not a regular file" in problem(top).message


def test_a_definition_through_a_link_out_of_the_repository_is_refused(top: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text(json.dumps(GOOD))
    (top / "workers/lint.json").symlink_to(tmp_path / "outside.json")
    assert "leads out of the repository" in problem(top).message


def test_a_broken_file_hides_no_good_one(top: Path) -> None:
    put(top, b"{", "broken.json")
    put(top, GOOD)
    catalogue = load_all(top)
    assert "Lint" in [definition.name for definition in catalogue.definitions]
    assert [top / "workers/broken.json"] == [problem.path for problem in catalogue.problems]
    assert "Lint" == find("LINT", top).name
    with pytest.raises(DefinitionError, match=r"broken\.json"):
        find("Broken", top)


def test_a_broken_file_answers_to_the_name_in_it(top: Path) -> None:
    put(top, GOOD | {"timeout_minutes": 0}, "other.json")
    with pytest.raises(DefinitionError, match="timeout_minutes"):
        find("lint", top)


def test_one_name_in_two_files_belongs_to_neither(top: Path) -> None:
    put(top, GOOD, "a.json")
    put(top, GOOD | {"name": "LINT"}, "b.json")
    assert ["a.json", "b.json"] == [problem.path.name for problem in load_all(top).problems]
    with pytest.raises(DefinitionError, match="defined more than once"):
        find("lint", top)


def test_the_built_in_ones_are_sound_and_can_run_where_their_engines_are(top: Path, tmp_path: Path) -> None:
    environ = ENVIRON | {"PATH": f"{install(tmp_path / 'fakes')}:{ENVIRON['PATH']}"}
    catalogue = load_all(None)
    assert () == catalogue.problems
    assert "DiffCheck" in [definition.name for definition in catalogue.definitions]
    for definition in catalogue.definitions:
        check(definition, top, environ)


def test_a_repository_overrides_a_built_in_one_and_a_broken_override_is_not_passed_over(top: Path) -> None:
    put(top, COMMAND | {"name": "diffcheck"}, "mine.json")
    assert ("diffcheck", False) == (find("DiffCheck", top).name, find("DiffCheck", top).builtin)
    put(top, COMMAND | {"name": "diffcheck", "grace_seconds": -1}, "mine.json")
    assert "DiffCheck" not in [definition.name for definition in load_all(top).definitions]
    with pytest.raises(DefinitionError, match="grace_seconds"):
        find("DiffCheck", top)


def test_an_unknown_name_gets_the_nearest_and_the_list(top: Path) -> None:
    put(top, GOOD)
    with pytest.raises(NotFound, match="No worker is named 'Lnt'") as caught:
        find("Lnt", top)
    assert str(caught.value.hint).startswith("Did you mean Lint? Workers: ")
    assert str(caught.value.hint).endswith(f" Others are read from {top}/workers/<name>.json.")


def test_the_digest_changes_with_file_script_and_prompt(top: Path) -> None:
    path = put(top, GOOD | {"prompt_file": "p.md"})
    seen = [find("lint", top).digest]
    assert seen == [find("lint", top).digest]
    for changed in (path, top / "tools/lint.sh", top / "p.md"):
        changed.write_text((changed.read_text() if changed.exists() else "") + "\n")
        seen.append(find("lint", top).digest)
    assert 4 == len(set(seen))


# --- placeholders ---------------------------------------------------------------------------------


def test_a_value_is_never_expanded_again() -> None:
    values = {"run_id": "{repo}{{", "repo": "/r"}
    assert ["{repo}{{", "/r{run_id}", "{x}"] == expand(["{run_id}", "{repo}{{run_id}}", "{{x}}"], values)


@pytest.mark.parametrize("word", ["{run_id.__class__}", "{0}", "{}", "{run_id!r}", "{run_id:>9}", "{ run_id}"])
def test_no_format_language_is_understood(word: str) -> None:
    with pytest.raises(DefinitionError, match="is not known"):
        expand([word], {"run_id": "r"})


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sh", "{runid}"], "did you mean {run_id}?"),
        (["sh", "{run_id"], "a single '{'"),
        (["sh", "a}b"], "a single '}'"),
        (["{worktree}/x"], "placeholder {worktree} is not known here"),
        ([], "must name a program first"),
        ([""], "must name a program first"),
        ("sh -c true", "must be a list of texts"),
        (["sh", 1], "must be a list of texts"),
    ],
)
def test_a_command_is_checked_when_it_is_read(top: Path, command: object, words: str) -> None:
    put(top, COMMAND | {"command": command})
    assert words in problem(top).message


# --- the check before a run -----------------------------------------------------------------------


def checked(top: Path, shape: dict[str, Any]) -> DefinitionError:
    put(top, shape)
    with pytest.raises(DefinitionError) as caught:
        check(find(shape["name"], top), top, ENVIRON)
    assert shape["name"] in caught.value.message
    assert "lint.json" in caught.value.message
    return caught.value


def test_review_b_blocker_1_a_missing_script_or_prompt_is_found_before_a_run(top: Path) -> None:
    assert "script: tools/no.sh does not exist" in checked(top, GOOD | {"script": "tools/no.sh"}).message
    assert "prompt_file: p.md does not exist" in checked(top, GOOD | {"prompt_file": "p.md"}).message


def test_a_script_that_is_a_folder_or_not_executable_is_refused(top: Path) -> None:
    assert "not a regular file" in checked(top, GOOD | {"script": "tools"}).message
    (top / "tools/lint.sh").chmod(0o644)
    assert "chmod +x tools/lint.sh" == checked(top, GOOD).hint


def test_a_script_through_a_link_out_of_the_repository_is_refused(top: Path) -> None:
    (top / "tools/out").symlink_to("/bin/sh")
    assert "leads out of the repository" in checked(top, GOOD | {"script": "tools/out"}).message
    (top / "tools/in").symlink_to("lint.sh")
    put(top, GOOD | {"script": "tools/in"})
    check(find("lint", top), top, ENVIRON)


def test_a_program_is_looked_for_on_the_path_the_worker_will_have(top: Path) -> None:
    put(top, COMMAND)
    assert program(find("cmd", top), top, ENVIRON).endswith("/sh")
    assert "'sh' is not on PATH" in checked(top, COMMAND | {"env": {"set": {"PATH": "/nowhere"}}}).message


def test_a_program_is_python_or_a_file_of_the_repository(top: Path, tmp_path: Path) -> None:
    put(top, COMMAND | {"command": ["{python}", "-V"]})
    assert sys.executable == program(find("cmd", top), top, {})
    for word in ("tools/lint.sh", "./tools/lint.sh", "{repo}/tools/lint.sh"):
        put(top, COMMAND | {"command": [word]})
        assert str(top / "tools/lint.sh") == program(find("cmd", top), top, ENVIRON)
    outside = COMMAND | {"command": [str(tmp_path / "evil")]}
    assert "not inside the repository" in checked(top, outside).message
    assert "not inside the repository" in checked(top, COMMAND | {"command": ["../evil"]}).message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "review.schema.json does not exist"),
        ("{", "not JSON"),
        ('{"requird": []}', "did you mean 'required'?"),
        ('{"type": "text"}', "$.type must be one or more of"),
    ],
)
def test_a_schema_that_cannot_be_applied_is_named_before_any_run(top: Path, content: str | None, words: str) -> None:
    put(top, GOOD | {"outputs": {"review": {"path": "r.json", "schema": "review.schema.json"}}})
    if content is not None:
        (top / "review.schema.json").write_text(content, encoding="utf-8")
    with pytest.raises(DefinitionError) as refused:
        check(find("lint", top), top, {"PATH": "/usr/bin:/bin"})
    assert words in refused.value.message
    assert "outputs.review.schema" in refused.value.message


def test_the_digest_covers_the_schema_of_an_output(top: Path) -> None:
    put(top, GOOD | {"outputs": {"review": {"path": "r.json", "schema": "s.json"}}})
    digests = set()
    for content in ("true", "false"):
        (top / "s.json").write_text(content, encoding="utf-8")
        digests.add(find("lint", top).digest)
    assert 2 == len(digests)


def test_the_keys_of_workers_that_change_code_are_read(top: Path) -> None:
    setup = {"run": [["sh", "-c", "x"]], "timeout_minutes": 2, "cache": ["node_modules/"], "key": ["package-lock.json"]}
    more = {"branch": "lattice/{short_id}/{run}", "keep": ["build"], "copy": [".env", "conf/*.key"], "setup": setup}
    put(top, GOOD | more)
    found = find("lint", top)
    assert ("lattice/{short_id}/{run}", ("build",), (".env", "conf/*.key")) == (found.branch, found.keep, found.copy)
    assert Setup((("sh", "-c", "x"),), 2, ("node_modules",), ("package-lock.json",)) == found.setup


def test_a_worker_that_does_not_exist_cannot_be_escalated_to(top: Path) -> None:
    put(top, GOOD | {"escalate": [{"to": "Hevy", "when": "tag:a"}]})
    put(top, COMMAND | {"name": "Heavy"}, "heavy.json")
    with pytest.raises(DefinitionError, match=r"escalate\[0\].to: No worker is named 'Hevy'") as off:
        check(find("Lint", top), top, ENVIRON)
    assert off.value.hint is not None
    assert "Did you mean Heavy?" in off.value.hint
