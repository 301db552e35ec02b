"""The command `lattice`: a lazy table of commands, one way in and one way out.

A command's module is imported when that command is used, its parser alone is built, and the overview
is printed from the table. A name of two words (`worker run`) belongs to a group.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from lattice import __version__
from lattice.cli.render import envelope, line, refusal, terminal_of, warn, write, write_parts
from lattice.core.record import NamedTuple
from lattice.errors import LatticeError, NotFound, UsageError, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.cli.arguments import Command

NO_PAGER = "--no-pager"
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141  # what a shell sees of a program that SIGPIPE ended


class Entry(NamedTuple):
    """Where a command is: a module, the class of a `Command` in it; and what the overview says."""

    module: str
    kind: str
    summary: str
    section: str


_BOARD, _TASKS, _WORKERS = "The board", "Tasks", "Workers"
_AGENTS, _REVIEWS = "Agents working together", "Reviews"
COMMANDS: Mapping[str, Entry] = {
    "init": Entry("lattice.cli.board", "Init", "Make a board in this folder", _BOARD),
    "demo init": Entry("lattice.cli.demo", "DemoInit", "Make a board to look around in", _BOARD),
    "create": Entry("lattice.cli.tasks", "Create", "Create a task", _TASKS),
    "show": Entry("lattice.cli.queries", "Show", "Show a task, its runs and its history", _TASKS),
    "list": Entry("lattice.cli.lists", "List", "List tasks, by filters or a query", _TASKS),
    "query save": Entry("lattice.cli.saved_queries", "QuerySave", "Save a query under a name", _TASKS),
    "query list": Entry("lattice.cli.saved_queries", "QueryList", "List the saved queries", _TASKS),
    "query remove": Entry("lattice.cli.saved_queries", "QueryRemove", "Remove a saved query", _TASKS),
    "search": Entry("lattice.cli.lists", "Find", "Search in the text of tasks", _TASKS),
    "ready": Entry("lattice.cli.lists", "Ready", "List what can be begun now", _TASKS),
    "blocked": Entry("lattice.cli.lists", "Waits", "List what waits, and for what", _TASKS),
    "graph": Entry("lattice.cli.graph", "Graph", "Draw how tasks hang together", _TASKS),
    "status": Entry("lattice.cli.tasks", "Status", "Move a task to another status", _TASKS),
    "assign": Entry("lattice.cli.tasks", "Assign", "Assign a task to somebody, or to nobody", _TASKS),
    "comment": Entry("lattice.cli.tasks", "AddComment", "Comment on a task", _TASKS),
    "update": Entry("lattice.cli.tasks", "Update", "Change fields of a task", _TASKS),
    "attach": Entry("lattice.cli.tasks", "Attach", "Attach a file, a URL or a text to a task", _TASKS),
    "comments": Entry("lattice.cli.talk", "Comments", "Show a task's comments in threads", _TASKS),
    "comment-edit": Entry("lattice.cli.talk", "CommentEdit", "Change what a comment says", _TASKS),
    "comment-delete": Entry("lattice.cli.talk", "CommentDelete", "Take a comment back", _TASKS),
    "react": Entry("lattice.cli.talk", "React", "React to a comment", _TASKS),
    "unreact": Entry("lattice.cli.talk", "Unreact", "Take a reaction back", _TASKS),
    "link": Entry("lattice.cli.edges", "Link", "Bind a task to another", _TASKS),
    "unlink": Entry("lattice.cli.edges", "Unlink", "Take a bond between tasks away", _TASKS),
    "branch-link": Entry("lattice.cli.edges", "BranchLink", "Say that a git branch belongs to a task", _TASKS),
    "branch-unlink": Entry("lattice.cli.edges", "BranchUnlink", "Say that a branch does not belong to it", _TASKS),
    "archive": Entry("lattice.cli.archive", "Archive", "Put tasks away, out of every list", _TASKS),
    "unarchive": Entry("lattice.cli.archive", "Unarchive", "Bring archived tasks back", _TASKS),
    "plan": Entry("lattice.cli.plans", "ShowPlan", "Show a task's plan", _TASKS),
    "set-project-code": Entry("lattice.cli.short_ids", "ProjectCode", "Set what new short ids begin with", _BOARD),
    "set-subproject-code": Entry("lattice.cli.short_ids", "SubprojectCode", "Set their second part", _BOARD),
    "backfill-ids": Entry("lattice.cli.short_ids", "Backfill", "Give short ids to tasks without one", _BOARD),
    "artifact list": Entry("lattice.cli.artifacts", "ArtifactList", "List what is attached to a task", _TASKS),
    "artifact show": Entry("lattice.cli.artifacts", "ArtifactShow", "Print what an artifact holds", _TASKS),
    "event": Entry("lattice.cli.tasks", "Record", "Record an event of your own on a task", _TASKS),
    "next": Entry("lattice.cli.flow", "Next", "Say what to work on next, or claim it", _TASKS),
    "complete": Entry("lattice.cli.flow", "Complete", "Record a review and close the task, as one act", _TASKS),
    "session start": Entry("lattice.cli.sessions", "SessionStart", "Register a session under a name", _AGENTS),
    "session list": Entry("lattice.cli.sessions", "SessionList", "List the active sessions", _AGENTS),
    "session show": Entry("lattice.cli.sessions", "SessionShow", "Show an active session", _AGENTS),
    "session end": Entry("lattice.cli.sessions", "SessionEnd", "End a session", _AGENTS),
    "resource create": Entry("lattice.cli.resources", "ResourceCreate", "Create a shared resource", _AGENTS),
    "resource acquire": Entry("lattice.cli.resources", "ResourceAcquire", "Take hold of a resource", _AGENTS),
    "resource heartbeat": Entry("lattice.cli.resources", "ResourceHeartbeat", "Hold a resource for longer", _AGENTS),
    "resource release": Entry("lattice.cli.resources", "ResourceRelease", "Let a resource go", _AGENTS),
    "resource list": Entry("lattice.cli.resources", "ResourceList", "List the resources and who holds them", _AGENTS),
    "resource status": Entry("lattice.cli.resources", "ResourceStatus", "Show a resource, or all of them", _AGENTS),
    "log": Entry("lattice.cli.history_commands", "Log", "Show the board's history, newest first", _BOARD),
    "since": Entry("lattice.cli.history_commands", "Since", "Tell what happened while you were away", _BOARD),
    "undo": Entry("lattice.cli.history_commands", "Undo", "Take back an act by a compensating event", _TASKS),
    "doctor": Entry("lattice.cli.doctor", "Doctor", "Find what is wrong with the board, and mend it", _BOARD),
    "rebuild": Entry("lattice.cli.doctor", "Rebuild", "Make what is derived again from the logs", _BOARD),
    "setup-claude": Entry("lattice.cli.setup", "SetUpClaude", "Tell agents about the board in CLAUDE.md", _AGENTS),
    "setup-claude-skill": Entry("lattice.cli.setup", "SetUpClaudeSkill", "Install a skill for Claude Code", _AGENTS),
    "setup-codex": Entry("lattice.cli.setup", "SetUpCodex", "Install a skill for Codex", _AGENTS),
    "setup-gemini": Entry("lattice.cli.setup", "SetUpGemini", "Tell agents about the board in GEMINI.md", _AGENTS),
    "setup-agents": Entry("lattice.cli.setup", "SetUpAgents", "Tell agents about the board in AGENTS.md", _AGENTS),
    "setup-prompt": Entry("lattice.cli.setup", "SetUpPrompt", "Print the instructions for agents", _AGENTS),
    "trust": Entry("lattice.cli.hooks", "Trust", "Show what hooks would run, and allow it", _BOARD),
    "untrust": Entry("lattice.cli.hooks", "Untrust", "Let no hook of the board run any more", _BOARD),
    "plugins": Entry("lattice.cli.plugins", "Plugins", "List commands of other packages", _BOARD),
    "completion": Entry("lattice.cli.completion", "Completion", "Print completion for bash, zsh or fish", _BOARD),
    "stats": Entry("lattice.cli.stats", "Stats", "Show the board in figures", _BOARD),
    "weather": Entry("lattice.cli.stats", "Weather", "Show the day's digest", _BOARD),
    "import": Entry("lattice.cli.transfer", "Import", "Take over tasks from another tool", _BOARD),
    "export": Entry("lattice.cli.transfer", "Export", "Write the board as JSON, CSV or Markdown", _BOARD),
    "review list": Entry("lattice.cli.review", "ReviewList", "List the reviews of tasks", _REVIEWS),
    "review show": Entry("lattice.cli.review", "ReviewShow", "Show a review as it was recorded", _REVIEWS),
    "review findings": Entry("lattice.cli.review", "ReviewFindings", "List what reviews found", _REVIEWS),
    "review fix": Entry("lattice.cli.review_acts", "ReviewFix", "Say that a finding is fixed", _REVIEWS),
    "review waive": Entry("lattice.cli.review_acts", "ReviewWaive", "Let a finding be, with a reason", _REVIEWS),
    "review verify": Entry("lattice.cli.review_acts", "ReviewVerify", "Say that a fix was looked at", _REVIEWS),
    "review reopen": Entry("lattice.cli.review_acts", "ReviewReopen", "Bring a finding back", _REVIEWS),
    "review diff": Entry("lattice.cli.review", "ReviewDiff", "Say what is new, gone and still there", _REVIEWS),
    "review stats": Entry("lattice.cli.review_stats", "ReviewStats", "Score the reviewers by what stood", _REVIEWS),
    "review schema": Entry("lattice.cli.review", "ReviewSchema", "Print the JSON schema of a review", _REVIEWS),
    "review import": Entry("lattice.cli.review_import", "ReviewImport", "Take over another tool's review", _REVIEWS),
    "worker list": Entry("lattice.cli.worker_definitions", "WorkerList", "List the workers there are", _WORKERS),
    "worker check": Entry("lattice.cli.worker_definitions", "WorkerCheck", "Check that workers could run", _WORKERS),
    "worker doctor": Entry("lattice.cli.worker_doctor", "WorkerDoctor", "Check engines, logins and workers", _WORKERS),
    "worker run": Entry("lattice.cli.worker_run", "WorkerRun", "Run a worker on a task", _WORKERS),
    "worker ps": Entry("lattice.cli.worker_views", "WorkerPs", "List the runs, as they are now", _WORKERS),
    "worker why": Entry("lattice.cli.worker_why", "WorkerWhy", "Show all that a run's verdict hung on", _WORKERS),
    "worker show": Entry("lattice.cli.worker_views", "WorkerShow", "Show a run: its commit, its end and why", _WORKERS),
    "worker logs": Entry("lattice.cli.worker_logs", "WorkerLogs", "Print what a run said", _WORKERS),
    "worker replay": Entry("lattice.cli.worker_replay", "WorkerReplay", "Read an agent's stream again", _WORKERS),
    "worker wait": Entry("lattice.cli.worker_wait", "WorkerWait", "Wait for the end of a run", _WORKERS),
    "worker top": Entry("lattice.cli.worker_top", "WorkerTop", "Watch the runs, live on the whole screen", _WORKERS),
    "worker history": Entry("lattice.cli.worker_history", "WorkerHistory", "List the runs that ended", _WORKERS),
    "costs": Entry("lattice.cli.costs", "Costs", "Sum what runs cost, and what is not known", _WORKERS),
    "worker start": Entry("lattice.cli.worker_external", "WorkerStart", "Begin a run of your own", _WORKERS),
    "worker heartbeat": Entry("lattice.cli.worker_external", "WorkerHeartbeat", "Say that your run lives", _WORKERS),
    "worker complete": Entry("lattice.cli.worker_external", "WorkerComplete", "Say that your run succeeded", _WORKERS),
    "worker fail": Entry("lattice.cli.worker_external", "WorkerFail", "Say that your run failed", _WORKERS),
    "worker stop": Entry("lattice.cli.worker_stop", "WorkerStop", "Ask a run to end", _WORKERS),
    "worker certify": Entry("lattice.cli.worker_certify", "WorkerCertify", "Certify an adapter or a worker", _WORKERS),
    "worker queue": Entry("lattice.cli.worker_queue", "WorkerQueue", "List the runs that wait", _WORKERS),
    "worker cancel": Entry("lattice.cli.worker_queue", "WorkerCancel", "Take a run out of the queue", _WORKERS),
    "worker diff": Entry("lattice.cli.worker_code", "WorkerDiff", "Show what a run changed", _WORKERS),
    "worker merge": Entry("lattice.cli.worker_code", "WorkerMerge", "Merge a run's branch", _WORKERS),
    "worker discard": Entry("lattice.cli.worker_code", "WorkerDiscard", "Delete a branch, keep its commits", _WORKERS),
    "worker salvage": Entry("lattice.cli.worker_code", "WorkerSalvage", "List, show, drop what was kept", _WORKERS),
    "worker triggers": Entry("lattice.cli.worker_triggers", "WorkerTriggers", "Say what starts by itself", _WORKERS),
    "worker trust": Entry("lattice.cli.worker_triggers", "WorkerTrust", "Let a worker start by itself", _WORKERS),
    "worker untrust": Entry("lattice.cli.worker_triggers", "WorkerUntrust", "Let it start by itself no more", _WORKERS),
    "worker sweep": Entry("lattice.cli.worker_triggers", "WorkerSweep", "Start workers on what is due", _WORKERS),
    "worker gc": Entry("lattice.cli.worker_stop", "WorkerGc", "Clear away what dead runs left", _WORKERS),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; `argv` is without the program's name. Returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words[: words.index("--") if "--" in words else None]
    try:
        return _answer(words)
    except LatticeError as error:
        return _refuse(error, as_json)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_BROKEN_PIPE
    except OSError as error:
        return _refuse(_from_system(error), as_json)
    except Exception as error:  # noqa: BLE001  # the one place where a bug becomes an answer
        return _bug(error, as_json)


def _answer(words: Sequence[str]) -> int:
    name, rest = _command_in(words)
    if name is None:
        return _overview(rest)
    from lattice.cli.arguments import Context, build  # the overview and --version do without

    command, summary = _command(name)
    parser = build(name, command, summary)
    if _asks_help(rest):
        _print(parser.format_help(), paged=NO_PAGER not in rest)
        return 0
    args = parser.understand(rest)
    context = Context(os.environ, _here(), terminal_of(sys.stdout, os.environ))
    answer = command.run(args, context)
    if isinstance(answer, int):
        return answer
    if args.json:
        write_parts(sys.stdout, envelope(answer.data(), answer.warnings, ok=answer.ok, beside=answer.beside))
        return int(answer.exit_status)
    text = answer.quiet if args.quiet else answer.text(context.terminal)
    _print(f"{text}\n" if text else "", paged=not (args.quiet or args.no_pager))
    warn(answer.warnings)
    return int(answer.exit_status)


def _print(text: str, *, paged: bool) -> None:
    """Write an answer for people; on a terminal `paged`, where it is longer than the screen."""
    if paged and sys.stdout is not None and sys.stdout.isatty():
        from lattice.cli import pager  # what goes to a program or to a file does without

        pager.show(sys.stdout, text, os.environ)
    else:
        write(sys.stdout, text)


def _command(name: str) -> tuple[Command, str]:
    """The command of this name, of the table or of a plugin, and its summary. Raises PluginError."""
    entry = COMMANDS.get(name)
    if entry is not None:
        module = __import__(entry.module, fromlist=[entry.kind])  # importlib imports warnings, and no command needs it
        return getattr(module, entry.kind)(), entry.summary
    from lattice.cli import plugins  # only a word that is not in the table pays for reading what is installed

    return plugins.load(name)


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise NotFound("The working folder does not exist any more.", hint="Change into one that does.") from None


def _command_in(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The command's name and what follows it; None where the overview is asked for. Raises UsageError."""
    if not words or words[0] in ("--help", "-h", "--version"):
        return None, list(words)
    first, rest = words[0], list(words[1:])
    if first == "help":
        return (None, [*rest, "--help"]) if rest in ([], [NO_PAGER]) else _command_in([*rest, "--help"])
    if first.startswith("-"):
        raise UsageError(f"{first[:80]!r} stands before the command.", hint="Options follow it: lattice list --json")
    if first in COMMANDS:
        return first, rest
    members = [name for name in COMMANDS if name.startswith(f"{first} ")]
    if not members:
        from lattice.cli import plugins  # as above

        if plugins.offered(first):
            return first, rest
        raise _no_command(first, list(dict.fromkeys(name.split()[0] for name in COMMANDS)))
    if not rest or rest[0] in ("--help", "-h"):
        return None, [first, *rest]
    name = f"{first} {rest[0]}"
    if name not in COMMANDS:
        raise _no_command(name, members)
    return name, rest[1:]


def _no_command(name: str, known: Sequence[str]) -> UsageError:
    meant = nearest(name, known)
    hint = f"Did you mean 'lattice {meant}'?" if meant else f"Commands: {', '.join(known)}."
    return UsageError(f"There is no command {name[:80]!r}.", hint=hint)


def _asks_help(words: Sequence[str]) -> bool:
    ahead = words[: words.index("--")] if "--" in words else words
    return "--help" in ahead or "-h" in ahead


def _overview(words: Sequence[str]) -> int:
    """`--version`, or the page of all commands, or of the group in `words`."""
    if words[:1] == ["--version"]:
        write(sys.stdout, f"lattice {__version__}\n")
        return 0
    from lattice.cli import overview  # a command does without

    page = overview.page(COMMANDS, words[0] if words and not words[0].startswith("-") else None)
    if not _asks_help(words):
        write(sys.stderr, page)
        return UsageError.exit_status
    _print(page, paged=NO_PAGER not in words)
    return 0


def _refuse(error: LatticeError, as_json: bool) -> int:
    """Say what was refused, in the form that was asked for."""
    try:
        if as_json:
            write(sys.stdout, refusal(error.as_dict()))
        else:
            hint = f"Hint: {line(error.hint)}\n" if error.hint else ""
            write(sys.stderr, f"Error: {line(error.message)}\n{hint}")
    except (OSError, LatticeError):
        return error.exit_status  # There is nobody left to tell; the exit status still does.
    return error.exit_status


def _from_system(error: OSError) -> LatticeError:
    from lattice.errors import StorageError

    where = f"{os.fsdecode(error.filename)!r}: " if isinstance(error.filename, (str, bytes)) else ""
    return StorageError(f"{where}{error.strerror or error}.", hint="Look at the permissions, and at the space left.")


def _bug(error: Exception, as_json: bool) -> int:
    if os.environ.get("LATTICE_DEBUG"):
        import traceback

        traceback.print_exception(error)
    said = f"internal error: {type(error).__name__}: {error}"
    hint = "set LATTICE_DEBUG=1 for the trace, and report it"
    try:
        if as_json:
            write(sys.stdout, refusal({"code": "INTERNAL_ERROR", "message": said, "hint": hint}))
        else:
            write(sys.stderr, f"lattice: {line(said)}\n{hint}\n")
    except (OSError, LatticeError):
        return EXIT_BUG  # There is nobody left to tell; the exit status still does.
    return EXIT_BUG


if __name__ == "__main__":
    sys.exit(main())
