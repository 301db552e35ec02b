"""The history that a task of another tool would have had here: pure but for the ids it is given.

An id follows from the source alone: the time of what it stands for, and a digest of its name. Where the source has no
time of a task, it is the import's, and the place at the source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from lattice.commands.board import Board
from lattice.commands.formats.item import Account, Item
from lattice.commands.formats.merge import marked
from lattice.commands.tasks import TAGS_MAX
from lattice.core.events import (
    CommentAdded,
    Event,
    RelationshipAdded,
    StatusChanged,
    TaskArchived,
    TaskCreated,
    TaskEvent,
)
from lattice.core.ids import is_id, next_id, ulid, ulid_ms
from lattice.core.record import Record
from lattice.core.task import RELATIONSHIP_TYPES
from lattice.core.text import LINE_CHARS_MAX, PROSE_BYTES_MAX, visible
from lattice.ledger import Signature, timestamp

TAG_CHARS_MAX = 100
NAME_CHARS_MAX = 100
_UNDATED_BITS = 56  # of the 80 of an id's chance; the others count


class Moment(Record):
    """When, the name of what happened, by whom (None: the importer), and what."""

    ms: int
    name: str
    who: str | None
    body: TaskEvent


def source_of(source_format: str, key: str) -> str:
    """What the custom field `source` says of an imported task."""
    return _line(f"{source_format}:{key}")[:LINE_CHARS_MAX]


class Writer:
    """Writes histories for one import. What does not fit is told to `account`."""

    def __init__(self, source_format: str, board: Board, by: Signature, account: Account) -> None:
        self.format = source_format
        self.board = board
        self.by = by
        self.account = account
        self.now_ms = board.ledger.source.now_ms()
        self._undated = 0

    def task_id(self, item: Item) -> str:
        """The id of an item that was not imported before."""
        chance = self._chance(item, "task")
        if item.created_ms is None:  # All of these begin now: their order at the source is the order of their ids.
            self._undated += 1
            return f"task_{ulid(self.now_ms, self._undated << _UNDATED_BITS | chance % (1 << _UNDATED_BITS))}"
        return f"task_{ulid(min(item.created_ms, self.now_ms), chance)}"

    def history(self, item: Item, ids: Mapping[str, str]) -> list[Event]:
        """The events of an item; `ids` are the tasks of all keys of the source."""
        task_id = ids[item.key]
        created_ms = item.created_ms if item.created_ms is not None else ulid_ms(task_id)
        moments = [
            *self._life(item, min(created_ms, self.now_ms)),
            *self._remarks(item, created_ms),
            *self._links(item, ids, created_ms),
        ]
        first, *rest = [m.replace(ms=min(max(m.ms, created_ms), self.now_ms)) for m in moments]
        ordered = [first, *sorted(rest, key=lambda moment: moment.ms)]
        if item.archived:
            ordered.append(Moment(ordered[-1].ms, "archived", None, TaskArchived()))
        events: list[Event] = []
        for moment in ordered:
            last = events[-1].id if events else None
            event_id = next_id("ev", moment.ms, self._chance(item, moment.name), last)
            events.append(self._event(item, event_id, task_id, moment))
        return events

    def _event(self, item: Item, event_id: str, task_id: str, moment: Moment) -> Event:
        importer = self.by.actor
        foreign = moment.who not in (None, importer) and isinstance(importer, str)
        behalf = {"on_behalf_of": importer} if foreign else {}
        return Event(
            event_id,
            timestamp(moment.ms),
            task_id,
            moment.who or importer,
            moment.body,
            self.by.agent_meta if moment.who is None else None,
            marked(source_of(self.format, item.key), {**behalf, **(self.by.provenance or {})}),
        )

    def _chance(self, item: Item, name: str) -> int:
        digest = hashlib.sha256(f"{self.format}\0{item.key}\0{name}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:10])

    def _life(self, item: Item, created_ms: int) -> list[Moment]:
        """Its beginning and, where the source says when it came to its status, that too."""
        config = self.board.config
        status = item.status
        if status not in config.statuses:
            self.account.mapped["status", status[:80], config.default_status] += 1
            status = config.default_status
        begins = config.default_status if item.ended_ms is not None else status
        kind = item.type or config.task_types[0]
        if kind not in config.task_types:
            self.account.mapped["type", kind[:80], config.task_types[0]] += 1
            kind = config.task_types[0]
        title, description = self._texts(item)
        own = {} if item.id is not None else {"source": source_of(self.format, item.key)}
        custom = {name: value for name, value in self._custom(item).items() if name not in own} | own
        body = TaskCreated(
            title=title,
            status=begins,
            type=kind,
            priority=item.priority or config.default_priority,
            urgency=item.urgency,
            complexity=item.complexity,
            description=description,
            tags=self._tags(item) or None,
            assigned_to=item.assigned_to,
            custom_fields=custom or None,
        )
        moments = [Moment(created_ms, "created", item.author, body)]
        if item.ended_ms is not None and begins != status:
            moved = StatusChanged(from_=begins, to=status, force=True, reason="imported")
            moments.append(Moment(item.ended_ms, f"status {status}", None, moved))
        return moments

    def _remarks(self, item: Item, created_ms: int) -> list[Moment]:
        return [
            Moment(
                remark.ms if remark.ms is not None else created_ms,
                f"comment {place}",
                remark.author,
                CommentAdded(body=self._prose(remark.body, item, "comment")),
            )
            for place, remark in enumerate(item.remarks)
            if remark.body.strip()
        ]

    def _links(self, item: Item, ids: Mapping[str, str], created_ms: int) -> list[Moment]:
        moments: list[Moment] = []
        for link in dict.fromkeys((link.type, link.target) for link in item.links):
            kind, target = link
            target_id = ids.get(target) or (target if is_id("task", target) else None)
            unknown = target_id is None or (target not in ids and not self.board.store.exists(target_id))
            if unknown or target_id == ids[item.key] or kind not in RELATIONSHIP_TYPES:
                self.account.skipped.append((item.where, f"its link {kind[:40]} {target[:80]} leads nowhere"))
                continue
            body = RelationshipAdded(type=kind, target_task_id=str(target_id))
            moments.append(Moment(created_ms, f"link {kind} {target}", item.author, body))
        return moments

    def _texts(self, item: Item) -> tuple[str, str | None]:
        title = _line(" ".join(item.title.split()))
        whole = item.description
        if title != item.title.strip():
            self.account.adjusted.append((item.where, "characters of the title that could do harm are spelled out"))
        if len(title) > LINE_CHARS_MAX:
            self.account.adjusted.append((item.where, "the title is too long; all of it opens the description"))
            whole = "\n\n".join([title, *([whole] if whole else [])])
            title = title[: LINE_CHARS_MAX - 1] + "…"
        return title, self._prose(whole, item, "description") if whole is not None else None

    def _prose(self, text: str, item: Item, what: str) -> str:
        fitting = text.replace("\0", "\\x00").encode("utf-8", "backslashreplace")
        if len(fitting) > PROSE_BYTES_MAX:
            self.account.adjusted.append((item.where, f"the {what} is cut to {PROSE_BYTES_MAX} bytes"))
        return fitting[:PROSE_BYTES_MAX].decode("utf-8", "ignore")

    def _tags(self, item: Item) -> tuple[str, ...]:
        plain = [_line(tag).replace(",", ";").strip()[:TAG_CHARS_MAX] for tag in item.tags]
        tags = tuple(dict.fromkeys(tag for tag in plain if tag))
        if tags[:TAGS_MAX] != tuple(dict.fromkeys(item.tags)):
            self.account.adjusted.append((item.where, "tags are written as a tag has to be"))
        return tags[:TAGS_MAX]

    def _custom(self, item: Item) -> dict[str, Any]:
        return {
            _line(name).strip()[:NAME_CHARS_MAX]: self._prose(value, item, name[:40])
            if isinstance(value, str)
            else value
            for name, value in item.custom.items()
            if name.strip()
        }


def _line(text: str) -> str:
    return visible(text).encode("utf-8", "backslashreplace").decode("utf-8")
