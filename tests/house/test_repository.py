"""What the repository holds: nothing of one machine, a reason for each exception, and a README that is true."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

from tests.house.sources import TOP, project, repository_files

# Put together here, so that this file passes its own test.
MACHINE_PATH = re.compile(r"(?<![\w./$}~-])/(?:" + "work|root|opt/wheels|tmp/venv" + r")(?=/)")
REGISTRY = re.compile(
    "|".join(re.escape(".".join(parts)) for parts in [
        ("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs", "org"), ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
    ])
)  # fmt: skip
EXCEPTION = re.compile(r"#\s*(?:noqa|type:\s*ignore)[^#]*")


def lines() -> list[tuple[str, int, str]]:
    """File, number and text of every line of every text file."""
    found = []
    for path in repository_files():
        content = path.read_bytes()
        if b"\0" not in content:
            text = content.decode("utf-8", "replace").split("\n")
            found += [(str(path.relative_to(TOP)), number, line) for number, line in enumerate(text, 1)]
    return found


def unexplained(toml: str) -> list[str]:
    """The rules that a ruff section of `toml` ignores without a reason beside them."""
    section = toml[toml.index("[tool.ruff.lint]") : toml.index("[tool.ruff.lint.mccabe]")]
    ignores = section[section.index("ignore = [") :]
    return [line.strip() for line in ignores.splitlines() if re.match(r'\s+"[A-Z]+\d+"', line) and "  # " not in line]


def bare_exceptions(code: bytes) -> list[int]:
    """Lines whose comment switches a check off and gives no reason after it."""
    comments = [token for token in tokenize.tokenize(io.BytesIO(code).readline) if token.type == tokenize.COMMENT]
    found = [(token.start[0], EXCEPTION.search(token.string), token.string) for token in comments]
    return [number for number, match, text in found if match and "#" not in text[match.end() :]]


def targets(makefile: str) -> set[str]:
    return set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))


def test_no_file_names_a_path_of_one_machine() -> None:
    assert [] == [f"{name}:{number}" for name, number, line in lines() if MACHINE_PATH.search(line)]


def test_no_file_names_a_registry() -> None:
    assert [] == [f"{name}:{number}" for name, number, line in lines() if REGISTRY.search(line)]


def test_a_machine_path_would_be_found() -> None:
    found = [text for text in ("cd /" + "work/main", "'/" + "root/.cache'", "a/" + "work/b", "/proc/1/" + "root/x")
             if MACHINE_PATH.search(text)]  # fmt: skip
    assert 2 == len(found)


def test_each_rule_that_is_ignored_has_its_reason() -> None:
    assert [] == unexplained((TOP / "pyproject.toml").read_text(encoding="utf-8"))


def test_an_ignored_rule_without_a_reason_would_be_found() -> None:
    toml = '[tool.ruff.lint]\nignore = [\n    "E1",  # why\n    "E2",\n]\n[tool.ruff.lint.mccabe]\n'
    assert ['"E2",'] == unexplained(toml)


def test_each_exception_in_the_code_has_its_reason() -> None:
    """`# noqa: X  # reason`: what switches a check off says why, on the line."""
    python = [path for path in repository_files() if path.suffix == ".py"]
    assert [] == [
        f"{path.relative_to(TOP)}:{number}" for path in python for number in bare_exceptions(path.read_bytes())
    ]


def test_an_exception_without_a_reason_would_be_found() -> None:
    code = b"a = 1  # noqa: E1\nb = '# noqa: E1'\nc = 1  # type: ignore[misc]  # untyped upstream\n"
    assert [1] == bare_exceptions(code)


def test_the_lock_names_hashes_for_every_package_and_no_index() -> None:
    lock = (TOP / "requirements" / "dev.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^[a-z][\w.-]*==.*\\\n    --hash=sha256:", lock, flags=re.MULTILINE)
    assert len(re.findall(r"^[a-z]", lock, flags=re.MULTILINE)) == len(pinned) > 0
    assert "://" not in lock


def test_the_lock_holds_all_that_is_asked_for() -> None:
    asked = re.findall(r"^([a-z][\w-]*)", (TOP / "requirements" / "dev.in").read_text("utf-8"), flags=re.MULTILINE)
    locked = re.findall(r"^([a-z][\w-]*)==", (TOP / "requirements" / "dev.txt").read_text("utf-8"), flags=re.MULTILINE)
    assert set() == set(asked) - set(locked)
    assert "hatchling" in asked


def test_the_product_depends_on_nothing() -> None:
    assert [] == project()["project"]["dependencies"]


def test_the_readme_names_only_targets_that_are_there() -> None:
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^    )make ([a-z]+)", readme, flags=re.MULTILINE))
    assert {"demo", "test"} <= named
    assert set() == named - targets((TOP / "Makefile").read_text(encoding="utf-8"))


def test_the_readme_names_only_folders_that_are_there() -> None:
    named = re.findall(r"^\| `([^`]+)` \|", (TOP / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(named) > 5
    assert [] == [name for name in named if not (TOP / name).exists()]


def test_the_tools_that_make_runs_are_there() -> None:
    run = re.findall(r"\$\(PY\) (tools/\w+\.py)", (TOP / "Makefile").read_text(encoding="utf-8"))
    assert len(run) > 2
    assert [] == [name for name in run if not (TOP / name).is_file()]


def test_what_must_pass_before_a_change_lands_can_be_run() -> None:
    assert 0o111 == (TOP / ".ci" / "run").stat().st_mode & 0o111


def test_decisions_are_numbered_and_say_context_choice_and_consequences() -> None:
    pages = sorted((TOP / "docs" / "decisions").iterdir())
    assert [f"{number:04}" for number in range(1, len(pages) + 1)] == [page.name[:4] for page in pages]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", page.name)
        assert text.startswith(f"# {page.name[:4]}: ")
        assert ["Context", "Choice", "Consequences"] == re.findall(r"^## (.+)$", text, flags=re.MULTILINE)


def test_make_refuses_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text(f"#!{sys.executable}\nimport sys\nsys.exit(1)\n", encoding="utf-8")
    old.chmod(0o755)
    ran = subprocess.run(
        ["make", "-f", TOP / "Makefile", "setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 2 == ran.returncode
    assert "Lattice needs Python 3.11 or newer" in ran.stderr
    assert not (tmp_path / "venv").exists()
