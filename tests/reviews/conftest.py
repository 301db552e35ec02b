"""The bench of the workers' tests, here too."""

from __future__ import annotations

from tests.workers.conftest import bench as bench  # noqa: PLC0414  # a fixture is shared by its name
