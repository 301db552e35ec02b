"""The reference pages, written from the code: every command, event, field and error.

    .venv/bin/python tools/reference.py            # write docs/reference/
    .venv/bin/python tools/reference.py --check    # exit status 1 where a page is not what the code says

What can be read off the code is: names, types, defaults, choices. Sentences come from docstrings and
help texts; those of fields and settings stand in `reference_words.py`, and one that lacks its
sentence, or has one too many, stops the writing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import lattice
from lattice.cli.arguments import _SIGNATURE, Command, build
from lattice.cli.main import COMMANDS, EXIT_BROKEN_PIPE, EXIT_BUG
from lattice.core.config import new_config, parse_config
from lattice.core.events import every_kind
from lattice.core.hooks import TIMEOUT_S
from lattice.core.record import Record
from lattice.core.reviews.standing import RecordedReview, StandingFinding
from lattice.core.task import ActiveRun, BranchLink, EvidenceRef, Relationship, Task
from lattice.errors import LatticeError

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from tools import reference_words as words  # noqa: E402  # a script's own folder is on the path, not the repository's

MADE = "<!-- Made by `make docs` from the code; changes here are lost. -->\n"
LISTS: Mapping[str, type[Record]] = {
    "relationships_out": Relationship, "evidence_refs": EvidenceRef,
    "branch_links": BranchLink, "active_processes": ActiveRun, "reviews": RecordedReview, "findings": StandingFinding,
}  # fmt: skip
TYPES = {
    "str": "text", "int": "whole number", "float": "number", "bool": "true or false", "None": "null", "Actor": "actor",
    "tuple[str, ...]": "list of texts", "tuple[int, ...]": "list of numbers", "Mapping[str, Any]": "object",
    "Any": "any value", "tuple[Mapping[str, Any], ...]": "list of objects",
    "Finding": "object, as `lattice review schema` has it", "tuple[Opinion, ...]": "list of objects",
    "tuple[Reviewer, ...]": "list of objects",
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/reference/ from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; say which pages are stale")
    check = parser.parse_args().check
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[path], "utf-8")
        print(f"reference: {path.relative_to(TOP)} {'is stale; make docs' if check else 'written'}")
    return 1 if check and stale else 0


def pages() -> dict[Path, str]:
    """Every page of the reference, as the code has it now. Raises KeyError where a sentence is missing."""
    folder = TOP / "docs" / "reference"
    return {
        folder / "commands.md": commands(),
        folder / "events.md": events(),
        folder / "fields.md": fields(),
        folder / "errors.md": errors(),
    }


# Commands


def commands() -> str:
    return "\n".join([
        "# Commands\n", MADE, words.COMMANDS,
        "\n".join(_overview()),
        "## Options of every command\n",
        words.EVERY_COMMAND,
        "## Options of every command that writes\n",
        "| option | what |\n| --- | --- |",
        *(f"| `--{name.replace('_', '-')}` | {_cell(text)} |" for name, text in _SIGNATURE.items()),
        "",
        *(_command(name) for name in COMMANDS),
    ])  # fmt: skip


def _overview() -> Iterator[str]:
    sections: dict[str, list[str]] = {}
    for name, entry in COMMANDS.items():
        sections.setdefault(entry.section, []).append(f"[`{name}`](#lattice-{name.replace(' ', '-')})")
    for section, names in sections.items():
        yield f"- **{section}**: {', '.join(names)}"
    yield ""


def _command(name: str) -> str:
    entry = COMMANDS[name]
    command: Command = getattr(import_module(entry.module), entry.kind)()
    parser = build(name, command, entry.summary)
    own = [action for action in parser._actions if not _shared(action, writes=command.writes)]
    arguments = [action for action in own if not action.option_strings]
    called = " ".join(["lattice", name, *(_placeholder(action) for action in arguments), "[options]" if own else ""])
    parts = [f"## lattice {name}\n", f"```text\n{called.strip()}\n```\n", f"{entry.summary}.{_writes(command)}\n"]
    if command.description:
        parts.append(f"```text\n{command.description.rstrip()}\n```\n")
    if own:
        rows = [f"| {_called(action)} | {_cell(_help(action))} |" for action in own]
        parts.append("\n".join(["| argument or option | what |", "| --- | --- |", *rows, ""]))
    parts.append("\n".join(["```sh", *command.examples, "```", ""]))
    return "\n".join(parts)


def _shared(action: argparse.Action, *, writes: bool) -> bool:
    return action.dest in {"json", "quiet", "no_pager", "help"} or (writes and action.dest in _SIGNATURE)


def _writes(command: Command) -> str:
    return " It writes, and takes the options that say who and why." if command.writes else ""


def _placeholder(action: argparse.Action) -> str:
    shown = str(action.metavar or action.dest.upper())
    return {"?": f"[{shown}]", "*": f"[{shown} …]", "+": f"{shown} …"}.get(str(action.nargs), shown)


def _called(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{_placeholder(action)}`"
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    if action.nargs == 0:
        return names
    value = action.metavar or (",".join(map(str, action.choices)) if action.choices else action.dest.upper())
    return f"{names} `{_cell(str(value))}`"


def _help(action: argparse.Action) -> str:
    text = (action.help or "").replace("%%", "%")
    return f"{text} (required)" if action.option_strings and action.required else text


# Events


def events() -> str:
    parts = ["# Events\n", MADE, words.EVENTS]
    for kind, body in every_kind().items():
        parts += [f"## {kind}\n", f"{_sentence(body)}\n"]
        if body._fields:
            parts += ["| key | value | written |", "| --- | --- | --- |"]
            parts += [
                f"| `{name.removesuffix('_')}` | {_type(_annotation(body, name))} | {_written(body, name)} |"
                for name in body._fields
            ]
        else:
            parts.append("No data.")
        parts.append("")
    parts += [words.RESOURCE_EVENTS_INTRODUCTION, "| type | what happened | data |", "| --- | --- | --- |"]
    parts += [f"| `{kind}` | {what} | {data} |" for kind, (what, data) in words.RESOURCE_EVENTS.items()]
    return "\n".join([*parts, ""])


def _written(body: type[Record], name: str) -> str:
    if name not in body._defaults:
        return "always"
    default = body._defaults[name]
    return "where given" if default in (None, ()) else f"where it is not {str(default).lower()}"


def _annotation(record: type[Record], name: str) -> str:
    return next(
        str(base.__dict__["__annotations__"][name])
        for base in record.__mro__
        if name in base.__dict__.get("__annotations__", {})
    )


def _type(annotation: str) -> str:
    return " or ".join(TYPES[part.strip()] for part in annotation.split(" | "))


def _sentence(kind: type) -> str:
    """The first paragraph of a class's own docstring. Raises KeyError where it has none."""
    text = kind.__doc__
    if not text:
        raise KeyError(f"{kind.__module__}.{kind.__name__} has no docstring, and the reference needs its sentence")
    return " ".join(text.strip().split("\n\n")[0].split())


# Fields


def fields() -> str:
    parts = ["# Fields\n", MADE, words.SNAPSHOT, *_table("task", Task)]
    for name, item in LISTS.items():
        parts += [f"### Each of `{name}`\n", f"{_sentence(item)}\n", *_table(name, item)]
    parts += [words.CONFIG, "| key | what | when left out |", "| --- | --- | --- |"]
    parts += [f"| `{key}` | {_cell(what)} | {default} |" for key, (what, default) in settings().items()]
    parts += ["", words.PRESET]
    workflow = new_config(instance_id="", project_code=None, default_actor=None)["workflow"]
    assert isinstance(workflow, dict)
    parts += ["| status | what it says | next |", "| --- | --- | --- |"]
    for status, what in workflow["descriptions"].items():
        parts.append(f"| `{status}` | {what} | {', '.join(f'`{to}`' for to in workflow['transitions'][status])} |")
    always = ", ".join(f"`{status}`" for status in workflow["universal_targets"])
    return "\n".join([*parts, "", f"From every status one may also move to {always}.", ""])


def _table(name: str, record: type[Record]) -> list[str]:
    said = words.FIELDS[name]
    _same(f"{name} in reference_words.FIELDS", said, record._fields)
    rows = []
    for key in record._fields:
        shown = f"list, see [below](#each-of-{key})" if key in LISTS else _type(_annotation(record, key))
        rows.append(f"| `{key}` | {shown} | {_cell(said[key])} |")
    return ["| key | value | what |", "| --- | --- | --- |", *rows, ""]


class _Watched(dict[str, object]):
    """A mapping that notes which keys are asked for, and has none of them."""

    def __init__(self, prefix: str, seen: list[str]) -> None:
        super().__init__()
        self.prefix, self.seen = prefix, seen

    def get(self, key: str, default: object = None) -> object:
        name = f"{self.prefix}{key}"
        policies = "workflow.completion_policies"
        if name == policies:  # A policy is read for each status that has one, so there has to be one.
            return {"STATUS": _Watched(f"{name}.STATUS.", self.seen)}
        if name in {"workflow", "worker", f"{policies}.STATUS.review"}:
            return _Watched(f"{name}.", self.seen)
        self.seen.append(name)
        return default


def settings() -> dict[str, tuple[str, str]]:
    """Each key of config.json that is read, its sentence and what stands for it where it is left out."""
    seen: list[str] = []
    parse_config(_Watched("", seen))
    read = dict.fromkeys([*seen, *words.SETTINGS_READ_ELSEWHERE])
    _same("reference_words.SETTINGS", words.SETTINGS, read)
    bare = parse_config({})
    shown: dict[str, tuple[str, str]] = {}
    for key in read:
        default = getattr(bare, key.rpartition(".")[2], None)
        shown[key] = (words.SETTINGS[key], words.DEFAULTS.get(key) or _default(default))
    return shown | {"hooks.timeout_seconds": (words.SETTINGS["hooks.timeout_seconds"], f"`{TIMEOUT_S:g}`")}


def _default(value: object) -> str:
    if isinstance(value, tuple) and value:
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, Mapping) and value:
        return "as in the table below"
    return "none" if value in (None, (), {}) else f"`{str(value).lower()}`"


# Errors


def errors() -> str:
    rows = sorted((kind.code, kind.__name__, kind.exit_status, _sentence(kind)) for kind in _errors())
    return "\n".join([
        "# Errors\n", MADE, words.ERRORS,
        "| code | class | exit status | what happened |", "| --- | --- | --- | --- |",
        *(f"| `{code}` | {name} | {status} | {_cell(sentence)} |" for code, name, status, sentence in rows),
        f"| `INTERNAL_ERROR` | | {EXIT_BUG} | A bug of Lattice; `LATTICE_DEBUG=1` prints where. |",
        "", words.EXIT_STATUSES.format(bug=EXIT_BUG, pipe=EXIT_BROKEN_PIPE),
    ])  # fmt: skip


def _errors() -> Iterator[type[LatticeError]]:
    """Every error class of the package that has a code of its own, or a meaning of its own."""
    for module in walk_packages(lattice.__path__, "lattice."):
        if not module.name.endswith("__main__"):  # it would run
            import_module(module.name)
    ahead: list[type[LatticeError]] = list(LatticeError.__subclasses__())
    while ahead:
        kind = ahead.pop()
        ahead += kind.__subclasses__()
        if kind.__module__.startswith("lattice."):
            yield kind


def _same(what: str, said: Mapping[str, object], there: Mapping[str, object] | Sequence[str]) -> None:
    missing, extra = [key for key in there if key not in said], [key for key in said if key not in there]
    if missing or extra:
        raise KeyError(f"{what}: no sentence for {missing}, a sentence too many for {extra}")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
