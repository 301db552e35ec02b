"""Artifacts: a file, a URL or a text that belongs to a task."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat

from lattice.commands.board import Board, read_object
from lattice.commands.tasks import check_role
from lattice.core.actors import Actor
from lattice.core.events import ArtifactAttached
from lattice.core.ids import is_id, parse_id
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.core.text import check_line, check_prose
from lattice.core.workflow import check_choice
from lattice.errors import (
    Conflict,
    InvalidId,
    LatticeError,
    NotFound,
    StorageError,
    ValidationError,
    WriteUncertain,
    did_you_mean_id,
)
from lattice.ledger import Signature, timestamp
from lattice.store.files import disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

TYPES = ("conversation", "file", "log", "note", "prompt", "reference")
PAYLOAD_BYTES_MAX = 100 << 20
_URL = re.compile(r"https?://[^\s/]+\S*\Z", re.IGNORECASE)
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")


class Payload(Record):
    """What is kept of an artifact beside its description."""

    data: bytes
    ending: str
    content_type: str | None


class Attach(Record):
    """`source` is a path or a URL; `inline` is text in its place."""

    source: str | None = None
    inline: str | None = None
    type: str | None = None
    title: str | None = None
    summary: str | None = None
    role: str | None = None
    sensitive: bool = False
    id: str | None = None

    def run(self, board: Board, ref: str, by: Signature) -> Attached:
        """Keep the payload and say so in the log. With `id`, a retry returns what is there.

        Raises ValidationError, NotFound, InvalidRole, Conflict, StorageError. Where the task refuses,
        nothing is kept.
        """
        check_role(self.role, board.config)
        task_id = board.resolve(ref)
        board.store.task(task_id)  # A task that is not there is said before a file is copied.
        payload, kind, title, fields = self._contents()
        artifact_id = parse_id("art", self.id) if self.id else board.ledger.new_id("art")
        meta = describe(
            artifact_id,
            kind=check_choice(self.type, TYPES, "artifact type", "types") if self.type else kind,
            title=check_line(self.title, "title") if self.title is not None else title,
            summary=check_prose(self.summary, "summary") if self.summary is not None else None,
            payload=payload,
            sensitive=self.sensitive,
            by=by.actor,
            ms=board.ledger.source.now_ms(),
            custom_fields=fields,
        )
        kept = keep(board, meta, payload)
        try:
            task, repeated = link(board, task_id, artifact_id, self.role, by)
        except LatticeError as refused:
            if kept is None and not isinstance(refused, WriteUncertain):  # The log may yet say that it is there.
                discard(board, artifact_id)
            raise
        return Attached(task, kept or meta, repeated)

    def _contents(self) -> tuple[Payload | None, str, str, dict[str, Any]]:
        """The payload, and the type, title and custom fields that follow from the source."""
        if (self.source is None) == (self.inline is None):
            raise ValidationError(
                "Provide either a SOURCE (file or URL) or --inline TEXT.", hint="lattice attach LAT-1 notes.md"
            )
        if self.inline is not None:
            text = check_prose(self.inline, "inline text").encode()
            if not text.strip():
                raise ValidationError("The inline text is empty.", hint='Write it: --inline "…"')
            return Payload(text, ".md", "text/markdown"), "note", "inline attachment", {}
        source = self.source or ""
        if not source:  # As a path it would be this folder.
            raise ValidationError("The source is empty.", hint="Attach a file, or a URL.")
        if _URL.match(source):
            url = check_line(source, "URL", chars_max=4_000)
            return None, "reference", url[:1_000], {"url": url}
        from pathlib import Path  # only an attach pays for it

        path = Path(source)
        return read_payload(path), "file", _safe_title(path.name), {}


class Attached(Record):
    """The task after it, the artifact's description, and whether it was there already."""

    task: Task
    meta: dict[str, Any]
    repeated: bool


def describe(
    artifact_id: str,
    *,
    kind: str,
    title: str,
    summary: str | None,
    payload: Payload | None,
    sensitive: bool,
    by: Actor,
    ms: int,
    custom_fields: dict[str, Any],
) -> dict[str, Any]:
    """The content of `artifacts/meta/<id>.json`."""
    return {
        "schema_version": 1,
        "id": artifact_id,
        "type": kind,
        "title": title,
        "summary": summary,
        "created_at": timestamp(ms),
        "created_by": by,
        "model": None,
        "tags": [],
        "payload": {
            "file": f"{artifact_id}{payload.ending}" if payload else None,
            "content_type": payload.content_type if payload else None,
            "size_bytes": len(payload.data) if payload else None,
        },
        "token_usage": None,
        "sensitive": sensitive,
        "custom_fields": custom_fields,
    }


def keep(board: Board, meta: dict[str, Any], payload: Payload | None) -> dict[str, Any] | None:
    """Write payload and description, durably. Returns the description that was there before, if the same.

    Raises Conflict where the id has another artifact, StorageError where the disk refuses.
    """
    folder = board.folder / "artifacts"
    meta_path = folder / "meta" / f"{meta['id']}.json"
    try:
        before = read_object(meta_path)
        same = before is None or (_essence(before) == _essence(meta) and _same_payload(folder, before, payload))
    except OSError as refused:
        raise StorageError(f"{meta_path.name} cannot be read: {refused.strerror}. Nothing was recorded.") from refused
    if not same:
        raise Conflict(f"Artifact {meta['id']} exists with different data.", hint="Use a new id.")
    if before is not None:
        return before
    try:
        for name in ("meta", "payload"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        if payload is not None:
            path = folder / "payload" / meta["payload"]["file"]
            if meta["sensitive"]:
                _keep_out_of_git(folder, path.name)
            disk.replace(path, payload.data, durable=True)
        disk.replace(meta_path, json.dumps(meta, sort_keys=True, indent=2).encode() + b"\n", durable=True)
    except OSError as refused:
        discard(board, meta["id"])
        raise StorageError(f"The artifact could not be kept: {refused.strerror}. Nothing was recorded.") from refused
    return None


def link(board: Board, task_id: str, artifact_id: str, role: str | None, by: Signature) -> tuple[Task, bool]:
    """Attach a kept artifact to a task. Returns the task, and whether it was attached before."""

    def decide(task: Task) -> list[ArtifactAttached]:
        _, events = board.store.history(task.id)
        attached = any(isinstance(e.body, ArtifactAttached) and e.body.artifact_id == artifact_id for e in events)
        return [] if attached else [ArtifactAttached(artifact_id=artifact_id, role=role)]

    written = board.ledger.transact(task_id, decide, by)
    return written.task, not written.events


def discard(board: Board, artifact_id: str) -> None:
    """Remove an artifact that was never attached."""
    for path in (board.folder / "artifacts").glob(f"*/{artifact_id}.*"):
        with contextlib.suppress(OSError):  # An orphan is found by the doctor; the error to tell is another.
            path.unlink()


def described(board: Board, artifact_id: str) -> dict[str, Any] | None:
    """An artifact's description, or None where it is missing or unreadable."""
    if not is_id("art", artifact_id):
        return None
    try:
        return read_object(board.path("artifacts", "meta", f"{artifact_id}.json"))
    except OSError:
        return None


def find(board: Board, artifact_id: str) -> dict[str, Any]:
    """An artifact's description. Raises NotFound, InvalidId."""
    meta = described(board, artifact_id)
    if meta is not None:
        return meta
    known = [path.stem for path in (board.folder / "artifacts" / "meta").glob("art_*.json")]
    hint = did_you_mean_id(artifact_id, known, "See those of a task: lattice artifact list TASK")
    if not is_id("art", artifact_id):
        raise InvalidId(f"Invalid art id: {artifact_id[:80]!r}. Expected art_ and 26 characters of a ULID.", hint=hint)
    raise NotFound(f"There is no artifact {artifact_id}.", hint=hint)


def payload_of(board: Board, meta: dict[str, Any]) -> bytes | None:
    """What an artifact holds; None for a reference. Raises NotFound where its file went."""
    name = meta["payload"]["file"]
    if name is None:
        return None
    data = disk.read(board.path("artifacts", "payload", os.path.basename(str(name))))
    if data is None:
        raise NotFound(f"The payload of {meta['id']} is not on this machine.", hint="git keeps what is not sensitive.")
    return data


def read_payload(path: Path) -> Payload:
    """A file to attach. Raises NotFound, ValidationError."""
    import mimetypes  # reads the system's tables; only an attach pays for it

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, ValueError):
        raise NotFound(
            f"Source file not found: {str(path)[:200]!r}.", hint="Name a file that is there, or a URL."
        ) from None
    except OSError as refused:
        raise ValidationError(f"{str(path)[:200]!r} cannot be read: {refused.strerror}.") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValidationError(f"{str(path)[:200]!r} is not a file.", hint="Attach a file, or a URL.")
        if status.st_size > PAYLOAD_BYTES_MAX:
            raise ValidationError(
                f"{path.name[:80]!r} is too large: {status.st_size} bytes; the limit is {PAYLOAD_BYTES_MAX}."
            )
        data = disk.read_from(descriptor, 0, status.st_size)
    finally:
        os.close(descriptor)
    ending = _ENDING.search(path.name)
    return Payload(data, ending[0].lower() if ending else ".bin", mimetypes.guess_type(path.name)[0])


def _safe_title(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)[:200].strip() or "file"


def _essence(meta: dict[str, Any]) -> dict[str, Any]:
    return {key: meta.get(key) for key in ("id", "type", "title", "summary", "sensitive", "payload", "custom_fields")}


def _same_payload(folder: Path, before: dict[str, Any], payload: Payload | None) -> bool:
    if payload is None:
        return True
    return disk.read(folder / "payload" / before["payload"]["file"]) == payload.data


def _keep_out_of_git(folder: Path, name: str) -> None:
    with (folder / ".gitignore").open("a", encoding="ascii") as ignored:
        ignored.write(f"payload/{name}\n")
