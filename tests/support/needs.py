"""What a test needs beyond Python: skipped with the reason where it is absent, failed where it must be there.

`RAPT_REQUIRE=kafka,chromium` (CI sets it) turns the skip of the named things into a failure.
"""

import os
from pathlib import Path
from typing import NoReturn

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MEDIA = Path(os.environ.get("RAPT_MEDIA", REPOSITORY.parent / "shared" / "media"))


def absent(what: str, reason: str) -> NoReturn:
    """Skip the test because `what` (kafka, chromium, media, …) is not here, or fail it when it is required."""
    if what in os.environ.get("RAPT_REQUIRE", "").split(","):
        pytest.fail(f"{what} is required here: {reason}", pytrace=False)
    pytest.skip(f"{what}: {reason}")


def clip(name: str) -> Path:
    """A clip of the shared test media."""
    path = MEDIA / name
    if not path.exists():
        absent("media", f"{name} is not in {MEDIA}")
    return path
