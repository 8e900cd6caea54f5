"""`make bench`: every claim of the README, measured side by side with its baseline in one run.

`python -m bench [NAME…] [--json]` runs all, or the named ones: analyzer, ingest, recorder, latency, memory.
"""

import argparse
import importlib
import json
import platform
import sys

import psutil
from rich.console import Console
from rich.table import Table

from bench.result import Claim

BENCHES = ("analyzer", "ingest", "recorder", "latency", "memory")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHES)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; wanted {', '.join(BENCHES)}")

    console = Console(stderr=True)
    claims: list[Claim] = []
    for name in arguments.names or BENCHES:
        with console.status(f"measuring {name}"):
            claims += importlib.import_module(f"bench.{name}").run()

    machine = f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.platform()}"
    if arguments.json:
        print(json.dumps({"machine": machine, "claims": [claim.to_json() for claim in claims]}))
    else:
        table = Table("claim", "measured", "goal", "Rapt", "baseline", "", title=machine)
        for claim in claims:
            measured = f"{claim.value:.2f} {claim.unit}".strip()
            verdict = "[green]holds" if claim.holds else "[red]missed"
            table.add_row(claim.name, measured, f"{claim.bound} {claim.goal:g}", claim.ours, claim.baseline, verdict)
        Console().print(table)
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
