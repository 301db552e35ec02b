"""Hooks: programs that a board's settings want run after an event, and which of them an event calls for.

`hooks` in config.json holds `post_event`, `on` (by event type) and `transitions` (by `"FROM -> TO"`,
where `*` is any status). Each names one program: a list of arguments, or a text that is the program
alone. There is no shell, and nothing is interpolated: what an event says reaches a hook through its
environment and its standard input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lattice.core.actors import actor_text
from lattice.core.events import Event, StatusChanged
from lattice.core.record import Record
from lattice.errors import ConfigError

TIMEOUT_S = 10.0
TIMEOUT_S_MAX = 600.0
ANY = "*"
_ARROW = "->"
_KEYS = ("post_event", "on", "transitions", "timeout_seconds")


class Hook(Record):
    """One program, and the key of the settings that names it."""

    key: str  # hooks.post_event, hooks.on.comment_added, hooks.transitions.* -> review
    argv: tuple[str, ...]


class Hooks(Record):
    """The hooks of a board, each kind in the order of the settings."""

    post_event: Hook | None = None
    on: Mapping[str, Hook] = {}
    transitions: Mapping[tuple[str, str], Hook] = {}
    timeout_s: float = TIMEOUT_S

    def all(self) -> tuple[Hook, ...]:
        """Every hook, in the order in which they would run."""
        first = () if self.post_event is None else (self.post_event,)
        return (*first, *self.on.values(), *self.transitions.values())

    def called_by(self, event: Event) -> tuple[Hook, ...]:
        """The hooks that `event` calls for: `post_event`, then its type's, then the most exact transition's first."""
        called = [self.post_event, self.on.get(event.type)]
        if isinstance(event.body, StatusChanged):
            from_, to = event.body.from_, event.body.to
            called += [self.transitions.get(key) for key in ((from_, to), (ANY, to), (from_, ANY), (ANY, ANY))]
        return tuple(hook for hook in called if hook is not None)


def parse_hooks(raw: object) -> Hooks:
    """The hooks in the `hooks` member of a config.json. Raises ConfigError naming the key that is off."""
    if raw is None:
        return Hooks()
    top = _mapping(raw, "hooks")
    for key in top:
        if key not in _KEYS:
            raise ConfigError(f"The board's config.json is off at hooks.{key}: there is no such kind of hook.",
                              hint=f"Kinds: {', '.join(_KEYS)}.")  # fmt: skip
    on = _mapping(top.get("on") or {}, "hooks.on")
    transitions = _mapping(top.get("transitions") or {}, "hooks.transitions")
    first = top.get("post_event")
    return Hooks(
        post_event=None if first is None else _hook("hooks.post_event", first),
        on={kind: _hook(f"hooks.on.{kind}", value) for kind, value in on.items() if value is not None},
        transitions={
            _ends(text): _hook(f"hooks.transitions.{text}", value)
            for text, value in transitions.items()
            if value is not None
        },
        timeout_s=_timeout(top.get("timeout_seconds", TIMEOUT_S)),
    )


def variables(event: Event, *, short_id: str | None, root: str) -> dict[str, str]:
    """What a hook's environment says of the event."""
    said = {
        "LATTICE_ROOT": root,
        "LATTICE_EVENT_ID": event.id,
        "LATTICE_EVENT_TYPE": event.type,
        "LATTICE_TASK_ID": event.task_id,
        "LATTICE_SHORT_ID": short_id or "",
        # A session's identity is no actor that a command takes; its name as an agent's is.
        "LATTICE_ACTOR": event.actor if isinstance(event.actor, str) else f"agent:{actor_text(event.actor)}",
    }
    if isinstance(event.body, StatusChanged):
        said |= {"LATTICE_FROM_STATUS": event.body.from_, "LATTICE_TO_STATUS": event.body.to}
    return {name: value.replace("\0", "") for name, value in said.items()}  # An environment cannot hold a NUL.


def _hook(key: str, value: object) -> Hook:
    argv: Sequence[object] = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    texts = tuple(word for word in argv if isinstance(word, str) and "\0" not in word)
    if not texts or len(texts) != len(argv) or not texts[0].strip():
        raise ConfigError(
            f"The board's config.json is off at {key}: expected a program, or a list of a program and its arguments.",
            hint='Write ["hooks/notify.sh", "review"]; no shell reads it.',
        )
    return Hook(key, texts)


def parse_transition(text: str) -> tuple[str, str] | None:
    """The two ends of `"FROM -> TO"`; None for a text that is none."""
    from_, arrow, to = text.partition(_ARROW)
    if not arrow or not from_.strip() or not to.strip() or _ARROW in to:
        return None
    return from_.strip(), to.strip()


def _ends(text: str) -> tuple[str, str]:
    ends = parse_transition(text)
    if ends is None:
        raise ConfigError(
            f"The board's config.json is off at hooks.transitions: {text[:80]!r} is no transition.",
            hint='Write "in_progress -> review", or "* -> review" for one from any status.',
        )
    return ends


def _timeout(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= TIMEOUT_S_MAX:
        raise ConfigError(
            "The board's config.json is off at hooks.timeout_seconds: "
            f"expected a number of seconds up to {TIMEOUT_S_MAX:g}."
        )
    return float(value)


def _mapping(value: object, key: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"The board's config.json is off at {key}: expected an object.")
    return value
