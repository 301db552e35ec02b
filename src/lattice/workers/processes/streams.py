"""What a process reads and writes by default."""

from __future__ import annotations

from lattice.core.record import Record


class Streams(Record):
    """The descriptors that an engine gets as its standard input, output and error."""

    stdin: int
    stdout: int
    stderr: int
