"""How far a long act is: told to whoever asked, and nothing is known here of how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    _T = TypeVar("_T")

Progress = Callable[[int, int], None]
"""Is told how many are done, and of how many; often, so that it has to be quick."""


def told(items: Sequence[_T], progress: Progress | None) -> Iterator[_T]:
    """`items`, one after the other: an item counts as done when the next is asked for."""
    if progress is None:
        yield from items
        return
    for done, item in enumerate(items, start=1):
        yield item
        progress(done, len(items))
