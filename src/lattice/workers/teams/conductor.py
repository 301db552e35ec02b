"""`python -m lattice.workers.teams.conductor`: the engine of a team's run. Starts its members, waits, merges.

Each member is a run of its own, with a worktree, a guard and an end of its own, and names this run as its
parent. This process is supervised like any engine: asked to end, it has its members stopped and waits for them.
Its output is the merged review, as JSON and as a report; its result says how many took part.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from lattice.commands.board import Board, read_config
from lattice.core.reviews.merge import merge
from lattice.core.reviews.model import TEXT_CHARS_MAX, Absent, Review, Said, to_json
from lattice.core.reviews.report import to_markdown
from lattice.core.text import how_many
from lattice.errors import Fenced, LatticeError, RunFailed
from lattice.ledger import Signature
from lattice.store.files import disk
from lattice.workers import prompts
from lattice.workers.budgets import shared
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.definition import Definition
from lattice.workers.definitions.teams import SUMMARY_FILE, TeamRules
from lattice.workers.processes.marks import RUN_MARK
from lattice.workers.reviews.anchoring import anchored
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from lattice.workers.teams import roll
from lattice.workers.teams.rounds import Round
from lattice.workers.worktrees.git import Repository


class Stopped(Exception):
    """Somebody asks this run to end."""


def main(environ: Mapping[str, str]) -> int:
    """Conduct the team of the run in the environment. The exit status is 0 when there is a merged review."""
    root = Path(environ["LATTICE_ROOT"])
    board = Board(root, read_config(root))
    folder = RunFolder(board.folder, environ[RUN_MARK])
    conductor: Conductor | None = None
    try:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, _stop)
        conductor = Conductor(board, folder, environ)
        conductor.conduct()
    except Stopped:
        print("asked to end", flush=True)
        return 130
    except (LatticeError, OSError) as why:
        _result(folder, succeeded=False, text=str(why))
        print(f"{why}", flush=True)
        return 1
    finally:
        if conductor is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Its members are being stopped already.
            conductor.stop_members()
    return 0


def _stop(_signum: int, _frame: FrameType | None) -> None:
    raise Stopped


class Conductor:
    """One run of a team, from the inside."""

    def __init__(self, board: Board, folder: RunFolder, environ: Mapping[str, str]) -> None:
        spec = folder.spec()
        if spec is None:
            raise Fenced(f"Run {folder.run_id} has no readable spec.json.")
        self.board = board
        self.folder = folder
        self.spec: RunSpec = spec
        self.top = Path(spec.repo_top or spec.root)
        self.definition = _pinned(spec, self.top)
        self.environ = {name: value for name, value in environ.items() if not name.startswith("LATTICE_")}
        self.by = Signature(spec.actor, None, {"reason": f"run {spec.run_id}"})
        self.rounds: list[Round] = []
        self.seats = 1  # how many runs of members there may be, among whom the team's budget is shared

    def conduct(self) -> None:
        """Both rounds where there are two, the merge, the report. Raises RunFailed without a quorum."""
        team = self.definition.team
        if team is None:
            raise Fenced(f"{self.definition.name} is no team any more.")
        called = roll.call(self.definition, team, self.top, self.environ, self.board.config.engine_order)
        for one in called.absent:
            print(f"{one.name}: not here: {one.reason}", flush=True)
        self.seats = len(called.present) * (1 if team.second_round is None else 2) + (team.summary is not None)
        reviews, absent = self._play(called.present, "")
        absent = (*called.absent, *absent)
        self._require_quorum(team, reviews, absent)
        merged = self._merged(reviews, absent)
        if team.second_round is not None:
            merged = self._second_round(team.second_round, called.present, reviews, merged)
        if team.summary is not None:
            merged = merged.replace(overview=self._overview(team.summary, merged))
        self._write(merged)
        words = f"{len(reviews)} of {len(team.members)} reviewers; {_counted(merged)}"
        _result(self.folder, succeeded=True, text=words)
        print(words, flush=True)

    def stop_members(self) -> None:
        """Ask every member that goes on to end, and wait until nothing is left of them."""
        for one in self.rounds:
            one.stop("the run of its team ended")

    def _play(
        self, members: tuple[tuple[str, Definition], ...], suffix: str
    ) -> tuple[tuple[Review, ...], tuple[Absent, ...]]:
        """Run the members side by side; their reviews, and who gave none."""
        one = Round(self.board, self.folder, self.spec, self.environ, self.by)
        self.rounds.append(one)
        one.start(self._with_shares(members), suffix)
        one.wait(lambda ended, of: self._progress(f"{ended} of {of} members have ended"))
        one.gather()
        return one.reviews, one.absent

    def _second_round(
        self,
        prompt: str,
        members: tuple[tuple[str, Definition], ...],
        reviews: tuple[Review, ...],
        first: Review,
    ) -> Review:
        """Each that gave a review judges what all of them found; what it says of a finding is a report of it."""
        took_part = {reviewer.name for review in reviews for reviewer in review.reviewers}
        disk.replace(self.folder.out / prompts.MERGED_FILE, _encoded(_numbered(first)))
        again = tuple(
            (name, found.replace(prompt_file=prompt))
            for name, found in members
            if name in took_part and found.prompt_file
        )
        print(f"second round: {len(again)} of them judge {how_many(len(first.findings), 'finding')}", flush=True)
        judged, silent = self._play(again, "-second")
        if not judged:
            return first.replace(absent=(*first.absent, *silent))
        return self._merged((*reviews, *(answers(review, first) for review in judged)), (*first.absent, *silent))

    def _overview(self, writer: Definition, merged: Review) -> Said | None:
        """A few words of a model on what was found; None where it cannot be had, and the log says why."""
        disk.replace(self.folder.out / prompts.MERGED_FILE, _encoded(_numbered(merged)))
        one = Round(self.board, self.folder, self.spec, self.environ, self.by)
        self.rounds.append(one)
        one.start(self._with_shares((("summary", writer),)), "")
        one.wait(lambda _ended, _of: self._progress("a summary is being written"))
        for _, run in one.ended:
            text = disk.read(RunFolder(self.board.folder, run.run_id).out / SUMMARY_FILE, follow=False)
            if run.state == "succeeded" and text:
                words = text[: TEXT_CHARS_MAX * 4].decode("utf-8", "replace").strip()[:TEXT_CHARS_MAX]
                return Said(words, run.model or run.engine)
            print(f"no summary: {run.state}: {run.error}", flush=True)
        return None

    def _with_shares(self, members: tuple[tuple[str, Definition], ...]) -> tuple[tuple[str, Definition], ...]:
        """The members with what each may use of the team's budget."""
        found = shared(self.definition, (definition for _, definition in members), self.seats)
        return tuple(zip((name for name, _ in members), found, strict=True))

    def _require_quorum(self, team: TeamRules, reviews: tuple[Review, ...], absent: tuple[Absent, ...]) -> None:
        if len(reviews) < team.quorum:
            missing = "; ".join(f"{one.name}: {one.reason}" for one in absent)
            raise RunFailed(f"{len(reviews)} of its members gave a review, and its quorum is {team.quorum}. {missing}")

    def _merged(self, reviews: tuple[Review, ...], absent: tuple[Absent, ...]) -> Review:
        merged = merge(reviews).replace(
            absent=absent,
            base_sha=self.spec.base_sha,
            commit_sha=self.spec.commit_sha,
            task=self.spec.short_id,
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            kind=self.definition.review_kind or "Team",
        )
        if self.spec.common_dir is None or self.spec.commit_sha is None:
            return merged
        return anchored(merged, Repository(self.top, Path(self.spec.common_dir)), self.spec.commit_sha)

    def _write(self, review: Review) -> None:
        disk.replace(self.folder.out / "review.json", _encoded(to_json(review)))
        disk.replace(self.folder.out / "review.md", to_markdown(review).encode("utf-8", "replace"))

    def _progress(self, words: str) -> None:
        print(words, flush=True)
        disk.replace(self.folder.progress, json.dumps({"activity": words}).encode())


def answers(judged: Review, first: Review) -> Review:
    """A second round's review, each of its findings that names one of the first round told of that one."""
    by_ref = {f"F{number}": merged.finding for number, merged in enumerate(first.findings, 1)}
    findings = []
    for merged in judged.findings:
        said = merged.finding
        meant = by_ref.get(said.ref or "")
        if meant is not None:
            said = meant.replace(
                severity=said.severity, status=said.status, detail=said.detail or meant.detail, ref=None
            )
        reports = tuple(report.replace(finding=said) for report in merged.reports)
        findings.append(merged.replace(finding=said, reports=reports))
    return judged.replace(findings=tuple(findings))


def _pinned(spec: RunSpec, top: Path) -> Definition:
    """The definition that the run was requested with. Raises Fenced where it was changed since."""
    found = catalogue.find(spec.process_type, top)
    if found.digest != spec.definition_digest:
        raise Fenced(f"The definition of {found.name} changed after the run was requested; nobody was started.")
    return found


def _numbered(review: Review) -> dict[str, Any]:
    """The merged review for the second round: each finding with the name by which an answer refers to it."""
    shape = to_json(review)
    for number, finding in enumerate(shape["findings"], 1):
        finding["ref"] = f"F{number}"
        del finding["found_by"]
    return shape


def _counted(review: Review) -> str:
    counts = [(len(review.of(severity)), severity) for severity in ("blocker", "important", "potential", "nit")]
    return ", ".join(f"{count} {severity}" for count, severity in counts if count) or "no findings"


def _result(folder: RunFolder, *, succeeded: bool, text: str) -> None:
    disk.replace(folder.result, _encoded({"state": "succeeded" if succeeded else "failed", "text": text}))


def _encoded(shape: Mapping[str, Any]) -> bytes:
    return (json.dumps(shape, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")


if __name__ == "__main__":
    sys.exit(main(os.environ))
