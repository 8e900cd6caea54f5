"""kill -9 in the middle of a stream, embedded and on Kafka: nothing acknowledged is lost, nothing is there twice."""

import asyncio
from pathlib import Path

import pytest

from tests.support.kafka import kafka_node
from tests.support.processes import Cluster, Deployment, Embedded, RaptProcess
from tests.support.under_fire import Deed, stream_through

SECONDS = 30
KILLS_AT_S = (6, 12, 18, 24)


@pytest.mark.timeout(180)
async def test_embedded_goes_on_after_a_kill(tmp_path: Path) -> None:
    rapt = Embedded(tmp_path / "data")
    rapt.start()
    try:
        await stream_through(rapt, SECONDS, _kills(rapt, ["up"]))
    finally:
        rapt.stop()


@pytest.mark.timeout(240)
async def test_every_service_goes_on_after_a_kill_on_kafka(tmp_path: Path) -> None:
    with kafka_node() as kafka:
        rapt = Cluster(tmp_path / "data", kafka.bootstrap)
        await asyncio.to_thread(rapt.start)
        try:
            await stream_through(rapt, SECONDS, _kills(rapt, ["analyzer", "recorder", "ingest", "sink"]))
        finally:
            rapt.stop()


def _kills(rapt: Deployment, victims: list[str]) -> list[Deed]:
    """Each victim in turn, and its start again."""
    return [
        (at_s, lambda victim=victim: _restart(rapt.processes[victim]))  # type: ignore[misc]
        for at_s, victim in zip(KILLS_AT_S, victims, strict=False)
    ]


def _restart(process: RaptProcess) -> None:
    process.kill()
    process.start()
