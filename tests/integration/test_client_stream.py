"""The student's client against a server that misbehaves on command, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect

from schemas import wire
from schemas.events import FrameMetrics, SessionTotals, StatusChanged
from schemas.examples import JPEG, METRICS, STATUS
from schemas.frames import WireFrame
from schemas.rest import AccessToken, NewSession, SessionCreated, User
from services.client.api import Api
from services.client.errors import ClientError, FrameTooLarge, Refused, StreamClosed, StreamRefused, Unreachable
from services.client.options import StreamOptions
from services.client.stream import StudentClient
from services.runtime.http import HttpServer
from tests.support.log_reader import until

CREDIT = 4


class Server:
    """Takes one session's frames; the fields say how it behaves."""

    def __init__(self) -> None:
        self.taken: list[WireFrame] = []  # what is in the log
        self.received: list[int] = []  # every number that came
        self.connections = 0
        self.started: list[wire.StartVideoSession] = []
        self.stopped = False
        self.resume_from_seq = 0
        self.acks = asyncio.Event()  # cleared: frames are taken and not acknowledged
        self.acks.set()
        self.answer_stop = True
        self.on_frame: Callable[[WebSocket, WireFrame], Awaitable[None]] | None = None
        self.on_connect: Callable[[WebSocket], Awaitable[bool]] | None = None
        self.app = FastAPI()
        self.app.post("/api/login")(self.login)
        self.app.post("/api/sessions")(self.create)
        self.app.websocket("/api/sessions/s-1/stream")(self.stream)
        self.http = HttpServer(self.app, "127.0.0.1", 0)

    async def login(self, request: Request) -> JSONResponse:
        body = await request.json()
        if body["password"] != "right":
            return JSONResponse({"title": "Unauthorized", "status": 401, "detail": "wrong password"}, 401)
        user = User(user_id="student", username="student", display_name="Student", role="student")
        return JSONResponse(AccessToken(access_token="a", expires_in=60, user=user).model_dump())

    async def create(self, request: Request) -> JSONResponse:
        assert request.headers["authorization"] == "Bearer a"
        body = NewSession.decode(await request.body())
        if body.lecture_code != "DEMO":
            return JSONResponse({"title": "Not Found", "status": 404, "detail": "there is no lecture NONE"}, 404)
        created = SessionCreated(
            session_id="s-1", stream_url="/api/sessions/s-1/stream", stream_token="t/+", expires_in=60
        )
        return JSONResponse(created.model_dump())

    async def stream(self, websocket: WebSocket) -> None:
        assert websocket.query_params["token"] == "t/+"
        self.connections += 1
        await websocket.accept()
        if self.on_connect is not None and not await self.on_connect(websocket):
            return
        try:
            self.started.append(wire.StartVideoSession.decode(await websocket.receive_text()))
            await self.say(
                websocket,
                wire.ProcessingStartedAck(
                    session_id="s-1",
                    credit=CREDIT,
                    max_frame_bytes=1000,
                    target_fps=10,
                    resume_from_seq=self.resume_from_seq,
                ),
            )
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                if (data := message.get("bytes")) is not None:
                    await self.take(websocket, WireFrame.decode(data))
                else:
                    self.stopped = True
                    if self.answer_stop:
                        await self.end(websocket)
                        return
        except WebSocketDisconnect:
            return

    async def take(self, websocket: WebSocket, frame: WireFrame) -> None:
        assert frame.seq is not None
        self.received.append(frame.seq)
        if not self.taken or frame.seq > (self.taken[-1].seq or 0):
            self.taken.append(frame)
        if self.on_frame is not None:
            await self.on_frame(websocket, frame)
        if self.acks.is_set():
            await self.say(websocket, wire.Ack(seq=frame.seq, credit=CREDIT))

    async def end(self, websocket: WebSocket) -> None:
        await self.say(websocket, wire.StatusMessage(data=_totals(len(self.taken))))
        await self.say(
            websocket, wire.ProcessingEndedAck(frames=len(self.taken), analyzed=3, skipped=0, duration_ms=1000)
        )
        await websocket.close(1000)

    async def say(self, websocket: WebSocket, message: wire.Message) -> None:
        await websocket.send_text(message.encode().decode())

    def client(self, password: str = "right", lecture: str = "DEMO", reconnect_for_s: float = 30.0) -> StudentClient:  # noqa: S107
        return StudentClient(
            self.http.url, "student", password, lecture, StreamOptions(reconnect_for_s=reconnect_for_s)
        )


def _totals(frames: int) -> StatusChanged:
    totals = SessionTotals(frames=frames, analyzed=frames, skipped=0, blink_count=7, yawn_count=2)
    return STATUS.model_copy(update={"totals": totals})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.http.start()
    yield server
    server.acks.set()
    await server.http.stop()


@asynccontextmanager
async def streaming(server: Server) -> AsyncIterator[StudentClient]:
    async with asyncio.timeout(30), server.client() as client:
        yield client


async def test_a_whole_session(server: Server) -> None:
    async with streaming(server) as client:
        for number in range(10):
            assert await client.send(JPEG, captured_at_ms=1000 + number) == number
        await client.drained()
        ended = await client.stop()
    assert ended == wire.ProcessingEndedAck(frames=10, analyzed=3, skipped=0, duration_ms=1000)
    assert server.stopped
    assert [(frame.seq, frame.captured_at_ms) for frame in server.taken] == [(n, 1000 + n) for n in range(10)]
    assert all(frame.jpeg == JPEG for frame in server.taken)
    start = server.started[0]
    assert (start.student_id, start.lecture_code, start.frame_width, start.frame_height) == (
        "student",
        "DEMO",
        320,
        240,
    )
    assert client.tally.acked.ranges == [(0, 9)]
    assert (client.window.sent, client.window.resent, client.tally.skipped) == (10, 0, 0)
    assert (client.tally.blink_count, client.tally.yawn_count) == (7, 2)


async def test_a_camera_skips_what_is_beyond_the_credit(server: Server) -> None:
    server.acks.clear()
    async with streaming(server) as client:
        taken = [client.offer(JPEG) for _ in range(CREDIT + 3)]
        await until(lambda: len(server.received) == CREDIT)
    assert taken == [0, 1, 2, 3, None, None, None]
    assert client.tally.skipped == 3
    assert client.window.pending == CREDIT


async def test_a_file_waits_for_room(server: Server) -> None:
    server.acks.clear()
    async with streaming(server) as client:
        for _ in range(CREDIT):
            await client.send(JPEG)
        waiting = asyncio.create_task(client.send(JPEG))
        await until(lambda: len(server.received) == CREDIT)
        assert not waiting.done()

        async def acknowledge(websocket: WebSocket, frame: WireFrame) -> None: ...

        server.acks.set()
        await client.drop_connection()  # what was not acknowledged comes again, and is acknowledged now
        assert await waiting == CREDIT
        await client.drained()
    assert client.tally.skipped == 0
    assert [frame.seq for frame in server.taken] == list(range(CREDIT + 1))


async def test_a_lost_connection_loses_no_frame(server: Server) -> None:
    async def cut(websocket: WebSocket, frame: WireFrame) -> None:
        if frame.seq in (3, 8) and server.connections < 3:
            server.acks.clear()
            await websocket.close(1012)
        else:
            server.acks.set()

    server.on_frame = cut
    async with streaming(server) as client:
        for _ in range(20):
            await client.send(JPEG)
        await client.stop()
    assert server.connections == 3
    assert client.tally.connections == 3
    assert [frame.seq for frame in server.taken] == list(range(20))
    assert len(client.tally.acked) == 20
    assert client.window.sent == 20
    assert client.window.resent > 0
    assert len(server.started) == 3


async def test_a_server_that_resumes_further_on(server: Server) -> None:
    """A crashed server knows only what it had reserved: kept frames keep their numbers, new ones start there."""
    async with streaming(server) as client:
        await client.send(JPEG)
        await client.drained()
        server.acks.clear()
        for _ in range(2):
            await client.send(JPEG)
        await until(lambda: len(server.received) == 3)
        server.resume_from_seq = 1024
        server.acks.set()
        await client.drop_connection()
        await until(lambda: client.tally.connections == 2)
        await client.send(JPEG)
        await client.stop()
    assert server.received == [0, 1, 2, 1, 2, 1024]
    assert client.tally.acked.ranges == [(0, 2), (1024, 1024)]


async def test_a_server_that_is_not_ready_is_tried_again(server: Server) -> None:
    async def not_yet(websocket: WebSocket) -> bool:
        if server.connections > 2:
            return True
        await websocket.receive_text()
        await server.say(websocket, wire.ProcessingError(code="unavailable", error="the store is not available"))
        await websocket.receive()
        return False

    server.on_connect = not_yet
    async with streaming(server) as client:
        await client.send(JPEG)
        await client.stop()
    assert server.connections == 3
    assert client.tally.error_counts == {"unavailable": 2}


async def test_a_stream_that_is_not_started_says_why(server: Server) -> None:
    async def refuse(websocket: WebSocket) -> bool:
        await websocket.receive_text()
        await server.say(websocket, wire.ProcessingError(code="bad_message", error="studentId: not yours"))
        await websocket.receive()
        return False

    server.on_connect = refuse
    with pytest.raises(StreamRefused, match="studentId: not yours"):
        async with streaming(server):
            pass


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (wire.CLOSE_TOKEN, "token"),
        (wire.CLOSE_OTHERS_SESSION, "someone else"),
        (wire.CLOSE_UNKNOWN_SESSION, "does not know"),
        (wire.CLOSE_REPLACED, "took over"),
        (wire.CLOSE_ENDED, "has ended"),
        (wire.CLOSE_POLICY, "refused"),
    ],
)
async def test_a_close_for_good_is_told(server: Server, code: int, text: str) -> None:
    async def close(websocket: WebSocket) -> bool:
        await websocket.close(code, "because")
        return False

    server.on_connect = close
    with pytest.raises(StreamClosed, match=rf"{text}.*because") as told:
        async with streaming(server):
            pass
    assert told.value.code == code
    assert server.connections == 1


async def test_a_stream_that_breaks_for_good_fails_whoever_uses_it(server: Server) -> None:
    async def replace(websocket: WebSocket, frame: WireFrame) -> None:
        await websocket.close(wire.CLOSE_REPLACED, "a newer connection took this session")

    server.acks.clear()
    server.on_frame = replace
    async with streaming(server) as client:
        client.offer(JPEG)
        with pytest.raises(StreamClosed):
            await client.drained()
        with pytest.raises(StreamClosed):
            client.offer(JPEG)
        with pytest.raises(StreamClosed):
            await client.send(JPEG)
        with pytest.raises(StreamClosed):
            await client.stop()


async def test_a_session_ended_elsewhere_is_over(server: Server) -> None:
    async def end(websocket: WebSocket, frame: WireFrame) -> None:
        await server.end(websocket)

    server.on_frame = end
    server.acks.clear()
    async with streaming(server) as client:
        client.offer(JPEG)
        await until(lambda: client.tally.ended is not None)
        assert await client.stop() == client.tally.ended
        with pytest.raises(ClientError, match="has ended"):
            client.offer(JPEG)


async def test_a_stop_that_broke_off_is_said_again(server: Server) -> None:
    server.answer_stop = False
    async with streaming(server) as client:
        await client.send(JPEG)
        stopping = asyncio.create_task(client.stop())
        await until(lambda: server.stopped)
        server.answer_stop = True
        await client.drop_connection()
        assert await stopping is not None
    assert server.connections == 2


async def test_a_stop_whose_answer_got_lost_is_a_stop(server: Server) -> None:
    async def ended(websocket: WebSocket) -> bool:
        if server.connections == 1:
            return True
        await websocket.close(wire.CLOSE_ENDED)
        return False

    server.on_connect = ended
    server.answer_stop = False
    async with streaming(server) as client:
        await client.send(JPEG)
        stopping = asyncio.create_task(client.stop())
        await until(lambda: server.stopped)
        await client.drop_connection()
        assert await stopping is None


async def test_an_end_that_is_not_summed_up_is_told(server: Server) -> None:
    server.answer_stop = False
    async with streaming(server) as client:
        await client.send(JPEG)
        with pytest.raises(Unreachable, match="sum up"):
            await client.stop(timeout_s=0.05)


async def test_a_server_that_stays_away_is_given_up(server: Server) -> None:
    async def away(websocket: WebSocket) -> bool:
        await websocket.close(1013)
        return False

    async with asyncio.timeout(30), server.client(reconnect_for_s=0.2) as client:
        server.on_connect = away
        await client.drop_connection()
        with pytest.raises(Unreachable, match="could not get it back"):
            await client.stop()


async def test_metrics_are_collected_with_their_latency(server: Server) -> None:
    async def measure(websocket: WebSocket, frame: WireFrame) -> None:
        metrics: FrameMetrics = METRICS.model_copy(update={"seq": frame.seq, "blink_count": (frame.seq or 0) // 2})
        await server.say(websocket, wire.MetricsMessage(latency_ms=3.0, data=metrics))
        await websocket.send_bytes(b"\x02" + bytes(4 + 478 * 6))
        await websocket.send_text('{"type":"invented_later","x":1}')
        await websocket.send_text('{"type":"ack","seq":0,"credit":4,"invented_later":true}')

    server.on_frame = measure
    async with streaming(server) as client:
        for _ in range(6):
            await client.send(JPEG)
        await until(lambda: client.tally.metrics_received == 6)
        tally = client.tally
    assert tally.blink_count == 2
    assert len(tally.latencies_ms) == 6
    assert all(latency_ms >= 0 for latency_ms in tally.latencies_ms)
    assert tally.landmarks_received == 6
    assert tally.error_counts == {"unread_message": 6}


async def test_a_frame_over_the_servers_limit_is_refused_here(server: Server) -> None:
    async with streaming(server) as client:
        with pytest.raises(FrameTooLarge, match=r"1001 bytes.*1000"):
            client.offer(bytes(1001))


async def test_wrong_password_and_unknown_lecture_are_told(server: Server) -> None:
    with pytest.raises(Refused, match="wrong password") as told:
        async with server.client(password="wrong"):
            pass
    assert told.value.status == 401
    with pytest.raises(Refused, match="no lecture NONE"):
        async with server.client(lecture="NONE"):
            pass
    assert server.connections == 0


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://host", "http://"])
async def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(Unreachable, match="wanted something like"):
        Api(url)


async def test_nobody_there_is_told(server: Server) -> None:
    url = server.http.url
    await server.http.stop()
    with pytest.raises(Unreachable, match="is Rapt running there"):
        async with StudentClient(url, "student", "right", "DEMO"):
            pass


async def test_something_else_there_is_told() -> None:
    other = HttpServer(FastAPI(), "127.0.0.1", 0)
    await other.start()
    try:
        async with Api(other.url) as api:
            with pytest.raises(Refused) as told:
                await api.login("student", "right")
            assert told.value.status == 404
    finally:
        await other.stop()
