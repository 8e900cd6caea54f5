"""What comes back: results from the topics reach the sockets that show them, and only those."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas import examples
from schemas.events import FrameMetrics
from schemas.topics import CONTROL, LANDMARKS, METRICS, PREDICTIONS, PREVIEWS, RECORDINGS, STATUS, Topic
from services.runtime import clock
from tests.support.edge import Client, Edge, edge
from tests.support.log_reader import until


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Edge]:
    async with edge(tmp_path) as running:
        yield running


async def tell(running: Edge, topic: Topic, key: str, value: bytes, **headers: str) -> None:
    await (await running.log.send(topic, key, value, headers))


def metrics(session_id: str, seq: int, age_ms: int = 10) -> FrameMetrics:
    at_ms = clock.now_ms() - age_ms
    times = {"captured_at_ms": at_ms, "received_at_ms": at_ms, "analyzed_at_ms": at_ms}
    return examples.METRICS.model_copy(update={"session_id": session_id, "seq": seq, **times})


async def watcher(running: Edge) -> Client:
    return await running.client(f"/api/lectures/PHYS-101/live?token={running.access('instructor', 'instructor')}")


async def test_metrics_status_predictions_and_landmarks_reach_their_own_page(running: Edge) -> None:
    mine = await running.started(await running.session("s-mine"), landmarks=True)
    other = await running.started(await running.session("s-other"))
    sent = metrics("s-mine", 3)
    await tell(running, METRICS, "s-mine", sent.encode())
    await tell(running, STATUS, "s-mine", examples.STATUS.model_copy(update={"session_id": "s-mine"}).encode())
    await tell(running, PREDICTIONS, "s-mine", examples.PREDICTION.model_copy(update={"session_id": "s-mine"}).encode())
    await tell(running, LANDMARKS, "s-mine", examples.LANDMARKS, seq="3")
    await tell(running, LANDMARKS, "s-other", examples.LANDMARKS, seq="3")  # did not ask for them
    await tell(running, METRICS, "s-other", metrics("s-other", 9).encode())
    await until(lambda: len(mine.binary) == 1 and len(mine.of("prediction")) == 1 and len(other.of("metrics")) == 1)
    message = mine.of("metrics")[0]
    assert message["data"] == json.loads(sent.encode())
    assert 10 <= message["latencyMs"] < 2_000
    assert mine.of("status")[0]["data"]["state"] == "engaged"
    assert mine.of("prediction")[0]["data"]["probe"] == "HH"
    assert mine.binary == [b"\x02" + (3).to_bytes(4, "big") + examples.LANDMARKS]
    assert other.binary == []
    assert [each["data"]["seq"] for each in other.of("metrics")] == [9]


async def test_stale_metrics_are_not_shown_as_live(running: Edge) -> None:
    client = await running.started(await running.session())
    await tell(running, METRICS, "s-1", metrics("s-1", 1, age_ms=2_500).encode())
    await tell(running, METRICS, "s-1", metrics("s-1", 2).encode())
    await until(lambda: len(client.of("metrics")) == 1)
    assert client.of("metrics")[0]["data"]["seq"] == 2


async def test_latency_is_told_on_the_servers_clock(running: Edge) -> None:
    client = await running.started(await running.session())
    hours_off_ms = 5 * 3_600_000
    await client.frame(0, captured_at_ms=clock.now_ms() + hours_off_ms)
    await until(lambda: client.acked == 0)
    sent = metrics("s-1", 0, age_ms=0)
    late = sent.model_copy(update={"captured_at_ms": sent.captured_at_ms + hours_off_ms})
    await tell(running, METRICS, "s-1", late.encode())
    await until(lambda: len(client.of("metrics")) == 1)
    assert 0 <= client.of("metrics")[0]["latencyMs"] < 2_000


async def test_a_result_that_cannot_be_read_does_not_stop_the_others(running: Edge) -> None:
    client = await running.started(await running.session())
    await tell(running, METRICS, "s-1", b"not metrics")
    await tell(running, RECORDINGS, "s-1", b"[]")
    await tell(running, LANDMARKS, "s-1", b"no seq")
    await tell(running, METRICS, "s-1", metrics("s-1", 1).encode())
    await until(lambda: len(client.of("metrics")) == 1)


async def test_the_recording_is_told_when_it_changes(running: Edge) -> None:
    client = await running.started(await running.session(record=True))
    await until(lambda: len(client.of("recording")) == 1)
    for kind in ("started", "segment", "completed"):
        event = examples.RECORDING.model_copy(update={"session_id": "s-1", "kind": kind})
        await tell(running, RECORDINGS, "s-1", event.encode())
    await until(lambda: len(client.of("recording")) == 3)
    assert [each["active"] for each in client.of("recording")] == [False, True, False]
    assert all(each["enabled"] for each in client.of("recording"))


async def test_the_instructors_switch_reaches_the_students(running: Edge) -> None:
    client = await running.started(await running.session())
    await until(lambda: len(client.of("engagement_status_update")) == 1)
    control = examples.CONTROL.model_copy(update={"enabled": False})
    await tell(running, CONTROL, "PHYS-101", control.encode())
    await until(lambda: len(client.of("engagement_status_update")) == 2)
    assert client.of("engagement_status_update")[-1] == {
        "type": "engagement_status_update",
        "lectureCode": "PHYS-101",
        "isEnabled": False,
    }


async def test_the_end_does_not_wait_for_ever_for_totals(tmp_path: Path) -> None:
    async with edge(tmp_path, totals_limit_s=0.01) as running:
        client = await running.started(await running.session())
        await client.frame(0)
        await client.say(type="stop_video_session")
        assert await client.until_closed() == 1000
        ended = client.of("processing_ended_ack")[0]
        assert (ended["frames"], ended["analyzed"], ended["skipped"]) == (1, None, None)
        order = [message["type"] for message in client.messages]
        assert order.index("ack") < order.index("processing_ended_ack")


async def test_the_instructor_sees_who_streams(running: Edge) -> None:
    instructor = await watcher(running)
    await until(lambda: len(instructor.of("roster")) == 1)
    assert instructor.of("roster")[0]["sessions"] == []
    await running.started(await running.session("s-1"))
    await until(lambda: len(instructor.of("roster")) == 2)
    tile = instructor.of("roster")[1]["sessions"][0]
    assert (tile["session_id"], tile["student_id"], tile["display_name"]) == ("s-1", "student", "Student")
    assert tile["live_view"] is True
    await running.ingest.streams.end("s-1", "api")
    await until(lambda: len(instructor.of("roster")) == 3)
    assert instructor.of("roster")[2]["sessions"] == []


async def test_tiles_get_metrics_a_few_times_a_second_and_pictures_with_consent(running: Edge) -> None:
    await running.started(await running.session("s-shown"))
    hidden = {"version": "1", "analysis": True, "recording": False, "emotion": False, "live_view": False}
    await running.started(await running.session("s-hidden", consent=hidden))
    instructor = await watcher(running)
    await until(lambda: len(instructor.of("roster")) == 1)
    for seq in range(20):
        await tell(running, METRICS, "s-shown", metrics("s-shown", seq).encode())
    for session_id in ("s-hidden", "s-shown"):
        await tell(running, PREVIEWS, session_id, examples.JPEG)
    await until(lambda: len(instructor.binary) == 1)
    assert instructor.binary == [b"\x03\x07s-shown" + examples.JPEG]
    assert instructor.of("metrics")[0]["data"]["seq"] == 0
    assert len(instructor.of("metrics")) < 20


async def test_the_instructor_sees_the_predictions_of_now(running: Edge) -> None:
    mine = await running.started(await running.session("s-mine"))
    first = await watcher(running)
    await until(lambda: len(first.of("roster")) == 1)
    late = {"received_at_ms": str(clock.now_ms() - 60_000)}
    predicted = [examples.PREDICTION.model_copy(update={"session_id": "s-mine", "window": n}) for n in range(3)]
    await tell(running, PREDICTIONS, "s-mine", predicted[0].encode(), **late)
    await tell(running, PREDICTIONS, "s-mine", b"not a prediction")
    await tell(running, PREDICTIONS, "s-mine", predicted[1].encode(), received_at_ms=str(clock.now_ms()))
    await tell(running, PREDICTIONS, "s-mine", predicted[2].encode())
    await until(lambda: len(first.of("prediction")) == 2)
    assert [each["data"] for each in first.of("prediction")] == [json.loads(each.encode()) for each in predicted[1:]]
    second = await watcher(running)
    await until(lambda: len(second.of("roster")) == 1)
    assert second.of("roster")[0]["sessions"][0]["prediction"]["window"] == 2
    await until(lambda: len(mine.of("prediction")) == 2)
    assert [each["data"]["window"] for each in mine.of("prediction")] == [1, 2]


async def test_only_the_owner_and_an_admin_watch(running: Edge) -> None:
    for user_id, role in (("student", "student"), ("colleague", "instructor")):
        stranger = await running.client(f"/api/lectures/PHYS-101/live?token={running.access(user_id, role)}")  # type: ignore[arg-type]
        assert await stranger.until_closed() == 4404
    for token in ("", "rubbish", running.token("s-1")):
        nobody = await running.client(f"/api/lectures/PHYS-101/live?token={token}")
        assert await nobody.until_closed() == 4401
    admin = running.access("admin", "admin")
    assert await (await running.client(f"/api/lectures/NONE/live?token={admin}")).until_closed() == 4404
    watching = await running.client(f"/api/lectures/PHYS-101/live?token={admin}")
    await until(lambda: len(watching.of("roster")) == 1)


async def test_an_unknown_socket_is_refused(running: Edge) -> None:
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus):
        await asyncio.wait_for(running.client("/api/no/such/socket"), 10)


async def test_what_an_owner_says_that_overslept_is_not_shown(running: Edge) -> None:
    client = await running.started(await running.session(record=True))
    await until(lambda: len(client.of("recording")) == 1)
    begun = examples.RECORDING.model_copy(update={"session_id": "s-1", "kind": "started"})
    for seq, epoch in ((1, "7"), (2, "8"), (3, "7"), (4, "8")):
        await tell(running, METRICS, "s-1", metrics("s-1", seq).encode(), epoch=epoch)
    await tell(running, RECORDINGS, "s-1", begun.encode(), epoch="2")  # the recorder's epochs are its own
    await until(lambda: len(client.of("metrics")) == 3 and len(client.of("recording")) == 2)
    assert [each["data"]["seq"] for each in client.of("metrics")] == [1, 2, 4]
