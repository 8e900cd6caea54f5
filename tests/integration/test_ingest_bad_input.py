"""Whatever a client sends: a clear answer, a session that goes on, a process that lives."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from websockets.exceptions import ConnectionClosed

from schemas.frames import MAX_FRAME_BYTES
from schemas.topics import FRAMES
from services.ingest.protocol import Limits
from services.runtime import clock
from services.runtime.auth import Auth
from tests.support.edge import CHEAP, SECRET, Client, Edge, Reader, edge, start_message, tiny_jpeg
from tests.support.log_reader import until


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Edge]:
    async with edge(tmp_path) as running:
        yield running


@pytest.fixture
async def client(running: Edge) -> Client:
    return await running.started(await running.session())


BAD_FRAMES = {
    "empty_frame": b"",
    "not_a_jpeg": b"GIF89a, not what was asked for",
    "frame_too_large": tiny_jpeg(size_bytes=MAX_FRAME_BYTES + 1),
    "frame_dimensions": tiny_jpeg(width=4097),
}


@pytest.mark.parametrize("code", BAD_FRAMES)
async def test_a_frame_that_cannot_be_taken(running: Edge, client: Client, code: str) -> None:
    async with Reader(running.log, [FRAMES]) as log:
        await client.send(BAD_FRAMES[code])
        await client.frame(7)
        await until(lambda: client.acked == 7)
        assert client.codes() == [code]
        assert client.of("processing_error")[0]["fatal"] is False
        assert log.seqs == [7]


async def test_the_same_frames_with_numbers(client: Client) -> None:
    for bad in BAD_FRAMES.values():
        await client.send(b"\x01" + (3).to_bytes(4, "big") + (1000).to_bytes(8, "big") + bad)
    await client.frame(3)
    await until(lambda: client.acked == 3)
    assert client.codes() == list(BAD_FRAMES)


async def test_a_jpeg_cut_short_is_for_the_analyzer_to_judge(client: Client) -> None:
    await client.send(tiny_jpeg()[:30])  # the header is whole, the picture is not
    await until(lambda: client.acked == 0)
    await client.send(tiny_jpeg()[:10])  # not even the size
    await until(lambda: client.codes() == ["not_a_jpeg"])


async def test_four_megabytes_get_an_answer(client: Client) -> None:
    await client.send(tiny_jpeg(size_bytes=4 << 20))
    await until(lambda: client.codes() == ["frame_too_large"])


async def test_more_than_five_close_the_socket(client: Client) -> None:
    with contextlib.suppress(ConnectionClosed):  # it may close while this is still being sent
        await client.send(bytes((5 << 20) + 1))
    assert await client.until_closed() == 1009


async def test_numbers_that_do_not_rise(client: Client) -> None:
    for seq in (5, 5, 4, 6):
        await client.frame(seq)
    await until(lambda: client.acked == 6)
    assert client.codes() == ["seq_not_increasing"] * 2


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("{not json", "not_json", "JSON"),
        ('"a text"', "unknown_type", "missing"),
        ('{"type": "dance"}', "unknown_type", "dance"),
        ('{"type": 5}', "unknown_type", "5"),
        (json.dumps({**start_message(), "frameWidth": "wide"}), "bad_message", "frameWidth"),
        (json.dumps({**start_message(), "studentId": "somebody-else"}), "bad_message", "student_id"),
        (json.dumps({**start_message(), "lectureCode": "CHEM-2"}), "bad_message", "lecture_code"),
        ("[" * 60_000, "not_json", "JSON"),
        (json.dumps({**start_message(), "more": "x" * (4 << 20)}), "bad_message", "at most 65536"),
    ],
)
async def test_text_that_cannot_be_read(client: Client, text: str, code: str, named: str) -> None:
    await client.send(text)
    await until(lambda: client.codes() == [code])
    assert named in client.of("processing_error")[0]["error"]
    await client.frame(0)
    await until(lambda: client.acked == 0)


async def test_a_recording_that_nobody_agreed_to(running: Edge) -> None:
    client = await running.stream(await running.session(consent={"version": "1", "recording": False}))
    await client.say(**{**start_message(), "record": True})
    await until(lambda: client.codes() == ["bad_message"])
    assert "consent" in client.of("processing_error")[0]["error"]


async def test_a_frame_and_a_stop_before_the_start(running: Edge) -> None:
    client = await running.stream(await running.session())
    await client.frame(0)
    await client.say(type="stop_video_session")
    await until(lambda: client.codes() == ["not_started"] * 2)
    await client.start()


async def test_more_frames_than_credit(tmp_path: Path) -> None:
    from tests.integration.test_ingest_stream import HeldLog

    async with edge(tmp_path, limits=Limits(credit=4), before_log=HeldLog) as running:
        held = running.front
        assert isinstance(held, HeldLog)
        client = await running.started(await running.session())
        held.hold = True
        for seq in range(5):
            await client.frame(seq)
        await until(lambda: client.codes() == ["credit_exceeded"])
        held.let_go(4)
        await until(lambda: client.acked == 3)
        await client.frame(4)  # not taken before, so it may come again
        await until(lambda: len(held.waiting) == 1)
        held.let_go(1)
        await until(lambda: client.acked == 4)


async def test_a_clock_that_jumps_is_told_once_and_bridged(running: Edge, client: Client) -> None:
    async with Reader(running.log, [FRAMES]) as log:
        hour_ms, now_ms = 3_600_000, clock.now_ms()
        for seq, captured_at_ms in enumerate([10_000, 10_100, 10_200 + hour_ms, 10_300 + hour_ms, 10_400]):
            await client.frame(seq, captured_at_ms=captured_at_ms + now_ms)
        await until(lambda: client.acked == 4)
        assert client.codes() == ["clock_jumped"] * 2
        assert "ahead" in client.of("processing_error")[0]["error"]
        assert "back" in client.of("processing_error")[1]["error"]
        await until(lambda: len(log.seqs) == 5)
        published = [int(record.headers["captured_at_ms"]) for record in log.of("frame")]
        assert published == sorted(set(published))
        assert published[-1] - published[0] < 60_000


async def test_repeated_abuse_closes(running: Edge, client: Client) -> None:
    for _ in range(Limits().max_errors + 1):
        await client.send(b"nonsense")
    assert await client.until_closed() == 1008
    assert client.codes() == ["not_a_jpeg"] * (Limits().max_errors + 1) + ["too_many_errors"]
    assert client.of("processing_error")[-1]["fatal"] is True
    # The session is not punished for its client.
    again = await running.started("s-1")
    await again.frame(0)
    await until(lambda: again.acked == 0)


def expired(session_id: str) -> str:
    claims = {"sub": "student", "role": "student", "session_id": session_id, "aud": "stream", "iat": 1, "exp": 2}
    return jwt.encode(claims, SECRET, algorithm="HS256")


async def test_tokens_that_do_not_open_a_session(running: Edge) -> None:
    await running.session("s-1")
    await running.session("s-2")
    await running.session("s-over", state="ended")
    stranger = Auth("another secret, just as long as the real one", hasher=CHEAP)
    cases = [
        ("s-1", "", 4401),
        ("s-1", "rubbish", 4401),
        ("s-1", expired("s-1"), 4401),
        ("s-1", stranger.stream_token("student", "student", "s-1"), 4401),
        ("s-1", running.access("student", "student"), 4401),
        ("s-1", running.token("s-2"), 4403),
        ("s-none", running.token("s-none"), 4404),
        ("s-over", running.token("s-over"), 4410),
    ]
    for session_id, token, code in cases:
        client = await running.stream(session_id, token)
        assert (await client.until_closed(), client.reason != "") == (code, True), token


async def test_frames_after_the_end(running: Edge, client: Client) -> None:
    await running.ingest.streams.end("s-1", "api")
    assert running.ingest.streams.get("s-1") is not None
    await client.frame(0)
    await until(lambda: client.codes() == ["not_started"])


async def test_tokens_stay_out_of_the_logs(running: Edge, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await running.started(await running.session())
    assert running.token("s-1")[:20] not in caplog.text
