"""`rapt demo`: drawn students stream through the real WebSocket, and what came of it is held against what was drawn."""

import asyncio
import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from schemas.rest import Recording
from schemas.sessions import Consent
from services.client.api import Api
from services.client.drawn import Look, Pose, draw_jpeg
from services.client.errors import ClientError, Unreachable
from services.client.options import StreamOptions
from services.client.pace import Pace
from services.client.replay import shown
from services.client.stream import StudentClient
from services.client.tally import percentile
from services.client.timetable import Timetable
from services.client.verdict import DemoReport, StudentReport, judge
from services.client.video import count_frames

LECTURE = "DEMO"
STUDENTS = ("student", "student2", "student3", "student4")
FPS = 10.0
ENDLESS_S = 24 * 3600.0
END_WAIT_S = 60.0  # for the analyzer to finish what is left
STOPPED_WAIT_S = 2.0  # the server may be stopping too
RECORDING_WAIT_S = 60.0
RECORDING_POLL_S = 0.25
_CONSENT = Consent(recording=True, live_view=True)


@dataclass(slots=True)
class _Student:
    """One drawn student while streaming. `captured_s`: times of the frames taken, since the timetable's beginning."""

    name: str
    client: StudentClient
    timetable: Timetable
    look: Look
    captured_s: list[float] = field(default_factory=list)
    late: int = 0
    failure: str | None = None


async def run_demo(
    url: str,
    password: str,
    *,
    seconds: float | None = None,
    stop: asyncio.Event | None = None,
    as_json: bool = False,
) -> int:
    """Stream four students for `seconds`, judge and print the result; without `seconds` until `stop` is set.

    Returns the exit code: 1 when a stream failed or a promise was not kept.
    """
    out, err = Console(), Console(stderr=True)
    stop = stop or asyncio.Event()
    with err.status("drawing four students") as status:

        def tell(elapsed_s: float) -> None:
            left = "" if seconds is None else f" of {seconds:g}"
            status.update(f"four drawn students stream: {elapsed_s:.0f}{left} s")

        try:
            report = await stream_demo(url, password, seconds=seconds, stop=stop, on_second=tell)
        except ClientError as error:
            err.print(f"rapt: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
            return 1
    # Stopped before its time, it has nothing to be held against.
    wrong = judge(report) if seconds is not None and not stop.is_set() else []
    if as_json:
        out.print_json(json.dumps({**asdict(report), "wrong": wrong}))
    elif seconds is not None:
        out.print(demo_table(report))
    for text in wrong:
        err.print(text, style="red", highlight=False, markup=False, soft_wrap=True)
    return 1 if wrong else 0


async def stream_demo(
    url: str,
    password: str,
    *,
    seconds: float | None = None,
    students: int = len(STUDENTS),
    lecture_code: str = LECTURE,
    stop: asyncio.Event | None = None,
    on_second: Callable[[float], None] | None = None,
    reconnect_for_s: float = 60.0,
) -> DemoReport:
    """Stream drawn students, end their sessions, and with `seconds` wait for their recordings and count the frames.

    Raises `ClientError` when a session cannot begin; a stream that is lost later is told in the report.
    """
    stop = stop or asyncio.Event()
    options = StreamOptions(
        fps=FPS, record=True, consent=_CONSENT, session_name="Demo", reconnect_for_s=reconnect_for_s
    )
    duration_s = ENDLESS_S if seconds is None else seconds
    class_ = [
        _Student(
            name, StudentClient(url, name, password, lecture_code, options), Timetable(seed, duration_s), Look.of(seed)
        )
        for seed, name in enumerate(STUDENTS[:students])
    ]
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="draw") as pool:
        try:
            await asyncio.gather(*(_begin(student, pool) for student in class_))
            begun_s = loop.time()
            watch = asyncio.create_task(_tell_time(begun_s, on_second)) if on_second else None
            try:
                # One after the other within a frame's time, as cameras that know nothing of each other.
                paces = [Pace(begun_s + number / FPS / students, FPS) for number in range(students)]
                await asyncio.gather(
                    *(
                        _stream(student, pace, duration_s, stop, pool)
                        for student, pace in zip(class_, paces, strict=True)
                    )
                )
            finally:
                if watch is not None:
                    watch.cancel()
            streamed_s = loop.time() - begun_s
            await asyncio.gather(
                *(_end(student, STOPPED_WAIT_S if stop.is_set() else END_WAIT_S) for student in class_)
            )
            reports = [_report(student) for student in class_]
            if seconds is not None and not stop.is_set():
                checks = (
                    _check_recording(student.client.api, report)
                    for student, report in zip(class_, reports, strict=True)
                )
                reports = await asyncio.gather(*checks)
        finally:
            await asyncio.gather(*(student.client.close() for student in class_))
    latencies_ms = [latency for student in class_ for latency in student.client.tally.latencies_ms]
    return DemoReport(streamed_s, tuple(reports), percentile(latencies_ms, 0.5), percentile(latencies_ms, 0.99))


def demo_table(report: DemoReport) -> Table:
    """A row for each student, and the latency of all."""
    columns = ("sent", "acked", "analyzed", "skipped", "recorded", "blinks", "yawns", "p50", "p99")
    caption = "blinks, yawns: drawn / counted · p50, p99: capture to shown, in ms"
    table = Table("student", caption=caption, box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for each in report.students:
        left_out = None if each.left_out is None else each.left_out + each.skipped
        counts = (each.sent, each.acked, each.analyzed, left_out, each.recorded)
        table.add_row(
            each.student,
            *map(shown, counts),
            f"{each.blinks_drawn} / {shown(each.blinks_counted)}",
            f"{each.yawns_drawn} / {shown(each.yawns_counted)}",
            shown(each.latency_p50_ms),
            shown(each.latency_p99_ms),
        )
    table.add_section()
    table.add_row("all", *[""] * 7, shown(report.latency_p50_ms), shown(report.latency_p99_ms))
    return table


async def _begin(student: _Student, pool: ThreadPoolExecutor) -> None:
    """Open the session; paint what does not move before the first frame is due."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(pool, draw_jpeg, Pose(), student.client.options.size, student.look)
    await student.client.open()


async def _stream(
    student: _Student, pace: Pace, duration_s: float, stop: asyncio.Event, pool: ThreadPoolExecutor
) -> None:
    """Draw each frame while the one before is under way, and offer it when it is due."""
    loop = asyncio.get_running_loop()

    def drawing(number: int) -> asyncio.Future[bytes]:
        pose = student.timetable.pose_at(number / pace.fps)
        return loop.run_in_executor(pool, draw_jpeg, pose, student.client.options.size, student.look, number)

    number, upcoming = 0, drawing(0)
    try:
        while number < duration_s * pace.fps and not stop.is_set():
            jpeg = await upcoming
            await asyncio.sleep(max(0.0, pace.due_s(number) - loop.time()))
            if student.client.offer(jpeg) is not None:
                student.captured_s.append(number / pace.fps)
            following = pace.next(number, loop.time())
            student.late += following - number - 1
            number, upcoming = following, drawing(following)
    except ClientError as error:
        student.failure = str(error)
    finally:
        upcoming.cancel()


async def _end(student: _Student, timeout_s: float) -> None:
    try:
        await student.client.stop(timeout_s)
    except ClientError as error:
        student.failure = student.failure or str(error)


def _report(student: _Student) -> StudentReport:
    client, tally = student.client, student.client.tally
    drawn = student.timetable.drawn(student.captured_s)
    return StudentReport(
        student=student.name,
        session_id=client.session_id,
        sent=client.window.sent,
        acked=len(tally.acked),
        analyzed=tally.ended.analyzed if tally.ended else None,
        left_out=tally.ended.skipped if tally.ended else None,
        skipped=tally.skipped + student.late,
        blinks_drawn=drawn.blinks,
        blinks_counted=tally.blink_count,
        yawns_drawn=drawn.yawns,
        yawns_counted=tally.yawn_count,
        latency_p50_ms=percentile(tally.latencies_ms, 0.5),
        latency_p99_ms=percentile(tally.latencies_ms, 0.99),
        connections=tally.connections,
        errors=dict(tally.error_counts),
        failure=student.failure,
    )


async def _check_recording(api: Api, report: StudentReport) -> StudentReport:
    """Download the session's recordings and count what is in them."""
    try:
        recordings = await _finished(api, report.session_id)
        recorded = 0
        with tempfile.TemporaryDirectory(prefix="rapt-demo-") as folder:
            for recording in recordings:
                path = Path(folder, f"{recording.recording_id}.mp4")
                await api.download(recording.recording_id, path)
                recorded += await asyncio.to_thread(count_frames, path)
    except ClientError as error:
        return replace(report, failure=report.failure or str(error))
    return replace(report, recorded=recorded, listed=sum(each.frame_count or 0 for each in recordings))


async def _finished(api: Api, session_id: str) -> list[Recording]:
    """The session's recordings once they are completed; raises `Unreachable` when they are not in time."""
    deadline_s = asyncio.get_running_loop().time() + RECORDING_WAIT_S
    while True:
        recordings = await api.recordings(session_id)
        failed = next((each for each in recordings if each.status in ("failed", "deleted")), None)
        if failed is not None:
            raise Unreachable(f"the recording has {failed.status}: {failed.error or 'no reason is told'}")
        if recordings and all(each.status == "completed" for each in recordings):
            return recordings
        if asyncio.get_running_loop().time() > deadline_s:
            raise Unreachable(f"no recording was completed within {RECORDING_WAIT_S:g} s")
        await asyncio.sleep(RECORDING_POLL_S)


async def _tell_time(begun_s: float, on_second: Callable[[float], None]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        on_second(loop.time() - begun_s)
        await asyncio.sleep(1.0)
