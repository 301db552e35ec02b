"""What one may ask of a shared resource. Never more hold it than it allows: each act is decided under its lock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from lattice.commands.board import Board
from lattice.core import resource as rules
from lattice.core.codec import dump
from lattice.core.events import Foreign
from lattice.core.ids import parse_id
from lattice.core.record import Record
from lattice.core.resource import Resource
from lattice.errors import Conflict, ResourceHeld, ValidationError, WaitTimeout
from lattice.ledger import Signature
from lattice.resource_ledger import ResourceLedger
from lattice.store.files.resources import FileResources

WAIT_S = 60
WAIT_S_MAX = 7 * 24 * 3600
_PAUSE_FIRST_S = 0.02
_PAUSE_MAX_S = 0.5


class CreateResource(Record):
    """A new resource. With `id`, a retry returns the one that is there."""

    name: str
    description: str | None = None
    max_holders: int = 1
    ttl: int = rules.TTL_S
    id: str | None = None

    def run(self, board: Board, by: Signature) -> Resource:
        """Raises ValidationError, Conflict."""
        resource_id = parse_id("res", self.id) if self.id else board.ledger.new_id("res")
        event = rules.created(self.name, self.description, self.max_holders, self.ttl)

        def decide(resource: Resource | None, now_ms: int) -> Sequence[Foreign]:
            del now_ms
            if resource is None:
                return [event]
            if resource.id == resource_id and dump(self._essence()) == dump(_essence(resource)):
                return []
            raise Conflict(
                f"Resource {self.name!r} already exists ({resource.id}).",
                hint=f"lattice resource status {self.name!r}",
            )

        return _ledger(board).transact(self.name, decide, by, new_id=resource_id)

    def _essence(self) -> list[object]:
        return [self.description, self.max_holders, self.ttl]


class Acquire(Record):
    """Take hold of a resource, for a task where `task` is given; wait for it up to `wait_s` seconds."""

    task: str | None = None
    force: bool = False
    reason: str | None = None
    wait_s: int | None = None

    def run(self, board: Board, name: str, by: Signature) -> Resource:
        """Raises NotFound, ResourceHeld; WaitTimeout where the waiting came to its end."""
        if self.wait_s is not None and not 0 < self.wait_s <= WAIT_S_MAX:
            raise ValidationError(f"--timeout must be from 1 to {WAIT_S_MAX} seconds.")
        task_id = board.store.task(board.resolve(self.task)).id if self.task is not None else None
        ask = partial(self._ask, board, name, by, task_id)
        return ask() if self.wait_s is None else self._wait(ask, name, self.wait_s)

    def _ask(self, board: Board, name: str, by: Signature, task_id: str | None) -> Resource:
        def decide(resource: Resource | None, now_ms: int) -> Sequence[Foreign]:
            return rules.acquire(
                _there(board, resource, name), by.actor, now_ms, task_id=task_id, force=self.force, reason=self.reason
            )

        return _ledger(board).transact(name, decide, by)

    def _wait(self, ask: partial[Resource], name: str, wait_s: int) -> Resource:
        # A time that is over makes no event, so there is nothing to be woken by: it has to be asked again.
        give_up_at = time.monotonic() + wait_s
        pause_s = _PAUSE_FIRST_S
        while True:
            try:
                return ask()
            except ResourceHeld as held:
                left_s = give_up_at - time.monotonic()
                if left_s <= 0:
                    raise WaitTimeout(
                        f"Resource {name!r} did not become free within {wait_s} s. {held.message}",
                        hint="Wait longer with --timeout SECONDS.",
                        **held.details,
                    ) from None
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, _PAUSE_MAX_S)


def heartbeat(board: Board, name: str, by: Signature) -> Resource:
    """Hold for longer. Raises NotFound, NotHeld."""
    return _ledger(board).transact(
        name, lambda it, now_ms: rules.heartbeat(_there(board, it, name), by.actor, now_ms), by
    )


def release(board: Board, name: str, by: Signature) -> Resource:
    """Let go. Raises NotFound, NotHeld."""
    return _ledger(board).transact(
        name, lambda it, now_ms: rules.release(_there(board, it, name), by.actor, now_ms), by
    )


def find(board: Board, name: str) -> Resource:
    """The resource of this name. Raises NotFound."""
    return _there(board, FileResources(board.folder).find(name), name)


def everything(board: Board) -> list[Resource]:
    """Every resource, by name."""
    return FileResources(board.folder).all()


def _there(board: Board, resource: Resource | None, name: str) -> Resource:
    if resource is None:
        raise FileResources(board.folder).missing(name)
    return resource


def _essence(resource: Resource) -> list[object]:
    return [resource.description, resource.max_holders, resource.ttl_s]


def _ledger(board: Board) -> ResourceLedger:
    return ResourceLedger(FileResources(board.folder), board.ledger)
