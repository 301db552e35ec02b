"""What an engine's stream has said so far: the value that an adapter folds its lines into."""

from __future__ import annotations

from lattice.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Usage(Record):
    """What a run has used. None is "not said", which is not 0. Tokens read from a cache are part of `tokens_in`."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    cost_usd: float | None = None


class RateLimit(Record):
    """The provider refused for now: until a time of the log, for a span from when it said so, or nobody knows."""

    resets_at: str | None = None
    after_s: float | None = None


class Heard(Record):
    """The state of a stream after some of its lines. An adapter's `hear` makes the next from one line."""

    session_id: str | None = None
    model: str | None = None
    succeeded: bool | None = None  # None: no result yet
    text: str | None = None  # the final text, or the last that could be it
    structured: Any = None  # an answer to a JSON schema, where the engine gives one
    error: str | None = None
    usage: Usage = Usage()
    so_far: Usage = Usage()  # of an engine that tells its usage at its end: at least so much, while it works
    rate_limit: RateLimit | None = None
    turns: int = 0
    tools: int = 0  # how many tools it has called
    activity: str | None = None  # one line: what it does now, for `ps` and `top`
    unread: int = 0  # lines that were not what the engine's format says
    message: str | None = None  # what its last piece belonged to: the next one of the same goes on with it
    before: Usage | None = None  # what a session that goes on had used, where the engine counts that again
