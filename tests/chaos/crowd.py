"""The students: each shows a script through the real WebSocket, and goes on through whatever happens."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import httpx

from schemas import wire
from schemas.sessions import Consent
from services.client.errors import ClientError
from services.client.options import StreamOptions
from services.client.pace import Pace
from services.client.stream import StudentClient
from services.runtime.clock import now_ms
from tests.chaos.ledger import Ledger
from tests.chaos.script import FPS, SIZE, Script
from tests.support.processes import PASSWORD

LECTURE = "CHAOS"
RECONNECT_FOR_S = 300.0
STOP_WITHIN_S = 60.0


@dataclass(slots=True)
class Student:
    """One student. `taken`: frames of the script that were shown; `failure`: why the stream was lost for good."""

    name: str
    script: Script
    client: StudentClient
    taken: int = 0
    failure: str | None = None

    @property
    def acknowledged(self) -> list[int]:
        return list(self.client.tally.acked)


async def make_accounts(url: str, count: int) -> list[str]:
    """A lecture and so many students; returns their names."""
    async with httpx.AsyncClient(base_url=f"{url}/api", trust_env=False, timeout=30) as http:

        async def token(name: str) -> dict[str, str]:
            answer = await http.post("/login", json={"username": name, "password": PASSWORD})
            return {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}

        instructor, admin = await token("instructor"), await token("admin")
        lecture = {"lecture_code": LECTURE, "title": "Chaos"}
        (await http.post("/lectures", json=lecture, headers=instructor)).raise_for_status()
        names = [f"drawn-{number + 1}" for number in range(count)]
        for name in names:
            account = {"username": name, "display_name": name, "role": "student", "password": PASSWORD}
            (await http.post("/users", json=account, headers=admin)).raise_for_status()
    return names


class Crowd:
    """Opened one by one, streaming all at once, ended where their scripts are quiet."""

    def __init__(self, url: str, names: Sequence[str], scripts: Sequence[Script], ledger: Ledger) -> None:
        self._ledger = ledger
        options = StreamOptions(
            size=SIZE, fps=FPS, record=True, consent=Consent(recording=True), reconnect_for_s=RECONNECT_FOR_S
        )
        self.students = [
            Student(
                name,
                scripts[number % len(scripts)],
                StudentClient(url, name, PASSWORD, LECTURE, options, partial(self._heard, name)),
            )
            for number, name in enumerate(names)
        ]
        self._over = asyncio.Event()
        self._streams: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Begin all sessions. Raises `ClientError`."""
        for student in self.students:
            self._ledger.opened(student.name)
            await student.client.open()
        begun_s = asyncio.get_running_loop().time()
        shift_s = 1 / FPS / len(self.students)
        self._streams = [
            asyncio.create_task(self._stream(student, Pace(begun_s + number * shift_s, FPS)))
            for number, student in enumerate(self.students)
        ]

    async def finish(self) -> None:
        """Let every script come to a quiet place, everything be acknowledged, and the sessions end."""
        self._over.set()
        await asyncio.gather(*self._streams)
        await asyncio.gather(*(self._end(student) for student in self.students))

    async def close(self) -> None:
        for task in self._streams:
            task.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)
        await asyncio.gather(*(student.client.close() for student in self.students))

    async def _stream(self, student: Student, pace: Pace) -> None:
        loop = asyncio.get_running_loop()
        origin_ms, number = now_ms(), 0
        frames = student.script.jpegs
        try:
            while not (self._over.is_set() and student.taken and student.script.quiet(student.taken)):
                await asyncio.sleep(max(0.0, pace.due_s(number) - loop.time()))
                captured_at_ms = origin_ms + student.taken * 1000 // FPS
                if student.client.offer(frames[student.taken % len(frames)], captured_at_ms) is None:
                    self._ledger.held(student.name, loop.time())
                else:
                    student.taken += 1
                number = pace.next(number, loop.time())
        except ClientError as error:
            student.failure = str(error)

    async def _end(self, student: Student) -> None:
        try:
            await student.client.drained()
            await student.client.stop(STOP_WITHIN_S)
        except ClientError as error:
            student.failure = student.failure or str(error)

    def _heard(self, name: str, message: wire.ServerMessage) -> None:
        if isinstance(message, wire.MetricsMessage):
            self._ledger.arrived(name, asyncio.get_running_loop().time())
