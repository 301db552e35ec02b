"""Every writing command, with what it takes and what it refuses, as a state machine; the laws hold after each step."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, multiple, rule

from lattice.core.task import RELATIONSHIP_TYPES
from lattice.core.undo import act_of
from tests.properties import laws
from tests.properties.steps import (
    ACTOR,
    NAME,
    NO_SESSION,
    OWN_TASK,
    STATUS,
    TEXT,
    YES,
    Steps,
    folded,
    mostly,
    name_in,
    unmarked,
)
from tests.properties.world import HOUR_MS, World, logs


class BoardMachine(Steps):
    """One board, and everything one may ask of it."""

    tasks = Bundle("tasks")
    comments = Bundle("comments")
    sessions = Bundle("sessions")

    task = mostly(tasks, st.sampled_from(("LAT-99", "nonsense", "../x", "task_01JD0000000000000000000000")))
    talk = mostly(comments, st.tuples(task, st.sampled_from(("ev_x", "ev_01JD0000000000000000000000"))))
    who = mostly(
        st.just(()),
        st.builds(lambda actor: (f"--actor={actor}",), ACTOR),
        st.builds(lambda name: (f"--name={name}",), mostly(sessions, st.just(NO_SESSION))),
    )

    @initialize(target=tasks)
    def first_task(self) -> str:
        return "LAT-1"

    @initialize(target=comments)
    def first_comment(self) -> Any:
        return self.comment("LAT-1", "plain", None, ())

    @initialize(target=sessions)
    def first_session(self) -> Any:
        return self.start_session("Vega", "m")

    @initialize(named=YES, policy=YES)
    def settle(self, named: bool, policy: bool) -> None:
        """A board may have no project code, and ask for a review before a task is done."""
        path = self.world.board / "config.json"
        settings = json.loads(path.read_bytes())
        if not named:
            del settings["project_code"]
        if policy:
            settings["workflow"]["completion_policies"] = {"done": {"require_roles": ["review"]}}
        path.write_text(json.dumps(settings), "utf-8")
        self.seen = self.world.files()

    @rule(hours=st.sampled_from((1, 49)))
    def time_passes(self, hours: int) -> None:
        World.now_ms += hours * HOUR_MS

    @rule(code=st.sampled_from(("LAT", "SRV", "F", "x1", "toolong", "")), sub=YES, force=YES)
    def set_code(self, code: str, sub: bool, force: bool) -> None:
        command = "set-subproject-code" if sub else "set-project-code"
        self.do(command, code, options=("--force",) if force else (), writes="")

    @rule(who=who)
    def backfill(self, who: tuple[str, ...]) -> None:
        self.do("backfill-ids", who=who, writes="(task_short_id_assigned ?)*")

    @rule(
        name=st.sampled_from(("q", "r", "-q", "")),
        text=st.one_of(st.sampled_from(("tag:a", "@q", "@r", "odd:x")), TEXT),
        replace=YES,
    )
    def save_query(self, name: str, text: str, replace: bool) -> None:
        saved = self.do("query save", name, text, options=("--replace",) if replace else (), writes="")
        if saved.status == 0:
            assert 0 == self.world("list", f"@{name}", "--json").status

    @rule(name=st.sampled_from(("q", "r")))
    def remove_query(self, name: str) -> None:
        self.do("query remove", name, writes="")

    # Tasks

    @rule(
        target=tasks,
        title=TEXT,
        who=who,
        given=st.dictionaries(
            st.sampled_from(
                ("priority", "urgency", "complexity", "type", "status", "tags", "assigned-to", "description", "id")
            ),
            mostly(st.sampled_from(("high", "low", "bug", "done", "a,b,a", OWN_TASK)), TEXT),
            max_size=3,
        ),
    )  # fmt: skip
    def create(self, title: str, who: tuple[str, ...], given: dict[str, str]) -> Any:
        options = tuple(f"--{name}={value}" for name, value in given.items())
        made = self.do(
            "create", title, options=options, who=who, writes="(task_created)?" if "id" in given else "task_created"
        )
        if made.status:
            return multiple()
        assert (title, given.get("description")) == (made.data["title"], made.data["description"])
        return name_in(made)

    @rule(task=task, to=STATUS, who=who, force=YES, reason=TEXT)
    def status(self, task: str, to: str, who: tuple[str, ...], force: bool, reason: str) -> None:
        options = ("--force", f"--reason={reason}") if force else ()
        moved = self.do("status", task, to, options=options, who=who, writes="(status_changed)?")
        assert moved.status or to == self.shown(task)["status"]

    @rule(task=task, to=ACTOR, who=who)
    def assign(self, task: str, to: str, who: tuple[str, ...]) -> None:
        done = self.do("assign", task, to, who=who, writes="(assignment_changed)?")
        assert done.status or self.shown(task)["assigned_to"] == (None if to == "none" else to)

    @rule(
        task=task,
        who=who,
        fields=st.dictionaries(
            st.sampled_from(
                ("title", "description", "priority", "urgency", "complexity", "type", "custom_fields.k", "tags", "odd")
            ),
            st.one_of(st.sampled_from(("high", "low", "bug", "a,b,a")), TEXT),
            max_size=3,
        ),
    )  # fmt: skip
    def update(self, task: str, who: tuple[str, ...], fields: dict[str, str]) -> None:
        done = self.do(
            "update", task, *(f"{name}={value}" for name, value in fields.items()), who=who,
            writes=f"(field_updated ?){{0,{len(fields)}}}",
        )  # fmt: skip
        if done.status == 0:
            shape = self.shown(task)
            for name in fields.keys() & {"title", "priority", "urgency", "complexity", "type", "description"}:
                assert (fields[name] or None) == shape[name], f"the update is not there: {name}"

    @rule(
        task=task,
        kind=st.sampled_from(("x_a", "odd", "task_created")),
        data=st.sampled_from(('{"a":1}', "[]", "{", '{"a":1,"a":2}')),
        who=who,
        own=YES,
    )
    def event(self, task: str, kind: str, data: str, who: tuple[str, ...], own: bool) -> None:
        options = (f"--data={data}", *(("--id=ev_01KDV0K4000000000000000001",) if own else ()))
        self.do("event", task, kind, options=options, who=who, writes="(x_a)?" if own else "x_a")

    @rule(task=task, text=TEXT, role=st.sampled_from((None, "review", "odd")), url=YES, who=who)
    def attach(self, task: str, text: str, role: str | None, url: bool, who: tuple[str, ...]) -> None:
        options = (f"--role={role}",) if role else ()
        source = ("https://example.org/x",) if url else ()
        inline = () if url else (f"--inline={text}",)
        self.do(
            "attach", task, *source, options=(*options, *inline, f"--title={text}"), who=who, writes="artifact_attached"
        )

    @rule(who=who, status=st.sampled_from((None, "backlog", "planned,review", "odd")), force=YES)
    def claim(self, who: tuple[str, ...], status: str | None, force: bool) -> None:
        options = (
            "--claim",
            *((f"--status={status}",) if status else ()),
            *(("--force", "--reason=r") if force else ()),
        )
        self.do("next", options=options, who=who, writes="(assignment_changed ?)?(status_changed ?)*")

    @rule(task=task, text=TEXT, who=who)
    def complete(self, task: str, text: str, who: tuple[str, ...]) -> None:
        writes = "comment_added (status_changed )?artifact_attached status_changed"
        self.do("complete", task, options=(f"--review={text}",), who=who, writes=writes)

    @rule(some=st.lists(task, min_size=1, max_size=3), back=YES, who=who)
    def archive(self, some: list[str], back: bool, who: tuple[str, ...]) -> None:
        kind = "task_unarchived" if back else "task_archived"
        self.do("unarchive" if back else "archive", *some, who=who, writes=f"({kind} ?)*", partly=len(some) > 1)

    @rule(who=who)
    def archive_stale(self, who: tuple[str, ...]) -> None:
        self.do("archive", options=("--stale",), who=who, writes="(task_archived ?)*")

    # Talk and edges

    @rule(target=comments, task=task, text=TEXT, role=st.sampled_from((None, "review", "odd")), who=who)
    def comment(self, task: str, text: str, role: str | None, who: tuple[str, ...]) -> Any:
        options = (f"--role={role}",) if role else ()
        done = self.do("comment", task, text, options=options, who=who, writes="comment_added")
        if done.status:
            return multiple()
        added = self.shown(task)["events"][-1]
        assert text.strip() == added["data"]["body"]
        return task, added["id"]

    @rule(target=comments, talk=talk, text=TEXT, who=who)
    def reply(self, talk: tuple[str, str], text: str, who: tuple[str, ...]) -> Any:
        task, parent = talk
        done = self.do("comment", task, text, options=(f"--reply-to={parent}",), who=who, writes="comment_added")
        return multiple() if done.status else (task, self.shown(task)["events"][-1]["id"])

    @rule(talk=talk, text=TEXT, act=st.sampled_from(("comment-edit", "comment-delete", "react", "unreact")), who=who)
    def on_a_comment(self, talk: tuple[str, str], text: str, act: str, who: tuple[str, ...]) -> None:
        last = {"comment-edit": (text,), "comment-delete": ()}.get(act, ("heart" if text == "plain" else text,))
        self.do(act, *talk, *last, who=who, writes="(comment_edited|comment_deleted|reaction_added|reaction_removed)?")

    @rule(task=task, kind=st.sampled_from((*RELATIONSHIP_TYPES, "odd")), other=task, note=TEXT, away=YES, who=who)
    def link(self, task: str, kind: str, other: str, note: str, away: bool, who: tuple[str, ...]) -> None:
        options = () if away or note == "plain" else (f"--note={note}",)
        writes = "relationship_removed" if away else "(relationship_added)?"
        self.do("unlink" if away else "link", task, kind, other, options=options, who=who, writes=writes)

    @rule(task=task, branch=st.one_of(st.sampled_from(("b1", "b2")), TEXT), away=YES, who=who)
    def branch(self, task: str, branch: str, away: bool, who: tuple[str, ...]) -> None:
        writes = "branch_unlinked" if away else "(branch_linked)?"
        self.do("branch-unlink" if away else "branch-link", task, branch, who=who, writes=writes)

    # Agents working together

    @rule(
        target=sessions,
        name=mostly(st.sampled_from(("Vega", "Mira")), st.sampled_from(("-x", "Vega-1", "a/b"))),
        model=TEXT,
    )
    def start_session(self, name: str, model: str) -> Any:
        options = (f"--name={name}", f"--model={model}", "--framework=f")
        begun = self.do("session start", options=options, writes="")
        return multiple() if begun.status else begun.data["name"]

    @rule(name=mostly(sessions, st.sampled_from((NO_SESSION, "../x", ""))), reason=TEXT)
    def end_session(self, name: str, reason: str) -> None:
        self.do("session end", name, options=(f"--reason={reason}",), writes="")

    @rule(
        name=NAME,
        holders=mostly(st.sampled_from(("1", "2")), st.sampled_from(("0", "x"))),
        ttl=mostly(st.sampled_from(("9000", "60")), st.just("-1")),
        who=who,
    )
    def make_resource(self, name: str, holders: str, ttl: str, who: tuple[str, ...]) -> None:
        self.do(
            "resource create",
            name,
            options=(f"--max-holders={holders}", f"--ttl={ttl}"),
            who=who,
            writes="resource_created",
        )

    @rule(name=NAME, force=YES, task=st.one_of(st.none(), task), who=who)
    def acquire(self, name: str, force: bool, task: str | None, who: tuple[str, ...]) -> None:
        options = (*(("--force", "--reason=r") if force else ()), *((f"--task={task}",) if task is not None else ()))
        before = laws.holders_at(self.seen, World.now_ms + 1_000)
        writes = "resource_heartbeat|(resource_expired )*resource_acquired"
        if self.do("resource acquire", name, options=options, who=who, writes=writes).status == 0 and not force:
            after = laws.holders_at(self.seen, World.now_ms)
            assert set(before[name]) <= set(after[name]), "a holder lost it without force"

    @rule(name=NAME, act=st.sampled_from(("heartbeat", "release")), who=who)
    def hold(self, name: str, act: str, who: tuple[str, ...]) -> None:
        self.do(f"resource {act}", name, who=who, writes="resource_heartbeat|resource_released")

    # Time, mends, transfer

    @rule(task=task, back=st.integers(0, 6), who=who)
    def undo(self, task: str, back: int, who: tuple[str, ...]) -> None:
        before = self.history(task)
        chosen = before[-1 - back % len(before)].id if before else "ev_x"
        act = [event.id for event in act_of(before, chosen)] if before else []
        done = self.do("undo", task, chosen, options=("--yes",), who=who, writes="([a-z_]+ ?)+")
        if done.status == 0 and act[-1] == before[-1].id:
            earlier = folded([event for event in before if event.id not in act])
            now = folded(self.history(task))
            assert laws.untimed(earlier) == laws.untimed(now), "an undo did not bring back what was before"

    @rule(what=st.sampled_from(("tasks", "ids.json", "resources", "events/_lifecycle.jsonl", "index.sqlite")), fix=YES)
    def lose_what_is_derived(self, what: str, fix: bool) -> None:
        listed = self.world("list", "--include-archived", "--json").out
        lost = [path for path in self.seen if path.startswith(what)]
        for path in lost:
            (self.world.board / path).unlink()
        if what == "index.sqlite":
            for cache in self.world.board.glob("index.sqlite*"):
                cache.unlink()
        assert listed == self.world("list", "--include-archived", "--json").out
        if fix:  # What a fresh clone lacks is no fault: the doctor makes the rest.
            assert 0 == self.world("doctor", "--fix", "--json").status
        assert 0 == self.world("rebuild", "--all", "--json").status
        now = {path: data for path, data in self.world.files().items() if not path.startswith("doctor/")}
        was = {path: data for path, data in self.seen.items() if not path.startswith("doctor/")}
        assert unmarked(was) == unmarked(now)
        self.seen = self.world.files()
        laws.hold(self.world, self.seen)

    @rule(task=tasks, tail=st.sampled_from((b"{", b'{"schema_version":1,"id":"ev_', b"\xff")))
    def tear(self, task: str, tail: bytes) -> None:
        """A writer died in the middle of a line: the doctor or the next writer sets it aside."""
        events = self.history(task)
        (path,) = self.world.board.rglob(f"events/{events[0].task_id}.jsonl")
        with path.open("ab") as log:
            log.write(tail)
        for _ in ("the torn end is set aside", "what was set aside is moved away"):
            assert 0 == self.world("doctor", "--fix", "--json").status
        now = self.world.files()
        assert logs(self.seen) == logs(now)
        self.seen = now
        laws.hold(self.world, now)

    @rule(
        titles=st.lists(st.sampled_from(("A", "B", "C", "", '"', "=1+1", "\x1b")), min_size=1, max_size=3),
        dry=YES,
        who=who,
    )
    def import_csv(self, titles: list[str], dry: bool, who: tuple[str, ...]) -> None:
        path = self.world.folder / "tasks.csv"
        path.write_text("title,status,tags\n" + "".join(f"{title},backlog,x\n" for title in titles), "utf-8")
        options = ("--from=csv", "--dry-run") if dry else ("--from=csv",)
        writes = "" if dry else "(task_created ?|comment_added ?|x_imported ?)*"
        if self.do("import", str(path), options=options, who=who, writes=writes).status == 0:
            self.do("import", str(path), options=options, who=who, writes="")
