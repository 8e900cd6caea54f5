"""The labelled bench: drawn students at four rates, and the floors that no figure may fall under."""

import pytest

pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")

from tests.accuracy.bench import Figures, figures, measure
from tests.accuracy.floors import FLOORS, Floor
from tests.accuracy.page import table

# All of it takes a minute on two cores that do nothing else.
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def measured() -> dict[int, Figures]:
    judged = measure()
    assert not [one.error for one in judged if one.error]
    return figures(judged)


@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: floor.figure)
def test_no_figure_falls_under_its_floor(floor: Floor, measured: dict[int, Figures]) -> None:
    assert not floor.fallen(measured)


def test_the_figures_are_told(measured: dict[int, Figures], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{table(measured)}")  # noqa: T201
