"""Questions about many tasks: which fit, and which have certain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

from lattice.commands.board import Board
from lattice.core.config import Config
from lattice.core.query import Query, Setting, fits, parse_sort, status_fits
from lattice.core.record import Record
from lattice.core.summary import Document, Summary
from lattice.errors import ConfigError
from lattice.ledger import timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.store.protocol import Unread
    from lattice.store.view import View


class Listing(Record):
    """Which tasks, in which order. `sort` is None for oldest first."""

    query: Query = Query()
    sort: str | None = None
    limit: int | None = None
    archived: bool = False
    at: str | None = None  # the moment, as the log writes it, at which they are looked at; None is now

    def run(self, board: Board, me: str | None = None, unread: Unread | None = None) -> tuple[Summary, ...]:
        """The tasks that fit. `me` is who asks; `unread` as a store has it. Raises ValidationError, LogDamaged."""
        with self._view(board, unread) as view:
            return tuple(self._rows(board, view, me))

    def documents(self, board: Board, me: str | None = None, unread: Unread | None = None) -> list[Document]:
        """The JSON texts of the tasks that fit. Raises as `run` does."""
        with self._view(board, unread) as view:
            if not self.query.conditions and self.sort is None and self.limit is None:
                return list(view.documents())
            return list(view.documents([row.id for row in self._rows(board, view, me)]))

    def _rows(self, board: Board, view: View, me: str | None) -> Iterable[Summary]:
        asked = setting(board, me)
        test = fits(self.query, asked)
        found = (row for row in view.rows(status_fits(self.query, asked)) if test(row))
        if self.sort is None:
            return islice(found, self.limit)
        return parse_sort(self.sort, board.config)(list(found))[: self.limit]

    def _view(self, board: Board, unread: Unread | None) -> AbstractContextManager[View]:
        if self.at is None:
            return board.store.view(archived=self.archived, unread=unread)
        return nullcontext(_view_at(board, self.at, archived=self.archived, unread=unread))


def _view_at(board: Board, at: str, *, archived: bool, unread: Unread | None) -> View:
    from lattice.commands.history import view_at  # the present does without

    return view_at(board, at, archived=archived, unread=unread)


class Match(Record):
    """A task that a search found, with the piece of its text that shows why; empty where the title does."""

    row: Summary
    snippet: str


class Search(Record):
    """Words, and `"phrases"`: a task has to have all of them, in any of its texts. The last may be a beginning."""

    text: str
    limit: int | None = None
    archived: bool = False

    def run(self, board: Board, unread: Unread | None = None) -> tuple[Match, ...]:
        """The tasks that fit, the best first. Raises as `Listing.run`; there has to be a word to look for."""
        from lattice.core.fulltext import parse_words, snippet  # a list does without

        phrases = parse_words(self.text)
        with board.store.view(archived=self.archived, texts=True, unread=unread) as view:
            hits = view.search(phrases, self.limit)
            rows = [view.row(hit.task_id) for hit in hits]
        return tuple(
            Match(row, snippet(phrases, hit.words)) for row, hit in zip(rows, hits, strict=True) if row is not None
        )


def setting(board: Board, me: str | None = None) -> Setting:
    """What `me` and ages mean in a question that is asked now."""
    return Setting(timestamp(board.ledger.source.now_ms()), me or board.config.default_actor, board.config)


def saved_queries(config: Config) -> dict[str, str]:
    """The board's named queries: `queries` of its config.json. Raises ConfigError."""
    raw = config.raw.get("queries", {})
    if not isinstance(raw, Mapping) or not all(isinstance(text, str) for text in raw.values()):
        raise ConfigError(
            "The board's config.json is off at queries: expected names and texts.",
            hint='Write "queries": {"mine": "assigned:me -status:done"}.',
        )
    return dict(raw)
