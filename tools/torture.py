"""Faults at every step, and whether the promises of docs/explanation/reliability.md hold: `make torture`.

Exit status 1 on any violation; each is printed with what repeats it, and its files are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.torture.arena import Finding
from tests.torture.campaign import PARTS, Campaign
from tools import torture_page

PROMISES = {
    "power": "P1",
    "storage": "P2",
    "acts": "P2",
    "strace": "P2",
    "writers": "P3",
    "runs: one fault": "P5 P6",
    "runs: the starter": "P5",
    "runs: two and three": "P5",
    "runs: the mender": "P7",
    "starters": "P8",
    "death is known": "P10",
    "git": "P14",
    "corruption": "P4",
    "deadline": "P9",
    "full disk": "P11",
    "reused numbers": "P12",
    "clocks": "P13",
    "soak": "P5 P7",
    "verdict": "P5",
    "slots": "P5",
    "listing": "P4",
    "teeth": "P15",
}
SHARE_SHORT, SHARE_FULL = 0.06, 0.3


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for; the exit status."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--full", action="store_true", help="three in ten of all faults, and 500 runs of the soak")
    parser.add_argument("--all", action="store_true", help="every fault there is")
    parser.add_argument("--seconds", type=float, help="begin no new trial after so long")
    parser.add_argument("--seed", type=int, default=1, help="which sample of the faults (default: 1)")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--runs", type=int, help="how many runs the soak makes (default: 100; 500 with --full)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at a time (default: the cores)")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--write-page", action="store_true", help="put the figures on docs/explanation/reliability.md")
    given = sys.argv[1:] if words is None else words
    args = parser.parse_args(given)
    share = 1.0 if args.all else SHARE_FULL if args.full else SHARE_SHORT
    for name in [name for name in os.environ if name.startswith(("LATTICE_", "GIT_"))]:
        del os.environ[name]
    os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    # Not under /tmp, which may be memory: what is synced here is to reach a disk.
    folder = Path(tempfile.mkdtemp(prefix="lattice-torture-", dir="/var/tmp"))
    began = time.monotonic()
    campaign = Campaign(folder, share=share, seed=args.seed, jobs=args.jobs, soaked=args.runs)
    findings: list[Finding] = []
    ran: dict[str, dict[str, Any]] = {}
    for part in [args.only] if args.only else PARTS:
        first, begun = len(findings), time.monotonic()
        for finding in campaign.part(part):
            findings.append(finding)
            _progress(part, findings, began)
            if args.seconds and time.monotonic() - began > args.seconds:
                break
        took_s = round(time.monotonic() - begun, 1)
        repeat = torture_page.command(part, given)
        ran[part] = {"command": repeat, "seconds": took_s, "figures": _figures(findings[first:])}
    if args.write_page:
        torture_page.write(ran)
    wrong = [finding for finding in findings if finding.violations]
    if not wrong:
        shutil.rmtree(folder, ignore_errors=True)
    table = _figures(findings)
    if args.json:
        shape = {"seed": args.seed, "share": share, "seconds": round(time.monotonic() - began, 1), "figures": table}
        print(json.dumps(shape | {"violations": [finding.fields() for finding in wrong]}, indent=2))
    else:
        _print(table, began)
        for finding in findings:
            if finding.group in ("soak", "power") and finding.seen:
                print(f"{finding.group}, {finding.label}: {json.dumps(finding.seen)}")
            elif not finding.met:
                print(f"not met: {finding.group}, {finding.label}")
        for finding in wrong:
            print(f"\n{finding.group}: {finding.label}\n  " + "\n  ".join(finding.violations))
        if wrong:
            print(f"\nAgain: tools/torture.py --seed {args.seed} {'--full ' if args.full else ''}--only PART")
    return 1 if wrong or not any(finding.met for finding in findings) else 0


def _figures(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.group, []).append(finding)
    rows = []
    for group, members in groups.items():
        healed = [finding.healed_s for finding in members if finding.healed_s is not None]
        rows.append(
            {
                "promise": PROMISES.get(group, ""),
                "what": group,
                "faults": sum(_faults(finding) for finding in members),
                "not met": sum(not finding.met for finding in members),
                "violations": sum(bool(finding.violations) for finding in members),
                "healed_s": round(statistics.median(healed), 4) if healed else None,
                "healed_s_max": round(max(healed), 4) if healed else None,
                "more": torture_page.more(finding.seen for finding in members),
            }
        )
    return rows


def _faults(finding: Finding) -> int:
    seen = finding.seen or {}
    return next((int(seen[name]) for name in ("faults", "kills", "cuts") if name in seen), int(finding.met))


def _print(table: Sequence[dict[str, Any]], began: float) -> None:
    print(f"{'':7}{'':22}{'faults':>8}{'not met':>9}{'violations':>12}{'healed in s: median':>21}{'longest':>9}")
    for row in table:
        times = "".join(
            f"{'' if row[key] is None else row[key]:>{width}}" for key, width in (("healed_s", 21), ("healed_s_max", 9))
        )
        counts = f"{row['faults']:>8}{row['not met']:>9}{row['violations']:>12}"
        print(f"{row['promise']:7}{row['what']:22}{counts}{times}")
    faults, wrong = sum(row["faults"] for row in table), sum(row["violations"] for row in table)
    print(f"{faults} faults, {wrong} violations, {time.monotonic() - began:.0f} s")


def _progress(part: str, findings: Sequence[Finding], began: float) -> None:
    if sys.stderr.isatty():
        wrong = sum(bool(finding.violations) for finding in findings)
        said = f"{time.monotonic() - began:5.0f} s  {part:8} {len(findings)} trials, {wrong} violations"
        print(f"\r\x1b[K{said}", end="" if part else "\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
