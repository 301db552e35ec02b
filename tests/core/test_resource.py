"""The rules of holding a resource, and the fold of its events."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lattice.core.events import Event, Foreign
from lattice.core.resource import Resource, acquire, created, evolve, heartbeat, instant, release, to_snapshot
from lattice.errors import NotHeld, ResourceHeld, ValidationError

T = 1_700_000_000_000


def after(resource: Resource | None, bodies: Sequence[Foreign], ms: int = T, actor: str = "agent:a") -> Resource:
    for number, body in enumerate(bodies):
        resource = evolve(resource, Event(f"ev_{number}", instant(ms), "res_1", actor, body))
    assert resource is not None
    return resource


def made(max_holders: int = 1, ttl_s: int = 10) -> Resource:
    return after(None, [created("gpu", None, max_holders, ttl_s)])


def taken(resource: Resource, actor: str, ms: int = T, *, force: bool = False) -> Resource:
    return after(resource, acquire(resource, actor, ms, task_id=None, force=force, reason=None), ms, actor)


def holders(resource: Resource, ms: int = T) -> list[object]:
    return [holder.actor for holder in resource.live(instant(ms))]


def test_it_has_no_more_holders_than_it_allows() -> None:
    full = taken(taken(made(2), "agent:a"), "agent:b")
    with pytest.raises(ResourceHeld, match="agent:a, until") as refused:
        taken(full, "agent:c")
    assert ["agent:a", "agent:b"] == refused.value.details["holders"]


def test_who_holds_it_holds_it_for_longer() -> None:
    again = taken(taken(made(), "agent:a"), "agent:a", T + 5_000)
    assert ["agent:a"] == holders(again, T + 14_000)
    assert [] == holders(again, T + 15_000)


def test_a_holder_whose_time_is_over_is_evicted_by_the_next() -> None:
    held = taken(made(), "agent:a")
    late = T + 10_000
    assert ["resource_expired", "resource_acquired"] == [
        event.type_name for event in acquire(held, "agent:b", late, task_id=None, force=False, reason=None)
    ]
    assert ["agent:b"] == [holder.actor for holder in taken(held, "agent:b", late).holders]


def test_a_holder_whose_time_is_over_has_lost_it_even_before_another_asks() -> None:
    held = taken(made(), "agent:a")
    for act in (heartbeat, release):
        with pytest.raises(NotHeld):
            act(held, "agent:a", T + 10_000)


def test_force_evicts_one_alone_and_the_one_that_would_go_first() -> None:
    full = taken(taken(made(2), "agent:a"), "agent:b", T + 1_000)
    assert ["agent:b", "agent:c"] == holders(taken(full, "agent:c", T + 2_000, force=True), T + 2_000)


def test_who_does_not_hold_it_cannot_let_it_go() -> None:
    with pytest.raises(NotHeld, match="agent:b"):
        release(taken(made(), "agent:a"), "agent:b", T)


@pytest.mark.parametrize(("name", "max_holders", "ttl_s"), [
    ("../x", 1, 1), ("a/b", 1, 1), (".", 1, 1), ("-x", 1, 1), ("\x1b[2J", 1, 1), ("", 1, 1), ("x", 0, 1),
    ("x", 1, 0), ("x", 1, 10**12),
])  # fmt: skip
def test_what_cannot_be_a_resource_is_refused(name: str, max_holders: int, ttl_s: int) -> None:
    with pytest.raises(ValidationError):
        created(name, None, max_holders, ttl_s)


def test_a_snapshot_has_the_form_of_the_earlier_tool() -> None:
    held = taken(made(), "agent:a")
    assert {
        "created_at": instant(T), "created_by": "agent:a", "description": None, "id": "res_1",
        "holders": [{"actor": "agent:a", "acquired_at": instant(T), "expires_at": instant(T + 10_000),
                     "last_heartbeat": instant(T)}],
        "last_event_id": "ev_0", "max_holders": 1, "name": "gpu", "schema_version": 1, "ttl_seconds": 10,
        "updated_at": instant(T),
    } == to_snapshot(held, held.holders)  # fmt: skip
