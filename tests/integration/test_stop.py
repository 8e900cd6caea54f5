"""SIGTERM under load: nothing lost, exit 0 within the limit; a second signal, a kill in the middle, Kafka away."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.kafka import KafkaNode, kafka_node
from tests.support.processes import Cluster, Embedded, RaptProcess
from tests.support.under_fire import Deed, stream_through

STUDENTS = 3
SERVICES = ("ingest", "analyzer", "recorder", "sink")


@pytest.mark.timeout(240)
async def test_each_service_stops_under_load_and_loses_nothing(tmp_path: Path) -> None:
    with kafka_node() as kafka:
        rapt = Cluster(tmp_path / "data", kafka.bootstrap)
        rapt.start()
        try:
            await stream_through(rapt, 24, _in_turn(rapt, restarted), students=STUDENTS)
        finally:
            rapt.stop()


@pytest.mark.timeout(240)
async def test_a_kill_in_the_middle_of_stopping_is_like_any_other(tmp_path: Path) -> None:
    with kafka_node() as kafka:
        rapt = Cluster(tmp_path / "data", kafka.bootstrap)
        rapt.start()
        try:
            await stream_through(rapt, 24, _in_turn(rapt, killed_while_it_stops), students=STUDENTS)
        finally:
            rapt.stop()


@pytest.mark.timeout(180)
async def test_all_in_one_process_stop_under_load_and_lose_nothing(tmp_path: Path) -> None:
    rapt = Embedded(tmp_path / "data", {"LOG_LEVEL": "info"})
    rapt.start()
    try:
        up = rapt.processes["up"]
        deeds: list[Deed] = [(4, lambda: restarted(up)), (10, lambda: killed_while_it_stops(up))]
        await stream_through(rapt, 15, deeds, students=STUDENTS)
    finally:
        rapt.stop()


@pytest.mark.timeout(240)
async def test_services_stop_while_kafka_is_away(tmp_path: Path) -> None:
    with kafka_node() as kafka:
        rapt = Cluster(tmp_path / "data", kafka.bootstrap)
        rapt.start()
        try:
            await stream_through(rapt, 12, [(4, kafka.kill), (5, lambda: _without_kafka(rapt, kafka))])
        finally:
            rapt.stop()


def _without_kafka(rapt: Cluster, kafka: KafkaNode) -> None:
    """Stop everything, then bring everything back."""
    with ThreadPoolExecutor() as threads:
        list(threads.map(stopped, rapt.processes.values()))
    kafka.start()
    rapt.start()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("service", SERVICES)
def test_a_second_signal_ends_a_service_at_once(tmp_path: Path, kafka: KafkaNode, service: str) -> None:
    process = RaptProcess(service, tmp_path / "data", {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap})
    process.start()
    os.kill(process.pid, signal.SIGSTOP)  # both signals wait for it, so that neither is missed
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGCONT)
    assert process.terminate() in (0, -signal.SIGTERM)


def _in_turn(rapt: Cluster, deed: Callable[[RaptProcess], object]) -> list[Deed]:
    return [(4 + 5 * index, lambda name=name: deed(rapt.processes[name])) for index, name in enumerate(SERVICES)]  # type: ignore[misc]


def stopped(process: RaptProcess) -> None:
    """SIGTERM; it fails where the process takes longer than twice GRACEFUL_TIMEOUT_S: the machine may be busy."""
    assert process.terminate() == 0, process.log()
    assert "Traceback" not in process.log()


def restarted(process: RaptProcess) -> None:
    stopped(process)
    process.start()


def killed_while_it_stops(process: RaptProcess) -> None:
    """SIGTERM, and kill -9 as soon as it says that it stops."""
    before = process.log().count("stopping")
    os.kill(process.pid, signal.SIGTERM)
    while process.log().count("stopping") == before:
        time.sleep(0.001)
    process.kill()
    process.start()
