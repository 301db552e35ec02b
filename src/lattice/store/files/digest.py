"""SHA-256 of names and small files without OpenSSL, which takes as long to load as a fifth of this package's modules.

The interpreter has a lean one of its own; `random` of the standard library takes it for the same reason. It is slower
byte by byte, so that a large file is left to `hashlib` after all.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256
    from io import BufferedReader
else:
    try:
        from _sha2 import sha256  # Python 3.12 and later
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:  # an interpreter that was built without
            from hashlib import sha256

__all__ = ["file_digest", "sha256"]

LARGE_BYTES = 1 << 20


def file_digest(file: BufferedReader) -> bytes:
    """The SHA-256 of what is left to read in the file. Raises OSError."""
    if os.fstat(file.fileno()).st_size < LARGE_BYTES:
        return sha256(file.read()).digest()
    import hashlib  # as the module says

    return hashlib.file_digest(file, "sha256").digest()
