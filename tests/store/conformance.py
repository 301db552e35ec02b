"""What every store must do. A store's test derives from `StoreConformance` and gives the `store` fixture."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from lattice.core.events import (
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    Event,
    RelationshipAdded,
    RelationshipRemoved,
    StatusChanged,
    TaskArchived,
    TaskCreated,
    TaskUnarchived,
)
from lattice.core.fulltext import parse_words
from lattice.core.ids import next_id
from lattice.core.run_events import ProcessRequested
from lattice.core.summary import Edge, document, summary
from lattice.core.task import Task
from lattice.errors import Archived, Conflict, InvalidId, NotFound, ValidationError
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

    def test_a_view_has_every_task_as_it_is_now(self, ledger: Ledger, store: Store, stream: str) -> None:
        for word in ("one", "two"):
            ledger.transact(stream, lambda _, word=word: [CommentAdded(body=word)], ANN)  # type: ignore[misc]  # the default binds the loop's word
            with store.view() as view:
                assert [summary(store.task(stream))] == list(view.rows())
                assert summary(store.task(stream)) == view.row(stream)
                assert [document(store.task(stream))] == list(view.documents([stream])) == list(view.documents())
                assert view.row("task_01JD0000000000000000000001") is None

    def test_a_view_has_edges_in_both_directions(self, ledger: Ledger, store: Store, stream: str) -> None:
        other = begin(ledger, "Second")
        for kind in ("blocks", "related_to"):
            body = RelationshipAdded(type=kind, target_task_id=stream, note="n")
            ledger.transact(other, lambda _, body=body: [body], ANN)  # type: ignore[misc]  # the default binds the loop's body
        ledger.transact(other, lambda _: [RelationshipRemoved(type="blocks", target_task_id=stream)], ANN)
        expected = [Edge(other, "related_to", stream, "n")]
        with store.view(archived=True) as view:
            assert (expected, expected, []) == (view.edges(), view.incoming(stream), view.incoming(other))
            assert (expected, []) == (view.outgoing(other), view.outgoing(stream))

    def test_a_view_has_archived_tasks_where_they_are_asked_for(
        self, ledger: Ledger, store: Store, stream: str
    ) -> None:
        other = begin(ledger, "Second")
        ledger.transact(other, lambda _: [RelationshipAdded(type="blocks", target_task_id=stream)], ANN)
        for body, seen in ((TaskArchived(), [stream]), (TaskUnarchived(), [stream, other])):
            ledger.transact(other, lambda _, body=body: [body], ANN, archived=True)  # type: ignore[misc]  # the default binds the loop's body
            with store.view(texts=True) as view:
                assert seen == [row.id for row in view.rows()]
                assert (len(seen) > 1) == bool(view.search(parse_words("second")))
                assert len(seen) - 1 == len(view.edges())
            with store.view(archived=True) as view:
                assert [(stream, False), (other, len(seen) == 1)] == [(row.id, row.archived) for row in view.rows()]

    def test_a_search_reads_comments_as_they_are_now(self, ledger: Ledger, store: Store, stream: str) -> None:
        first = ledger.transact(stream, lambda _: [CommentAdded(body="a needle")], ANN).events[0].id
        assert [stream] == found(store, "needle")
        ledger.transact(stream, lambda _: [CommentEdited(comment_id=first, body="a thread")], ANN)
        assert ([], [stream]) == (found(store, "needle"), found(store, "THR"))
        ledger.transact(stream, lambda _: [CommentDeleted(comment_id=first)], ANN)
        assert ([], [stream]) == (found(store, "thread"), found(store, "first"))

    def test_a_search_gives_titles_first(self, ledger: Ledger, store: Store, stream: str) -> None:
        ledger.transact(stream, lambda _: [CommentAdded(body="some crash in a long text about many other things")], ANN)
        titled = begin(ledger, "Crash")
        assert [titled, stream] == found(store, "crash")
        assert [] == found(store, "crash nothing")

    def test_a_view_knows_which_tasks_have_runs(self, ledger: Ledger, store: Store, stream: str) -> None:
        begin(ledger, "Second")
        run = "run_01JD0000000000000000000001"
        body = ProcessRequested(run, "W", "d", None, None, 1.0, "h", "2099-01-01T00:00:00Z")
        ledger.transact(stream, lambda _: [body], ANN)
        with store.view() as view:
            assert [stream] == view.running()
            assert [store.task(stream).active_processes] == [row.active_processes for row in view.rows()][:1]

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

    def test_an_archived_stream_is_read_and_not_written(self, ledger: Ledger, store: Store, stream: str) -> None:
        other = begin(ledger, "Other")
        ledger.transact(stream, lambda _: [TaskArchived()], ANN)
        assert [other] == [task.id for task in store.tasks()]
        assert [stream] == [task.id for task in store.tasks(archived=True)]
        assert store.exists(stream)
        assert store.task(stream).archived
        assert stream == store.resolve("LAT-1")
        with pytest.raises(Archived):
            ledger.transact(stream, lambda _: [CommentAdded(body="x")], ANN)
        assert ["task_created", "task_archived"] == [event.type for event in store.history(stream)[1]]

    def test_an_archived_stream_comes_back_as_it_was(self, ledger: Ledger, store: Store, stream: str) -> None:
        before = ledger.transact(stream, lambda _: [CommentAdded(body="kept")], ANN).task
        ledger.transact(stream, lambda _: [TaskArchived()], ANN)
        ledger.transact(stream, lambda _: [TaskUnarchived()], ANN, archived=True)
        back = store.task(stream)
        assert before == back.replace(last_event_id=before.last_event_id)
        assert [back] == list(store.tasks())
        assert [] == list(store.tasks(archived=True))

    def test_a_refused_return_leaves_the_stream_archived(self, ledger: Ledger, store: Store, stream: str) -> None:
        ledger.transact(stream, lambda _: [TaskArchived()], ANN)

        def refuse(task: Task) -> list[TaskUnarchived]:
            raise ValidationError(f"Not {task.name}.")

        with pytest.raises(ValidationError):
            ledger.transact(stream, refuse, ANN, archived=True)
        assert ([], [stream]) == (list(store.tasks()), [task.id for task in store.tasks(archived=True)])

    def test_a_decision_on_history_is_given_every_event(self, ledger: Ledger, stream: str) -> None:
        ledger.transact(stream, lambda _: [CommentAdded(body="x")], ANN)
        seen: list[str] = []

        def decide(task: Task, events: Sequence[Event]) -> list[CommentAdded]:
            seen.extend(event.id for event in events)
            return [CommentAdded(body=task.title)]

        written = ledger.transact_on_history(stream, decide, ANN)
        assert (2, written.events[0].prev) == (len(seen), seen[-1])

    def test_short_ids_are_given_to_those_without_archived_ones_too(self, ledger: Ledger, store: Store) -> None:
        streams = [begin(ledger, title, None) for title in "abc"]
        ledger.transact(streams[1], lambda _: [TaskArchived()], ANN)
        assert 3 == len(ledger.assign_short_ids(streams, "LAT", ANN))
        assert [(), (), ()] == [written.events for written in ledger.assign_short_ids(streams, "LAT", ANN)]
        assert streams == [store.resolve(f"LAT-{number}") for number in (1, 2, 3)]
        assert [streams[1]] == [task.id for task in store.tasks(archived=True)]

    def test_histories_are_every_tasks_events_oldest_first(self, ledger: Ledger, store: Store) -> None:
        streams = [begin(ledger, title) for title in "ab"]
        ledger.transact(streams[0], lambda _: [TaskArchived()], ANN)
        assert [store.history(stream) for stream in streams] == list(store.histories())
        last = store.history(streams[1])[1][-1].ts
        assert streams[1] in [task.id for task, _ in store.histories(since=last)]
        assert [] == list(store.histories(since="9999-01-01T00:00:00Z"))

    def test_histories_can_be_asked_for_those_with_a_type_of_event(self, ledger: Ledger, store: Store) -> None:
        streams = [begin(ledger, title) for title in "ab"]
        ledger.transact(streams[1], lambda _: [CommentAdded(body="x")], ANN)
        assert [store.history(streams[1])] == list(store.histories(having="comment_added"))
        assert [] == list(store.histories(having="process_requested"))


def found(store: Store, text: str) -> list[str]:
    """The ids of the tasks that a search finds, the best first."""
    with store.view(texts=True) as view:
        return [hit.task_id for hit in view.search(parse_words(text))]


def created(title: str, short_id: str | None = None) -> TaskCreated:
    return TaskCreated(title=title, status="backlog", type="task", priority="medium", short_id=short_id)


def begin(ledger: Ledger, title: str, prefix: str | None = "LAT") -> str:
    """A new task's stream."""
    stream = ledger.new_id("task")
    ledger.create(stream, lambda short_id: created(title, short_id), ANN, prefix)
    return stream
