"""What the queue asks of budgets: may this run start, and with which ceilings. A board without any asks nothing."""

from __future__ import annotations

from lattice.commands.board import Board
from lattice.errors import BudgetExceeded
from lattice.workers.queueing.sight import Memory, Seen
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.workers.budgets import Book


class Purse:
    """The budgets under one look at the queue, whose lock is held. `asks` is a run that has no folder yet."""

    def __init__(self, board: Board, seen: Seen, memory: Memory, asks: RunSpec | None = None) -> None:
        self._board = board
        self._running = seen.running
        self._memory = memory
        self._asks = asks
        self._book: Book | None = None

    @staticmethod
    def is_needed(board: Board, spec: RunSpec) -> bool:
        """Whether the run shares a ceiling with others; a board that has none does not look further."""
        if spec.agent is None or not (board.config.raw.get("budgets") or spec.parent):
            return False
        from lattice.workers.budgets import is_asked  # only the boards and the teams with budgets pay for it

        return is_asked(board, spec)

    def afford(self, run_id: str) -> str | None:
        """Take what the run may use; else why there is not so much."""
        spec = self._spec(run_id)
        if spec is None or not self.is_needed(self._board, spec):
            return None
        if self._book is None:
            from lattice.workers.budgets import Book  # as above

            self._book = Book(self._board, self._running)
        refused = self._book.ask(spec)
        return f"the budget: {refused.message}" if refused is not None else None

    def refused(self, run_id: str) -> BudgetExceeded | None:
        """Why the run was not granted what it may use, where it was not."""
        return self._book.refused.get(run_id) if self._book is not None else None

    def granted(self, spec: RunSpec) -> RunSpec:
        """The run with the ceilings that it was granted."""
        return self._book.granted.get(spec.run_id, spec) if self._book is not None else spec

    def hand_out(self, folder: RunFolder) -> bool:
        """Write the ceilings into the run's folder, whose lease the caller holds. Without them it must not start."""
        spec = self._spec(folder.run_id)
        if spec is None or self.granted(spec) == spec:
            return True
        try:
            folder.rewrite(self.granted(spec))
        except OSError as refused:
            folder.note(f"its ceilings could not be written, so that it waits on: {refused}")
            return False
        self._memory.note(self.granted(spec))
        return True

    def _spec(self, run_id: str) -> RunSpec | None:
        if self._asks is not None and self._asks.run_id == run_id:
            return self._asks
        return self._memory.spec_of(RunFolder(self._board.folder, run_id))
