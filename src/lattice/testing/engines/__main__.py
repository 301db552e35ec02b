"""`python -I -m lattice.testing.engines NAME …`: a fake engine, as a program."""

from __future__ import annotations

import os
import sys

from lattice.testing.engines import SPEECHES, program


def main(words: list[str]) -> int:
    """The fake engine that the first word names, given the others. Returns the exit status."""
    if not words or words[0] not in SPEECHES:
        sys.stderr.write(f"usage: python -I -m lattice.testing.engines {{{'|'.join(SPEECHES)}}} …\n")
        return program.EXIT_USAGE
    return program.run(SPEECHES[words[0]], words[1:], os.environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
