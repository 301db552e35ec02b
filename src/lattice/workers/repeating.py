"""An agent's run that is tried again: a prompt and a session of its own, as its own paths and its start want them."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping

from lattice.workers import handing, prompts
from lattice.workers.engines.heard import Usage
from lattice.workers.resuming import total
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec, decode_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def asked_anew(spec: RunSpec, folder: RunFolder, used: Mapping[str, Any] | None) -> RunSpec:
    """The spec of a run that repeats another; `used` is what that one used.

    A prompt names paths of its run, and no session begins twice. Where the prompt's file cannot be read the prompt
    stays as it was, and its start is refused.
    """
    agent = spec.agent
    if agent is None:
        return spec
    encoded = spec.encode()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        sha256 = prompts.digest(handing.rendered(spec, folder, agent))
        encoded = encoded.replace(agent.prompt_sha256.encode(), sha256.encode())
    if agent.session_id is not None and not agent.resumed:
        encoded = encoded.replace(agent.session_id.encode(), str(uuid.uuid4()).encode())
    again = decode_spec(encoded)
    if again.agent is None or not agent.resumed:
        return again
    known = Usage(**{name: (used or {}).get(name) for name in Usage._fields})
    return again.replace(agent=again.agent.replace(before=total(agent.before, known)))
