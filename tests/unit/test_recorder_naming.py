"""Names of recordings: made of identifiers, short enough for a file system, never leading out of their folder."""

from pathlib import Path

import pytest

from schemas.sessions import SessionStart
from services.recorder.naming import filename_of, inside, recording_id_of, thumbnail_of, wanted
from tests.support.recordings import start_of

LONG = "a" * 128


def test_a_name_says_who_what_and_when() -> None:
    assert filename_of(start_of()) == "ann_PHYS-101_20251009T085320000Z.mp4"
    assert thumbnail_of(filename_of(start_of())) == "ann_PHYS-101_20251009T085320000Z.jpg"


def test_two_sessions_of_one_moment_get_two_names() -> None:
    names = {filename_of(start_of(session), taken=True) for session in ("s-1", "s-2")}
    assert len({*names, filename_of(start_of())}) == 3


def test_the_longest_identifiers_fit() -> None:
    start = SessionStart.decode(
        start_of(LONG).encode().replace(b'"ann"', f'"{LONG}"'.encode()).replace(b"PHYS-101", LONG.encode())
    )
    assert len(filename_of(start, taken=True).encode()) <= 255
    assert len(recording_id_of(LONG)) <= 128
    assert recording_id_of(LONG) != recording_id_of("a" * 127)
    assert recording_id_of("s-1") == "r-s-1"


@pytest.mark.parametrize("name", ["", ".", "..", "/etc/passwd", "../x.mp4", "a/b.mp4", "x\x00.mp4", "open/"])
def test_a_name_from_outside_leads_nowhere(name: str) -> None:
    assert inside(Path("/srv/recordings"), name) is None


def test_a_name_of_ours_leads_into_the_folder() -> None:
    assert inside(Path("/srv/recordings"), "ann_PHYS-101_1.mp4") == Path("/srv/recordings/ann_PHYS-101_1.mp4")


@pytest.mark.parametrize(("record", "consent"), [(True, False), (False, True), (False, False)])
def test_nothing_is_recorded_without_wish_and_consent(record: bool, consent: bool) -> None:
    assert not wanted(start_of(record=record, consent=consent))
    assert wanted(start_of())
