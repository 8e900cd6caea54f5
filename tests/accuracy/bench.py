"""Every student at every rate."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from services.analyzer.evaluation.report import ALL, headline, rows
from services.analyzer.evaluation.run import Judged, judge
from tests.accuracy.students import STUDENTS, Student

RATES = (30, 15, 10, 5)

Figures = dict[str, float | None]


def measure(seeds: Sequence[int] = range(STUDENTS)) -> list[Judged]:
    """About a minute on two cores."""

    def one(seed: int) -> list[Judged]:
        drawn = Student(seed).draw()
        return [judge(drawn, fps) for fps in RATES]

    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        return [judged for several in threads.map(one, seeds) for judged in several]


def figures(judged: Sequence[Judged]) -> dict[int, Figures]:
    """The headline of all students together, for each rate."""
    return {round(row.fps): headline(row.score) for row in rows(judged) if row.clip == ALL}
