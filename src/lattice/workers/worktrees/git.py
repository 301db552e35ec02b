"""git, run so that it can neither hang, nor ask, nor be redirected, and always says why it failed.

Every inherited `GIT_*` is dropped: one `GIT_DIR` in the environment sends a command to another
repository. Hooks, the file-system monitor and automatic gc stay off: they run code of the repository, or
outlive the command. What git prints is decoded with surrogateescape, since a file name is bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lattice.core.record import Record
from lattice.errors import GitError, NotFound

_SAFE_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "gc.auto=0"),
    *("-c", "advice.detachedHead=false"),
)
_INHERITED = (
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "TMPDIR",
    "LATTICE_RUN_ID",  # the mark by which a run's own git commands are found
)
FULL_TREE = ("-c", "core.sparseCheckout=false", "-c", "submodule.recurse=false")
"""Options under which git looks at all of a tree, whatever the user's own settings are."""

_STDERR_CHARS_MAX = 2000
_REF_CHARS_MAX = 200
_AFTER_KILL_S = 2.0
HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def git(
    args: Sequence[str],
    *,
    cwd: Path,
    timeout_s: float = 60,
    input_text: str | None = None,
    env_extra: Mapping[str, str] | None = None,
    fine: Sequence[int] = (0,),
) -> str:
    """Run `git ARGS` in `cwd`; returns what it printed. `fine` are the exit statuses that are no refusal.

    Raises GitError, with git's own words, when it is missing, refuses, is killed or takes longer than
    `timeout_s`; its details then hold `subcommand` and, when git ended by itself, `status`.
    """
    subcommand = _subcommand(args)
    binary = shutil.which("git", path=os.environ.get("PATH", os.defpath))
    if binary is None:
        raise GitError("git is not on PATH", hint="install git, or add its folder to PATH", subcommand=subcommand)
    data = None if input_text is None else input_text.encode("utf-8", "surrogateescape")
    try:
        process = subprocess.Popen(
            [binary, *_SAFE_OPTIONS, *args],
            cwd=cwd,
            env={**_environment(), **(env_extra or {})},
            stdin=subprocess.DEVNULL if input_text is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a group of its own, so that a time-out ends what git started too
        )
    except OSError as error:
        raise GitError(
            f"git {subcommand} could not be started in {cwd}: {error}",
            hint="the folder must exist, and git must be executable",
            subcommand=subcommand,
        ) from error
    stdout, stderr = _communicate(process, data, subcommand, timeout_s)
    if process.returncode not in fine:
        raise _refused(subcommand, process.returncode, stderr)
    return stdout.decode("utf-8", "surrogateescape")


def _subcommand(args: Sequence[str]) -> str:
    """The first word that is neither an option nor the value of a `-c`."""
    words = iter(args)
    for word in words:
        if word == "-c":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return "git"


def _environment() -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    fixed = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    return inherited | fixed


def _communicate(
    process: subprocess.Popen[bytes], data: bytes | None, subcommand: str, timeout_s: float
) -> tuple[bytes, bytes]:
    try:
        return process.communicate(data, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        words = _words(_end_group(process))
        raise GitError(
            f"git {subcommand} did not end within {timeout_s:g} s and was killed" + (f": {words}" if words else ""),
            hint="a slow disk, or a filter or credential helper that waits, is the usual cause",
            subcommand=subcommand,
        ) from error
    except BaseException:
        _end_group(process)
        raise


def _end_group(process: subprocess.Popen[bytes]) -> bytes:
    """Kill git and its group, reap it, and return what it had said on stderr."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.poll()  # It had ended by itself; what held its pipes open has left its group.
    try:
        return process.communicate(timeout=_AFTER_KILL_S)[1]
    except subprocess.TimeoutExpired as error:
        return error.stderr or b""  # A daemon outside the group still has the pipe: do not wait for it.
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _refused(subcommand: str, status: int, stderr: bytes) -> GitError:
    words = _words(stderr) or "it said nothing"
    if status < 0:
        return GitError(
            f"git {subcommand} was killed by signal {-status}: {words}",
            hint="memory limits and a stopping machine are the usual causes; try again",
            subcommand=subcommand,
            signal=-status,
        )
    hint = f"run `git {subcommand}` by hand in the repository to see it"
    return GitError(f"git {subcommand} failed ({status}): {words}", hint=hint, subcommand=subcommand, status=status)


def _words(stderr: bytes) -> str:
    return stderr.decode("utf-8", "replace").strip()[:_STDERR_CHARS_MAX]


class Repository(Record):
    """A checkout and the git directory it shares with its linked worktrees."""

    top: Path
    common_dir: Path

    @classmethod
    def discover(cls, path: Path) -> Repository:
        """The repository whose checkout holds `path`. Raises GitError if there is none, or it is bare.

        Within a linked worktree, `top` is that worktree's and `common_dir` the shared one.
        """
        asked = ("--show-toplevel", "--git-common-dir")
        try:
            found = git(["rev-parse", "--path-format=absolute", *asked], cwd=path).split("\n")
            if len(found) != len(asked) + 1:  # A path may hold a newline.
                found = [_line(git(["rev-parse", "--path-format=absolute", one], cwd=path)) for one in asked]
        except GitError as error:
            if error.details.get("status") is None:
                raise
            raise GitError(
                f"{path} is not in the checkout of a git repository: {error.message}",
                hint="run it inside a repository with a working tree (`git init` makes one)",
                **error.details,
            ) from error
        return cls(Path(found[0]), Path(found[1]))

    @classmethod
    def around(cls, path: Path) -> Repository | None:
        """As `discover`, for what can do without: None where there is none, or git does not say."""
        try:
            return cls.discover(path)
        except GitError:
            return None

    def resolve(self, ref: str) -> str:
        """The full hash of the commit that `ref` names. Raises NotFound."""
        hint, told = "name a branch, a tag or a commit; `git log --oneline` lists commits", ref[:_REF_CHARS_MAX]
        if not ref or ref.startswith("-") or _CONTROL.search(ref):
            raise NotFound(f"{told!r} cannot name a commit", hint=hint, ref=told)
        found = self.commit(f"{ref}^{{commit}}")
        if found is None:
            raise NotFound(f"no commit is named {told!r} in {self.top}", hint=hint, ref=told)
        return found

    def merge_base(self, a: str, b: str) -> str | None:
        """The best common ancestor of two commits, or None where their histories never met."""
        found = self._ask(["merge-base", "--end-of-options", a, b], none_at=(1,))
        return None if found is None else _line(found)

    def is_ancestor(self, above: str, below: str) -> bool:
        """Whether a commit is part of the history of another, or the same. Raises GitError."""
        return self._ask(["merge-base", "--is-ancestor", above, below], none_at=(1,)) is not None

    def parent(self, sha: str) -> str | None:
        """The first parent of a commit, or None for a root."""
        return self.commit(f"{sha}^1")

    def default_head(self) -> str | None:
        """The commit of the branch work is measured against: the remote's HEAD, init.defaultBranch, main, master."""
        remote = self._ask(["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"], none_at=(1, 128))
        configured = self._ask(["config", "--get", "init.defaultBranch"], none_at=(1,))
        remotes = [f"refs/remotes/{_line(remote)}"] if remote is not None else []
        names = [_line(configured)] if configured is not None else []
        branches = dict.fromkeys(f"refs/heads/{name}" for name in (*names, "main", "master"))
        found = (self.commit(f"{ref}^{{commit}}") for ref in (*remotes, *branches))
        return next(filter(None, found), None)

    def empty_tree(self) -> str:
        """The name of the tree without entries, in this repository's hash: a base for a root commit's diff."""
        return _line(self._run(["hash-object", "-t", "tree", "--stdin"], input_text=""))

    def commit(self, expression: str) -> str | None:
        """The full hash that an expression of git-rev-parse(1) names, or None. Raises GitError."""
        # 128 is git's status for an expression it cannot parse, such as `a..b`: that names no commit either.
        args = ["rev-parse", "--verify", "--quiet", "--end-of-options", expression]
        found = self._ask(args, none_at=(1, 128))
        # `^main` is an exclusion, and git answers it with a hash after a caret.
        return _line(found) if found is not None and HASH.fullmatch(_line(found)) else None

    def _ask(self, args: Sequence[str], *, none_at: tuple[int, ...]) -> str | None:
        """git's answer; None where it says no by one of the statuses `none_at`."""
        try:
            return self._run(args)
        except GitError as error:
            if error.details.get("status") in none_at:
                return None
            raise

    def _run(self, args: Sequence[str], *, input_text: str | None = None) -> str:
        return git(args, cwd=self.top, input_text=input_text)


def _line(text: str) -> str:
    return text.removesuffix("\n")
