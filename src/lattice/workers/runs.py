"""A run's folder, `.lattice/runs/<run_id>/`: what was asked for, who is alive, what came of it.

    spec.json    what the supervisor is to do, written before the request is in the log
    lease        locked for as long as the run is supervised (`lease.py`)
    control      a FIFO: whoever wants the supervisor's attention writes to it
    outcome      the end, with room reserved, so that a full disk cannot swallow it
    mend         the lock of whoever finishes the run of a dead supervisor
    output.log   what the engine said; an agent's errors alone
    stream.jsonl what an agent said, in its own format, as it came
    progress.json  what that comes to so far, for those who look on
    in/          what the run is given to read: its task, the schema of a review
    guard.log    what the guard and the supervisor have to say of themselves
    out/         `$LATTICE_OUTPUT_DIR`; `out/result.json` is the engine's result, where it reports one
    out/claim.json    what the agent said of its run, by `worker complete` or `fail` inside it; writable in a sandbox
    overdue      why a supervisor that hung was ended, and by whom
    certificate.json  what the verdict hung on
    queued       it waits for its turn, and nobody supervises it yet (`queue.py`)
    closed       there is nothing left to do

`runs/open/<run_id>` marks the runs that are not closed, so that a reading command looks at those alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

from lattice.core.codec import BadLine, parse
from lattice.core.ids import is_id, parse_short_id
from lattice.errors import NotFound, did_you_mean_id
from lattice.store.files import disk
from lattice.store.files.digest import sha256
from lattice.workers import lease
from lattice.workers.definitions.definition import RESULT_FILE
from lattice.workers.spec import RunSpec, decode_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OUTCOME_BYTES = 64 << 10
_CRC_CHARS = 8
NOTES_MAX = 20
"""How many lines of `guard.log` are told with a run's end."""


class _Inside:
    """A path in a run's folder, made when it is asked for."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __get__(self, folder: RunFolder, owner: type[RunFolder]) -> Path:
        return folder.path.joinpath(*self._names)


class RunFolder:
    """The paths of one run, and what is read and written there."""

    lease = _Inside("lease")
    control = _Inside("control")
    outcome = _Inside("outcome")
    mend = _Inside("mend")
    output_log = _Inside("output.log")
    stream = _Inside("stream.jsonl")
    progress = _Inside("progress.json")
    given = _Inside("in")
    guard_log = _Inside("guard.log")
    out = _Inside("out")
    result = _Inside("out", RESULT_FILE)
    claim = _Inside("out", "claim.json")
    overdue = _Inside("overdue")
    certificate = _Inside("certificate.json")
    queued = _Inside("queued")

    def __init__(self, board_folder: Path, run_id: str) -> None:
        self.run_id = run_id
        self._runs = os.path.join(board_folder, "runs")

    @property
    def path(self) -> Path:
        return Path(self._runs, self.run_id)

    @property
    def marker(self) -> Path:
        return Path(self._runs, "open", self.run_id)

    def _name(self, name: str) -> str:
        """As text: a look at a long queue asks each run of it, and a Path takes longer to make than to look up."""
        return os.path.join(self._runs, self.run_id, name)

    def exists(self) -> bool:
        return self.path.is_dir()

    def alive(self) -> bool:
        """Whether somebody supervises the run now: a fact of the kernel."""
        return lease.held(self._name("lease"))

    def waits(self) -> bool:
        """Whether the run is in the queue. Ask it before `alive`: a run leaves the queue with its lease held."""
        return os.path.exists(self._name("queued"))

    def leave_queue(self) -> bool:
        """Take the run out of the queue for good, by the holder of its lease. Whether it was in it."""
        try:
            self.queued.unlink()
        except FileNotFoundError:
            return False
        disk.sync_folder(self.path)  # A run that has begun must not wait again after a power cut.
        return True

    def spec(self) -> RunSpec | None:
        """What was asked for; None where the folder went or cannot be read."""
        data = disk.read(self.path / "spec.json")
        try:
            return decode_spec(data) if data else None
        except (ValueError, KeyError, TypeError):
            return None

    def create(self, spec: RunSpec, queued: bytes | None = None) -> int:
        """Make the folder, in the queue where it is given what that notes of it; its lease's descriptor, locked.

        It gets its name only when the lease is held: a folder with a free lease is one whose
        supervisor is dead, at every moment. Raises OSError; then nothing is left.
        """
        draft = self.path.with_name(f".new-{self.run_id}")
        self.marker.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        descriptor = -1
        try:
            descriptor = lease.acquire(draft / "lease")
            disk.replace(draft / "spec.json", spec.encode(), durable=True)
            _reserve(draft / "outcome")
            os.mkfifo(draft / "control", 0o600)
            (draft / "out").mkdir(mode=0o700)
            if queued is not None:
                disk.replace(draft / "queued", queued, durable=True)
            draft.rename(self.path)
            self.marker.touch(mode=0o600)
        except BaseException:
            if descriptor >= 0:
                os.close(descriptor)
            shutil.rmtree(draft, ignore_errors=True)
            self.discard()
            raise
        return descriptor

    def rewrite(self, spec: RunSpec) -> None:
        """Put what is asked for now in the place of what was, by the holder of its lease. Raises OSError."""
        disk.replace(self.path / "spec.json", spec.encode(), durable=True)

    def discard(self) -> None:
        """Remove every trace of a run that was never requested."""
        gone = self.path.with_name(f".new-{self.run_id}")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(gone)  # At once: nobody finds half a folder with a free lease, and mends it.
        shutil.rmtree(gone, ignore_errors=True)
        self.marker.unlink(missing_ok=True)

    def close(self) -> None:
        """Mark that nothing is left to do."""
        (self.path / "closed").touch(mode=0o600)
        self.marker.unlink(missing_ok=True)

    def is_closed(self) -> bool:
        return (self.path / "closed").exists()

    def write_outcome(self, outcome: dict[str, Any]) -> None:
        """Record the run's end in the room that was reserved for it, durably. Raises OSError."""
        body = json.dumps(outcome, sort_keys=True).encode()
        data = f"{zlib.crc32(body):08x}".encode() + body + b"\n"
        if len(data) > OUTCOME_BYTES:
            raise OSError(f"the outcome takes {len(data)} bytes; {OUTCOME_BYTES} are reserved")
        descriptor = os.open(self.outcome, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, data, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read_outcome(self) -> dict[str, Any] | None:
        """The recorded end, or None where it was not written, or not to its end."""
        text = (disk.read(self.outcome) or b"").split(b"\n")[0]
        crc, body = text[:_CRC_CHARS], text[_CRC_CHARS:]
        if f"{zlib.crc32(body):08x}".encode() != crc:
            return None
        try:
            return parse(body)
        except BadLine:
            return None

    def poke(self) -> bool:
        """Wake the supervisor, so that it reads the log. False where nobody listens."""
        try:
            descriptor = os.open(self.control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False  # ENXIO: no reader; ENOENT: the folder went
        try:
            os.write(descriptor, b"\n")
        except BlockingIOError:
            return True  # Full of earlier pokes: it will wake.
        finally:
            os.close(descriptor)
        return True

    def note(self, text: str) -> None:
        """Add a line to `guard.log`, for whoever looks into a failure."""
        with contextlib.suppress(OSError), self.guard_log.open("a", encoding="utf-8") as log:
            log.write(text.rstrip("\n") + "\n")

    def noted(self) -> tuple[str, ...]:
        """The last lines of `guard.log`."""
        try:
            text = (disk.read(self.guard_log, follow=False) or b"").decode("utf-8", "replace")
        except OSError:
            return ()
        return tuple(text.removesuffix("\n").split("\n")[-NOTES_MAX:]) if text else ()


def open_runs(board_folder: Path) -> list[RunFolder]:
    """The runs of this machine that are not closed, oldest first."""
    try:
        names = os.listdir(board_folder / "runs" / "open")
    except FileNotFoundError:
        return []
    return [RunFolder(board_folder, name) for name in sorted(names) if is_id("run", name)]


def all_runs(board_folder: Path) -> list[RunFolder]:
    """Every run folder of this machine, oldest first."""
    try:
        names = os.listdir(board_folder / "runs")
    except FileNotFoundError:
        return []
    return [RunFolder(board_folder, name) for name in sorted(names) if is_id("run", name)]


def find_run(board_folder: Path, ref: str) -> RunFolder:
    """The run that `ref` names: its id, or an ending of it that no other shares. Raises NotFound."""
    wanted = ref.upper().removeprefix("RUN_")
    runs = all_runs(board_folder)
    hits = [folder for folder in runs if wanted and folder.run_id.endswith(wanted)]
    if len(hits) == 1:
        return hits[0]
    if hits:
        raise NotFound(f"{ref!r} fits {len(hits)} runs.", hint="Give more of the id's end: lattice worker ps --all")
    task = parse_short_id(ref) or (ref if is_id("task", ref) else None)
    of_task = f"; those of a task: lattice worker history {task}" if task else ""
    further = f"See them: lattice worker ps --all{of_task}"
    hint = did_you_mean_id(f"run_{wanted}", [folder.run_id for folder in runs], further)
    raise NotFound(f"There is no run {ref[:60]!r} on this machine.", hint=hint)


def abandoned_drafts(board_folder: Path, older_than_s: float, now_s: float) -> Iterator[Path]:
    """Folders of starters that died before their run had a name."""
    for draft in (board_folder / "runs").glob(".new-run_*"):
        with contextlib.suppress(FileNotFoundError):
            if now_s - draft.stat().st_mtime > older_than_s and not lease.held(draft / "lease"):
                yield draft


def host_name(board_folder: Path) -> str:
    """This machine and this board on it: a copy of the board has runs of its own."""
    machine = ""
    with contextlib.suppress(OSError):
        machine = Path("/etc/machine-id").read_text(encoding="ascii", errors="replace").strip()
    place = sha256(f"{machine}:{os.path.realpath(board_folder)}".encode()).hexdigest()[:8]
    return f"{os.uname().nodename}/{place}"


def _reserve(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, OUTCOME_BYTES)
        else:
            os.write(descriptor, bytes(OUTCOME_BYTES))  # macOS
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
