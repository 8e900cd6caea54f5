"""Measure, write the figures into docs/accuracy.md, and fail when one is under its floor."""

import sys

from services.runtime.logging import configure_logging
from tests.accuracy.bench import figures, measure
from tests.accuracy.floors import FLOORS
from tests.accuracy.page import PAGE, table, write

configure_logging("critical", json=False)
measured = figures(measure())
text = table(measured)
write(text)
fallen = [line for floor in FLOORS for line in floor.fallen(measured)]
sys.stdout.write("\n".join([text, "", *fallen, f"written into {PAGE}", ""]))
sys.exit(1 if fallen else 0)
