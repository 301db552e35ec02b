"""The only writer of shared resources: as for a task, what is decided under the locks is appended before they go.

A module of its own, since most boards have none: the ledger of tasks is loaded by every command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lattice.core.events import Event, Foreign
from lattice.core.resource import Resource, evolve
from lattice.errors import NotFound
from lattice.ledger import Adopted, Ledger, Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.store.protocol import ResourceStore

DecideOnResource = Callable[[Resource | None, int], Sequence[Foreign]]


class ResourceLedger:
    """Transactions over shared resources: decided on the fresh state, under the resource's locks."""

    def __init__(self, resources: ResourceStore, ledger: Ledger) -> None:
        self._resources = resources
        self._ledger = ledger

    def transact(self, name: str, decide: DecideOnResource, by: Signature, *, new_id: str | None = None) -> Resource:
        """Decide, at a time of the ledger's clock, and append what was decided as one act.

        With `new_id` the resource may be new: `decide` is given None. Raises what `decide` raises, NotFound,
        Conflict, LockTimeout, LogDamaged, StorageError, WriteUncertain.
        """
        with self._resources.exclusive(name, new_id) as tail:
            resource = tail.resource
            bodies = decide(resource, self._ledger.source.now_ms())
            stream = resource.id if resource is not None else new_id
            if stream is None:
                raise NotFound(f"Resource {name} not found.")
            last = resource.last_event_id if resource is not None else None
            events = self._ledger.stamp(stream, bodies, by, last, None)
            for event in events:
                resource = evolve(resource, event)
            if resource is None:
                raise AssertionError("a resource was decided on and is not there")
            if events:
                tail.append(events, resource)
            return resource

    def adopt(self, history: Sequence[Event]) -> Adopted:
        """Take over a resource that was written elsewhere, as `Ledger.adopt` does a task.

        Diverged is also one whose name another resource has here. Raises ValidationError for events that
        cannot follow each other, Conflict, LockTimeout, LogDamaged, StorageError, WriteUncertain.
        """
        from lattice.core.adoption import continuation, in_chain  # an import alone pays for it

        stream = history[0].task_id
        name = evolve(None, history[0]).name
        with self._resources.exclusive(name, stream) as tail:
            resource, stored = tail.resource, tail.events()
            outcome, missing = continuation(stored, history) if stored else ("created", list(history))
            if outcome not in {"created", "extended"}:
                return Adopted(stream, outcome)
            events = in_chain(missing, stored[-1] if stored else None)
            for event in events:
                resource = evolve(resource, event)
            if resource is None:
                raise AssertionError("events were applied and gave no resource")
            tail.append(events, resource)
        return Adopted(stream, outcome)
