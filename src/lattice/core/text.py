"""Text that people and agents wrote: what is accepted, and how it is shown without harm."""

from __future__ import annotations

import re

from lattice.errors import ValidationError

LINE_CHARS_MAX = 1_000
PROSE_BYTES_MAX = 1 << 20
# C0 and C1 controls, and the bidirectional controls of Unicode's "Trojan Source" (CVE-2021-42574).
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# No start compiles them: `re` does when they are first used, and most lines are told harmless by `isprintable`.
_HARMFUL = f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_BIDI}]"
_HARMFUL_IN_PROSE = f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}]"


def check_line(text: str, what: str, *, chars_max: int = LINE_CHARS_MAX) -> str:
    """`text` if it is one line of printable text that says something. Raises ValidationError naming `what`."""
    if not text.strip():
        raise ValidationError(f"The {what} is empty.")
    if len(text) > chars_max:
        raise ValidationError(f"The {what} is too long: {len(text)} characters; the limit is {chars_max}.")
    harmful = None if text.isprintable() else re.search(_HARMFUL, text)
    if harmful:
        raise ValidationError(
            f"The {what} holds a control character, {_escape(harmful)}, at character {harmful.start() + 1}.",
            hint=f"Leave it out; longer text with line breaks belongs in the description, not in the {what}.",
        )
    return _whole(text, what)


def check_prose(text: str, what: str) -> str:
    """`text` if the log can hold it: no NUL, no half characters, within the limit. Raises ValidationError."""
    if "\0" in text:
        raise ValidationError(f"The {what} holds a NUL character.")
    if len(_whole(text, what).encode("utf-8")) > PROSE_BYTES_MAX:
        raise ValidationError(
            f"The {what} is too long; the limit is {PROSE_BYTES_MAX} bytes.",
            hint="Attach it as a file instead: lattice attach TASK FILE",
        )
    return text


def check_comment(text: str) -> str:
    """A comment's text as the log keeps it: without the white space around it. Raises ValidationError."""
    said = text.strip()
    if not said:
        raise ValidationError("The comment is empty.", hint="Say something; lattice comment-delete takes one back.")
    return check_prose(said, "comment")


def how_many(number: int, what: str, many: str | None = None) -> str:
    """A number of things in words: `1 task`, `2 tasks`; `many` is the plural where it is not `what` and an s."""
    return f"{number} {what if number == 1 else many or what + 's'}"


def visible(text: str) -> str:
    """One line for a terminal: control characters, line breaks and bidirectional controls are spelled out."""
    return text if text.isprintable() else re.sub(_HARMFUL, _escape, text)


def visible_prose(text: str) -> str:
    """Text of several lines for a terminal; line breaks and tabs stay."""
    return text if text.isprintable() else re.sub(_HARMFUL_IN_PROSE, _escape, text)


def _whole(text: str, what: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValidationError(f"The {what} is not valid Unicode.", hint="Give it as UTF-8.") from None
    return text


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
