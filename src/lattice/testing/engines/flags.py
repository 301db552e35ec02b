"""What a fake engine takes on its command line: a grammar, its help, and a reading that refuses the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lattice.core.record import Record


class UsageRefused(Exception):
    """The command line is not one that the program takes; the text is what it says of it."""


class Flag(Record):
    """One flag: its spellings, the name of its value (None: it has none), and which values there are."""

    names: tuple[str, ...]
    value: str | None = None
    many: bool = False  # takes all words up to the next flag
    optional: bool = False  # its value may be left out
    one_of: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What `Given` calls it: its longest spelling."""
        return max(self.names, key=len)

    def help(self) -> str:
        """Its line in the help."""
        shape = self.value and (f"<{self.value}...>" if self.many else f"<{self.value}>")
        shape = f"[{self.value}]" if self.optional else shape
        said = f" (one of: {', '.join(self.one_of)})" if self.one_of else ""
        return f"  {', '.join(self.names)}{f' {shape}' if shape else ''}{said}"


class Given(Record):
    """A command line, read: each flag's values in order (a flag without a value has an empty text), and the rest."""

    flags: Mapping[str, tuple[str, ...]]
    words: tuple[str, ...]

    def has(self, key: str) -> bool:
        return key in self.flags

    def last(self, key: str) -> str | None:
        """The flag's last value; None where it was not given, or without one."""
        return (self.flags.get(key) or ("",))[-1] or None


class Grammar(Record):
    """A program or subcommand: its usage line and its flags."""

    usage: str
    flags: tuple[Flag, ...]

    def help(self) -> str:
        lines = [f"Usage: {self.usage}", "", "Options:", *(flag.help() for flag in self.flags)]
        return "\n".join([*lines, "  -h, --help", "  --version"]) + "\n"

    def read(self, words: Sequence[str], stop_at: tuple[str, ...] = ()) -> tuple[Given, list[str]]:
        """The command line, and what stands from the first word of `stop_at` on. Raises UsageRefused."""
        by_name = {name: flag for flag in self.flags for name in flag.names}
        flags: dict[str, tuple[str, ...]] = {}
        rest: list[str] = []
        ahead = list(words)
        while ahead:
            word = ahead.pop(0)
            if word in stop_at and not rest:
                return Given(flags, ()), [word, *ahead]
            if word == "--":
                rest += ahead
                break
            if not word.startswith("-") or word == "-":
                rest.append(word)
                continue
            name, equals, joined = word.partition("=")
            if name not in by_name:
                raise UsageRefused(f"unknown option '{word[:80]}'")
            flag = by_name[name]
            values = _values(flag, name, joined if equals else None, ahead)
            flags[flag.key] = (*flags.get(flag.key, ()), *values)
        return Given(flags, tuple(rest)), []


def _values(flag: Flag, name: str, joined: str | None, ahead: list[str]) -> tuple[str, ...]:
    """The flag's values, taken from the words ahead."""
    if flag.value is None:
        if joined is not None:
            raise UsageRefused(f"option '{name}' takes no value")
        return ("",)
    values = [joined] if joined is not None else []
    while ahead and (flag.many or not values) and not (ahead[0].startswith("-") and ahead[0] != "-"):
        values.append(ahead.pop(0))
    if not values and not flag.optional:
        raise UsageRefused(f"option '{name} <{flag.value}>' argument missing")
    for value in values:
        if flag.one_of and value not in flag.one_of:
            raise UsageRefused(f"invalid value '{value[:80]}' for '{name}' (one of: {', '.join(flag.one_of)})")
    return tuple(values) or ("",)
