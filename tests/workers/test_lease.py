"""A lease says who lives: held until the last copy of its descriptor is closed, by death too."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lattice.workers import lease

SOURCE = str(Path(__file__).parents[2] / "src")
HOLDER = """
import sys, signal
from pathlib import Path
from lattice.workers import lease
fd = lease.acquire(Path(sys.argv[1]))
print("held", flush=True)
signal.pause()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "held\n" == process.stdout.readline()
    return process


def test_a_lease_is_private_and_not_inherited_by_default(tmp_path: Path) -> None:
    fd = lease.acquire(tmp_path / "lease")
    assert 0o600 == stat.S_IMODE((tmp_path / "lease").stat().st_mode)
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_held_lease_refuses_a_second_holder(tmp_path: Path) -> None:
    fd = lease.acquire(tmp_path / "lease")
    assert lease.held(tmp_path / "lease")
    with pytest.raises(BlockingIOError, match="is held"):
        lease.acquire(tmp_path / "lease")
    os.close(fd)
    assert not lease.held(tmp_path / "lease")
    os.close(lease.acquire(tmp_path / "lease"))


def test_a_missing_lease_is_not_held_and_not_made_by_asking(tmp_path: Path) -> None:
    assert not lease.held(tmp_path / "lease")
    assert not (tmp_path / "lease").exists()


def test_death_by_kill_frees_the_lease_at_once(tmp_path: Path) -> None:
    process = holder(tmp_path / "lease")
    assert lease.held(tmp_path / "lease")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not lease.held(tmp_path / "lease")


def test_two_probers_never_take_each_other_for_a_holder(tmp_path: Path) -> None:
    (tmp_path / "lease").touch()
    seen: list[bool] = []

    def probe() -> None:
        seen.extend(lease.held(tmp_path / "lease") for _ in range(3000))

    threads = [threading.Thread(target=probe) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 9000 == len(seen)
    assert not any(seen)


def test_an_acquirer_passes_among_probers(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    path.touch()
    code = "import sys\nfrom pathlib import Path\nfrom lattice.workers.lease import held\nprint(flush=True)\n"
    code += "while True: held(Path(sys.argv[1]))"
    prober = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], env={**os.environ, "PYTHONPATH": SOURCE}, stdout=subprocess.PIPE
    )
    assert prober.stdout is not None
    prober.stdout.readline()
    try:
        for _ in range(5000):
            os.close(lease.acquire(path))
    finally:
        prober.kill()
        prober.communicate()


def test_a_lease_handed_on_outlives_the_one_who_made_it(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    fd = lease.acquire(path)
    os.set_inheritable(fd, True)
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    os.close(fd)
    assert lease.held(path)
    child.communicate()
    assert not lease.held(path)


def test_a_lease_that_is_kept_does_not_leak_into_a_worker(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    fd = lease.acquire(path)
    os.set_inheritable(fd, True)
    lease.keep(fd)
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    os.close(fd)
    assert not lease.held(path)
    child.communicate()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lease").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"):
        lease.acquire(tmp_path / "lease")
    assert not (tmp_path / "victim").exists()
