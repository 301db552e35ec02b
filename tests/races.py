"""Processes that begin at once: each runs the same function, and every failure is the test's."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable


def race(run: Callable[[int], None], count: int) -> None:
    """Run `run(0)` to `run(count - 1)` in forked processes that start together. Raises what they raised, as text."""
    go, start = os.pipe()
    receive, send = os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            os.close(start)
            _in_child(run, number, go, send)
        children.append(child)
    os.close(go)
    os.close(send)
    os.close(start)  # which lets all go
    with os.fdopen(receive, encoding="utf-8") as pipe:
        failures = pipe.read()
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert not failures, failures
    assert [0] * count == statuses


def _in_child(run: Callable[[int], None], number: int, go: int, send: int) -> None:
    status = 1
    try:
        os.read(go, 1)
        run(number)
        status = 0
    except BaseException:  # noqa: BLE001  # the child must never return into the test runner
        os.write(send, traceback.format_exc().encode())
    finally:
        os._exit(status)
