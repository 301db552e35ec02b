"""What every store of resources must do. A test derives from `ResourceConformance` and gives `resources`."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from lattice.core import resource as rules
from lattice.core.events import Event, Foreign
from lattice.core.resource import Resource
from lattice.errors import Conflict, NotFound, ResourceHeld, ValidationError
from lattice.ledger import Ledger, Signature
from lattice.resource_ledger import ResourceLedger
from lattice.store.memory import MemoryStore
from lattice.store.protocol import ResourceStore
from tests.store.conformance import ANN, Ticking

BOT = Signature("agent:bot")


class ResourceConformance:
    """The suite. `ledger` is the only writer, here as elsewhere."""

    @pytest.fixture
    def clock(self) -> Ticking:
        return Ticking()

    @pytest.fixture
    def ledger(self, resources: ResourceStore, clock: Ticking) -> ResourceLedger:
        return ResourceLedger(resources, Ledger(MemoryStore(), clock))

    def test_what_was_appended_is_read(self, ledger: ResourceLedger, resources: ResourceStore) -> None:
        made = create(ledger, "gpu")
        held = acquire(ledger, "gpu", BOT)
        assert held == resources.find("gpu")
        assert [held] == list(resources.all())
        ((resource, events),) = resources.histories()
        assert (held, ["resource_created", "resource_acquired"]) == (resource, [event.type for event in events])
        assert ({made.id}, [None, events[0].id]) == ({event.task_id for event in events}, [e.prev for e in events])

    def test_a_name_that_is_not_there(self, ledger: ResourceLedger, resources: ResourceStore) -> None:
        assert resources.find("gpu") is None
        with pytest.raises(NotFound):
            acquire(ledger, "gpu", BOT)
        assert [] == list(resources.all())

    def test_a_refusal_leaves_nothing(self, ledger: ResourceLedger, resources: ResourceStore) -> None:
        def refuse(resource: Resource | None, now_ms: int) -> Sequence[Foreign]:
            raise ValidationError("no")

        with pytest.raises(ValidationError):
            ledger.transact("gpu", refuse, ANN, new_id=identifier(1))
        assert [] == list(resources.all())
        create(ledger, "gpu")
        before = resources.histories()
        with pytest.raises(ValidationError):
            ledger.transact("gpu", refuse, ANN)
        assert before == resources.histories()

    def test_what_json_cannot_hold_leaves_nothing_of_its_act(
        self, ledger: ResourceLedger, resources: ResourceStore
    ) -> None:
        create(ledger, "gpu")
        before = resources.histories()
        bodies = [Foreign("resource_updated", {"description": text}) for text in ("fine", "\ud800")]
        with pytest.raises(ValidationError):
            ledger.transact("gpu", lambda *_: bodies, ANN)
        assert before == resources.histories()

    def test_an_id_is_of_one_name(self, ledger: ResourceLedger) -> None:
        create(ledger, "gpu", 1)
        with pytest.raises(Conflict):
            create(ledger, "other", 1)

    def test_all_are_listed_by_name(self, ledger: ResourceLedger, resources: ResourceStore) -> None:
        for number, name in enumerate(("b", "c", "a"), start=1):
            create(ledger, name, number)
        assert ["a", "b", "c"] == [resource.name for resource in resources.all()]

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "../../out", "/abs", "a/b", "a//b", "-x", " a", "é" * 200, "\ud800"]
    )
    def test_a_name_of_the_earlier_tool_is_held_and_released(
        self, ledger: ResourceLedger, resources: ResourceStore, name: str
    ) -> None:
        body = Foreign("resource_created", {"name": name, "max_holders": 1, "ttl_seconds": 60})
        try:
            ledger.transact(name, lambda *_: [body], ANN, new_id=identifier(1))
        except ValidationError:
            assert "\ud800" == name  # Such a name no log can hold.
            assert resources.find(name) is None
            return
        acquire(ledger, name, BOT)
        with pytest.raises(ResourceHeld):
            acquire(ledger, name, ANN)
        ledger.transact(name, lambda it, now_ms: rules.release(there(it), BOT.actor, now_ms), BOT)
        found = resources.find(name)
        assert (name, ()) == (there(found).name, there(found).holders)

    def test_events_of_elsewhere_are_taken_over_once(self, ledger: ResourceLedger, resources: ResourceStore) -> None:
        history = elsewhere("gpu", 2)
        assert ["created", "unchanged"] == [ledger.adopt(history[:2]).outcome for _ in range(2)]
        assert "extended" == ledger.adopt(history).outcome
        ((resource, events),) = resources.histories()
        assert [event.id for event in history] == [event.id for event in events]
        assert history[-1].id == resource.last_event_id
        assert "diverged" == ledger.adopt(elsewhere("gpu", 3)).outcome
        assert 1 == len(resources.all())

    def test_one_of_many_who_ask_at_once_holds_it(self, ledger: ResourceLedger, resources: ResourceStore) -> None:
        create(ledger, "gpu")
        gate = threading.Barrier(6)
        held: list[int] = []

        def ask(number: int) -> None:
            gate.wait()
            try:
                acquire(ledger, "gpu", Signature(f"agent:a{number}"))
            except ResourceHeld:
                return
            held.append(number)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 == len(held)
        assert [f"agent:a{held[0]}"] == [holder.actor for holder in there(resources.find("gpu")).holders]


def identifier(number: int) -> str:
    return f"res_01JD{number:022d}"


def there(resource: Resource | None) -> Resource:
    assert resource is not None
    return resource


def create(ledger: ResourceLedger, name: str, number: int = 1) -> Resource:
    return ledger.transact(
        name, lambda it, _: [] if it else [rules.created(name, None, 1, 60)], ANN, new_id=identifier(number)
    )


def acquire(ledger: ResourceLedger, name: str, by: Signature) -> Resource:
    def decide(resource: Resource | None, now_ms: int) -> Sequence[Foreign]:
        return rules.acquire(there(resource), by.actor, now_ms, task_id=None, force=False, reason=None)

    return ledger.transact(name, decide, by)


def elsewhere(name: str, number: int) -> list[Event]:
    """The events of a resource of another board."""
    from lattice.store.memory import MemoryResources

    other = MemoryResources()
    ledger = ResourceLedger(other, Ledger(MemoryStore(), Ticking(1_700_000_000_000 + number)))
    create(ledger, name, number)
    acquire(ledger, name, BOT)
    ledger.transact(name, lambda it, now_ms: rules.release(there(it), BOT.actor, now_ms), BOT)
    ((_, events),) = other.histories()
    return list(events)
