"""DiffCheck as a process, on real repositories, with the real tools."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lattice.core.json_schema import problem_with
from lattice.core.reviews.schema import SCHEMA
from lattice.workers import builtin

Review = Callable[..., dict[str, Any]]
PYTEST = "[tool.pytest.ini_options]\n"


def of(document: dict[str, Any], category: str) -> list[dict[str, Any]]:
    return [one for one in document["findings"] if one["category"] == category]


def status(document: dict[str, Any], name: str) -> str:
    return str(next(one["status"] for one in document["checks"] if one["name"] == name))


def test_a_clean_diff_is_ready(review: Review) -> None:
    document = review({"a.py": "x = 1\n"}, {"a.py": "x = 2\n"})
    assert problem_with(document, SCHEMA) is None
    assert [{"name": "DiffCheck", "kind": "rules"}] == document["reviewers"]
    assert ("ready", [], "LAT-1", "main") == tuple(document[key] for key in ("verdict", "findings", "task", "branch"))
    assert {"not_run"} == {check["status"] for check in document["checks"]}
    assert "**Ready.**" in document["markdown"]
    assert "checking 1 file\n" in document["log"]
    assert "" == document["dirt"]


def test_a_blocker_makes_it_not_ready_with_file_and_line(review: Review) -> None:
    document = review({}, {"pkg/a.py": "x = 1\ndef f(:\n"})
    [finding] = of(document, "syntax")
    assert ("not_ready", "pkg/a.py", 2) == (document["verdict"], finding["file"], finding["line"])
    assert "`pkg/a.py:2`" in document["markdown"]
    assert "**Not ready.**" in document["markdown"]


def test_a_secret_reaches_neither_report_nor_log(review: Review) -> None:
    token = "gh" + "p_" + "a1B2c3D4e5" * 4
    guessed = "q7Zr2" + "Lw9xT4vB8nK1mD5c"
    note = "TO" + "DO"
    document = review({}, {"a.py": f"token = '{token}'  # {note}\npassword = '{guessed}'  # {note}\n"})
    assert ["blocker", "important"] == [one["severity"] for one in of(document, "secret")]
    text = json.dumps(document)
    assert token[4:12] not in text
    assert guessed[4:12] not in text


def test_hostile_names_and_contents_are_reviewed_and_made_harmless(review: Review) -> None:
    name = "we`ird\n## Forged heading\n\x1b[31m<b>.py"
    document = review({}, {name: "breakpoint()\n", "junk.py": b"\x00\xff" * 99, "big.js": b"x" * (2 << 20) + b"\n"})
    assert [name] == [one["file"] for one in of(document, "debug_leftover")]
    assert "\n## Forged" not in document["markdown"]
    assert "\x1b" not in document["markdown"] + document["log"]


def test_links_are_not_followed(review: Review, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("breakpoint()\ndef f(:\n")
    document = review({}, {"link.py": tmp_path / "outside.py", "pyproject.toml": "[tool.ruff]\n"})
    assert [] == document["findings"]


def test_ruff_findings_carry_their_places(review: Review) -> None:
    config = "[tool.ruff]\n"
    before = {"pyproject.toml": config, "a.py": "import os\n\nx = 1\n", "b.py": "import os\n"}
    document = review(before, before | {"a.py": "import os\n\nx = 1\nimport re\n"})
    assert "failed" == status(document, "ruff")
    found = [(one["severity"], one["file"], one["line"]) for one in of(document, "lint") if "F401" in one["title"]]
    assert [("important", "a.py", 4), ("potential", "a.py", 1)] == found
    assert "" == document["dirt"]


def test_mypy_errors_of_changed_files_are_found(review: Review) -> None:
    before = {"mypy.ini": "[mypy]\nfiles = .\n", "a.py": "x: int = 1\n", "old.py": "y: int = 'no'\n"}
    document = review(before, before | {"a.py": "x: int = 1\nz: int = 'no'\n"})
    found = [(one["file"], one["line"], one["title"]) for one in of(document, "types")]
    assert [("a.py", 2, "mypy assignment")] == found
    assert "" == document["dirt"]


def test_a_failing_test_is_a_blocker_at_its_line(review: Review) -> None:
    test = "import a\n\ndef test_good():\n    assert a.x\n\ndef test_bad():\n    y = 2\n    assert a.x == y\n"
    document = review({"pyproject.toml": PYTEST}, {"pyproject.toml": PYTEST, "a.py": "x = 1\n", "test_a.py": test})
    [finding] = of(document, "test_failure")
    assert ("blocker", "test_a.py", 8) == (finding["severity"], finding["file"], finding["line"])
    assert "test_bad" in finding["title"]
    assert "" == document["dirt"]


def test_only_changed_tests_run_unless_the_project_asks_for_all(review: Review) -> None:
    before = {"pyproject.toml": PYTEST, "a.py": "x = 1\n", "test_a.py": "def test_a():\n    assert False\n"}
    document = review(before, before | {"a.py": "x = 2\n"})
    assert ("not_run", []) == (status(document, "pytest"), of(document, "test_failure"))
    assert ["a.py"] == [one["file"] for one in of(document, "tests")]


def test_the_whole_suite_runs_where_the_project_asks(review: Review) -> None:
    config = PYTEST + "[tool.lattice.diffcheck]\nwhole-suite = true\n"
    before = {"pyproject.toml": config, "a.py": "x = 1\n", "test_a.py": "def test_a():\n    assert False\n"}
    document = review(before, before | {"a.py": "x = 2\n"})
    assert [("test_a.py", 2)] == [(one["file"], one["line"]) for one in of(document, "test_failure")]


@pytest.mark.parametrize(("module", "expected"), [("not_installed_anywhere", "not_run"), ("pkg.gone", "failed")])
def test_an_absent_dependency_is_not_a_failure_and_a_lost_module_is(review: Review, module: str, expected: str) -> None:
    files = {"pyproject.toml": PYTEST, "pkg/__init__.py": "", "test_a.py": f"import {module}\n"}
    document = review({}, files)
    assert expected == status(document, "pytest")
    assert (expected == "failed") == bool(of(document, "test_failure"))


def test_a_tool_that_hangs_is_ended(review: Review) -> None:
    test = "import signal\n\ndef test_hangs():\n    signal.pause()\n"
    files = {"pyproject.toml": PYTEST, "test_a.py": test}
    document = review({}, files, DIFFCHECK_TOOL_SECONDS="2")
    assert "timed_out" == status(document, "pytest")
    assert ["potential"] == [one["severity"] for one in of(document, "tool")]
    assert "ready" == document["verdict"]


def test_a_missing_tool_is_a_reason_and_not_a_finding(review: Review, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(str(shutil.which("git")))
    document = review({}, {"ruff.toml": "", "a.py": "import os\n"}, PATH=str(tmp_path / "bin"))
    assert ["ruff is not installed"] == [one["detail"] for one in document["checks"] if one["name"] == "ruff"]
    assert [] == document["findings"]


def test_the_main_checkouts_tool_comes_first(review: Review, tmp_path: Path) -> None:
    tool = tmp_path / "main" / ".venv" / "bin" / "ruff"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho '[]'\n")
    tool.chmod(0o755)
    document = review({}, {"ruff.toml": "", "a.py": "import os\n"}, LATTICE_MAIN_CHECKOUT=str(tmp_path / "main"))
    assert str(tool) == next(one["argv"][0] for one in document["checks"] if one["name"] == "ruff")
    assert "passed" == status(document, "ruff")


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_npm_scripts_run_where_dependencies_are_installed(review: Review) -> None:
    scripts = {"scripts": {"lint": "echo ok", "test": "echo a.js:2 broken; exit 1"}}
    files = {"package.json": json.dumps(scripts), "a.js": "let a\nlet b\n", "node_modules/.keep": ""}
    document = review({}, files)
    assert ("passed", "failed") == (status(document, "npm-lint"), status(document, "npm-test"))
    found = [(one["severity"], one["file"], one["line"]) for one in of(document, "test_failure")]
    assert [("blocker", "a.js", 2)] == found


def test_npm_scripts_wait_for_their_dependencies(review: Review) -> None:
    document = review({}, {"package.json": json.dumps({"scripts": {"test": "exit 1"}})})
    reasons = [one["detail"] for one in document["checks"] if one["name"] == "npm-test"]
    assert ["dependencies are not installed"] == reasons
    assert "ready" == document["verdict"]


def test_settings_choose_tools_and_leave_files_out(review: Review) -> None:
    config = '[tool.ruff]\n[tool.lattice.diffcheck]\ntools = ["mypy", "cobol"]\nexclude = ["gen/*"]\n'
    document = review({"pyproject.toml": "[tool.ruff]\n"}, {"pyproject.toml": config, "gen/a.py": "breakpoint()\n"})
    assert "not_run" == status(document, "ruff")
    titles = [one["title"] for one in document["findings"]]
    assert ["[tool.lattice.diffcheck]: unknown tool 'cobol'", "this diff changes what DiffCheck looks at"] == titles


def test_the_same_diff_gives_the_same_findings(
    commits: Callable[..., tuple[Path, str, str]], run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    files = {f"{name}.py": "breakpoint()  \nimport pdb\n" for name in "cab"}
    folder, base, commit = commits({}, files)
    texts = []
    for _ in range(2):
        assert 0 == run(folder, LATTICE_BASE_SHA=base, LATTICE_COMMIT_SHA=commit).returncode
        texts.append((tmp_path / "output" / "review.json").read_text())
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"LATTICE_BASE_SHA": ""}, "LATTICE_BASE_SHA is not set"),
        ({"LATTICE_BASE_SHA": "--output=x"}, "not a full commit id"),
        ({"LATTICE_BASE_SHA": "f" * 40}, "has no commit ffff"),
        ({"LATTICE_OUTPUT_DIR": "/nonexistent"}, "LATTICE_OUTPUT_DIR is not a folder"),
        ({"DIFFCHECK_TOOL_SECONDS": "soon"}, "not a number of seconds"),
        ({"PATH": "/nonexistent"}, "git could not be started"),
    ],
)
def test_a_review_that_cannot_be_made_says_why(
    commits: Callable[..., tuple[Path, str, str]],
    run: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    change: dict[str, str],
    words: str,
) -> None:
    folder, base, commit = commits({}, {"a": "1"})
    done = run(folder, **({"LATTICE_BASE_SHA": base, "LATTICE_COMMIT_SHA": commit} | change))
    assert done.returncode != 0
    assert words in done.stderr
    assert not (tmp_path / "output" / "review.json").exists()


def test_a_worktree_at_another_commit_is_refused(
    commits: Callable[..., tuple[Path, str, str]], run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    folder, base, _ = commits({}, {"a": "1"})
    done = run(folder, LATTICE_BASE_SHA=base, LATTICE_COMMIT_SHA=base)
    assert done.returncode != 0
    assert "not at the commit under review" in done.stderr


def test_the_definition_names_what_is_written() -> None:
    text = (Path(builtin.__path__[0]) / "diffcheck.json").read_text("utf-8")
    definition = json.loads(text)
    assert ["{python}", "-I", "-m", "lattice.workers.builtin.diffcheck"] == definition["command"]
    assert {"review.md", "review.json"} == {one["path"] for one in definition["outputs"].values()}
