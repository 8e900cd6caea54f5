"""CPU per frame of `rapt ingest` beside a bare websockets + aiokafka loop, on the same Kafka, with the same frames."""

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from bench.frames import drawn_frames
from bench.result import Claim
from bench.wire import Opened, stream_all
from services.runtime.log.connection import Connection
from services.runtime.log.topics import ensure_topics
from tests.support.kafka import kafka_node
from tests.support.processes import PASSWORD, RaptProcess, free_port

SESSIONS = 50
FPS = 10.0
WARM_UP = 10
FRAMES = 120
STUDENTS = ("student", "student2", "student3", "student4")


def run() -> list[Claim]:
    with tempfile.TemporaryDirectory() as folder, kafka_node() as kafka:
        asyncio.run(ensure_topics(Connection(kafka.bootstrap)))
        bare_ms = _bare(kafka.bootstrap)
        rapt_ms = _rapt(Path(folder) / "rapt", kafka.bootstrap)
    return [
        Claim(
            "ingest CPU per frame ÷ bare websockets + aiokafka",
            rapt_ms / bare_ms,
            "×",
            "at most",
            1.5,
            f"{rapt_ms * 1000:.0f} µs",
            f"{bare_ms * 1000:.0f} µs",
        )
    ]


def _bare(bootstrap_servers: str) -> float:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "bench.bare_ingest", str(port), bootstrap_servers])
    try:
        _wait_for_port(port)

        return _cpu_ms_per_frame(server.pid, lambda: [(f"ws://127.0.0.1:{port}", {})] * SESSIONS)
    finally:
        server.kill()
        server.wait()


def _rapt(data: Path, bootstrap_servers: str) -> float:
    ingest = RaptProcess("ingest", data, {"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "LOG_LEVEL": "warning"})
    ingest.start()
    try:
        with httpx.Client(base_url=f"{ingest.url}/api") as api:

            def open_sessions() -> list[Opened]:
                return [open_session(api, STUDENTS[number % 4], ingest.url) for number in range(SESSIONS)]

            return _cpu_ms_per_frame(ingest.pid, open_sessions)
    finally:
        ingest.terminate()


def open_session(api: httpx.Client, student: str, url: str, *, record: bool = False) -> Opened:
    """A new session's WebSocket address with its token, and the message that starts it."""
    login = api.post("/login", json={"username": student, "password": PASSWORD}).raise_for_status().json()
    consent = {"version": "1", "analysis": True, "recording": record, "emotion": False, "live_view": False}
    session = (
        api.post(
            "/sessions",
            json={"lecture_code": "DEMO", "record": record, "consent": consent},
            headers={"Authorization": f"Bearer {login['access_token']}"},
        )
        .raise_for_status()
        .json()
    )
    start: dict[str, object] = {
        "type": "start_video_session",
        "studentId": login["user"]["user_id"],
        "lectureCode": "DEMO",
        "frameWidth": 320,
        "frameHeight": 240,
        "fps": 10,
    }
    return f"{url.replace('http', 'ws', 1)}{session['stream_url']}?token={session['stream_token']}", start


def _cpu_ms_per_frame(pid: int, open_sessions: Callable[[], list[Opened]]) -> float:
    """Milliseconds of CPU of the process per frame, of `SESSIONS` streams at `FPS`, after a warm-up.

    Sessions are opened before the clock starts: a login costs 50 ms of argon2 by intent.
    """

    asyncio.run(stream_all(open_sessions(), drawn_frames(), WARM_UP, FPS))
    opened = open_sessions()
    process = psutil.Process(pid)
    before = process.cpu_times()
    asyncio.run(stream_all(opened, drawn_frames(), FRAMES, FPS))
    after = process.cpu_times()
    return 1000 * (after.user + after.system - before.user - before.system) / (SESSIONS * FRAMES)


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")
