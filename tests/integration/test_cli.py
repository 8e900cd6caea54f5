"""The `rapt` command as a user meets it: exit codes, one clear line for what is wrong, stopping."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import RAPT, RaptProcess, free_port


def rapt(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with a clean environment but for what is given."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [RAPT, *map(str, arguments)],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_is_one_line(tmp_path: Path, taken_port: int) -> None:
    ended = rapt("up", "--port", taken_port, "--data", tmp_path / "data")
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{taken_port}" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_data_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = rapt("up", "--port", free_port(), "--data", tmp_path / "file" / "data")
    assert ended.returncode == 1
    assert "cannot make the data directory" in ended.stderr
    assert "--data" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_data_directory_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = rapt("up", "--port", free_port(), "--data", tmp_path / "file")
    assert ended.returncode == 1
    assert "data directory" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    ended = rapt("up", "--data", tmp_path, STALE_AFTER_MS="soon")
    assert ended.returncode == 2
    assert "STALE_AFTER_MS='soon'" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("service", ["ingest", "analyzer", "recorder", "sink", "topics"])
def test_a_service_without_a_broker_says_what_it_wants(service: str, tmp_path: Path) -> None:
    ended = rapt(service, RAPT_DATA=str(tmp_path))
    assert ended.returncode == 2
    assert "KAFKA_BOOTSTRAP_SERVERS: not set" in ended.stderr


def test_a_cluster_refuses_to_start_without_a_secret(tmp_path: Path) -> None:
    ended = rapt("ingest", "--data", tmp_path, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert ended.returncode == 2
    assert "JWT_SECRET: not set" in ended.stderr


def test_a_broker_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    ended = rapt("analyzer", "--port", free_port(), "--data", tmp_path, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert ended.returncode == 1
    assert "127.0.0.1:9" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_process_on_the_same_data_is_refused(tmp_path: Path) -> None:
    first = RaptProcess("up", tmp_path / "data")
    first.start()
    try:
        second = rapt("up", "--port", free_port(), "--data", tmp_path / "data")
        assert second.returncode == 1
        assert "in use" in second.stderr
    finally:
        assert first.terminate() == 0


def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    process = RaptProcess("up", tmp_path / "data")
    process.start()
    os.kill(process.pid, signal.SIGSTOP)  # both signals wait for it, so that neither is missed
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGCONT)
    assert process.terminate() in (0, -signal.SIGTERM)


def test_the_password_is_shown_once(tmp_path: Path) -> None:
    for shown in (True, False):
        process = RaptProcess("up", tmp_path / "data", {"DEMO_PASSWORD": ""})
        process.output.unlink(missing_ok=True)
        process.start()
        assert process.terminate() == 0
        password = (tmp_path / "data" / "demo-password").read_text().strip()
        assert (password in process.log()) is shown
        assert ("data/demo-password" in process.log()) is not shown


def test_doctor_reports_as_json_and_hides_secrets(tmp_path: Path) -> None:
    ended = rapt(
        "doctor", "--json", "--port", free_port(), "--data", tmp_path, JWT_SECRET="0123456789012345678901234567890123"
    )
    report = json.loads(ended.stdout)
    assert report["settings"]["JWT_SECRET"] == "(set)"
    assert "0123456789" not in ended.stdout
    assert {finding["what"] for finding in report["findings"]} >= {"python", "page", "data directory", "port"}
    assert ended.returncode == (0 if all(finding["ok"] for finding in report["findings"]) else 1)


def test_doctor_says_what_to_do(tmp_path: Path, taken_port: int) -> None:
    ended = rapt("doctor", "--port", taken_port, "--data", tmp_path, COLUMNS="200")
    assert ended.returncode == 1
    assert "choose another with --port" in ended.stdout


def test_doctor_looks_for_the_predictors_model(tmp_path: Path) -> None:
    ended = rapt("doctor", "--port", free_port(), "--data", tmp_path, COLUMNS="200", PREDICTOR_MODEL="gone.onnx")
    assert ended.returncode == 1
    assert "name an ONNX file with PREDICTOR_MODEL" in ended.stdout
    assert "rapt[onnx]" in ended.stdout


def test_version_and_help() -> None:
    assert rapt("--version").stdout.strip().count(".") == 2
    assert "replay" in rapt("--help").stdout
    assert rapt("frobnicate").returncode == 2
