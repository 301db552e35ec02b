"""A shared resource: who holds it and until when, folded from its events; and the rules of holding it.

An event of a resource stands in a log of its own, named by the resource's id. Times are texts as the
log has them, UTC to the second, so that they compare as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lattice.core.actors import Actor, actor_text, same_actor
from lattice.core.events import Event, Foreign
from lattice.core.record import Record
from lattice.core.text import check_line, check_prose
from lattice.errors import NotHeld, ResourceHeld, ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TTL_S = 300
TTL_S_MAX = 366 * 24 * 3600
HOLDERS_MAX = 10_000
NAME_CHARS_MAX = 80


class Holder(Record):
    """Somebody who holds the resource, until `expires_at`."""

    actor: Actor
    acquired_at: str
    expires_at: str
    last_heartbeat: str
    task_id: str | None = None


class Resource(Record):
    """The state of a resource after its last event. A holder whose time is over stays until he is evicted."""

    id: str
    name: str
    description: str | None
    max_holders: int
    ttl_s: int
    holders: tuple[Holder, ...]
    created_at: str
    created_by: Actor
    updated_at: str
    last_event_id: str

    def live(self, now: str) -> tuple[Holder, ...]:
        """Who holds it at this time."""
        return tuple(holder for holder in self.holders if holder.expires_at > now)

    def held_by(self, actor: Actor, now: str) -> Holder | None:
        """What this actor holds at this time, or None."""
        return next((holder for holder in self.live(now) if same_actor(holder.actor, actor)), None)


def evolve(resource: Resource | None, event: Event) -> Resource:
    """The resource after `event`. Raises ValidationError where it cannot follow."""
    data = event.body.data if isinstance(event.body, Foreign) else {}
    if event.type == "resource_created":
        if resource is not None:
            raise ValidationError(f"Resource {resource.name} exists already; {event.id} would create it again.")
        return _begun(event, data)
    if resource is None:
        raise ValidationError(f"{event.id} ({event.type}) comes before the resource was created.")
    return _changed(resource, event, data).replace(updated_at=event.ts, last_event_id=event.id)


def _begun(event: Event, data: Mapping[str, Any]) -> Resource:
    return Resource(
        id=event.task_id,
        name=str(data.get("name")),
        description=data.get("description"),
        max_holders=_whole(data.get("max_holders"), 1),
        ttl_s=_whole(data.get("ttl_seconds"), TTL_S),
        holders=(),
        created_at=event.ts,
        created_by=event.actor,
        updated_at=event.ts,
        last_event_id=event.id,
    )


def _changed(resource: Resource, event: Event, data: Mapping[str, Any]) -> Resource:
    actor = data.get("holder", event.actor)
    others = tuple(holder for holder in resource.holders if not same_actor(holder.actor, actor))
    mine = next((holder for holder in resource.holders if same_actor(holder.actor, actor)), None)
    expires_at = str(data.get("expires_at", event.ts))
    match event.type:
        case "resource_acquired":
            return resource.replace(
                holders=(*others, Holder(actor, event.ts, expires_at, event.ts, data.get("task_id")))
            )
        case "resource_heartbeat" if mine is not None:
            renewed = mine.replace(expires_at=expires_at, last_heartbeat=event.ts)
            return resource.replace(holders=tuple(renewed if holder is mine else holder for holder in resource.holders))
        case "resource_released" | "resource_expired":
            return resource.replace(holders=others)
        case "resource_updated":
            return resource.replace(
                description=data.get("description", resource.description),
                max_holders=_whole(data.get("max_holders"), resource.max_holders),
                ttl_s=_whole(data.get("ttl_seconds"), resource.ttl_s),
            )
        case _:
            return resource


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else otherwise


def to_snapshot(resource: Resource, holders: Sequence[Holder]) -> dict[str, Any]:
    """The content of `resource.json`, and the JSON form, with these of the holders."""
    shape = resource.fields()
    shape["ttl_seconds"] = shape.pop("ttl_s")
    shape["holders"] = [
        {key: value for key, value in holder.fields().items() if value is not None} for holder in holders
    ]
    return shape | {"schema_version": 1}


def instant(ms: int) -> str:
    """Milliseconds since 1970 as the log writes time."""
    from datetime import UTC, datetime  # the ledger imports this module, and most writers hold no resource

    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# What one may ask of a resource


def check_name(name: str) -> str:
    """`name` if a new resource may be called so. It names a folder on every system. Raises ValidationError.

    Boards of the earlier tool have other names too; what there is by such a name stays readable and can be held.
    """
    check_line(name, "resource's name", chars_max=NAME_CHARS_MAX)
    odd = next((char for char in name if not (char.isalnum() or char in "._- ")), None)
    if odd is not None or name[0] in ".- " or name[-1] in ". ":
        what = f"{odd!r} cannot be in it" if odd is not None else "it begins or ends with what it cannot"
        raise ValidationError(
            f"Invalid resource name: {name!r}: {what}. It has letters, digits, dots, underscores, dashes and spaces, "
            "no dot, dash or space first, and no dot or space last.",
            hint="Call it gpu, or staging-db.",
        )
    return name


def created(name: str, description: str | None, max_holders: int, ttl_s: int) -> Foreign:
    """The event that begins a resource. Raises ValidationError."""
    for value, limit, option in ((max_holders, HOLDERS_MAX, "--max-holders"), (ttl_s, TTL_S_MAX, "--ttl")):
        if not 1 <= value <= limit:
            raise ValidationError(f"{option} must be from 1 to {limit}.")
    data: dict[str, Any] = {"name": check_name(name), "max_holders": max_holders, "ttl_seconds": ttl_s}
    if description is not None:
        data["description"] = check_prose(description, "description")
    return Foreign("resource_created", data)


def acquire(
    resource: Resource, actor: Actor, now_ms: int, *, task_id: str | None, force: bool, reason: str | None
) -> list[Foreign]:
    """Take hold, or hold for longer. Holders whose time is over make room; `force` evicts who would go first.

    Raises ResourceHeld.
    """
    now = instant(now_ms)
    until = instant(now_ms + resource.ttl_s * 1000)
    if resource.held_by(actor, now) is not None:
        return [Foreign("resource_heartbeat", {"holder": actor, "expires_at": until})]
    live = list(resource.live(now))
    evicted = [(holder, holder.expires_at) for holder in resource.holders if holder not in live]
    over = len(live) - resource.max_holders + 1
    if over > 0 and not force:
        raise held(resource, live, now)
    evicted += [(holder, now) for holder in sorted(live, key=lambda h: h.expires_at)[: max(over, 0)]]
    events = [
        Foreign("resource_expired", {"holder": holder.actor, "expired_at": at, "reclaimed_by": actor})
        for holder, at in evicted
    ]
    data = {"holder": actor, "expires_at": until, "task_id": task_id, "reason": reason if force else None}
    events.append(Foreign("resource_acquired", {key: value for key, value in data.items() if value is not None}))
    return events


def heartbeat(resource: Resource, actor: Actor, now_ms: int) -> list[Foreign]:
    """Hold for longer. Raises NotHeld, also where the time is over: another may have relied on that."""
    _require(resource, actor, now_ms)
    until = instant(now_ms + resource.ttl_s * 1000)
    return [Foreign("resource_heartbeat", {"holder": actor, "expires_at": until})]


def release(resource: Resource, actor: Actor, now_ms: int) -> list[Foreign]:
    """Let go. Raises NotHeld."""
    _require(resource, actor, now_ms)
    return [Foreign("resource_released", {"holder": actor})]


def held(resource: Resource, live: Sequence[Holder], now: str) -> ResourceHeld:
    """The refusal that says who holds the resource."""
    by = "; ".join(f"{actor_text(holder.actor)}, until {holder.expires_at}" for holder in live)
    return ResourceHeld(
        f"Resource {resource.name!r} is not available: held by {by} (now {now}).",
        hint="Wait for it with --wait, or take it from its holder with --force --reason.",
        holders=[actor_text(holder.actor) for holder in live],
        free_at=min(holder.expires_at for holder in live),
    )


def _require(resource: Resource, actor: Actor, now_ms: int) -> None:
    if resource.held_by(actor, instant(now_ms)) is None:
        raise NotHeld(
            f"{actor_text(actor)} does not hold resource {resource.name!r}, or its time is over.",
            hint=f"Take hold of it: lattice resource acquire {resource.name!r}",
        )
