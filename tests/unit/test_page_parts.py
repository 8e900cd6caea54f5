"""What the page says of engagement is what the analyzer does."""

import re

from services.analyzer.domain.attention import WEIGHTS
from tests.support.needs import REPOSITORY

SOURCES = REPOSITORY / "services" / "ingest" / "web" / "src"


def test_the_bars_are_full_where_a_parts_weight_is_reached() -> None:
    source = (SOURCES / "measures.ts").read_text()
    found = re.search(r"PART_MOST: Record<string, number> = \{ ([^}]*) \}", source)
    assert found is not None
    shown = {name: float(most) for name, most in re.findall(r"(\w+): ([\d.]+)", found[1])}
    assert shown == WEIGHTS


def test_every_part_is_explained() -> None:
    source = (SOURCES / "words.ts").read_text()
    explained = re.search(r"PART_WORDS[^{]*\{([^}]*)\}", source)
    assert explained is not None
    assert set(re.findall(r"^\s*(\w+):", explained[1], re.MULTILINE)) == set(WEIGHTS)
