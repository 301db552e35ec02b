"""Take over a review that another tool wrote."""

from __future__ import annotations

from pathlib import Path

from lattice.core.record import Record
from lattice.core.reviews.formats import reader
from lattice.core.reviews.formats.account import Reading
from lattice.core.reviews.model import Reviewer
from lattice.core.text import check_line
from lattice.errors import NotFound, ValidationError, reason

NAME_CHARS_MAX = 200


class Source(Record):
    """A report as it came. `reviewer` and `model` say who gave it, over what it says itself.

    `roots` are the folders that its tool may have called the repository.
    """

    data: bytes
    format: str = reader.AUTO
    reviewer: str | None = None
    model: str | None = None
    roots: tuple[str, ...] = ()

    def read(self) -> Reading:
        """The review, with what could not be taken over. Raises ValidationError."""
        named = [(self.reviewer, "reviewer"), (self.model, "reviewer's model")]
        name, model = [check_line(text, what, chars_max=NAME_CHARS_MAX) if text else "" for text, what in named]
        return reader.read(self.data, self.format, by=Reviewer(name, model or None), roots=self.roots)


def read_report(path: Path) -> bytes:
    """A report's bytes, from a file or a pipe. Raises NotFound, ValidationError."""
    shown = str(path)[:200]
    try:
        with path.open("rb") as file:
            return file.read(reader.BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"There is no {shown!r} to import.", hint="Check the path: ls -l; - is standard input") from None
    except (OSError, ValueError) as off:
        raise ValidationError(
            f"{shown!r} cannot be read: {reason(off)}.", hint="Give a file, or - for standard input."
        ) from None
