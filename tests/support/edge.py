"""The edge on a real uvicorn, over a local log and a SQLite store, and a client that speaks its protocol by hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from argon2 import PasswordHasher
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from schemas.frames import WireFrame
from schemas.rest import Role
from schemas.topics import Topic
from services.ingest.app import Ingest, build_app
from services.ingest.protocol import Limits
from services.runtime import clock
from services.runtime.auth import Auth
from services.runtime.http import HttpServer
from services.runtime.log import EventLog, Record, TopicPartition
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.store import Document, Store
from services.runtime.store.collections import LECTURES, SESSIONS, USERS
from services.runtime.store.sqlite import SqliteStore
from tests.support.log_reader import until

SECRET = "a secret for tests, long enough to be taken"
PASSWORD = "correct horse battery"
WAIT_S = 15.0
# Argon2 as cheap as it gets: passwords are not what these tests are about.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def tiny_jpeg(width: int = 8, height: int = 8, size_bytes: int = 64) -> bytes:
    """The header of a JPEG of this size, padded; the edge never decodes."""
    frame = b"\xff\xc0\x00\x11\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x03" + bytes(9)
    return (b"\xff\xd8" + frame).ljust(size_bytes - 2, b"\x00") + b"\xff\xd9"


class Reader:
    """Collects what appears on topics."""

    def __init__(self, log: EventLog, topics: Sequence[Topic]) -> None:
        self.records: list[Record] = []
        self._consumer = log.consumer(topics, self, group=None)

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        self.records.extend(records)

    def of(self, kind: str) -> list[Record]:
        return [record for record in self.records if record.headers.get("kind") == kind]

    @property
    def seqs(self) -> list[int]:
        return [int(record.headers["seq"]) for record in self.of("frame")]


class Client:
    """One WebSocket; sends by hand, keeps all that came."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.messages: list[dict[str, Any]] = []
        self.binary: list[bytes] = []
        self.closed: int | None = None
        self.reason = ""
        self._task: asyncio.Task[None] | None = None

    def read(self) -> None:
        """Begin to read; until then the client takes nothing."""
        self._task = asyncio.create_task(self._read())

    @property
    def reads(self) -> bool:
        return self._task is not None

    async def _read(self) -> None:
        try:
            while True:
                message = await self.connection.recv()
                if isinstance(message, bytes):
                    self.binary.append(message)
                else:
                    self.messages.append(json.loads(message))
        except ConnectionClosed as closed:
            self.closed = closed.rcvd.code if closed.rcvd else 1006
            self.reason = closed.rcvd.reason if closed.rcvd else ""

    async def say(self, **message: object) -> None:
        await self.connection.send(json.dumps(message))

    async def send(self, data: bytes | str) -> None:
        await self.connection.send(data)

    async def frame(self, seq: int, captured_at_ms: int | None = None, jpeg: bytes | None = None) -> None:
        captured = clock.now_ms() if captured_at_ms is None else captured_at_ms
        await self.connection.send(WireFrame(jpeg or tiny_jpeg(), seq, captured).encode())

    async def start(self, **changes: object) -> dict[str, Any]:
        """Send `start_video_session`; the server's answer."""
        before = len(self.of("processing_started_ack"))
        await self.say(**{**start_message(), **changes})
        await until(lambda: len(self.of("processing_started_ack")) > before or self.closed is not None)
        return self.of("processing_started_ack")[-1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    def codes(self) -> list[str]:
        return [message["code"] for message in self.of("processing_error")]

    @property
    def acked(self) -> int:
        return max((message["seq"] for message in self.of("ack")), default=-1)

    async def until_closed(self) -> int:
        await until(lambda: self.closed is not None)
        assert self.closed is not None
        return self.closed

    async def close(self) -> None:
        await self.connection.close()
        if self._task is not None:
            await self._task


def start_message() -> dict[str, object]:
    return {
        "type": "start_video_session",
        "studentId": "student",
        "lectureCode": "PHYS-101",
        "frameWidth": 8,
        "frameHeight": 8,
    }


class Edge:
    """Ingest, served. `front` is the log that it sees: the real one, or what a test puts before it."""

    def __init__(
        self, ingest: Ingest, http: HttpServer, log: EventLog, front: EventLog, store: Store, auth: Auth
    ) -> None:
        self.ingest = ingest
        self.front = front
        self.http = http
        self.log = log
        self.store = store
        self.auth = auth
        self._clients: list[Client] = []

    async def client(self, path: str, *, read: bool = True, **options: Any) -> Client:
        url = self.http.url.replace("http", "ws", 1) + path
        client = Client(await connect(url, compression=None, proxy=None, max_size=8 << 20, **options))
        if read:
            client.read()
        self._clients.append(client)
        return client

    async def stream(self, session_id: str, token: str | None = None, *, read: bool = True, **options: Any) -> Client:
        token = self.token(session_id) if token is None else token
        return await self.client(f"/api/sessions/{session_id}/stream?token={token}", read=read, **options)

    async def started(self, session_id: str, **changes: object) -> Client:
        client = await self.stream(session_id)
        await client.start(**changes)
        return client

    def token(self, session_id: str, user_id: str = "student") -> str:
        return self.auth.stream_token(user_id, "student", session_id)

    def access(self, user_id: str, role: Role) -> str:
        return self.auth.access_token(user_id, role)

    async def session(self, session_id: str = "s-1", **changes: object) -> str:
        """A session in the store as POST /sessions makes it."""
        await self.store.insert(SESSIONS.name, {**session_document(session_id), **changes})
        return session_id

    async def document(self, session_id: str) -> Document:
        document = await self.store.get(SESSIONS.name, session_id)
        assert document is not None
        return document

    async def until_ended(self, session_id: str) -> Document:
        async with asyncio.timeout(WAIT_S):
            while (document := await self.document(session_id))["state"] != "ended":
                await asyncio.sleep(0.005)
        return document

    async def close_clients(self) -> None:
        for client in self._clients:
            if not client.reads:
                client.connection.transport.abort()
            await client.close()


def session_document(session_id: str) -> Document:
    return {
        "_id": session_id,
        "session_id": session_id,
        "student_id": "student",
        "lecture_code": "PHYS-101",
        "session_name": None,
        "state": "created",
        "record": False,
        "dev_mode": False,
        "consent": {"version": "1", "analysis": True, "recording": True, "emotion": False, "live_view": True},
        "created_at_ms": 1,
        "started_at_ms": None,
        "ended_at_ms": None,
        "end_reason": None,
        "seq_reserved": -1,
        "connection": None,
        "seen_at_ms": 1,
    }


async def furnish(store: Store, auth: Auth) -> None:
    """Three users and a lecture."""
    hashed = auth.hash_password(PASSWORD)
    students = ["student", "other"]
    instructors = ["instructor", "colleague"]
    roles: dict[str, Role] = {**dict.fromkeys(students, "student"), **dict.fromkeys(instructors, "instructor")}
    roles["admin"] = "admin"
    await store.upsert_many(
        USERS.name,
        [
            {"_id": name, "username": name, "display_name": name.title(), "role": role, "password_hash": hashed}
            for name, role in roles.items()
        ],
    )
    await store.upsert_many(
        LECTURES.name,
        [
            {
                "_id": "PHYS-101",
                "lecture_code": "PHYS-101",
                "title": "Mechanics",
                "instructor_id": "instructor",
                "engagement_enabled": True,
                "created_at_ms": 1,
            }
        ],
    )


@asynccontextmanager
async def edge(
    data: Path,
    *,
    limits: Limits | None = None,
    now_ms: Callable[[], int] = clock.now_ms,
    totals_limit_s: float = 10.0,
    before_log: Callable[[EventLog], EventLog] = lambda log: log,
    before_store: Callable[[Store], Store] = lambda store: store,
    settings: Mapping[str, object] | None = None,
) -> AsyncIterator[Edge]:
    """The edge over files in `data`; what is there already is used again, as after a restart."""
    local, sqlite = LocalLog(data / "log.sqlite"), SqliteStore(data / "store.sqlite")
    auth = Auth(SECRET, hasher=CHEAP)
    await local.start()
    await sqlite.start()
    await furnish(sqlite, auth)
    log, store = before_log(local), before_store(sqlite)
    configured = Settings(rapt_data=data, **(settings or {}))  # type: ignore[arg-type]
    ingest = build_app(
        configured,
        log,
        store,
        auth,
        Metrics(),
        parts=[local, sqlite],
        now_ms=now_ms,
        limits=limits,
        totals_limit_s=totals_limit_s,
    )
    http = HttpServer(ingest.asgi, "127.0.0.1", 0)
    await http.start()
    await ingest.start()
    running = Edge(ingest, http, local, log, sqlite, auth)
    try:
        yield running
    finally:
        await ingest.stop()
        await running.close_clients()
        await http.stop()
        await local.stop()
        await sqlite.stop()
