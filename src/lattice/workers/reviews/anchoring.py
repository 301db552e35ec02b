"""Findings held against the commit under review, read from git's objects: no file of a worktree is opened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from lattice.core.reviews.anchors import candidates, located
from lattice.core.reviews.merge import grouped
from lattice.core.reviews.model import Finding, Place, Report, Review
from lattice.workers.worktrees.git import Repository, git

FILE_BYTES_MAX = 4 << 20
TOTAL_BYTES_MAX = 64 << 20
_CHECK = "--batch-check=%(objectname) %(objecttype) %(objectsize)"
_BLOB = re.compile(r"([0-9a-f]{40,64}) blob (\d+)")
_NO_FETCH = {"GIT_NO_LAZY_FETCH": "1"}  # A partial clone would ask the network for what is missing.


def anchored(review: Review, repository: Repository, commit_sha: str, roots: Iterable[str] = ()) -> Review:
    """The review with each finding's place as the commit has it, and what came of looking for it.

    `roots`: folders in which reviewers may have seen the commit, beside the repository's own. Findings that
    come to point at the same code come together. Raises GitError.
    """
    tops = (*roots, str(repository.top))
    named = {place: candidates(place, tops) for report in review.reports for place in report.finding.places}
    files = _Files(repository, commit_sha, {one.file for meant in named.values() for one in meant})
    known = {place: next((one for one in meant if one.file in files.sizes), None) for place, meant in named.items()}
    files.read({place.file for place in known.values() if place is not None})
    reports = [Report(report.reviewer, _anchored(report.finding, known, files)) for report in review.reports]
    return review.replace(findings=grouped(reports), commit_sha=commit_sha)


def _anchored(finding: Finding, known: Mapping[Place, Place | None], files: _Files) -> Finding:
    finding = finding.replace(also=tuple(place for one in finding.also if (place := known[one]) is not None))
    if finding.file is None:
        return finding
    first = known[finding.places[0]]
    if first is None:
        return located(finding, None, None)
    if first.file not in files.contents:  # Too large: it is there, and nobody has looked inside.
        return finding.replace(file=first.file, line=first.line, end_line=first.end_line, anchor=None, anchored=None)
    return located(finding, first, files.contents[first.file])


class _Files:
    """What a commit holds of the files that are asked for."""

    def __init__(self, repository: Repository, commit_sha: str, paths: Iterable[str]) -> None:
        self._top = repository.top
        ordered = sorted(paths)
        rows = self._ask(_CHECK, [f"{commit_sha}:{path}" for path in ordered]).decode("utf-8", "replace").split("\n")
        found = {path: blob for path, row in zip(ordered, rows, strict=False) if (blob := _BLOB.fullmatch(row))}
        self._oids = {path: blob[1] for path, blob in found.items()}
        self.sizes = {path: int(blob[2]) for path, blob in found.items()}
        self.contents: dict[str, bytes] = {}

    def read(self, paths: Iterable[str]) -> None:
        """Fill `contents`, within the limits."""
        chosen, total = [], 0
        for path in sorted(paths):
            if self.sizes[path] <= FILE_BYTES_MAX and total + self.sizes[path] <= TOTAL_BYTES_MAX:
                chosen.append(path)
                total += self.sizes[path]
        answer = self._ask("--batch", [self._oids[path] for path in chosen])
        at = 0
        for path in chosen:
            at = answer.index(b"\n", at) + 1
            self.contents[path] = answer[at : at + self.sizes[path]]
            at += self.sizes[path] + 1

    def _ask(self, form: str, names: Sequence[str]) -> bytes:
        if not names:
            return b""
        text = git(
            ["cat-file", form], cwd=self._top, input_text="".join(f"{name}\n" for name in names), env_extra=_NO_FETCH
        )
        return text.encode("utf-8", "surrogateescape")
