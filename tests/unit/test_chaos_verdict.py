"""Each kind of loss is seen, and none where there is none."""

from dataclasses import replace

import pytest

from services.client.timetable import Truth
from tests.chaos.verdict import MUST_BE_ZERO, Compared, Cost, Document, Evidence, compare, explain, judge

FRAMES = 120


def _document(seq: int) -> Document:
    return Document(seq, 1000 + seq * 100, True, blink_count=seq // 40, yawn_count=0)


DOCUMENTS = [_document(seq) for seq in range(FRAMES)]
WHOLE = Evidence(
    student="ann",
    acknowledged=range(FRAMES),
    drawn=Truth(blinks=2, yawns=0),
    recordings=["completed"],
    in_files=range(FRAMES),
    shown=FRAMES,
    documents=DOCUMENTS,
    windows=[0, 1, 2],
    skipped=0,
    firebase={"check_in_time": 1},
    told={"check_in_time": 1},
)
FELT = Cost("kill -9 sink", 3.0, 4.0, "sink-store", 5.0, 0)


def test_a_whole_session_breaks_nothing() -> None:
    compared = compare(WHOLE)
    assert (compared.acknowledged, compared.in_files, compared.documents) == (FRAMES, FRAMES, FRAMES)
    assert {name: getattr(compared, name) for name in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0)
    assert judge([WHOLE], [FELT], seed=1, seconds=12).breaches == []


@pytest.mark.parametrize(
    ("harm", "name", "count"),
    [
        ({"in_files": [*range(50), *range(53, FRAMES)], "shown": FRAMES - 3}, "missing", 3),
        ({"in_files": [*range(FRAMES), 7], "shown": FRAMES + 1}, "twice", 1),
        ({"shown": FRAMES - 2}, "not_shown", 2),
        ({"recordings": []}, "recordings_off", 1),
        ({"recordings": ["failed"]}, "recordings_off", 1),
        ({"recordings": ["completed", "completed"]}, "recordings_off", 1),
        ({"documents": DOCUMENTS[:-2]}, "documents_missing", 2),
        ({"documents": [*DOCUMENTS, DOCUMENTS[3]]}, "documents_twice", 1),
        ({"documents": [*DOCUMENTS, _document(FRAMES)], "drawn": Truth(blinks=3)}, "documents_unasked", 1),
        ({"drawn": Truth(blinks=4, yawns=1)}, "counts_off", 3),
        ({"documents": [replace(each, blink_count=each.seq < 60) for each in DOCUMENTS]}, "counts_back", 1),
        (
            {"documents": [replace(each, epoch=1 if each.seq in (70, 90) else 2) for each in DOCUMENTS]},
            "epochs_back",
            2,
        ),
        ({"windows": [0, 2]}, "windows_off", 1),
        ({"windows": [0, 1, 1]}, "windows_off", 1),
        ({"firebase": {}}, "firebase_off", 1),
        ({"failure": "the stream is lost"}, "failures", 1),
    ],
)
def test_each_loss_is_seen(harm: dict[str, object], name: str, count: int) -> None:
    harmed = replace(WHOLE, **harm)  # type: ignore[arg-type]
    assert getattr(compare(harmed), name) == count
    breaches = judge([WHOLE, replace(harmed, student="bob")], [FELT], seed=1, seconds=12).breaches
    assert any(MUST_BE_ZERO[name] in breach and "(bob)" in breach for breach in breaches)


def test_losses_are_named() -> None:
    harmed = replace(
        WHOLE,
        in_files=[*range(50), *range(53, FRAMES), 7],
        documents=DOCUMENTS[:-2],
        recordings=[],
        drawn=Truth(blinks=3),
        firebase={},
        failure="lost",
    )
    assert explain(WHOLE) == []
    assert explain(harmed) == [
        "ann: frames missing from the files: 50-52",
        "ann: frames twice in the files: 7",
        "ann: frames without a document: 118-119",
        "ann: recordings: none",
        "ann: blinks: 3 drawn, 2 counted",
        "ann: check_in_time in Firebase is None, the truth is 1",
        "ann: stream: lost",
    ]


def test_frames_said_to_be_skipped_are_not_missing() -> None:
    skipped = replace(WHOLE, documents=DOCUMENTS[:-2], skipped=2)
    assert compare(skipped).documents_missing == 0
    assert compare(skipped).skipped == 2
    assert compare(replace(skipped, drawn=Truth(blinks=3))).counts_off == 0


def test_a_window_that_could_not_be_measured_may_lack_its_prediction() -> None:
    gone = [replace(each, measured=not 50 <= each.seq < 80) for each in DOCUMENTS]
    assert compare(replace(WHOLE, documents=gone, windows=[0, 2])).windows_off == 0


@pytest.mark.parametrize("recovery_s", [None, 15.1])
def test_a_slow_recovery_is_a_breach(recovery_s: float | None) -> None:
    verdict = judge([WHOLE], [FELT, replace(FELT, name="SIGSTOP kafka", recovery_s=recovery_s)], seed=1, seconds=12)
    assert [breach.partition(":")[0] for breach in verdict.breaches] == ["SIGSTOP kafka"]
    assert verdict.slowest_recovery_s == recovery_s


def test_what_fell_by_itself_ended_badly_or_was_buried_is_a_breach() -> None:
    verdict = judge(
        [WHOLE], [], seed=1, seconds=12, dead_letters=2, fallen=["recorder-1"], exits={"sink": -9}, not_reached=["x"]
    )
    assert len(verdict.breaches) == 3


def test_nothing_streamed_is_a_breach() -> None:
    assert judge([], [], seed=1, seconds=12).breaches == ["no frame was acknowledged"]


def test_totals_are_sums() -> None:
    assert Compared(acknowledged=2, missing=1) + Compared(acknowledged=3) == Compared(acknowledged=5, missing=1)
