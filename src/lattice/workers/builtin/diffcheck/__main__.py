"""`python -m lattice.workers.builtin.diffcheck`: parse the environment, review, write the two files."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from lattice.core.markup import visible
from lattice.core.reviews.model import READY
from lattice.core.reviews.report import to_markdown
from lattice.core.reviews.schema import document
from lattice.errors import LatticeError
from lattice.workers.builtin.diffcheck.review import make_review, read_assignment
from lattice.workers.builtin.diffcheck.secrets import mask


def main(environ: Mapping[str, str], worktree: Path) -> int:
    """The exit status: 0 when the review was made, whatever it says."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        assignment = read_assignment(environ)
        review = make_review(assignment, worktree, environ, _say)
        written_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        _write(assignment.output_dir / "review.md", to_markdown(review.replace(date=written_at)))
        _write(assignment.output_dir / "review.json", document(review))
    except LatticeError as error:
        print(f"diffcheck: {visible(error.message)}", file=sys.stderr, flush=True)
        return error.exit_status
    except OSError as error:
        print(f"diffcheck: {visible(str(error))}", file=sys.stderr, flush=True)
        return 1
    _say(f"{'ready' if review.verdict == READY else 'not ready'}: {review.summary}")
    return 0


def _terminate(number: int, _frame: FrameType | None) -> None:
    """An exit, not a death: the tool that is running has its group ended on the way out."""
    raise SystemExit(128 + number)


def _say(words: str) -> None:
    print(mask(words, frozenset()), flush=True)


def _write(path: Path, text: str) -> None:
    """Whole or not at all: who finds the file may read it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main(os.environ, Path.cwd()))
