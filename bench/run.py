"""`rapt bench`: every claim of the README, measured side by side with its baseline in one run."""

import importlib
import json
import platform
from collections.abc import Sequence

import psutil
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.result import Claim

BENCHES = ("cost", "analyzer", "ingest", "recorder", "latency", "memory", "replicas", "rebalance", "overload", "store")


def run_benches(names: Sequence[str], *, out: Console, err: Console, as_json: bool) -> int:
    """Run the named benches, or all; returns the exit code: 0 when every claim holds, 1 when one is missed, 2 for a
    name that is none."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        message = f"rapt: there is no bench {', '.join(map(repr, unknown))}; wanted {', '.join(BENCHES)}"
        err.print(message, style="red", highlight=False, markup=False, soft_wrap=True)
        return 2
    claims: list[Claim] = []
    for name in names or BENCHES:
        with err.status(f"measuring {name}"):
            claims += importlib.import_module(f"bench.{name}").run()
    machine = f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.platform()}"
    if as_json:
        out.print_json(json.dumps({"machine": machine, "claims": [claim.to_json() for claim in claims]}))
    else:
        out.print(_table(claims, machine))
    return 0 if all(claim.holds for claim in claims) else 1


def _table(claims: Sequence[Claim], machine: str) -> Table:
    table = Table("claim", "measured", "goal", "Rapt", "baseline", "", title=machine)
    for claim in claims:
        measured = f"{claim.value:.2f} {claim.unit}".strip()
        verdict = "[green]holds" if claim.holds else "[red]missed"
        table.add_row(
            escape(claim.name), measured, f"{claim.bound} {claim.goal:g}", claim.ours, claim.baseline, verdict
        )
    return table
