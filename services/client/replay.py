"""`rapt replay`: videos through the real WebSocket, at their own pace, each its own session."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.sessions import Consent
from services.client.errors import ClientError, UnreadableVideo, WrongUse
from services.client.options import StreamOptions
from services.client.stream import StudentClient
from services.client.tally import percentile
from services.client.video import MAX_FPS, Video
from services.runtime.clock import now_ms

_PATIENCE_S = 60.0  # for the analyzer to finish what is left of a file


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """One file's session. `skipped`: frames that the analyzer left out to stay current. None where nothing was told."""

    file: str
    session_id: str
    frames: int
    acked: int
    analyzed: int | None
    skipped: int | None
    blinks: int | None
    yawns: int | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    errors: dict[str, int]


async def run_replay(
    files: Sequence[Path],
    *,
    url: str,
    fps: float | None = None,
    session_id: str | None = None,
    username: str,
    password: str,
    lecture_code: str,
    record: bool = True,
    as_json: bool = False,
) -> int:
    """Replay files one after the other and print what came of it.

    Returns the exit code: 2 for wrong use (a file is no video), before anything is sent; 1 when a stream failed.
    """
    out, err = Console(), Console(stderr=True)
    try:
        _check(files, fps, session_id)
    except (UnreadableVideo, WrongUse) as error:
        return _complain(err, error, 2)
    reports: list[ReplayReport] = []
    consent = Consent(recording=record, live_view=True)
    options = StreamOptions(record=record, consent=consent, session_id=session_id)
    try:
        for path in files:
            with err.status(escape(path.name)) as status:

                def tell(frames: int, at_s: float, name: str = path.name) -> None:
                    status.update(f"{escape(name)}: {frames} frames, {at_s:.1f} s")

                reports.append(
                    await replay_video(path, url, username, password, lecture_code, options, fps=fps, on_frame=tell)
                )
    except ClientError as error:
        return _complain(err, error, 1)
    finally:
        if as_json and reports:
            out.print_json(json.dumps({"files": [asdict(report) for report in reports]}))
        elif reports:
            out.print(replay_table(reports))
    return 0


async def replay_video(
    path: Path,
    url: str,
    username: str,
    password: str,
    lecture_code: str,
    options: StreamOptions,
    *,
    fps: float | None = None,
    on_frame: Callable[[int, float], None] | None = None,
) -> ReplayReport:
    """Stream one video and wait until it is analyzed. `on_frame` hears the frames sent and the place in the video (s).

    Raises `UnreadableVideo`, and `ClientError` when the stream cannot begin or is lost.
    """
    video = Video(path, fps)
    frames = video.frames()
    loop = asyncio.get_running_loop()
    try:
        client = StudentClient(
            url,
            username,
            password,
            lecture_code,
            replace(options, size=video.size, fps=video.fps, session_name=path.name[:200]),
        )
        async with client:
            begun_s, begun_ms, number = loop.time(), now_ms(), 0
            upcoming = await asyncio.to_thread(next, frames, None)
            while upcoming is not None:
                frame, decoding = upcoming, asyncio.create_task(asyncio.to_thread(next, frames, None))
                await asyncio.sleep(max(0.0, begun_s + frame.at_s - loop.time()))
                await client.send(frame.jpeg, begun_ms + round(frame.at_s * 1000))
                number += 1
                if on_frame is not None:
                    on_frame(number, frame.at_s)
                upcoming = await decoding
            await client.stop(_PATIENCE_S)
    finally:
        video.close()
    return _report(path, client)


def replay_table(reports: Sequence[ReplayReport]) -> Table:
    """What came of the files, a row each."""
    columns = ("frames", "acked", "analyzed", "skipped", "blinks", "yawns", "p50", "p99")
    caption = "p50, p99: capture to shown, in ms"
    table = Table("file", caption=caption, box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for each in reports:
        counts = (each.frames, each.acked, each.analyzed, each.skipped, each.blinks, each.yawns)
        latencies = (each.latency_p50_ms, each.latency_p99_ms)
        table.add_row(escape(each.file), *map(shown, counts), *map(shown, latencies))
    return table


def shown(value: float | None) -> str:
    """A number of a table; a dash where there is none."""
    return "–" if value is None else f"{value:.0f}"


def _check(files: Sequence[Path], fps: float | None, session_id: str | None) -> None:
    """Find what is wrong before anything is sent."""
    if fps is not None and not 0 < fps <= MAX_FPS:
        raise WrongUse(f"--fps {fps:g}: wanted more than 0 and at most {MAX_FPS:g}")
    if session_id is not None and len(files) > 1:
        raise WrongUse(f"--session takes one file, not {len(files)}: a session ends with its file")
    for path in files:
        Video(path, fps).close()


def _report(path: Path, client: StudentClient) -> ReplayReport:
    tally, ended = client.tally, client.tally.ended
    return ReplayReport(
        file=path.name,
        session_id=client.session_id,
        frames=client.window.sent,
        acked=len(tally.acked),
        analyzed=ended.analyzed if ended else None,
        skipped=ended.skipped if ended else None,
        blinks=tally.blink_count,
        yawns=tally.yawn_count,
        latency_p50_ms=percentile(tally.latencies_ms, 0.5),
        latency_p99_ms=percentile(tally.latencies_ms, 0.99),
        errors=dict(tally.error_counts),
    )


def _complain(err: Console, error: ClientError, code: int) -> int:
    err.print(f"rapt: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
    return code
