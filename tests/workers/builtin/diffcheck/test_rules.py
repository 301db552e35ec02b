"""Each rule finds what it is for, and stays quiet about what only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.core.reviews.model import Finding
from lattice.workers.builtin.diffcheck import paths
from lattice.workers.builtin.diffcheck.changes import AddedLine, Change
from lattice.workers.builtin.diffcheck.files import check_size, check_tests
from lattice.workers.builtin.diffcheck.findings import Severity, capped, finding, in_order
from lattice.workers.builtin.diffcheck.lines import check_lines
from lattice.workers.builtin.diffcheck.secrets import as_finding, find_secrets, mask
from lattice.workers.builtin.diffcheck.settings import configured_tools, read_settings
from lattice.workers.builtin.diffcheck.syntax import check_syntax

OURS, MIDDLE, THEIRS = "<" * 7 + " HEAD", "=" * 7, ">" * 7 + " topic"
RANDOM = "q7Zr2" + "Lw9xT4vB8nK1mD5c"


def added(path: str, *texts: str) -> Change:
    """A new file of these lines."""
    content = "".join(f"{text}\n" for text in texts).encode()
    lines = tuple(AddedLine(number, text) for number, text in enumerate(texts, 1))
    return Change(
        path=path, status="A", mode="100644", oid="1" * 40, old_oid="0" * 40, size=len(content), content=content,
        added=lines,
    )  # fmt: skip


def seen(change: Change, category: str) -> list[tuple[str, int | None]]:
    return [(one.severity, one.line) for one in check_lines(change) if one.category == category]


@pytest.mark.parametrize(
    ("path", "texts", "lines"),
    [
        ("a.py", ["x", OURS, "1", MIDDLE, "2", THEIRS], [2]),
        ("a.py", ["1", THEIRS], [2]),
        ("a.py", [OURS], [1]),
        ("a.md", [OURS, "1", MIDDLE, "2", THEIRS], [1]),
        ("node_modules/a.js", [OURS, MIDDLE, THEIRS], [1]),
        ("a.rst", ["Heading", MIDDLE, "text"], []),
        ("a.md", [THEIRS], []),
        ("a.py", [MIDDLE, f"  {OURS}", "<" * 8, f"x = '{THEIRS}'"], []),
    ],
)
def test_conflict_markers(path: str, texts: list[str], lines: list[int]) -> None:
    assert [("blocker", line) for line in lines] == seen(added(path, *texts), "conflict_marker")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "breakpoint()"),
        ("a.py", "import pdb"),
        ("a.py", "from ipdb import set_trace"),
        ("a.py", "x = 1; pdb.set_trace()"),
        ("a.ts", "  debugger;"),
        ("a.js", "console.log(user)"),
        ("a.rb", "  binding.pry"),
        ("a.rs", "let a = dbg!(b);"),
        ("a.php", "var_dump($a);"),
    ],
)
def test_debug_leftovers_are_found(path: str, text: str) -> None:
    assert [1] == [line for _, line in seen(added(path, text), "debug_leftover")]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "print('x')"),
        ("a.py", "words = 'breakpoint() and import pdb'  # pdb.set_trace()"),
        ("a.py", "self.breakpoint()"),
        ("a.py", "import pdbx"),
        ("a.js", "// console.log(user)"),
        ("a.js", "say('debugger;')"),
        ("a.js", "my.console.log(1)"),
        ("a.rb", "# binding.pry"),
        ("a.rs", 'let a = "dbg!(b)";'),
        ("a.md", "console.log(user)"),
        ("dist/a.js", "console.log(user)"),
    ],
)
def test_what_only_names_a_debugger_is_not_one(path: str, text: str) -> None:
    assert [] == seen(added(path, text), "debug_leftover")


def test_old_debug_lines_are_not_this_diffs() -> None:
    change = added("a.py", "breakpoint()", "x = 1").replace(added=(AddedLine(2, "x = 1"),))
    assert [] == seen(change, "debug_leftover")


@pytest.mark.parametrize(
    ("path", "text", "count"),
    [
        ("a.test.js", "it.only('x', f)", 1),
        ("a.test.js", "fit('x', f)", 1),
        ("a.js", "model.fit(x); fit(curve)", 0),
        ("a.test.js", "items.only('x')", 0),
        ("a.test.js", "say('it.only(')", 0),
    ],
)
def test_focused_tests(path: str, text: str, count: int) -> None:
    assert [("important", 1)] * count == seen(added(path, text), "focused_test")


def test_notes_and_blanks_are_nits_and_words_are_not() -> None:
    note = "# " + "TO" + "DO: later"
    assert [("nit", 1)] == seen(added("a.py", note, "# todos, XXXX, mktemp"), "todo")
    assert [("nit", 2)] == seen(added("a.py", "x = 1", "y = 2 ", "z = 3\t"), "whitespace")
    assert [] == seen(added("a.md", "a line break  "), "whitespace")
    assert [] == seen(added("a.py", "x = 1\r"), "whitespace")


def secrets_in(path: str, *texts: str) -> list[Finding]:
    change = added(path, *texts)
    return [as_finding(change, secret) for secret in find_secrets(change)]


@pytest.mark.parametrize(
    ("path", "texts", "severity"),
    [
        ("a.py", ["key = '" + "AK" + "IA" + "Q3RT7YPL2MNB5VCX'"], "blocker"),
        ("a.md", ["gh" + "p_" + "a1B2c3D4e5" * 4], "blocker"),
        ("a.py", ["xo" + "xb-" + "1029384756-abcdefkq"], "blocker"),
        ("a.js", ["AI" + "za" + "Sy" + "B7q" * 11], "blocker"),
        ("a.js", ["sk_" + "live_" + "9aQ2" * 5], "blocker"),
        ("id", ["-----BEGIN OPENSSH " + "PRIVATE KEY-----", "b3Blb" * 12], "blocker"),
        ("a.py", ["if line == '-----BEGIN RSA " + "PRIVATE KEY-----':"], "important"),
        ("a.py", [f"db_password = '{RANDOM}'"], "important"),
        ("a.json", [f'  "apiKey": "{RANDOM}",'], "important"),
        ("a.ts", [f"const authToken: string = '{RANDOM}'"], "important"),
        (".env", [f"SECRET_KEY={RANDOM}"], "important"),
    ],
)
def test_secrets_are_found_and_never_repeated(path: str, texts: list[str], severity: str) -> None:
    [finding] = secrets_in(path, *texts)
    assert (severity, 1) == (finding.severity, finding.line)
    assert RANDOM[:5] not in repr(finding)
    assert texts[0].strip("'")[-8:] not in finding.detail


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "password = os.environ['DATABASE_PASSWORD_2024']"),
        ("a.py", "token = 'changeme-changeme-12'"),
        ("a.py", "api_key = 'your-api-key-goes-here-42'"),
        ("a.py", "secret = 'xxxxxxxxxxxxxxxxxxxx12'"),
        ("a.yml", "password: ${DATABASE_PASSWORD_1_2}"),
        ("a.yml", "token: {{ vault.token_2_of_3 }}"),
        ("a.py", "token_url = 'https://login.test/oauth2/v12'"),
        ("a.py", "password_field = 'the_password_input_name'"),
        ("a.py", "AKIA" + "IOSFODNN7" + "EXAMPLE"),
        ("a.py", "secret = '1111111111111111aa'"),
        ("package-lock.json", f'"token": "{RANDOM}"'),
        ("a.py", f"checksum = '{RANDOM}'"),
    ],
)
def test_placeholders_are_not_secrets(path: str, text: str) -> None:
    assert [] == secrets_in(path, text)


def test_masking_leaves_four_characters() -> None:
    token = "gh" + "p_" + "a1B2c3D4e5" * 4
    assert f"{RANDOM[:4]}… and ghp_…" == mask(f"{RANDOM} and {token}", frozenset({RANDOM}))


def test_a_file_is_huge_when_this_diff_made_it_so() -> None:
    grown = added("a.py", *["x = 1"] * 1_001)
    older = grown.replace(added=grown.added[:1], status="M")
    assert ["potential"] == [one.severity for one in check_size(grown, 0)]
    assert [] == list(check_size(older.replace(content=b"x\n" * 1_500), 0))
    assert [] == list(check_size(added("a.py", *["x = 1"] * 1_000), 0))
    assert [] == list(check_size(grown.replace(path="yarn.lock"), 0))


def test_big_binaries_are_found_and_smaller_ones_left() -> None:
    binary = added("a.bin").replace(content=b"\0", size=(5 << 20) + 1)
    assert ["important"] == [one.severity for one in check_size(binary, 0)]
    assert [] == list(check_size(binary, 6 << 20))
    assert [] == list(check_size(binary.replace(size=5 << 20), 0))


def test_source_without_a_test_is_found_once_at_the_biggest_file() -> None:
    changes = [added("src/a.py", "x = 1"), added("src/b.py", "x = 1", "y = 2")]
    [finding] = check_tests(changes, ["src/a.py", "src/b.py", "tests/test_a.py"])
    assert ("important", "src/b.py", 1) == (finding.severity, finding.file, finding.line)
    assert "src/a.py" in finding.detail


@pytest.mark.parametrize(
    ("changed", "all_paths"),
    [
        (["src/a.py", "tests/test_a.py"], ["tests/test_a.py"]),
        (["src/a.py"], ["src/a.py"]),
        (["docs/conf.py", "README.md", "api_pb2.py", "vite.config.ts"], ["tests/test_a.py"]),
        (["src/a.go", "src/a_test.go"], ["src/a_test.go"]),
    ],
)
def test_diffs_that_need_no_test_finding(changed: list[str], all_paths: list[str]) -> None:
    assert [] == list(check_tests([added(path, "x") for path in changed], all_paths))


@pytest.mark.parametrize(
    ("path", "texts", "line"),
    [
        ("a.py", ["x = 1", "def f(:"], 2),
        ("a.py", ["return 1"], 1),
        ("a.json", ["{", '"a": 1,', "}"], 3),
        ("a.toml", ["a = 1", "b = ["], 2),
        ("a.json", ["[" * 100_000], None),
    ],
)
def test_broken_files_are_found(path: str, texts: list[str], line: int | None) -> None:
    [finding] = check_syntax(added(path, *texts), lambda: None)
    assert ("blocker", "syntax") == (finding.severity, finding.category)
    assert line == finding.line


@pytest.mark.parametrize(
    ("path", "text"),
    [("a.py", "raise SystemExit('compiled, not run')"), ("a.json", "[" + "9" * 5_000 + "]"), ("a.toml", "a = 1"),
     ("tsconfig.json", "{ // comment\n}"), (".vscode/settings.json", "{,}"), ("a.txt", "def f(:")],
)  # fmt: skip
def test_sound_files_are_left(path: str, text: str) -> None:
    assert [] == list(check_syntax(added(path, text), lambda: None))


def test_a_file_that_never_parsed_is_a_fixture() -> None:
    assert [] == list(check_syntax(added("bad.py", "def g(:"), lambda: b"def f(:"))


def test_a_category_is_capped_and_says_so() -> None:
    many = [finding("nit", "todo", "t", "d", "f", line) for line in range(60)]
    kept = [one.finding for one in capped(many)]
    assert 51 == len(kept)
    assert ["10 more findings of this category were left out"] == [one.title for one in kept if one.file is None]
    assert many[:50] == [one.finding for one in capped(many[:50])]


@given(st.lists(st.sampled_from(["blocker", "important", "potential", "nit"])).flatmap(st.permutations))
def test_order_does_not_depend_on_arrival(severities: list[Severity]) -> None:
    findings = [finding(one, "c", "t", str(n % 3)) for n, one in enumerate(sorted(severities))]
    assert in_order(findings) == in_order(reversed(findings))


def test_unknown_settings_are_findings_and_the_rest_is_used() -> None:
    table = b'[tool.lattice.diffcheck]\ntools = ["ruf", "mypy"]\nexclude = ["gen/*"]\nexlude = []\nwhole-suite = 1\n'
    settings, problems = read_settings({"pyproject.toml": table})
    assert ("mypy",) == settings.tools
    assert settings.excludes("gen/deep/a.py")
    assert not settings.excludes("src/a.py")
    assert 3 == len(problems)
    assert any("'ruff' was perhaps meant" in one.title for one in problems)


@pytest.mark.parametrize("content", [b"", b"[tool]\nlattice = 3\n", b"[tool.lattice]\ndiffcheck = 3", b"\xff", b"[["])
def test_no_configuration_breaks_the_review(content: bytes) -> None:
    assert read_settings({})[0] == read_settings({"pyproject.toml": content})[0]


def test_tools_are_those_the_configuration_names() -> None:
    files = {
        "pyproject.toml": b"[tool.ruff]\n",
        "setup.cfg": b"[mypy]\n[tool:pytest]\n",
        "package.json": b'{"scripts": {"lint": "eslint .", "test": "echo no test specified"}}',
    }
    assert {"ruff", "mypy", "pytest", "npm-lint"} == configured_tools(files)
    assert frozenset() == configured_tools({"tox.ini": b"[testenv]\n", "package.json": b"[1]"})


def test_paths_are_told_apart() -> None:
    names = ("src/app.test.ts", "tests/data/x.json", "src/attest.py")
    assert [True, True, False] == [paths.is_test(name) for name in names]
    names = ("vendor/x.go", "a/b.min.js", "src/vendor.py")
    assert [True, True, False] == [paths.is_foreign(name) for name in names]
