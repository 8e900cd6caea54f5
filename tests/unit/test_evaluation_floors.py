"""A figure under its floor is seen, and the page tells the figures and the floors that there are."""

from pathlib import Path

import pytest

from services.analyzer.evaluation.report import headline
from services.analyzer.evaluation.score import Score
from tests.accuracy.bench import RATES, Figures
from tests.accuracy.floors import FLOORS, Floor
from tests.accuracy.page import BEGIN, END, PAGE, table, write

LEAST, MOST = Floor("blink F1", "≥", (0.9, 0.9, 0.9, 0.8)), Floor("yaw MAE, °", "≤", (2, 2, 2, 3))


def figures(**at_10_fps: float | None) -> dict[int, Figures]:
    """All right, but for what is given."""
    right: Figures = {**headline(Score()), "blink F1": 0.9, "yaw MAE, °": 2.0}
    return {fps: {**right, **at_10_fps} if fps == 10 else right for fps in RATES}


def test_what_reaches_its_floor_stands() -> None:
    assert LEAST.fallen(figures()) == MOST.fallen(figures()) == []


@pytest.mark.parametrize(
    ("floor", "value", "told"),
    [
        (LEAST, 0.89, "blink F1 at 10 fps is 0.89; wanted ≥ 0.9"),
        (MOST, 2.1, "yaw MAE, ° at 10 fps is 2.1; wanted ≤ 2"),
        (MOST, float("inf"), "yaw MAE, ° at 10 fps is never; wanted ≤ 2"),
        (LEAST, None, "blink F1 at 10 fps is –; wanted ≥ 0.9"),
    ],
)
def test_what_falls_is_told(floor: Floor, value: float | None, told: str) -> None:
    assert floor.fallen(figures(**{floor.figure: value})) == [told]


@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: floor.figure)
def test_a_floor_is_about_a_figure_that_there_is(floor: Floor) -> None:
    assert floor.figure in headline(Score())
    assert len(floor.limits) == len(RATES)


def test_the_page_has_every_floor_as_it_is() -> None:
    """Run `python -m tests.accuracy` when this fails."""
    written = PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip().splitlines()
    expected = table({fps: headline(Score()) for fps in RATES}).splitlines()
    assert written[:2] == expected[:2]
    told = {tuple(line.split(" | ")[:2]) for line in written[2:]}
    assert {tuple(line.split(" | ")[:2]) for line in expected[2:]} <= told


def test_writing_leaves_the_rest_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write("new", page)
    write("newer", page)
    assert page.read_text() == f"before\n{BEGIN}\nnewer\n{END}\nafter\n"
