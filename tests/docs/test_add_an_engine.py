"""The test that the page on engines shows is one that passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.docs.console import TOP, blocks


def test_the_test_on_the_page_passes(tmp_path: Path) -> None:
    (code,) = blocks((TOP / "docs" / "how-to" / "add-an-engine.md").read_text("utf-8"), "python")
    shown: dict[str, Any] = {}
    exec(code, shown)  # noqa: S102  # the page's own code is what is tested
    shown["test_my_script_survives_a_rate_limit"](tmp_path)
