"""`lattice worker doctor`: whether workers can run on this machine, and what is missing."""

from __future__ import annotations

import argparse
from typing import Any

from lattice.cli.arguments import Answer, Command, Context
from lattice.cli.render import Terminal, line, table
from lattice.errors import LatticeError
from lattice.workers.doctor import EngineHealth, Health, WorkerHealth, examine
from lattice.workers.sandboxes import sandbox

_LOGINS = {True: "found", False: "none found", None: "not known"}


class WorkerDoctor(Command):
    description = (
        "Looks at the engines on PATH with their versions, flags and logins, the folder of the worktrees, bwrap,\n"
        "and each worker. It spends no token. Exits with 1 where a worker could not run."
    )
    examples = ("lattice worker doctor", "lattice worker doctor --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        health = examine(context.board, context.environ)
        return Answer(
            data=lambda: _data(health),
            text=lambda terminal: _text(health, terminal),
            quiet="\n".join(worker.name for worker in health.unfit),
            exit_status=1 if health.unfit else 0,
        )


def _text(health: Health, terminal: Terminal) -> str:
    rows = [["engine", one.name, _engine_state(one), _engine_words(one)] for one in health.engines]
    rows += [["worker", one.name, one.state, _worker_words(one)] for one in health.workers]
    where = _words(health.worktrees_error) if health.worktrees_error is not None else str(health.worktrees)
    rows.append(["worktrees", "", "ok" if health.worktrees_error is None else "broken", line(where)])
    bwrap = health.bwrap_error if health.bwrap_error is not None else health.bwrap or ""
    rows.append(["sandbox", "bwrap", "ok" if health.bwrap_error is None else "missing", line(bwrap)])
    return table(rows, terminal, flexible=3, heads=("WHAT", "NAME", "STATE", "DETAILS"))


def _engine_state(one: EngineHealth) -> str:
    if one.path is None:
        return "missing"
    return "broken" if one.error is not None else "no reviews" if one.reviewer_error is not None else "ok"


def _engine_words(one: EngineHealth) -> str:
    if one.path is None:
        return line(one.install)
    off = one.error or one.reviewer_error
    if off is not None:
        return _words(off)
    return line(f"{one.version or one.path}; login {_LOGINS[one.login.known]}: {one.login.how}")


def _worker_words(one: WorkerHealth) -> str:
    if one.error is not None:
        return _words(one.error)
    if one.sandbox == sandbox.NONE:
        return f"engine {one.engine}"
    return line(f"engine {one.engine}; {f'no sandbox: {one.sandbox_absent}' if one.sandbox_absent else one.sandbox}")


def _words(off: LatticeError) -> str:
    return line(f"{off.message} {off.hint}" if off.hint else off.message)


def _data(health: Health) -> dict[str, Any]:
    return {
        "engines": [
            {
                "name": one.name,
                "path": one.path,
                "version": one.version,
                "ok": one.path is not None and one.error is None,
                "error": one.error and one.error.as_dict(),
                "reviewer_error": one.reviewer_error and one.reviewer_error.as_dict(),
                "login": {"known": one.login.known, "how": one.login.how},
                "install": one.install,
            }
            for one in health.engines
        ],
        "workers": [
            {
                "name": one.name,
                "engine": one.engine,
                "ok": one.error is None,
                "state": one.state,
                "error": one.error and one.error.as_dict(),
                "sandbox": {"mode": one.sandbox, "available": one.sandbox_absent is None, "reason": one.sandbox_absent},
            }
            for one in health.workers
        ],
        "worktrees": {
            "path": str(health.worktrees) if health.worktrees is not None else None,
            "error": health.worktrees_error and health.worktrees_error.as_dict(),
        },
        "bwrap": {"path": health.bwrap, "reason": health.bwrap_error},
    }
