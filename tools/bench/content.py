"""What is on the boards: the same tasks for every tool, made from their numbers alone."""

from __future__ import annotations

import random
from typing import NamedTuple

FIRST_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z, so that every run makes the same bytes
MINUTE_MS = 60_000
RARE = "zirconium"
"""The word that is searched for: in one task of 500, now in a title, now in a comment."""

_WORDS = (
    "parser", "index", "ledger", "worker", "review", "session", "cache", "retry", "timeout", "socket", "schema",
    "token", "header", "branch", "commit", "merge", "snapshot", "queue", "lease", "signal", "worktree", "encoder",
    "digest", "cursor", "column", "filter", "render", "table", "plugin", "handler",
)  # fmt: skip
_TAGS = ("api", "cli", "docs", "infra", "storage", "tests", "ui", "wip")
_PATHS = {
    "backlog": (), "planned": ("in_planning", "planned"), "in_progress": ("in_planning", "planned", "in_progress"),
    "review": ("in_planning", "planned", "in_progress", "review"),
    "done": ("in_planning", "planned", "in_progress", "review", "done"),
}  # fmt: skip
_WEIGHTS = (45, 15, 10, 8, 22)


class Content(NamedTuple):
    """One task, as every tool's board has it."""

    number: int
    title: str
    description: str
    tags: tuple[str, ...]
    priority: str  # high, medium or low, which all of them know
    moves: tuple[str, ...]  # the statuses that it went through
    comments: tuple[str, ...]
    waits_for: int | None  # the number of an earlier task

    @property
    def status(self) -> str:
        """Where it is now."""
        return self.moves[-1] if self.moves else "backlog"

    @property
    def created_ms(self) -> int:
        """When it was made; its comments and moves follow, a second each."""
        return created_ms(self.number)


def created_ms(number: int) -> int:
    """When the task of this number was made, in milliseconds since 1970."""
    return FIRST_MS + number * MINUTE_MS


def content(number: int) -> Content:
    """The task of this number, from 1 on. The first five are still to be done: they are what is worked on."""
    dice = random.Random(number)
    comments = [_sentence(dice, 12) for _ in range(dice.choice((1, 2, 2, 3, 4)))]
    title = _sentence(dice, 5)
    if number % 1000 == 7:
        title = f"{title} {RARE}"
    elif number % 1000 == 507:
        comments[0] = f"{comments[0]} {RARE}"
    status = "backlog" if number <= 5 else dice.choices(list(_PATHS), weights=_WEIGHTS)[0]
    return Content(
        number=number,
        title=f"{title} {number}",
        description=" ".join(_sentence(dice, 15) for _ in range(3)),
        tags=tuple(sorted(dice.sample(_TAGS, dice.randrange(3)))),
        priority=dice.choices(("high", "medium", "low"), weights=(1, 6, 3))[0],
        moves=_PATHS[status],
        comments=tuple(comments),
        waits_for=dice.randrange(1, number) if number > 5 and dice.random() < 0.1 else None,
    )


def _sentence(dice: random.Random, words: int) -> str:
    return " ".join(dice.choices(_WORDS, k=words)).capitalize()
