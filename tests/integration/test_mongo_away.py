"""Rapt as its users run it with MONGO_URI: MongoDB badly named, not there, silent, gone and back again."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.mongo import MongoServer, mongo_server, new_database
from tests.support.needs import REPOSITORY
from tests.support.processes import PASSWORD, RAPT, RaptProcess, free_port

WITHIN_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[MongoServer]:
    """One that may be killed: nobody else's data is in it."""
    with mongo_server() as server:
        yield server


def rapt(command: str, data: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    arguments = [str(RAPT), command, "--port", str(free_port()), "--data", str(data)]
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    if command == "doctor":
        arguments.append("--json")
    return subprocess.run(
        arguments, env={**clean, **environment}, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )


@pytest.mark.parametrize(
    ("uri", "code", "says"),
    [
        ("mongodb://rapt:secret@127.0.0.1:1/?timeoutMS=500", 1, "cannot use mongodb://…@127.0.0.1:1/?timeoutMS=500: "),
        ("mongodb://rapt:secret@127.0.0.1:1/?timeout=500", 2, "Unknown option: timeout"),
    ],
)
def test_a_mongodb_that_cannot_be_used_is_one_line(uri: str, code: int, says: str, tmp_path: Path) -> None:
    ended = rapt("up", tmp_path / "data", MONGO_URI=uri)
    assert (ended.returncode, ended.stderr.count("\n")) == (code, 1), ended.stderr
    assert says in ended.stderr
    assert "MONGO_URI" in ended.stderr
    assert "secret" not in ended.stderr


def test_a_missing_extra_is_one_line(tmp_path: Path) -> None:
    hide = {"PYTHONPATH": str(REPOSITORY / "tests" / "support" / "hide"), "RAPT_HIDE": "pymongo"}
    ended = rapt("up", tmp_path / "data", MONGO_URI="mongodb://127.0.0.1:1", **hide)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert "pymongo is not installed; install rapt[mongo]" in ended.stderr


def test_the_doctor_reaches_for_mongodb(server: MongoServer, tmp_path: Path) -> None:
    def finding(uri: str) -> tuple[bool, str, str]:
        ended = rapt("doctor", tmp_path, MONGO_URI=uri)
        assert "secret" not in ended.stdout + ended.stderr
        found = {each["what"]: each for each in json.loads(ended.stdout)["findings"]}["mongo"]
        return found["ok"], found["found"], found["advice"]

    assert finding(server.uri)[0] is True
    ok, found, advice = finding("mongodb://rapt:secret@127.0.0.1:1/?timeoutMS=500")
    assert (ok, advice) == (False, "start it, or mend MONGO_URI")
    assert found.startswith("mongodb://…@127.0.0.1:1/?timeoutMS=500: 127.0.0.1:1: ")
    ok, found, _ = finding("mongodb://rapt:secret@host/?timeout=1")
    assert (ok, "Unknown option: timeout" in found) == (False, True)


@pytest.mark.timeout(240)
def test_while_mongodb_is_away_the_api_says_503_and_readiness_says_which_part(
    server: MongoServer, tmp_path: Path
) -> None:
    up = RaptProcess("up", tmp_path / "data", {"MONGO_URI": server.uri, "DB_NAME": new_database()})
    up.start()
    try:
        with httpx.Client(base_url=up.url, timeout=WITHIN_S) as api:
            login = api.post("/api/login", json={"username": "instructor", "password": PASSWORD})
            api.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
            assert [lecture["lecture_code"] for lecture in api.get("/api/lectures").json()] == ["DEMO"]
            assert not (tmp_path / "data" / "store.sqlite").exists()
            assert "rapt_store_connections" in api.get("/metrics").text

            server.pause()
            check_away(api)
            server.resume()
            wait_until_ready(api)
            assert api.get("/api/lectures").status_code == 200

            server.kill()
            check_away(api)
            server.start()
            wait_until_ready(api)
            assert api.get("/api/lectures").status_code == 200
    finally:
        server.resume()
        server.start()
        code = up.terminate()
    assert code == 0


def check_away(api: httpx.Client) -> None:
    answer = api.get("/api/lectures")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["detail"].startswith("the store is not available: MongoDB: ")
    ready = api.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["parts"]["store"].startswith("MongoDB: ")
    assert ready.json()["parts"]["log"] == "ok"


def wait_until_ready(api: httpx.Client) -> None:
    deadline = time.monotonic() + WITHIN_S
    while (ready := api.get("/readyz")).status_code != 200:
        assert time.monotonic() < deadline, ready.text
        time.sleep(0.1)
