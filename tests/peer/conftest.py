"""The earlier tool's command, for the tests that compare with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.earlier import install


@pytest.fixture(scope="session")
def command(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache is not None
    return install(pytestconfig.cache.mkdir("earlier-tool"))
