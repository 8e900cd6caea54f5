"""The same frames give the same results, embedded and as four services on Kafka; and clips count what they show."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from services.client.drawn import draw_jpeg
from services.client.stream import StudentClient
from services.client.timetable import Timetable
from tests.support.kafka import kafka_node
from tests.support.needs import clip
from tests.support.processes import PASSWORD, RAPT, Cluster, Deployment, Embedded

FPS = 10
FRAMES = 100
CAPTURED_FROM_MS = 1_760_000_000_000
# What may differ between two runs: whose session it is, and when the servers saw it.
OF_THE_RUN = {"session_id", "captured_at_ms", "received_at_ms", "analyzed_at_ms"}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    rapt = Embedded(tmp_path_factory.mktemp("embedded") / "data")
    rapt.start()
    yield rapt
    rapt.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with ExitStack() as ending:
        kafka = ending.enter_context(kafka_node())
        rapt = Cluster(tmp_path_factory.mktemp("cluster") / "data", kafka.bootstrap)
        ending.callback(rapt.stop)
        rapt.start()
        yield rapt


@pytest.mark.timeout(180)
async def test_embedded_and_cluster_measure_the_same(embedded: Deployment, cluster: Deployment) -> None:
    frames = await asyncio.to_thread(_drawn)
    one, other = await _measure(embedded, frames), await _measure(cluster, frames)
    assert len(one) == FRAMES
    assert one == other
    assert any(metrics["blink_count"] for metrics in one)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("where", ["embedded", "cluster"])
@pytest.mark.parametrize(
    ("name", "blinks"), [("pyfeat/single_face.mp4", range(1, 2)), ("synthetic/synth_blinks.mp4", range(6, 9))]
)
def test_clips_count_the_blinks_they_show(where: str, name: str, blinks: range, request: pytest.FixtureRequest) -> None:
    deployment: Deployment = request.getfixturevalue(where)
    replayed = subprocess.run(
        [RAPT, "replay", clip(name), "--url", deployment.url, "--password", PASSWORD, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    (report,) = json.loads(replayed.stdout)["files"]
    assert report["acked"] == report["analyzed"] == report["frames"] > 0
    assert report["blinks"] in blinks


def _drawn() -> list[bytes]:
    timetable = Timetable(3, FRAMES / FPS)
    return [draw_jpeg(timetable.pose_at(number / FPS), grain=number) for number in range(FRAMES)]


async def _measure(rapt: Deployment, frames: list[bytes]) -> list[dict[str, Any]]:
    """Stream the frames; what the store has of them in the end."""
    async with StudentClient(rapt.url, "student", PASSWORD, "DEMO") as client:
        for number, jpeg in enumerate(frames):
            await client.send(jpeg, CAPTURED_FROM_MS + number * 1000 // FPS)
        await client.stop()
        session_id = client.session_id
    async with httpx.AsyncClient(base_url=f"{rapt.url}/api") as api:
        login = await api.post("/login", json={"username": "student", "password": PASSWORD})
        api.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        while len(found := (await api.get(f"/sessions/{session_id}/metrics")).json()["metrics"]) < len(frames):
            await asyncio.sleep(0.1)
    return [{name: value for name, value in metrics.items() if name not in OF_THE_RUN} for metrics in found]
