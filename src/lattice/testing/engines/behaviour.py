"""How a fake engine behaves: what it says, how its stream comes, where it hangs, and what it does meanwhile.

A behaviour is a JSON object: `{"is": ["rate_limit", "noise"], "text": "…"}` names behaviours of the table below,
later ones count more, and then fields of `Behaviour`; `"when": [{"prompt": "critical", …}]` has more of both for
prompts that have the words in them. It lies beside the executable, so that it is found with an
empty environment and inside a sandbox; FAKE_ENGINE_BEHAVIOUR holds more of it, which counts more still.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lattice.core.record import Record
from lattice.errors import ValidationError, choices, did_you_mean

FINAL_TEXT = "Reviewed: two findings — naïve, 検証済み."
LONG_LINE_BYTES = 10 << 20

BEFORE_RESULT = "before_result"
AFTER_RESULT = "after_result"

ESCAPES = ("daemon", "delete_cwd", "index_lock", "commit", "write_outside")


class Behaviour(Record):
    """Everything that can be told to a fake engine. Times in seconds."""

    # What it says.
    text: str = FINAL_TEXT
    session_id: str | None = None  # None: the one it was told to use, or one of its own
    model: str | None = None  # None: the one it was told to use, or one of its own
    succeeds: bool = True
    error: str = "The model could not finish its turn."
    results: int = 1
    exit: int | None = None  # None: what the real one would
    turns: int = 2
    tokens_in: int | None = 1200  # those read from the cache are part of them; None: it does not say
    tokens_cached: int | None = 1000
    tokens_out: int | None = 340
    cost_usd: float | None = 0.25  # only where the real one says a price
    earlier_cost_usd: float = 0.5  # what a conversation has cost before, where it is resumed
    structured: Any = None  # the answer to a JSON schema, where one was given
    limited: bool = False  # the provider refuses for now
    limit_passes: bool = False  # and then does not any more
    resets_in: float | None = 3600.0  # until when; None: it is not said
    lies: bool = False  # calls a refusal of the provider a success

    # How the stream comes.
    noise: bool = False
    newer: bool = False  # lines of types that are not known yet
    cut: bool = False  # it ends within its last line
    long_line_bytes: int = 0
    chunk_bytes: int = 0  # it writes so many bytes at a time
    pause: float = 0.0  # and waits as long between
    flood_bytes: int = 0  # so much on standard error

    # Where it hangs.
    hangs: str | None = None  # "before_result" or "after_result"
    deaf: bool = False  # to SIGINT, SIGTERM and SIGHUP
    reads_stdin: bool = False  # to its end, even where the prompt was in its arguments

    # What it does.
    owes: bool = True  # leaves what it owes in $LATTICE_OUTPUT_DIR
    findings: tuple[Mapping[str, Any], ...] = ()
    verdict: str | None = None  # of its review; None: by its findings
    review: Mapping[str, Any] | None = None  # the whole review.json instead
    files: Mapping[str, str] = MappingProxyType({})  # in $LATTICE_OUTPUT_DIR instead of a review: path, text
    work: Mapping[str, str] = MappingProxyType({})  # in the working directory: path, text
    escapes: tuple[str, ...] = ()
    outside: str | None = None  # the file that `write_outside` writes, or the pid file of `daemon`
    obeys: bool = False  # does what it finds in the worktree's settings, as a hostile branch would have it
    record: str | None = None  # a file: what it was given, one JSON object a start


BEHAVIOURS: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "ok": {},
    "error": {"succeeds": False},
    "error_exit_0": {"succeeds": False, "exit": 0},
    "result_then_exit_1": {"exit": 1},
    "two_results": {"results": 2},
    "no_artifact": {"owes": False},
    "no_usage": {"tokens_in": None, "tokens_cached": None, "tokens_out": None, "cost_usd": None},
    "cut_last_line": {"cut": True},
    "split_character": {"chunk_bytes": 7},
    "noise": {"noise": True},
    "newer": {"newer": True},
    "long_line": {"long_line_bytes": LONG_LINE_BYTES},
    "slow_drip": {"chunk_bytes": 64, "pause": 0.005},
    "hang_after_result": {"hangs": AFTER_RESULT},
    "hang_without_result": {"hangs": BEFORE_RESULT},
    "hang_on_stdin": {"reads_stdin": True},
    "ignores_sigterm": {"hangs": BEFORE_RESULT, "deaf": True},
    "rate_limit": {"limited": True, "owes": False},
    "rate_limit_called_success": {"limited": True, "lies": True, "owes": False},
    "rate_limit_without_time": {"limited": True, "resets_in": None, "owes": False},
    "rate_limit_passes": {"limited": True, "limit_passes": True},
    "over_budget": {"tokens_in": 9_000_000, "tokens_cached": 0, "tokens_out": 90_000, "cost_usd": 99.5},
    "daemon": {"escapes": ("daemon",)},
    "delete_cwd": {"escapes": ("delete_cwd",)},
    "index_lock": {"escapes": ("index_lock",)},
    "commit": {"escapes": ("commit",)},
    "write_outside": {"escapes": ("write_outside",)},
    "flood": {"flood_bytes": 80 << 20},
    "obedient": {"obeys": True},
})  # fmt: skip
"""The named behaviours. They combine: each changes its own fields."""


def understand(shape: object, prompt: str = "", base: Behaviour | None = None) -> Behaviour:
    """The behaviour that a JSON object tells, given this prompt. Raises ValidationError, which names what is off."""
    if not isinstance(shape, Mapping):
        raise ValidationError("A fake engine's behaviour is a JSON object.", hint='{"is": ["ok"]}')
    told = base or Behaviour()
    named = shape.get("is", ())
    for name in (named,) if isinstance(named, str) else named:
        if name not in BEHAVIOURS:
            raise ValidationError(
                f"No behaviour of fake engines is named {str(name)[:80]!r}.",
                hint=did_you_mean(str(name), list(BEHAVIOURS), f"Behaviours: {choices(list(BEHAVIOURS))}."),
            )
        told = _with(told, BEHAVIOURS[name])
    told = _with(told, {key: value for key, value in shape.items() if key not in ("is", "when")})
    for case in shape.get("when", ()):
        more = understand({key: value for key, value in case.items() if key != "prompt"}, prompt, told)
        told = more if case["prompt"] in prompt else told
    return told


def _with(told: Behaviour, changes: Mapping[str, Any]) -> Behaviour:
    for key, value in changes.items():
        known = told.fields()
        if key not in known:
            raise ValidationError(
                f"A fake engine's behaviour has no field {key[:80]!r}.",
                hint=did_you_mean(key, list(known), f"Fields: {choices(list(known))}."),
            )
        added = (*told.escapes, *value) if key == "escapes" else tuple(value) if key == "findings" else value
        told = told.replace(**{key: added})
    unknown = [name for name in told.escapes if name not in ESCAPES]
    if unknown:
        raise ValidationError(f"No escape is named {unknown[0]!r}.", hint=f"Escapes: {choices(list(ESCAPES))}.")
    if told.hangs not in (None, BEFORE_RESULT, AFTER_RESULT):
        raise ValidationError(f"hangs is {told.hangs!r}.", hint=f'It is "{BEFORE_RESULT}" or "{AFTER_RESULT}".')
    return told
