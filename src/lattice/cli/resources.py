"""The commands `resource …`: what several share and not all may use at once."""

from __future__ import annotations

import argparse
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line, table
from lattice.commands import resources
from lattice.commands.board import Board
from lattice.core.actors import actor_text
from lattice.core.resource import TTL_S, Resource, instant, to_snapshot


class ResourceCreate(Command):
    writes = True
    description = "A holder who is not heard of for --ttl seconds loses it to whoever asks next."
    examples = (
        'lattice resource create gpu --description "The big one" --actor human:ann',
        "lattice resource create licences --max-holders 3 --ttl 900 --actor human:ann",
    )

    def arguments(self, parser: Parser) -> None:
        _add_resource(parser)
        parser.add_argument("--description", help="what it is")
        parser.add_argument(
            "--max-holders", type=int, default=1, metavar="N", help="how many may hold it at once (default: 1)"
        )
        parser.add_argument(
            "--ttl", type=int, default=TTL_S, metavar="SECONDS", help=f"how long it is held (default: {TTL_S})"
        )
        parser.add_argument("--id", help="a resource id of your own, res_ and a ULID: a retry then makes no second one")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        request = resources.CreateResource(args.resource, args.description, args.max_holders, args.ttl, args.id)
        resource = request.run(context.board, context.sign(args))
        return _answer(context.board, resource, f"Created resource {line(resource.name)} ({resource.id})")


class ResourceAcquire(Command):
    writes = True
    description = "Who holds it already, holds it for longer. A holder whose time is over makes room."
    examples = (
        "lattice resource acquire gpu --task LAT-1 --actor agent:claude",
        "lattice resource acquire gpu --wait --timeout 600 --name Vega-1",
        'lattice resource acquire gpu --force --reason "its holder is gone" --actor human:ann',
    )

    def arguments(self, parser: Parser) -> None:
        _add_resource(parser)
        parser.add_argument("--task", metavar="TASK", help="the task that it is for")
        parser.add_argument("--force", action="store_true", help="evict the holder whose time ends first")
        parser.add_argument("--wait", action="store_true", help="wait until it is free")
        parser.add_argument(
            "--timeout",
            type=int,
            default=resources.WAIT_S,
            metavar="SECONDS",
            help="how long to wait (default: %(default)s)",
        )

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        wait_s = args.timeout if args.wait else None
        by = context.sign(args)
        request = resources.Acquire(args.task, args.force, args.reason, wait_s)
        resource = request.run(context.board, args.resource, by)
        return _answer(context.board, resource, f"{line(actor_text(by.actor))} holds {line(resource.name)}")


class ResourceHeartbeat(Command):
    writes = True
    description = "Its time begins anew. A holder whose time is over has to acquire it again."
    examples = ("lattice resource heartbeat gpu --actor agent:claude",)

    def arguments(self, parser: Parser) -> None:
        _add_resource(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        resource = resources.heartbeat(context.board, args.resource, context.sign(args))
        return _answer(context.board, resource, f"{line(resource.name)} is held for {resource.ttl_s} s more")


class ResourceRelease(Command):
    writes = True
    examples = ("lattice resource release gpu --actor agent:claude",)

    def arguments(self, parser: Parser) -> None:
        _add_resource(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        resource = resources.release(context.board, args.resource, context.sign(args))
        return _answer(context.board, resource, f"Released {line(resource.name)}")


class ResourceList(Command):
    examples = ("lattice resource list", "lattice resource list --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        return _listed(context.board)


class ResourceStatus(Command):
    examples = ("lattice resource status gpu", "lattice resource status --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("resource", metavar="RESOURCE", nargs="?", help="its name (default: all resources)")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        if args.resource is None:
            return _listed(board)
        resource = resources.find(board, args.resource)
        return Answer(
            data=lambda: _data(board, resource), text=lambda terminal: _table(board, [resource], terminal),
            quiet=resource.id,
        )  # fmt: skip


def _add_resource(parser: Parser) -> None:
    parser.add_argument("resource", metavar="RESOURCE", help="its name")


def _answer(board: Board, resource: Resource, text: str) -> Answer:
    return Answer(data=lambda: _data(board, resource), text=lambda _: text, quiet=resource.id)


def _listed(board: Board) -> Answer:
    found = resources.everything(board)
    return Answer(
        data=lambda: {"resources": [_data(board, resource) for resource in found]},
        text=lambda terminal: _table(board, found, terminal),
        quiet="\n".join(line(resource.name) for resource in found),
    )


def _now(board: Board) -> str:
    return instant(board.ledger.source.now_ms())


def _data(board: Board, resource: Resource) -> dict[str, Any]:
    return to_snapshot(resource, resource.live(_now(board)))


def _table(board: Board, found: list[Resource], terminal: Terminal) -> str:
    rows = [_row(resource, _now(board)) for resource in found]
    return table(rows, terminal, 3, ("RESOURCE", "HELD", "TTL", "HOLDERS")) if rows else "No resources."


def _row(resource: Resource, now: str) -> list[str]:
    live = resource.live(now)
    holders = ", ".join(f"{actor_text(holder.actor)} until {holder.expires_at}" for holder in live)
    cells = (resource.name, f"{len(live)}/{resource.max_holders}", f"{resource.ttl_s}s", holders or "available")
    return [line(cell) for cell in cells]
