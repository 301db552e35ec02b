"""The overview of all commands, or of one group, made from the table that the command line reads."""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.cli.main import Entry

EXAMPLES = ("lattice init", 'lattice create "Fix the parser" --actor human:ann', "lattice list", "lattice show LAT-1")


def page(commands: Mapping[str, Entry], group: str | None) -> str:
    """What `lattice --help` prints; with `group`, what `lattice GROUP --help` does."""
    shown = {name: entry for name, entry in commands.items() if group is None or name.startswith(f"{group} ")}
    called = f"lattice {group}" if group else "lattice"
    lines = [f"usage: {called} COMMAND …"]
    if group is None:
        lines += ["", "A board of tasks that lives beside the code, for people and coding agents."]
    for section in dict.fromkeys(entry.section for entry in shown.values()):
        lines += ["", f"{section}:"]
        lines += [
            f"  {name.removeprefix(f'{group} '):<20} {entry.summary}"
            for name, entry in shown.items()
            if entry.section == section
        ]
    lines += ["", f"{called} COMMAND --help tells more of each, with examples."]
    if group is None:
        lines += ["", "Examples:", *(f"  {example}" for example in EXAMPLES)]
    return "\n".join(lines) + "\n"
