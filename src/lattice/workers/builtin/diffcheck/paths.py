"""What a file is, judged by its name: source, test, generated, or something else."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

PYTHON = frozenset({".py", ".pyi"})
JAVASCRIPT = frozenset({".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte"})
PROSE = frozenset({".md", ".markdown", ".rst", ".txt", ".adoc"})
SOURCE = (
    frozenset({".py", ".rs", ".go", ".java", ".kt", ".scala", ".rb", ".php", ".c", ".cc", ".cpp", ".h", ".hpp"})
    | frozenset({".cs", ".swift", ".m", ".ex", ".exs", ".erl", ".hs", ".lua", ".pl", ".sh", ".zig", ".dart"})
    | JAVASCRIPT
)
_LOCKS = frozenset({"package-lock.json", "yarn.lock", "pnpm-lock.yaml", "go.sum", "Cargo.lock", "poetry.lock"})
_FOREIGN = frozenset({"node_modules", "vendor", "vendored", "_vendor", "third_party", "dist", ".venv", "venv"})
_GENERATED = re.compile(r"(\.min\.(js|css)|\.map|_pb2(_grpc)?\.pyi?|\.pb\.go|\.lock|\.snap|[._](generated|gen)\.\w+)$")
_TEST_FOLDERS = frozenset({"test", "tests", "__tests__", "spec", "specs", "testing", "e2e"})
_TEST_NAME = re.compile(r"(^test_.+|.+_tests?|.+\.(test|spec)|.+_spec|.+Tests?|^conftest)$")
_DOCUMENT_FOLDERS = frozenset({"doc", "docs", "examples"})
_CONFIGURATION = re.compile(r"^(setup\.py|noxfile\.py|conf\.py|.+\.config\.\w+|.+\.d\.ts|_?version\.py|.+rc\.c?js)$")
_COMMENTED_JSON = re.compile(
    r"(^|/)(tsconfig[^/]*\.json|jsconfig[^/]*\.json|\.eslintrc\.json|devcontainer\.json|\.swcrc|\.babelrc|"
    r"api-extractor[^/]*\.json|turbo\.json|wrangler\.json|\.markdownlint\.json|\.(vscode|zed)/[^/]*\.json|"
    r"[^/]*\.sublime-[^/]*)$"
)


def suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def is_foreign(path: str) -> bool:
    """Locked, vendored or generated: nobody writes these lines by hand."""
    pure = PurePosixPath(path)
    return pure.name in _LOCKS or not _FOREIGN.isdisjoint(pure.parts[:-1]) or bool(_GENERATED.search(pure.name))


def is_test(path: str) -> bool:
    """A file of tests, or one that lies beside them."""
    pure = PurePosixPath(path)
    in_folder = not _TEST_FOLDERS.isdisjoint(part.lower() for part in pure.parts[:-1])
    return in_folder or (pure.suffix.lower() in SOURCE and bool(_TEST_NAME.match(pure.stem)))


def is_test_module(path: str) -> bool:
    """A Python file that pytest would collect by its name."""
    name = PurePosixPath(path).name
    return fnmatchcase(name, "test_*.py") or fnmatchcase(name, "*_test.py")


def is_source(path: str) -> bool:
    """Code of the project itself: not tests, documents, configuration or generated files."""
    pure = PurePosixPath(path)
    return (
        pure.suffix.lower() in SOURCE
        and not is_test(path)
        and not is_foreign(path)
        and _DOCUMENT_FOLDERS.isdisjoint(pure.parts[:-1])
        and not _CONFIGURATION.match(pure.name)
    )


def is_commented_json(path: str) -> bool:
    """Files named .json that their programs read with comments and trailing commas."""
    return bool(_COMMENTED_JSON.search(path))
