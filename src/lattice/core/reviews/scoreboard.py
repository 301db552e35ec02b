"""The scoreboard of reviewers: what each found, how much of it stood, and what that cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lattice.core.record import Record
from lattice.core.reviews.model import Reviewer
from lattice.core.reviews.standing import FIXED, VERIFIED, WAIVED, StandingFinding
from lattice.core.task import Task

WORKER, MODEL = "worker", "model"
BY = (WORKER, MODEL)
UNKNOWN = "unknown"


class Score(Record):
    """One worker, or one model. A cost is None where that of any of its runs is not known."""

    name: str
    reviews: int
    findings: int
    confirmed: int  # another reviewer found it too, or it was fixed
    refuted: int  # it was waived since it is not so, or another says so and nobody confirms it
    unique: int  # nobody else found it
    runs: int
    cost_usd: float | None

    @property
    def cost_per_confirmed(self) -> float | None:
        """In dollars; None where it is not known, or nothing was confirmed."""
        return None if self.cost_usd is None or not self.confirmed else self.cost_usd / self.confirmed

    def to_shape(self) -> dict[str, object]:
        """Its JSON form."""
        return {**self.fields(), "cost_per_confirmed": self.cost_per_confirmed}


def scoreboard(tasks: Iterable[Task], costs: Mapping[str, float], by: str) -> list[Score]:
    """The scores over these tasks, most confirmed first. `costs` are those of the runs that are known, in dollars."""
    reviews: dict[str, int] = {}
    runs: dict[str, set[str]] = {}
    counts: dict[str, list[tuple[int, int, int, int]]] = {}
    for task in tasks:
        for review in task.reviews:
            for name in {_name(who, by) for who in review.reviewers}:
                reviews[name] = reviews.get(name, 0) + 1
            for who in review.reviewers:
                run_id = who.run_id or (review.run_id if len(review.reviewers) == 1 else None)
                runs.setdefault(_name(who, by), set()).update([run_id] if run_id else [])
        for one in task.findings:
            for name, kinds in _counts(one, by).items():
                counts.setdefault(name, []).append(kinds)
    scores = []
    for name in {*reviews, *counts}:
        found, confirmed, refuted, unique = map(sum, zip((0, 0, 0, 0), *counts.get(name, []), strict=True))
        of_name = runs.get(name, set())
        cost = _cost(of_name, costs)
        scores.append(Score(name, reviews.get(name, 0), found, confirmed, refuted, unique, len(of_name), cost))
    return sorted(scores, key=lambda one: (-one.confirmed, one.refuted, one.name))


def _counts(one: StandingFinding, by: str) -> dict[str, tuple[int, int, int, int]]:
    """Of everybody who found it: that it was found, confirmed, refuted, and found by nobody else."""
    finders = [opinion.reviewer for opinion in one.opinions if opinion.status != "refuted"]
    names = {_name(who, by) for who in finders}
    confirmed = len(finders) > 1 or one.state in (FIXED, VERIFIED)
    doubted = len(finders) < len(one.opinions) and not confirmed
    refuted = (one.state == WAIVED and one.wrong) or doubted
    return dict.fromkeys(names, (1, int(confirmed and not one.wrong), int(refuted), int(len(names) == 1)))


def _name(who: Reviewer, by: str) -> str:
    return who.name if by == WORKER else who.model or UNKNOWN


def _cost(runs: set[str], costs: Mapping[str, float]) -> float | None:
    return sum(costs[run_id] for run_id in sorted(runs)) if runs and runs <= costs.keys() else None
