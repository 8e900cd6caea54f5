"""The bench's table in docs/accuracy.md, between its two marks."""

from pathlib import Path

from services.analyzer.evaluation.report import number
from tests.accuracy.bench import RATES, Figures
from tests.accuracy.floors import FLOORS, Floor
from tests.support.needs import REPOSITORY

PAGE = REPOSITORY / "docs" / "accuracy.md"
BEGIN, END = "<!-- written by python -m tests.accuracy -->", "<!-- until here -->"


def table(figures: dict[int, Figures]) -> str:
    """Each figure by rate, with its floor; figures without one only where they were measured."""
    floors = {floor.figure: _limits(floor) for floor in FLOORS}
    head = " | ".join(["figure", "floor", *(f"{fps} fps" for fps in RATES)])
    lines = [f"| {head} |", f"|---|---|{'--:|' * len(RATES)}"]
    for name in figures[RATES[0]]:
        values = [figures[fps][name] for fps in RATES]
        if name in floors or any(value is not None for value in values):
            lines.append(f"| {' | '.join([name, floors.get(name, ''), *map(number, values)])} |")
    return "\n".join(lines)


def _limits(floor: Floor) -> str:
    limits = [number(limit) for limit in floor.limits]
    return f"{floor.side} {' / '.join(limits if len(set(limits)) > 1 else limits[:1])}"


def write(text: str, page: Path = PAGE) -> None:
    """Put the table between the marks; all else stays."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
