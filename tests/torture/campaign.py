"""Which faults to try: everything there is, or an even sample of it; and the breaks that have to be caught."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

from tests.torture import runs, storage
from tests.torture.arena import SETTLED_WITHIN_S, Finding, contained
from tests.torture.inject import Fault, Role
from tests.torture.site import Site

PARTS = ("storage", "runs", "git", "writers", "teeth")
Job = Callable[[], Finding]
Broken = Callable[[Sequence[str]], Finding]  # a trial, given the breaks that it is to run with
_T = TypeVar("_T")
_GOLDEN = 0.618034  # its multiples, modulo one, lie far from each other
_TOOTH_SETTLED_S = 3.0  # what a break leaks stays for good: no use in waiting as long as for a sound run


class Campaign:
    """Trials in one temporary folder. `share` is the part of all faults that is tried, 1 for every one."""

    def __init__(self, folder: Path, *, share: float = 1.0, seed: int = 1, jobs: int = 1) -> None:
        self._folder = folder
        self._share = share
        self._seed = seed
        self._jobs = jobs
        self._numbers = count(1)

    def part(self, name: str) -> Iterator[Finding]:
        """The findings of one of PARTS."""
        trials: dict[str, Callable[[], Iterator[Job]]] = {
            "storage": self._storage,
            "runs": self._runs,
            "git": self._git,
            "writers": self._writers,
        }
        return self._teeth() if name == "teeth" else contained(trials[name](), self._jobs)

    def _storage(self) -> Iterator[Job]:
        for torn in (False, True):
            shelf = self._shelf(torn=torn)
            for trial in self._some(list(storage.trials(storage.calls_of(shelf, self._new()), torn=torn))):
                yield partial(storage.run_trial, trial, shelf, self._new())

    def _runs(self) -> Iterator[Job]:
        site = self._site()
        everything: list[list[runs.Trial]] = []
        for worker in ("Quick", "Busy"):
            calls = self._calls(site, worker)
            everything.append(list(runs.single_faults(worker, calls, ("kill before", "kill after"))))
            everything.append(list(runs.single_faults(worker, calls, ("enospc", "eio"))))
            everything.append(list(runs.double_faults(worker, calls)))
        supervised = self._calls(site, "Busy")["supervisor"]
        for at in (supervised // 4, supervised // 2, supervised * 3 // 4):
            role: Role
            for role in ("guard", "mender"):
                also: tuple[Role, ...] = () if role == "guard" else ("guard",)
                calls = self._calls(site, "Busy", (Fault("supervisor", at, "kill before", also),))
                everything.append(list(runs.mended_faults("Busy", at, calls, role)))
        for trials in everything:
            for trial in self._some(trials):
                yield partial(runs.run_trial, trial, site, self._new())
        for _ in range(max(1, round(20 * self._share))):
            yield partial(runs.race_of_starters, site, self._new())
            yield partial(runs.known_dead, site, self._new())

    def _git(self) -> Iterator[Job]:
        site = self._site()
        for trial in self._some(list(runs.git_faults("Busy", 28))):
            yield partial(runs.run_trial, trial, site, self._new())

    def _writers(self) -> Iterator[Job]:
        shelf = self._shelf(torn=False)
        for number in range(max(1, round(8 * self._share))):
            operations = max(200, round(1500 * self._share))
            yield partial(storage.writers, shelf, self._new(), self._seed + number, operations)

    def _teeth(self) -> Iterator[Finding]:
        """Each break, against trials that ought to catch it, and that find nothing without it."""
        shelf, site = self._shelf(torn=True), self._site()
        lines = storage.calls_of(shelf, self._new())
        of_storage = [*storage.trials(lines, torn=True)]
        killed, torn = of_storage[:lines], [trial for trial in of_storage if trial.kind == "torn write"]
        ended = self._calls(site, "Busy")[runs.ENDED]
        suspects: dict[str, list[Broken]] = {
            "no tail repair": [self._stored(trial, shelf) for trial in killed[-3:]],
            "snapshot without its mark": [self._stored(trial, shelf) for trial in killed],
            "batch in two writes": [self._stored(trial, shelf) for trial in [*killed, *torn]],
            "decided before the lock": [self._race(site) for _ in range(20)],
            "inherited lease": [self._run(site, k, ("guard",)) for k in (ended, ended, ended)],
            "no tree kill": [self._run(site, k, ()) for k in (ended, ended, ended)],
            "worktree left": [self._run(site, k, ()) for k in (ended, ended, ended)],
        }
        for name, trials in suspects.items():
            yield _bitten(name, trials)

    def _stored(self, trial: storage.Trial, shelf: storage.Shelf) -> Broken:
        return lambda broken: storage.run_trial(trial, shelf, self._new(), broken)

    def _race(self, site: Site) -> Broken:
        return lambda broken: runs.race_of_starters(site, self._new(), broken)

    def _run(self, site: Site, k: int, also: tuple[Role, ...]) -> Broken:
        faults = (Fault("supervisor", k, "kill before", also),)

        def trial(broken: Sequence[str]) -> Finding:
            limit_s = _TOOTH_SETTLED_S if broken else SETTLED_WITHIN_S
            tried = runs.Trial("teeth", "Busy", faults, not also, tuple(broken), settled_within_s=limit_s)
            return runs.run_trial(tried, site, self._new())

        return trial

    def _calls(self, site: Site, worker: str, faults: tuple[Fault, ...] = ()) -> dict[str, int]:
        folder = self._new()

        def job() -> Finding:
            return Finding("count", worker, True, (), None, {**runs.counted(site, folder, worker, faults)})

        (found,) = contained([job])
        if found.violations or not found.seen or not found.seen["supervisor"]:
            raise AssertionError(f"a run without a fault cannot be counted: {found}")
        return {name: int(number) for name, number in found.seen.items()}

    def _shelf(self, *, torn: bool) -> storage.Shelf:
        shelf = storage.Shelf(self._new(), torn)
        shelf.make()
        return shelf

    def _site(self) -> Site:
        site = Site(self._new())
        site.make()
        return site

    def _some(self, trials: Sequence[_T]) -> list[_T]:
        """An even sample, which the seed shifts."""
        step = 1 / self._share
        first = int(step * ((self._seed - 1) * _GOLDEN % 1))
        places = (first + int(number * step) for number in range(max(1, round(len(trials) * self._share))))
        return [trials[place] for place in places if place < len(trials)]

    def _new(self) -> Path:
        return self._folder / f"{os.getpid()}-{next(self._numbers)}"


def _bitten(name: str, trials: Sequence[Broken]) -> Finding:
    """Whether one of the trials catches the break, and only the break."""
    for trial in trials:
        (found,) = contained([partial(trial, (name,))])
        if not found.violations or found.group == "harness" or not found.met:
            continue
        (sound,) = contained([partial(trial, ())])
        wrong = ("the trial finds something without the break, too", *sound.violations) if sound.violations else ()
        return Finding("teeth", f"{name}: {found.violations[0]}", True, wrong)
    return Finding("teeth", name, True, (f"the break was not caught by {len(trials)} trials",))
