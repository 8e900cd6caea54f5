"""What a demo found, and whether it kept Rapt's promises. Pure."""

from dataclasses import dataclass, field

# A count may be off by one: the last blink may fall on the last frame.
MAX_COUNT_ERROR = 1


@dataclass(frozen=True, slots=True)
class StudentReport:
    """One drawn student. `analyzed`, `left_out` and the counts are what the analyzer says; None when it said nothing.

    `skipped` counts captures that were not taken, because `credit` frames were under way or the machine was too slow;
    `left_out` counts frames that the analyzer left out to stay current. `recorded` are the frames in the downloaded
    files, `listed` those that the recordings API tells. `failure`: why the stream, or looking at its recording, ended
    early.
    """

    student: str
    session_id: str
    sent: int = 0
    acked: int = 0
    analyzed: int | None = None
    left_out: int | None = None
    skipped: int = 0
    recorded: int | None = None
    listed: int | None = None
    blinks_drawn: int = 0
    blinks_counted: int | None = None
    yawns_drawn: int = 0
    yawns_counted: int | None = None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    connections: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class DemoReport:
    """All students; latencies from capture to the arrival of the frame's metrics, over all frames."""

    seconds: float
    students: tuple[StudentReport, ...]
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None


def judge(report: DemoReport) -> list[str]:
    """What is wrong, a sentence each; empty when every promise was kept."""
    if not report.students:
        return ["nobody streamed"]
    return [wrong for student in report.students for wrong in _judge(student)]


def _judge(student: StudentReport) -> list[str]:
    wrong = []
    if student.failure is not None:
        wrong.append(student.failure)
    if student.sent == 0:
        wrong.append("no frame was sent")
    if student.acked != student.sent:
        wrong.append(f"{student.sent - student.acked} frames were sent and never acknowledged")
    if student.recorded is None:
        wrong.append("there is no recording")
    elif student.recorded < student.acked:
        wrong.append(f"{student.acked - student.recorded} acknowledged frames are missing from the recording")
    elif student.recorded > student.sent:
        wrong.append(f"the recording has {student.recorded - student.sent} frames more than were sent")
    if student.recorded is not None and student.listed != student.recorded:
        wrong.append(f"the recording is said to have {student.listed} frames and has {student.recorded}")
    for what, drawn, counted in (
        ("blinks", student.blinks_drawn, student.blinks_counted),
        ("yawns", student.yawns_drawn, student.yawns_counted),
    ):
        if counted is None:
            wrong.append(f"nobody counted {what}")
        elif abs(counted - drawn) > MAX_COUNT_ERROR:
            wrong.append(f"{drawn} {what} were drawn and {counted} counted")
    return [f"{student.student}: {text}" for text in wrong]
