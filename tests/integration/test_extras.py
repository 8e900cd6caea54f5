"""A service runs with its own extra and no other; a missing one is one line that names it."""

from pathlib import Path

import pytest

from tests.support.kafka import KafkaNode
from tests.support.needs import REPOSITORY
from tests.support.processes import RaptProcess

HIDE = REPOSITORY / "tests" / "support" / "hide"


def without(*packages: str) -> dict[str, str]:
    return {"PYTHONPATH": str(HIDE), "RAPT_HIDE": ",".join(packages)}


@pytest.mark.parametrize("service", ["ingest", "sink"])
def test_ingest_and_sink_run_without_mediapipe_opencv_and_pyav(service: str, tmp_path: Path, kafka: KafkaNode) -> None:
    environment = without("mediapipe", "cv2", "av", "numpy", "httpx")
    process = RaptProcess(service, tmp_path / "data", {**environment, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap})
    process.start()
    assert process.terminate() == 0


@pytest.mark.parametrize(
    ("service", "package"), [("analyzer", "mediapipe"), ("recorder", "av"), ("up", "av"), ("demo", "httpx")]
)
def test_a_missing_extra_is_one_line(service: str, package: str, tmp_path: Path) -> None:
    process = RaptProcess(service, tmp_path / "data", {**without(package), "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"})
    with pytest.raises(AssertionError, match=r"ended with 1:\nrapt: .*rapt\[") as ended:
        process.start()
    assert "Traceback" not in str(ended.value)
