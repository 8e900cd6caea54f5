"""When a demo is judged to have failed."""

from dataclasses import replace

import pytest
from rich.console import Console

from services.client.demo import demo_table
from services.client.verdict import DemoReport, StudentReport, judge

GOOD = StudentReport(
    student="student2",
    session_id="s-1",
    sent=300,
    acked=300,
    analyzed=298,
    left_out=2,
    skipped=3,
    recorded=300,
    listed=300,
    blinks_drawn=9,
    blinks_counted=8,
    yawns_drawn=2,
    yawns_counted=3,
    latency_p50_ms=11.4,
    latency_p99_ms=33.0,
)


def test_a_count_may_be_off_by_one_and_frames_may_be_skipped() -> None:
    assert judge(DemoReport(30.0, (GOOD, GOOD))) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"recorded": 299, "listed": 299}, "1 acknowledged frames are missing from the recording"),
        ({"recorded": 302, "listed": 302}, "the recording has 2 frames more than were sent"),
        ({"listed": 299}, "the recording is said to have 299 frames and has 300"),
        ({"recorded": None, "listed": None}, "there is no recording"),
        ({"acked": 290}, "10 frames were sent and never acknowledged"),
        ({"blinks_counted": 7}, "9 blinks were drawn and 7 counted"),
        ({"blinks_counted": 11}, "9 blinks were drawn and 11 counted"),
        ({"yawns_counted": 0}, "2 yawns were drawn and 0 counted"),
        ({"blinks_counted": None}, "nobody counted blinks"),
        ({"sent": 0, "acked": 0, "recorded": 0, "listed": 0}, "no frame was sent"),
        ({"failure": "the session has ended"}, "the session has ended"),
    ],
)
def test_a_promise_that_was_not_kept_is_named(changes: dict[str, object], text: str) -> None:
    bad = replace(GOOD, **changes)  # type: ignore[arg-type]
    assert judge(DemoReport(30.0, (GOOD, bad))) == [f"student2: {text}"]


def test_nobody_is_no_success() -> None:
    assert judge(DemoReport(0.0, ())) == ["nobody streamed"]


def test_the_table_fits_a_terminal_and_shows_every_number() -> None:
    console = Console(width=80, record=True, force_terminal=False)
    console.print(demo_table(DemoReport(30.0, (GOOD, replace(GOOD, blinks_counted=None)), 12.0, 40.0)))
    lines = console.export_text().splitlines()
    row = next(line for line in lines if "student2" in line)
    assert row.split() == ["student2", "300", "300", "298", "5", "300", "9", "/", "8", "2", "/", "3", "11", "33"]
    assert any(line.split() == ["all", "12", "40"] for line in lines)
    assert any("9 / –" in line for line in lines)
