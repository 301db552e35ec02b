"""Telling agents about the board, in the files that they read: a marked block in a project's, a skill in a home's.

What we write carries the digest of itself in its opening mark. So a second time changes nothing, a newer
version replaces an older one, and what somebody changed by hand is kept until they say `--force`.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from lattice.core.record import Record
from lattice.errors import StorageError, ValidationError
from lattice.store.files import disk

_GUIDE = Path(__file__).parent / "guide"
_BLOCK = re.compile(r"<!-- lattice:begin sha256:([0-9a-f]{64}) -->\n(.*?)\n<!-- lattice:end -->", re.DOTALL)
_MARK = re.compile(r"<!-- lattice:(?:begin|end)")
# The earlier tool's block has no marks: it goes from its heading to the next one of its rank.
_EARLIER = re.compile(r"^## Lattice\n.*?(?=^#{1,2} |\Z)", re.DOTALL | re.MULTILINE)
_SKILL_MARK = re.compile(r"\n<!-- lattice:skill sha256:([0-9a-f]{64}) -->\n\Z")

PROJECT_FILES: Mapping[str, tuple[str, ...]] = {
    "claude": ("CLAUDE.md",),
    "agents": ("AGENTS.md", "agents.md"),  # the second where it is there: the earlier tool's spelling
    "gemini": ("GEMINI.md",),
}
"""The file that an agent reads in a project; what it is made as stands first."""

SKILL_FOLDERS: Mapping[str, str] = {"claude": ".claude/skills/lattice", "codex": ".agents/skills/lattice"}
"""Where an agent looks for skills, under the home folder."""


class SetUp(Record):
    """What came of it. `action` is created, updated, unchanged, or kept: somebody else's words, left alone."""

    path: str
    action: str


def block_text() -> str:
    """What a project's file is given, without marks."""
    return (_GUIDE / "block.md").read_text(encoding="utf-8").strip()


def skill_text() -> str:
    """What a skill says, without its mark."""
    return f"{(_GUIDE / 'skill.md').read_text(encoding='utf-8').rstrip()}\n\n{block_text()}\n"


def set_up_project(folder: Path, agent: str, *, force: bool) -> SetUp:
    """Put the block into the file that `agent` reads in this project. Raises ValidationError, StorageError."""
    if not folder.is_dir():
        raise ValidationError(f"{str(folder)!r} is not a folder.", hint="Make it first, or leave --path out.")
    names = PROJECT_FILES[agent]
    there = set(os.listdir(folder))
    path = folder / next((name for name in names if name in there), names[0])
    actual = Path(os.path.realpath(path))
    if not actual.is_relative_to(os.path.realpath(folder)):
        raise ValidationError(
            f"{path.name} is a link to {str(actual)!r}, outside of the project; it was not written.",
            hint="Replace the link by a file, or set up the folder that it leads to with --path.",
        )
    before = _read(actual)
    text, action = with_block(before, force=force)
    return SetUp(str(path), _write(actual, before, text, action))


def set_up_skill(home: Path, agent: str, *, force: bool) -> SetUp:
    """Install the skill for `agent`. Raises ValidationError, StorageError."""
    path = home / SKILL_FOLDERS[agent] / "SKILL.md"
    before = _read(path)
    if before is not None and not force:
        mark = _SKILL_MARK.search(before)
        if mark is None or mark[1] != _digest(before[: mark.start()]):
            return SetUp(str(path), "kept")
    body = skill_text().rstrip("\n")
    text = f"{body}\n<!-- lattice:skill sha256:{_digest(body)} -->\n"
    return SetUp(str(path), _write(path, before, text, "created" if before is None else "updated"))


def with_block(before: str | None, *, force: bool) -> tuple[str, str]:
    """A file's text with the block in it, and what was done. Raises ValidationError where marks do not match."""
    body = block_text()
    block = f"<!-- lattice:begin sha256:{_digest(body)} -->\n{body}\n<!-- lattice:end -->"
    if before is None:
        return f"{block}\n", "created"
    found = _BLOCK.search(before)
    if found is not None:
        if found[1] != _digest(found[2]) and not force:
            return before, "kept"
        return before[: found.start()] + block + before[found.end() :], "updated"
    if _MARK.search(before):
        raise ValidationError(
            "The marks of the Lattice block do not match; nothing was written.",
            hint="Take out the lines with <!-- lattice:begin … --> and <!-- lattice:end -->, then try again.",
        )
    earlier = _EARLIER.search(before)
    if earlier is not None:
        if not force:
            return before, "kept"
        after = before[earlier.end() :]
        return before[: earlier.start()] + block + "\n" + (f"\n{after}" if after else ""), "updated"
    gap = "" if not before.strip() else "\n" if before.endswith("\n") else "\n\n"
    return f"{before}{gap}{block}\n", "updated"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> str | None:
    try:
        data = disk.read(path)
        return None if data is None else data.decode("utf-8")
    except OSError as refused:
        raise ValidationError(f"{str(path)!r} cannot be read: {refused.strerror}.") from None
    except UnicodeDecodeError:
        raise ValidationError(f"{str(path)!r} is not UTF-8; nothing was written.") from None


def _write(path: Path, before: str | None, text: str, action: str) -> str:
    """Put `text` in place of the file, with the rights that it had. Returns `action`, or that nothing changed."""
    if text == before:
        return action if action == "kept" else "unchanged"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(path.stat().st_mode) if before is not None else 0o666 & ~_umask()
        disk.replace(path, text.encode(), durable=True)
        path.chmod(mode)
    except OSError as refused:
        raise StorageError(f"{str(path)!r} cannot be written: {refused.strerror}.") from refused
    return action


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
