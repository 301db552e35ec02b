"""What may befall the bytes of a file: each kind of damage as a function of the sound bytes, and all there is of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, assert_never, get_args

from lattice.core.record import Record

OfBytes = Literal["flip", "zero", "drop", "double", "cut", "zero the rest"]
OfLines = Literal["drop line", "double line", "swap lines", "zero line"]
OfFiles = Literal["delete", "empty"]
Kind = OfBytes | OfLines | OfFiles
OF_BYTES: tuple[OfBytes, ...] = get_args(OfBytes)
OF_LINES: tuple[OfLines, ...] = get_args(OfLines)
OF_FILES: tuple[OfFiles, ...] = get_args(OfFiles)

OFFSETS_MAX = 1024
"""Of a file that is longer than 4 of these, so many bytes are tried, evenly spread: it is mostly padding."""


class Damage(Record):
    """One thing that befalls a file, at a byte or a line; `at` says nothing where it befalls the whole file."""

    kind: Kind
    at: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.at}"

    def of(self, good: bytes) -> bytes | None:
        """What is left of the file; None where nothing is, not even its name."""
        at = self.at
        match self.kind:
            case "flip":
                return good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :]
            case "zero":
                return good[:at] + b"\0" + good[at + 1 :]
            case "drop":
                return good[:at] + good[at + 1 :]
            case "double":
                return good[: at + 1] + good[at:]
            case "cut":
                return good[:at]
            case "zero the rest":  # What ext4 may leave of an append that was not synced.
                return good[:at] + bytes(len(good) - at)
            case "drop line" | "double line" | "swap lines" | "zero line":
                return b"".join(_lines(self.kind, good.splitlines(keepends=True), at))
            case "delete":
                return None
            case "empty":
                return b""
        assert_never(self.kind)


def _lines(kind: OfLines, lines: list[bytes], at: int) -> list[bytes]:
    match kind:
        case "drop line":
            return lines[:at] + lines[at + 1 :]
        case "double line":
            return lines[: at + 1] + lines[at:]
        case "swap lines":
            return lines[:at] + lines[at : at + 2][::-1] + lines[at + 2 :]
        case "zero line":
            return [*lines[:at], bytes(len(lines[at])), *lines[at + 1 :]]
    assert_never(kind)


def offsets(good: bytes) -> Sequence[int]:
    """The bytes to try: every one, but of a long file."""
    return range(0, len(good), 1 if len(good) <= 4 * OFFSETS_MAX else -(-len(good) // OFFSETS_MAX))


def of_bytes(good: bytes, turn: int) -> list[Damage]:
    """Each byte once, in turn by one of the kinds; other turns, other kinds."""
    return [Damage(OF_BYTES[(number + turn) % len(OF_BYTES)], at) for number, at in enumerate(offsets(good))]


def of_lines(good: bytes) -> Iterator[Damage]:
    """Each line of a text in every way, and the file as a whole."""
    count = 0 if b"\0" in good else len(good.splitlines())
    yield from (Damage(kind, at) for at in range(count) for kind in OF_LINES)
    yield from (Damage(kind) for kind in OF_FILES)
