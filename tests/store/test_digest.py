"""The lean SHA-256 is the one that everybody knows, for a small file, a large one, and where it is missing."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from lattice.store.files import digest


@pytest.mark.parametrize("size", [0, 1, digest.LARGE_BYTES - 1, digest.LARGE_BYTES, 3 * digest.LARGE_BYTES + 7])
def test_the_digest_of_a_file_is_its_sha_256(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (size // 256) + bytes(size % 256))
    with path.open("rb") as file:
        assert hashlib.sha256(path.read_bytes()).digest() == digest.file_digest(file)


@pytest.mark.parametrize(("missing", "loaded"), [("", False), ("_sha2 _sha256", True)])
def test_openssl_is_loaded_only_where_the_interpreter_has_no_lean_one(missing: str, loaded: bool) -> None:
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r}.split()))\n"
        "from lattice.store.files.digest import sha256\n"
        "print('hashlib' in sys.modules, sha256(b'abc').hexdigest())"
    )
    said = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True).stdout
    assert [str(loaded), hashlib.sha256(b"abc").hexdigest()] == said.split()
