"""A row that is cut out of a snapshot's text is the one that parsing it gives."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lattice.core.pretty import document
from lattice.core.task import ActiveRun, BranchLink, EvidenceRef, Relationship, Task, to_snapshot
from lattice.store.files.index_rows import Prepared, of_cut, of_text
from lattice.store.files.row_cut import cut

STAMP = "512:1700000000000000000:77"
WORDS = st.text(alphabet="ab_0 ", min_size=1, max_size=6)
TEXTS = st.text(max_size=12) | st.sampled_from(
    ['"', "null", "[", "]", "{\n", '",\n  "id": "x', "\\", "\x00", "é\u2028"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ACTORS = WORDS | TEXTS | st.dictionaries(WORDS, TEXTS, min_size=1, max_size=2)
MOSTLY: dict[str, st.SearchStrategy[Any]] = {
    "str": WORDS | TEXTS,
    "Actor": ACTORS,
    "int": st.integers(0, 99),
    "bool": st.booleans(),
    "tuple[str, ...]": st.lists(TEXTS, max_size=3).map(tuple),
    "Mapping[str, Any]": st.dictionaries(TEXTS, JSON, max_size=3),
}


def of(kind: type[Any], **given_: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = {}
    for name, annotation in kind.__annotations__.items():
        if name in given_:
            fields[name] = given_[name]
        else:
            plain = MOSTLY[annotation.removesuffix(" | None")]
            fields[name] = plain | st.none() if annotation.endswith(" | None") else plain
    return st.builds(kind, **fields)


def some(kind: type[Any], **given_: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(of(kind, **given_), max_size=2).map(tuple)


TASKS = of(
    Task,
    relationships_out=some(Relationship),
    evidence_refs=some(EvidenceRef),
    branch_links=some(BranchLink),
    active_processes=st.just(()) | some(ActiveRun, timeout_s=st.none()),
    reviews=st.just(()),
    findings=st.just(()),
)


def text_of(task: Task) -> bytes:
    return document(to_snapshot(task))


def rows(text: bytes, *, away: bool) -> tuple[Prepared | None, Prepared | None]:
    """As it is parsed, and as it is cut."""
    found = cut(text)
    return of_text(text, STAMP, away=away), None if found is None else of_cut(found, text, STAMP)


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(TASKS)
def test_what_is_cut_is_what_is_parsed(task: Task) -> None:
    parsed, found = rows(text_of(task), away=task.archived)
    assert found is None or parsed == found


USUAL = Task(
    id="task_01KDVDQ4K0V3RS3DTR98H6BCFN",
    short_id="LAT-1",
    title='Said "so",\n  "id": "task_",',
    status="backlog",
    priority="medium",
    urgency="high",
    complexity=None,
    type="task",
    description="[\n{\n",
    tags=("ui", '"tests"', "\n    x"),
    assigned_to="agent:one",
    created_by="human:ann",
    created_at="2026-01-01T00:01:00Z",
    updated_at="2026-01-01T00:01:00Z",
    done_at=None,
    last_status_changed_at="2026-01-01T00:01:00Z",
    relationships_out=(Relationship("blocks", "task_1", "2026-01-01T00:01:00Z", "human:ann", "soon"),),
    evidence_refs=(EvidenceRef("ev_1", "review", "comment"),),
    branch_links=(BranchLink("feature", None, "2026-01-01T00:01:00Z", "human:ann"),),
    comment_count=2,
    reopened_count=1,
    custom_fields={"points": 3, "nested": {"a": ["b", {}]}},
    last_event_id="ev_1",
)


def test_the_usual_task_is_cut_with_all_that_it_has() -> None:
    for task in (USUAL, USUAL.replace(archived=True), USUAL.replace(tags=None, urgency=None, assigned_to=None)):
        parsed, found = rows(text_of(task), away=task.archived)
        assert found is not None
        assert parsed == found


def test_what_is_not_the_text_of_a_snapshot_is_not_cut() -> None:
    text = text_of(USUAL)
    others = (text + b"x", text[1:], text.replace(b'  "title"', b'  "titel"'), text.replace(b'"LAT-1"', b'"LAT-\xff"'))
    assert [None] * 5 == [cut(b""), *map(cut, others)]
