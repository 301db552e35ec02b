"""git, asked so that neither the repository nor the caller's environment can make it run anything else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from lattice.errors import GitError

GIT_LIMIT_S = 60
_SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")


def without_git_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment minus `GIT_*`: an inherited GIT_DIR would point git at another repository."""
    return {name: value for name, value in environ.items() if not name.startswith("GIT_")}


class Git:
    """git in one folder, with a time limit for each call."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *, limit_s: float = GIT_LIMIT_S) -> None:
        self.folder = folder
        self._limit_s = limit_s
        # A partial clone would otherwise fetch missing blobs from the network while we read.
        self._environ = without_git_variables(environ) | {
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }

    def output(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """What git prints. Raises GitError when git is missing, refuses, or outlives the limit."""
        argv = ["git", *_SAFE, "--literal-pathspecs", *arguments]
        try:
            done = subprocess.run(
                argv,
                cwd=self.folder,
                env=self._environ,
                input=stdin,
                capture_output=True,
                timeout=self._limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise GitError(f"git {arguments[0]} took longer than {self._limit_s:g} s") from error
        except OSError as error:
            raise GitError(f"git could not be started: {error}") from error
        if done.returncode != 0:
            words = done.stderr.decode("utf-8", "replace").strip()
            raise GitError(f"git {arguments[0]} failed ({done.returncode}): {words}")
        return done.stdout

    def tree_exists(self, name: str) -> bool:
        """Whether `name` is a commit or tree this repository holds."""
        answer = self.output("cat-file", "--batch-check", stdin=f"{name}^{{tree}}\n".encode())
        return answer.split()[1:2] == [b"tree"]

    def sizes(self, oids: Iterable[str]) -> dict[str, int]:
        """Bytes of each blob; objects the repository does not hold are left out."""
        wanted = "".join(f"{oid}\n" for oid in dict.fromkeys(oids)).encode()
        rows = (line.split() for line in self.output("cat-file", "--batch-check", stdin=wanted).split(b"\n"))
        return {row[0].decode(): int(row[2]) for row in rows if len(row) == 3}

    def blobs(self, oids: Iterable[str]) -> dict[str, bytes]:
        """Contents of blobs, read from the object store: no symbolic link or filter is involved."""
        wanted = "".join(f"{oid}\n" for oid in dict.fromkeys(oids)).encode()
        answer = self.output("cat-file", "--batch", stdin=wanted) if wanted else b""
        found: dict[str, bytes] = {}
        at = 0
        while at < len(answer):
            end = answer.index(b"\n", at)
            header = answer[at:end].split()
            at = end + 1
            if len(header) == 3:  # Two words are "<oid> missing", with no content after them.
                size = int(header[2])
                found[header[0].decode()] = answer[at : at + size]
                at += size + 1
        return found
