"""Commands of other packages, found by entry points of the group `lattice.commands`.

    [project.entry-points."lattice.commands"]
    burndown = "lattice_burndown:Burndown"

The name is the command's; what it names is a `Command` class of `lattice.cli.arguments`. A command of
ours always goes before one of the same name, and a plugin that cannot be loaded breaks nothing but itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Container, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from lattice.cli.arguments import Answer, Command, Context
from lattice.cli.render import line
from lattice.core.record import Record
from lattice.errors import PluginError

GROUP = "lattice.commands"
SUMMARY_CHARS_MAX = 100


class Plugin(Record):
    """An installed command. `command` and `summary` are None and empty where there is a `problem`."""

    name: str
    value: str
    distribution: str
    command: type[Command] | None
    summary: str
    problem: str | None


def offered(name: str) -> bool:
    """Whether a plugin says that it has this command."""
    return bool(entry_points(group=GROUP, name=name))


def load(name: str) -> tuple[Command, str]:
    """The command of this name, and its summary. Raises PluginError naming the plugin that is broken."""
    entry = next(iter(entry_points(group=GROUP, name=name)))
    plugin = _loaded(entry)
    if plugin.command is None:
        raise PluginError(
            f"The command {name!r} of {plugin.distribution} cannot be loaded: {plugin.problem}.",
            hint="See lattice plugins; all other commands work without it.",
            plugin=name,
            value=plugin.value,
        )
    return plugin.command(), plugin.summary


def installed(ours: Container[str]) -> Iterator[Plugin]:
    """Every plugin, by name; one that is hidden by a command of `ours` has that as its problem."""
    seen: set[str] = set()
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        plugin = _loaded(entry)
        if entry.name in ours:
            plugin = plugin.replace(problem=f"lattice has a command {entry.name!r} of its own, which goes before it")
        elif entry.name in seen:
            plugin = plugin.replace(problem=f"another plugin offers {entry.name!r}, too")
        seen.add(entry.name)
        yield plugin


class Plugins(Command):
    description = f"A plugin is a package with entry points of the group {GROUP}."
    examples = ("lattice plugins", "lattice plugins --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        from lattice.cli.main import COMMANDS  # main imports this module by name; only `plugins` needs its table

        found = list(installed({name.split()[0] for name in COMMANDS}))
        return Answer(
            data=lambda: {"cli_plugins": [_data(plugin) for plugin in found]},
            text=lambda _: "\n".join(_line(plugin) for plugin in found) or f"No plugins installed (group {GROUP}).",
            quiet="\n".join(plugin.name for plugin in found),
        )


def _loaded(entry: EntryPoint) -> Plugin:
    distribution = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown package"
    command, problem = None, None
    try:
        thing = entry.load()
        if isinstance(thing, type) and issubclass(thing, Command):
            command = thing
        else:
            problem = f"{entry.value} is not a Command class of lattice.cli.arguments"
    except (Exception, SystemExit) as broken:  # noqa: BLE001  # whatever a plugin's module does at import, it breaks itself alone
        problem = f"{type(broken).__name__}: {broken}"
    summary = (command.__doc__ or "").strip().partition("\n")[0].rstrip(".") if command is not None else ""
    return Plugin(
        entry.name,
        entry.value,
        distribution,
        command,
        (summary or f"A command of {distribution}")[:SUMMARY_CHARS_MAX] if command is not None else "",
        problem,
    )


def _data(plugin: Plugin) -> dict[str, Any]:
    return {key: value for key, value in plugin.fields().items() if key in ("name", "value", "distribution", "problem")}


def _line(plugin: Plugin) -> str:
    said = f"BROKEN: {plugin.problem}" if plugin.problem else plugin.summary
    return line(f"{plugin.name:<16} {plugin.value}  ({plugin.distribution})  {said}")
