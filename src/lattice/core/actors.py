"""Who did it: `prefix:identifier`, or an identity object of a named session."""

from __future__ import annotations

from collections.abc import Mapping

from lattice.errors import InvalidActor

Actor = str | Mapping[str, object]
"""As it stands in an event: text, or `{name, base_name, serial, session, …}`."""

PREFIX_CHARS_MAX = 32
IDENTIFIER_CHARS_MAX = 200
UNASSIGNED = ("none", "unassigned", "-")


def parse_actor(text: str) -> str:
    """The actor that `text` names. Raises InvalidActor with the form expected.

    The identifier is any printable text without white space, so that control and bidirectional
    characters (which are not printable) never enter a log as somebody's name.
    """
    prefix, colon, identifier = text.partition(":")
    well_formed = (
        colon
        and _is_prefix(prefix)
        and 0 < len(identifier) <= IDENTIFIER_CHARS_MAX
        and identifier.isprintable()
        and not any(character.isspace() for character in identifier)
    )
    if not well_formed:
        raise InvalidActor(
            f"Invalid actor: {text[:80]!r}. Expected prefix:identifier.",
            hint="Name yourself as human:ann or agent:claude.",
        )
    return text


def actor_text(actor: Actor | None) -> str:
    """The actor for people: its text, or the name of its session."""
    if actor is None:
        return "unassigned"
    return actor if isinstance(actor, str) else str(actor.get("name", "unknown"))


def same_actor(one: Actor | None, other: Actor | None) -> bool:
    """Whether both are the same. Two identities are where their session is, whatever else they say of themselves."""
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.get("session") is not None:
        return one["session"] == other.get("session")
    return one == other


def _is_prefix(text: str) -> bool:
    """Whether it is a letter, and letters, digits, `_` and `-` after it."""
    plain = text.replace("_", "a").replace("-", "a")
    return len(text) <= PREFIX_CHARS_MAX and text.isascii() and text[:1].isalpha() and plain.isalnum()
