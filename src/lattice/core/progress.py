"""How far a long act is: told to whoever asked, and nothing is known here of how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    _T = TypeVar("_T")

Progress = Callable[[int, int], None]
"""Is told how many are done, and of how many; often, so that it has to be quick."""


def told(items: Sequence[_T], progress: Progress | None, total: int | None = None) -> Iterator[_T]:
    """`items`, one after the other: an item counts as done when the next is asked for.

    Where they stand for more than themselves, as one part of several that are done side by side, `total` is the
    number of all, and what is told is in proportion.
    """
    if progress is None:
        yield from items
        return
    whole = len(items) if total is None else total
    for done, item in enumerate(items, start=1):
        yield item
        progress(done * whole // len(items), whole)
