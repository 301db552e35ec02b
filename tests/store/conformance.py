"""What every store must do. A store's test derives from `StoreConformance` and gives the `store` fixture."""

from __future__ import annotations

import threading

import pytest

from lattice.core.events import CommentAdded, StatusChanged, TaskCreated
from lattice.core.ids import next_id
from lattice.core.task import Task
from lattice.errors import Conflict, InvalidId, NotFound, ValidationError
from lattice.ledger import Ledger, Signature
from lattice.store.protocol import Store

ANN = Signature("human:ann")


class Ticking:
    """A clock and a die that a test can foresee."""

    def __init__(self, ms: int = 1_800_000_000_000) -> None:
        self.ms = ms
        self._drawn = 0

    def now_ms(self) -> int:
        return self.ms

    def chance(self) -> int:
        self._drawn += 1
        return self._drawn


class StoreConformance:
    """The suite. `ledger` is the only writer, here as elsewhere."""

    @pytest.fixture
    def ledger(self, store: Store) -> Ledger:
        return Ledger(store, Ticking())

    @pytest.fixture
    def stream(self, ledger: Ledger) -> str:
        return begin(ledger, "First")

    def test_what_was_appended_is_read(self, ledger: Ledger, store: Store, stream: str) -> None:
        written = ledger.transact(stream, lambda _: [CommentAdded(body="a ☃ 𝄞")], ANN)
        task, events = store.history(stream)
        assert ["task_created", "comment_added"] == [event.type for event in events]
        assert written.task == task == store.task(stream)
        assert CommentAdded(body="a ☃ 𝄞") == events[1].body
        assert written.events[0].id == task.last_event_id

    def test_an_act_of_several_events_is_one_batch(self, ledger: Ledger, store: Store, stream: str) -> None:
        ledger.transact(stream, lambda _: [CommentAdded(body=word) for word in "abc"], ANN)
        _, events = store.history(stream)
        assert [None, (1, 3), (2, 3), (3, 3)] == [event.batch for event in events]
        assert [None, *(event.id for event in events[:-1])] == [event.prev for event in events]
        assert sorted(event.id for event in events) == [event.id for event in events]

    def test_each_event_has_the_time_and_the_actor_of_its_act(self, ledger: Ledger, store: Store, stream: str) -> None:
        by = Signature("agent:bot", {"model": "m"}, {"reason": "because"})
        ledger.transact(stream, lambda _: [CommentAdded(body="x")], by)
        event = store.history(stream)[1][-1]
        expected = ("2027-01-15T08:00:00Z", "agent:bot", {"model": "m"}, {"reason": "because"})
        assert expected == (event.ts, event.actor, event.agent_meta, event.provenance)

    def test_ids_grow_when_the_clock_goes_back(self, store: Store) -> None:
        clock = Ticking()
        ledger = Ledger(store, clock)
        stream = begin(ledger, "x")
        for _ in range(3):
            clock.ms -= 1000
            ledger.transact(stream, lambda _: [CommentAdded(body="x")], ANN)
        ids = [event.id for event in store.history(stream)[1]]
        assert sorted(set(ids)) == ids

    def test_a_decision_sees_the_task_as_it_is_now(self, ledger: Ledger, store: Store, stream: str) -> None:
        seen = []

        def decide(task: Task) -> list[CommentAdded]:
            seen.append(task.comment_count)
            return [CommentAdded(body="x")]

        for _ in range(3):
            ledger.transact(stream, decide, ANN)
        assert [0, 1, 2] == seen

    def test_a_refusal_leaves_nothing(self, ledger: Ledger, store: Store, stream: str) -> None:
        before = store.history(stream)

        def refuse(task: object) -> list[CommentAdded]:
            raise ValidationError("no")

        with pytest.raises(ValidationError):
            ledger.transact(stream, refuse, ANN)
        assert before == store.history(stream)

    def test_what_json_cannot_hold_leaves_nothing_of_its_act(self, ledger: Ledger, store: Store, stream: str) -> None:
        before = store.history(stream)
        with pytest.raises(ValidationError):
            ledger.transact(stream, lambda _: [CommentAdded(body="fine"), CommentAdded(body="\ud800")], ANN)
        assert before == store.history(stream)

    def test_what_cannot_be_replayed_cannot_be_written(self, ledger: Ledger, store: Store, stream: str) -> None:
        before = store.history(stream)
        with pytest.raises(ValidationError):
            ledger.transact(stream, lambda _: [created("again")], ANN)
        assert before == store.history(stream)

    def test_nothing_to_change_writes_nothing(self, ledger: Ledger, store: Store, stream: str) -> None:
        before = store.history(stream)
        assert () == ledger.transact(stream, lambda _: [], ANN).events
        assert before == store.history(stream)

    def test_a_retry_by_event_id_finds_its_event(self, ledger: Ledger, store: Store, stream: str) -> None:
        event_id = ledger.new_id("ev")
        once = ledger.transact(stream, lambda _: [CommentAdded(body="x")], ANN, event_id=event_id)
        again = ledger.transact(stream, lambda _: [CommentAdded(body="x")], ANN, event_id=event_id)
        assert (False, True) == (once.repeated, again.repeated)
        assert event_id == once.events[0].id == again.events[0].id
        assert 1 == store.task(stream).comment_count

    def test_the_same_event_id_for_something_else_is_a_conflict(
        self, ledger: Ledger, store: Store, stream: str
    ) -> None:
        event_id = ledger.new_id("ev")
        ledger.transact(stream, lambda _: [CommentAdded(body="x")], ANN, event_id=event_id)
        with pytest.raises(Conflict):
            ledger.transact(stream, lambda _: [CommentAdded(body="y")], ANN, event_id=event_id)
        with pytest.raises(Conflict):
            ledger.transact(stream, lambda _: [StatusChanged(from_="backlog", to="done")], ANN, event_id=event_id)
        assert 2 == len(store.history(stream)[1])

    def test_an_event_id_names_one_event(self, ledger: Ledger, store: Store, stream: str) -> None:
        two = [CommentAdded(body="x"), CommentAdded(body="y")]
        with pytest.raises(Conflict):
            ledger.transact(stream, lambda _: two, ANN, event_id=ledger.new_id("ev"))
        assert 1 == len(store.history(stream)[1])

    @pytest.mark.parametrize("days", [2, 20_000])
    def test_an_event_id_of_the_future_is_refused(self, ledger: Ledger, store: Store, stream: str, days: int) -> None:
        far = next_id("ev", 1_800_000_000_000 + days * 86_400_000, 0, None)
        with pytest.raises(InvalidId):
            ledger.transact(stream, lambda _: [CommentAdded(body="x")], ANN, event_id=far)
        assert 1 == len(store.history(stream)[1])

    def test_a_create_can_be_repeated_and_not_changed(self, ledger: Ledger, store: Store) -> None:
        stream = ledger.new_id("task")
        once = ledger.create(stream, lambda short_id: created("A", short_id), ANN, "LAT")
        again = ledger.create(stream, lambda short_id: created("A", short_id), ANN, "LAT")
        assert (once.task, True) == (again.task, again.repeated)
        with pytest.raises(Conflict):
            ledger.create(stream, lambda short_id: created("B", short_id), ANN, "LAT")
        assert 1 == len(store.history(stream)[1])

    def test_what_is_not_there_is_not_found(self, ledger: Ledger, store: Store) -> None:
        stream = ledger.new_id("task")
        assert not store.exists(stream)
        for ask in (store.task, store.history, lambda name: ledger.transact(name, lambda _: [], ANN)):
            with pytest.raises(NotFound):
                ask(stream)
        assert [] == list(store.tasks())
        assert store.resolve("LAT-1") is None

    def test_a_create_that_fails_leaves_no_task(self, ledger: Ledger, store: Store) -> None:
        stream = ledger.new_id("task")
        with pytest.raises(ValidationError):
            ledger.create(stream, lambda short_id: created("\ud800", short_id), ANN, "LAT")
        assert not store.exists(stream)
        assert [] == list(store.tasks())

    def test_tasks_come_oldest_first(self, store: Store) -> None:
        clock = Ticking()
        ledger = Ledger(store, clock)
        made = []
        for title in "abc":
            clock.ms += 1
            made.append(begin(ledger, title))
        assert made == [task.id for task in store.tasks()]

    def test_short_ids_count_by_prefix_and_are_found(self, ledger: Ledger, store: Store) -> None:
        streams = [begin(ledger, "x", prefix) for prefix in ("LAT", "LAT", "API", "LAT-F", "LAT")]
        names = [store.task(stream).short_id for stream in streams]
        assert ["LAT-1", "LAT-2", "API-1", "LAT-F-1", "LAT-3"] == names
        assert streams == [store.resolve(name or "") for name in names]
        assert store.resolve("LAT-9") is None

    def test_a_task_may_have_no_short_id(self, ledger: Ledger, store: Store) -> None:
        assert store.task(begin(ledger, "x", None)).short_id is None

    def test_writers_of_one_stream_exclude_each_other(self, store: Store) -> None:
        ledger = Ledger(store, Ticking())
        stream = begin(ledger, "x")
        inside = []
        worst = []

        def decide(task: object) -> list[CommentAdded]:
            inside.append(1)
            worst.append(len(inside))
            inside.pop()
            return [CommentAdded(body="x")]

        def comment() -> None:
            for _ in range(10):
                ledger.transact(stream, decide, ANN)

        threads = [threading.Thread(target=comment) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 == max(worst)
        assert 40 == store.task(stream).comment_count == len(store.history(stream)[1]) - 1


def created(title: str, short_id: str | None = None) -> TaskCreated:
    return TaskCreated(title=title, status="backlog", type="task", priority="medium", short_id=short_id)


def begin(ledger: Ledger, title: str, prefix: str | None = "LAT") -> str:
    """A new task's stream."""
    stream = ledger.new_id("task")
    ledger.create(stream, lambda short_id: created(title, short_id), ANN, prefix)
    return stream
