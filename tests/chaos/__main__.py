"""`python -m tests.chaos [--seed N] [--for SECONDS] [--students N] [--json]`: exit code 0, 1 for a breach."""

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos.report import as_json, as_tables
from tests.chaos.run import run

LONGEST_S = 500.0
WITHIN_S = 600.0  # with all that comes before and after
STUDENTS = min(20, 4 * (os.cpu_count() or 1))  # all of Rapt runs beside them


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description="Break Rapt's parts by a seeded schedule, and compare.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--for", dest="seconds", type=float, default=480.0, help=f"at most {LONGEST_S:g}")
    parser.add_argument("--students", type=int, default=STUDENTS, help="as many as the machine can carry")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only", action="append", default=[], help="only faults whose name contains this")
    parser.add_argument(
        "--keep",
        type=Path,
        help="a new folder, in which data and logs stay; recordings on a small disk of their own go with it",
    )
    chosen = parser.parse_args()
    if not 20 <= chosen.seconds <= LONGEST_S or not 1 <= chosen.students <= 50:
        parser.error(f"wanted --for 20..{LONGEST_S:g} and --students 1..50")
    if chosen.keep is not None and chosen.keep.exists():
        parser.error(f"--keep {chosen.keep}: is there already")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that Kafka is away is no news here
    out, err = Console(), Console(stderr=True, highlight=False)
    begun_s = time.monotonic()

    def tell(what: str) -> None:
        err.print(f"{time.monotonic() - begun_s:6.1f} s  {what}", markup=False)

    with tempfile.TemporaryDirectory(prefix="rapt-chaos-", ignore_cleanup_errors=True) as temporary:
        folder = chosen.keep or Path(temporary, "run")
        folder.mkdir(parents=True)
        try:
            streams = run(chosen.seed, chosen.seconds, chosen.students, folder, tell, chosen.only)
            verdict = asyncio.run(asyncio.wait_for(streams, WITHIN_S))
        except TimeoutError:
            err.print(f"chaos: not over within {WITHIN_S:g} s", style="red")
            return 1
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:  # as `absent` says it
            err.print(f"chaos: {missing}", style="red")
            return 1
    if chosen.json:
        out.print_json(json.dumps(as_json(verdict)))
    else:
        out.print(as_tables(verdict))
    for breach in verdict.breaches:
        err.print(breach, style="red", markup=False)
    for line in verdict.details:
        err.print(line, markup=False)
    return 1 if verdict.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
