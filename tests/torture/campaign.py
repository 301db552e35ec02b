"""Which faults to try: everything there is, or an even sample of it; and the breaks that have to be caught."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count, product
from pathlib import Path
from typing import TypeVar

from tests.torture import acts, corruption, damage, decisions, hardships, power, runs, soak, storage, strangers, traced
from tests.torture.arena import SETTLED_WITHIN_S, Finding, contained
from tests.torture.inject import Fault, Kind, Role
from tests.torture.mounts import KINDS
from tests.torture.site import Site

PARTS = ("storage", "acts", "strace", "power", "runs", "hardships", "git", "writers", "corruption", "soak", "teeth")
Job = Callable[[], Finding]
Broken = Callable[[Sequence[str]], Finding]  # a trial, given the breaks that it is to run with
_T = TypeVar("_T")
CUTS, CUTS_A_DISK, TOOTH_CUTS = 3_334, 20, 8  # of which `--full` makes 1,000
SOAKED, SOAKED_MIN = 1_667, 12  # of which `--full` makes 500
ACTS = 3.4  # times the share: with the board in memory they are cheap
TRACED = 3.4  # times the share, of some two hundred
HARDSHIPS = 10
LONG = 0.3  # From this share on every byte is damaged, in one way or other (a share of 1: in every way), and:
WRITTEN, WRITTEN_A_BOARD, WRITTEN_SHORT = 100_000, 2_000, 30_000
ROUNDS = 1_000
_TOOTH_SETTLED_S = 3.0  # what a break leaks stays for good: no use in waiting as long as for a sound run


class Campaign:
    """Trials in one temporary folder. `share` is the part of all faults that is tried, 1 for every one.

    `soaked` is the number of runs of the soak; `late_s_max` is by how much a run may miss its deadline, which on a
    machine that is busy with other things says more of them than of the run.
    """

    def __init__(
        self,
        folder: Path,
        *,
        share: float = 1.0,
        seed: int = 1,
        jobs: int = 1,
        soaked: int | None = None,
        late_s_max: float = hardships.LATE_S_MAX,
    ) -> None:
        self._folder = folder
        self._share = share
        self._seed = seed
        self._jobs = jobs
        self._soaked = soaked if soaked is not None else max(SOAKED_MIN, round(SOAKED * share))
        self._late_s_max = late_s_max
        self._numbers = count(1)

    def part(self, name: str) -> Iterator[Finding]:
        """The findings of one of PARTS."""
        trials: dict[str, Callable[[], Iterator[Job]]] = {
            "storage": self._storage,
            "acts": self._acts,
            "strace": self._strace,
            "power": self._power,
            "hardships": self._hardships,
            "soak": self._soak,
            "runs": self._runs,
            "git": self._git,
            "writers": self._writers,
            "corruption": self._corruption,
        }
        # What is about times, and what fills the machine by itself, is not to wait for others.
        jobs = 1 if name in ("hardships", "soak") else self._jobs
        return self._teeth() if name == "teeth" else contained(trials[name](), jobs)

    def _storage(self) -> Iterator[Job]:
        for torn in (False, True):
            shelf = self._shelf(torn=torn)
            for trial in self._some(list(storage.trials(storage.calls_of(shelf, self._new()), torn=torn))):
                yield partial(storage.run_trial, trial, shelf, self._new())

    def _acts(self) -> Iterator[Job]:
        bench = acts.made(self._new())
        for case in acts.cases(min(1.0, ACTS * self._share), self._seed * acts.GOLDEN):
            yield partial(acts.run_case, case, bench, self._new())

    def _strace(self) -> Iterator[Job]:
        bench = acts.made(self._new())
        try:
            everything = list(traced.trials(bench, self._new()))
        except traced.NotTraceable as why:
            missing = Finding("strace", str(why), False)
            yield lambda: missing
            return
        for trial in self._some(everything, min(TRACED, 1 / self._share)):
            yield partial(traced.run_trial, trial, bench, self._new())

    def _power(self) -> Iterator[Job]:
        left = max(CUTS_A_DISK, round(CUTS * self._share))
        for number in range(-(-left // CUTS_A_DISK)):
            yield partial(power.cuts, self._new(), self._seed + number, CUTS_A_DISK)

    def _soak(self) -> Iterator[Job]:
        yield partial(soak.soak, self._new(), self._seed, self._soaked)

    def _hardships(self) -> Iterator[Job]:
        sites = hardships.deadline_site(self._new()), self._site(), self._decisions()
        # Each of them is one of a kind: a small share tries all of them, once.
        for _ in range(max(1, round(HARDSHIPS * self._share))):
            yield from self._each_hardship(*sites)

    def _each_hardship(self, deaf: Site, site: Site, decided: Site) -> list[Job]:
        everything: list[Job] = [
            partial(hardships.deadline, worker, deaf, self._new(), self._late_s_max) for worker in hardships.DEAF
        ]
        everything += [partial(decisions.boast, worker, decided, self._new()) for worker in decisions.BOASTERS]
        everything += [
            partial(decisions.slot, decided, self._new()),
            partial(decisions.gap, self._new()),
            partial(decisions.unread, self._new()),
            partial(hardships.reboot, site, self._new()),
        ]
        everything += [partial(hardships.full_disk, *pair, self._new()) for pair in product(KINDS, hardships.FILLS)]
        everything += [partial(hardships.clock_jump, by_s, site, self._new()) for by_s in hardships.JUMPS_S]
        everything += [partial(hardships.boot_clock, by_s, site, self._new()) for by_s in (100_000, -1_000)]
        everything += [partial(strangers.reused, case, site, self._new()) for case in strangers.CASES]
        return everything

    def _runs(self) -> Iterator[Job]:
        site = self._site()
        everything: list[list[runs.Trial]] = []
        for worker in ("Quick", "Busy"):
            calls = self._calls(site, worker)
            everything.append(list(runs.single_faults(worker, calls, ("kill before", "kill after"))))
            everything.append(list(runs.single_faults(worker, calls, ("enospc", "eio"))))
            everything.append(list(runs.double_faults(worker, calls)))
        for worker in ("Coder", "Prepared"):  # a branch of its own; a setup, and what is cached of it
            every: tuple[Kind, ...] = ("kill before", "kill after", "enospc", "eio")
            everything.append(list(runs.single_faults(worker, self._calls(site, worker), every)))
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
        for _ in range(ROUNDS if self._share >= LONG else max(1, round(20 * self._share))):
            yield partial(runs.race_of_starters, site, self._new())
        for _ in range(max(1, round(20 * self._share))):
            yield partial(runs.known_dead, site, self._new())

    def _git(self) -> Iterator[Job]:
        site = self._site()
        for trial in self._some(list(runs.git_faults("Busy", 28))):
            yield partial(runs.run_trial, trial, site, self._new())

    def _writers(self) -> Iterator[Job]:
        shelf = self._shelf(torn=False)
        left = WRITTEN if self._share >= LONG else max(200, round(WRITTEN_SHORT * self._share))
        for number in range(-(-left // WRITTEN_A_BOARD)):
            operations = min(left, WRITTEN_A_BOARD)
            yield partial(storage.writers, shelf, self._new(), self._seed + number, operations)

    def _corruption(self) -> Iterator[Job]:
        site = Site(self._new())
        (made,) = contained([partial(corruption.make, site)])
        yield lambda: made
        turns = len(damage.OF_BYTES) if self._share == 1 else 1
        for path, good in sorted(corruption.files(site).items()):
            damages = [one for turn in range(turns) for one in damage.of_bytes(good, self._seed + turn)]
            damages += damage.of_lines(good)
            some = damages if self._share >= LONG else self._some(damages)
            for trial in corruption.parts(corruption.Trial(path, tuple(some))):
                yield partial(corruption.run_trial, trial, site, self._new())

    def _teeth(self) -> Iterator[Finding]:
        """Each break, against trials that ought to catch it, and that find nothing without it."""
        shelf, site = self._shelf(torn=True), self._site()
        decided = self._decisions()
        lines = storage.calls_of(shelf, self._new())
        of_storage = [*storage.trials(lines, torn=True)]
        killed, torn = of_storage[: len(lines)], [trial for trial in of_storage if trial.kind == "torn write"]
        ended = self._calls(site, "Busy")[runs.ENDED]
        suspects: dict[str, list[Broken]] = {
            "no tail repair": [self._stored(trial, shelf) for trial in killed[-3:]],
            "snapshot without its mark": [self._stored(trial, shelf) for trial in killed],
            "batch in two writes": [self._stored(trial, shelf) for trial in [*killed, *torn]],
            "decided before the lock": [self._race(site) for _ in range(20)],
            "inherited lease": [self._run(site, k, ("guard",)) for k in (ended, ended, ended)],
            "no tree kill": [self._run(site, k, ()) for k in (ended, ended, ended)],
            "worktree left": [self._run(site, k, ()) for k in (ended, ended, ended)],
            "listing without the folders": [lambda broken: decisions.gap(self._new(), broken)],
            "mark without the sum": [lambda broken: decisions.unread(self._new(), broken)],
            "agent believed": [self._boast(worker, decided) for worker in decisions.BOASTERS],
            "slot leaked": [lambda broken: decisions.slot(decided, self._new(), broken)],
            "acknowledged unsynced": [self._cuts(seed) for seed in (1, 4)],
            "any number is the process": [
                lambda broken: strangers.reused("signal_tree", site, self._new(), tuple(broken))
            ],
        }
        for name, trials in suspects.items():
            yield _bitten(name, trials)

    def _stored(self, trial: storage.Trial, shelf: storage.Shelf) -> Broken:
        return lambda broken: storage.run_trial(trial, shelf, self._new(), broken)

    def _race(self, site: Site) -> Broken:
        return lambda broken: runs.race_of_starters(site, self._new(), broken)

    def _boast(self, worker: str, site: Site) -> Broken:
        return lambda broken: decisions.boast(worker, site, self._new(), broken)

    def _cuts(self, seed: int) -> Broken:
        return lambda broken: power.cuts(self._new(), seed, TOOTH_CUTS, broken)

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

    def _decisions(self) -> Site:
        return decisions.decision_site(self._new(), sys.executable)

    def _some(self, trials: Sequence[_T], part: float = 1.0) -> list[_T]:
        """An even sample, which the seed shifts; `part` is the part of the share that is tried."""
        share = self._share * part
        step = 1 / share
        first = int(step * ((self._seed - 1) * acts.GOLDEN % 1))
        places = (first + int(number * step) for number in range(max(1, round(len(trials) * share))))
        return [trials[place] for place in places if place < len(trials)]

    def _new(self) -> Path:
        return self._folder / f"{os.getpid()}-{next(self._numbers)}"


def _bitten(name: str, trials: Sequence[Broken]) -> Finding:
    """Whether one of the trials catches the break, and only the break."""
    tried = 0
    for trial in trials:
        (found,) = contained([partial(trial, (name,))])
        tried += found.met or bool(found.violations)
        if not found.violations or found.group == "harness" or not found.met:
            continue
        (sound,) = contained([partial(trial, ())])
        wrong = ("the trial finds something without the break, too", *sound.violations) if sound.violations else ()
        return Finding("teeth", f"{name}: {found.violations[0]}", True, wrong)
    if not tried:
        return Finding("teeth", f"{name}: it cannot be tried here", False)
    return Finding("teeth", name, True, (f"the break was not caught by {tried} trials",))
