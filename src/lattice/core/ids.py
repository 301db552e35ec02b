"""Identifiers: ULIDs with a prefix, and short ids such as LAT-12. Time and chance are arguments."""

from __future__ import annotations

from lattice.errors import InvalidId, ValidationError

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as the ULID specification has it
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_RANDOM_BITS = 80
_MS_END = 253_402_300_800_000  # the year 10000, which the log's times cannot be in; a ULID would hold some more
_SHIFTS = range(125, -1, -5)  # of the 26 letters of 128 bits, the first of which has three
# What has the form of an id is told without `re`: every command asks, and a pattern costs its compilation each time.


def ulid(ms: int, chance: int) -> str:
    """The ULID of a time in milliseconds since 1970 and 80 random bits. Raises ValidationError."""
    if not 0 <= ms < _MS_END:  # Its letters would be no id: what is recorded under it, nobody would read again.
        when = "before 1970" if ms < 0 else "after the year 9999"
        raise ValidationError(f"The clock says a time {when}, of which no id can be made.", hint="Set it; see: date -u")
    number = (ms << _RANDOM_BITS) | (chance & ((1 << _RANDOM_BITS) - 1))
    return "".join([_ALPHABET[number >> shift & 31] for shift in _SHIFTS])


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
    """A new id greater than `after`, also when the clock has gone backwards; any, where a stranger made that one up."""
    fresh = f"{prefix}_{ulid(ms, chance)}"
    if after is None or fresh > after or not is_id(prefix, after):
        return fresh
    return successor(after)


def successor(identifier: str) -> str:
    """The least id of its kind that is greater: for what is made within a millisecond (the ULID specification)."""
    rest = identifier.rstrip(_ALPHABET[-1])
    return f"{rest[:-1]}{_ALPHABET[_VALUES[rest[-1]] + 1]}".ljust(len(identifier), _ALPHABET[0])


def is_id(prefix: str, text: str) -> bool:
    """Whether `text` is a well-formed id of this kind, to the last character."""
    head, _, letters = text.partition("_")
    # What is left of a text without its ends of these letters is nothing only where it has no others.
    return head == prefix and len(letters) == 26 and letters[0] < "8" and not letters.strip(_ALPHABET)


def parse_id(prefix: str, text: str) -> str:
    """`text` if it is a well-formed id of this kind. Raises InvalidId."""
    if not is_id(prefix, text):
        raise InvalidId(f"Invalid {prefix} id: {text[:80]!r}. Expected {prefix}_ and 26 characters of a ULID.")
    return text


def parse_short_id(text: str) -> str | None:
    """The canonical short id (`LAT-12`) that `text` spells in any case, or None."""
    *codes, number = text.split("-")
    if not (1 <= len(codes) <= 2 and all(map(_is_code, codes)) and 1 <= len(number) <= 9):
        return None
    if not (number.isascii() and number.isdigit()) or number[0] == "0":
        return None
    return "-".join((*codes, number)).upper()


def near_short_ids(text: str, prefix: str) -> list[str]:
    """The short ids of a board that `text` may stand for, the likeliest first.

    The code may be wrong or missing; of the number, two digits may be swapped or one may be too much.
    """
    letters = text.rstrip("0123456789")
    digits = text[len(letters) :][:9]
    pairs = range(len(digits) - 1)
    swapped = [digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :] for at in pairs]
    shorter = [digits[:at] + digits[at + 1 :] for at in range(len(digits))]
    numbers = [number for number in (digits, *swapped, *shorter) if number.strip("0")]
    return list(dict.fromkeys(f"{prefix}-{int(number)}" for number in numbers))


def parse_project_code(text: str) -> str:
    """A project code: one to five capital letters. Raises InvalidId."""
    code = text.upper()
    if not _is_code(code):
        raise InvalidId(f"Invalid project code: {text[:40]!r}. Expected 1 to 5 letters, such as LAT.")
    return code


def _is_code(text: str) -> bool:
    return 1 <= len(text) <= 5 and text.isascii() and text.isalpha()
