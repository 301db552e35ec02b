"""Identifiers: ULIDs with a prefix, and short ids such as LAT-12. Time and chance are arguments."""

from __future__ import annotations

import re

from lattice.errors import InvalidId

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as the ULID specification has it
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_ULID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"
_RANDOM_BITS = 80
_FULL = {prefix: re.compile(rf"{prefix}_{_ULID}\Z") for prefix in ("task", "ev", "art", "run", "res", "inst")}
_SHORT = re.compile(r"([A-Za-z]{1,5}(?:-[A-Za-z]{1,5})?)-([1-9][0-9]{0,8})\Z")
_CODE = re.compile(r"[A-Z]{1,5}\Z")


def ulid(ms: int, chance: int) -> str:
    """The ULID of a time in milliseconds since 1970 and 80 random bits."""
    number = (ms << _RANDOM_BITS) | (chance & ((1 << _RANDOM_BITS) - 1))
    letters = []
    for _ in range(26):
        letters.append(_ALPHABET[number & 31])
        number >>= 5
    return "".join(reversed(letters))


def ulid_number(text: str) -> int:
    """The 128-bit number behind a well-formed ULID."""
    number = 0
    for letter in text:
        number = number << 5 | _VALUES[letter]
    return number


def ulid_ms(identifier: str) -> int:
    """Milliseconds since 1970 at which the ULID in `prefix_<ULID>` was made."""
    return ulid_number(identifier.rpartition("_")[2]) >> _RANDOM_BITS


def next_id(prefix: str, ms: int, chance: int, after: str | None) -> str:
    """A new id greater than `after`, also when the clock has gone backwards."""
    fresh = f"{prefix}_{ulid(ms, chance)}"
    if after is None or fresh > after:
        return fresh
    number = ulid_number(after.rpartition("_")[2]) + 1
    return f"{prefix}_{ulid(number >> _RANDOM_BITS, number)}"


def is_id(prefix: str, text: str) -> bool:
    """Whether `text` is a well-formed id of this kind, to the last character."""
    return _FULL[prefix].match(text) is not None


def parse_id(prefix: str, text: str) -> str:
    """`text` if it is a well-formed id of this kind. Raises InvalidId."""
    if not is_id(prefix, text):
        raise InvalidId(f"Invalid {prefix} id: {text[:80]!r}. Expected {prefix}_ and 26 characters of a ULID.")
    return text


def parse_short_id(text: str) -> str | None:
    """The canonical short id (`LAT-12`) that `text` spells in any case, or None."""
    found = _SHORT.match(text)
    return f"{found[1].upper()}-{int(found[2])}" if found else None


def parse_project_code(text: str) -> str:
    """A project code: one to five capital letters. Raises InvalidId."""
    code = text.upper()
    if not _CODE.match(code):
        raise InvalidId(f"Invalid project code: {text[:40]!r}. Expected 1 to 5 letters, such as LAT.")
    return code
