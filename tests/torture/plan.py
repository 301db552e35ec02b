"""The plan of the soak: which runs a wave starts, and what befalls them. The same for the same seed, without end."""

from __future__ import annotations

import random
from collections.abc import Iterator

from lattice.core.record import Record
from tests.torture.crew import TASKS, WORKERS

WAVE = 10
GITS_SPOILED = 2  # at most, of a wave

AT_A_RUN = (
    *("kill starter", "kill guard", "kill supervisor", "kill guard and supervisor", "kill all three"),
    *("kill agent", "kill agent", "stop run", "stop run", "small files only"),
    *("SIGSTOP supervisor", "SIGSTOP guard", "SIGSTOP, then SIGCONT"),
)  # fmt: skip
GIT_KINDS = ("refuses", "dies", "dies-after", "hangs")


class Blow(Record):
    """A fault that befalls one run: so long after its start, and what."""

    after_s: float
    kind: str


class Order(Record):
    """A run to start: its worker and task, and what befalls it."""

    worker: str
    task: str
    blows: tuple[Blow, ...]


class Wave(Record):
    """What one wave does. `full_at_s`: when the disk fills, for FULL_S; None where it does not."""

    orders: tuple[Order, ...]
    gits: tuple[str, ...]
    full_at_s: float | None


def waves(seed: int) -> Iterator[Wave]:
    """The plan: the same for the same seed, without end."""
    chance = random.Random(seed)
    pairs = [(worker, task) for worker in WORKERS for task in TASKS]
    while True:
        orders = tuple(Order(*pair, _blows(chance)) for pair in chance.sample(pairs, WAVE))
        gits = tuple(chance.choices(GIT_KINDS, k=chance.randint(0, GITS_SPOILED)))
        yield Wave(orders, gits, chance.uniform(0.1, 1.0) if chance.random() < 0.3 else None)


def _blows(chance: random.Random) -> tuple[Blow, ...]:
    number = chance.choices((0, 1, 2), (3, 6, 1))[0]
    return tuple(Blow(chance.uniform(0.0, 1.2), chance.choice(AT_A_RUN)) for _ in range(number))
