"""The verdict as a table, and as one JSON object."""

from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table

from tests.chaos.verdict import MUST_BE_ZERO, RECOVERY_GOAL_S, Verdict


def as_json(verdict: Verdict) -> dict[str, Any]:
    return {**asdict(verdict), "slowest_recovery_s": verdict.slowest_recovery_s, "breaches": verdict.breaches}


def as_tables(verdict: Verdict) -> Group:
    """What was compared, and what each fault cost."""
    total = verdict.total
    compared = Table("", "", box=box.SIMPLE, show_header=False, title=f"seed {verdict.seed}", title_justify="left")
    compared.add_row("students", str(len(verdict.sessions)))
    compared.add_row("streamed", f"{verdict.seconds:.0f} s")
    compared.add_row("acknowledged frames", str(total.acknowledged))
    compared.add_row("in the files", str(total.in_files))
    compared.add_row("metrics documents", str(total.documents))
    for name, what in MUST_BE_ZERO.items():
        compared.add_row(what, _zero(getattr(total, name)))
    compared.add_row("dead letters", _zero(verdict.dead_letters))
    compared.add_row("frames the analyzers skipped", str(total.skipped))
    compared.add_row(f"slowest recovery (goal ≤ {RECOVERY_GOAL_S:g} s)", _seconds(verdict.slowest_recovery_s))
    caption = "back: results of all sessions flow · caught up: no group is behind · held: captures"
    costs = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left", padding=(0, 0, 0, 1))
    costs.add_column("fault", no_wrap=True)
    for name in ("back", "caught up", "last", "silence", "held"):
        costs.add_column(name, justify="right", no_wrap=True)
    for cost in verdict.costs:
        costs.add_row(
            cost.name,
            _seconds(cost.recovery_s),
            _seconds(cost.caught_up_s),
            cost.last_behind,
            _seconds(cost.longest_silence_s),
            str(cost.held),
        )
    for name in verdict.not_reached:
        costs.add_row(f"[dim]{name}", "[dim]no time")
    return Group(compared, costs)


def _zero(count: int) -> str:
    return str(count) if count == 0 else f"[bold red]{count}"


def _seconds(value: float | None) -> str:
    return "[bold red]never" if value is None else f"{value:.1f} s"
