"""Firebase's settings and credentials: wrong ones stop the start with one line; revoked ones and an unknown project
show in the log and in readiness, and the rest of the sink goes on."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from schemas import examples, topics
from services.runtime.doctor import examine
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings, WrongSetting, load_settings
from services.runtime.store.collections import METRICS
from services.runtime.store.sqlite import SqliteStore
from services.sink.app import Sink, build_app
from services.sink.firebase_client import FirebaseClient, FirebaseDown, firebase_client
from tests.support.firebase import Fault, FirebaseServer
from tests.support.log_reader import until

URL = "https://rapt-test.europe-west1.firebasedatabase.app"


@pytest.fixture
def server() -> Iterator[FirebaseServer]:
    server = FirebaseServer(namespace="rapt-test")
    yield server
    server.close()


@pytest.fixture(scope="module")
def key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    no_password = serialization.NoEncryption()
    return made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password).decode()


def account(tmp_path: Path, key: str, token_uri: str) -> Path:
    """A service account's file, as downloaded from the console."""
    path = tmp_path / "account.json"
    said = {
        "type": "service_account",
        "project_id": "rapt-test",
        "private_key_id": "1",
        "private_key": key,
        "client_email": "rapt@rapt-test.example",
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(said))
    return path


def client(**settings: Any) -> FirebaseClient:
    made = firebase_client(load_settings(**settings), (2.0, 2.0))
    assert made is not None
    return made


async def line(client: FirebaseClient) -> str:
    """What it says of a read that fails."""
    with pytest.raises(FirebaseDown) as caught:
        await client.read("rapt")
    client.close()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_without_a_database_it_is_off() -> None:
    assert firebase_client(load_settings()) is None


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"firebase_database_url": "rapt.firebaseio.com"},
            "FIREBASE_DATABASE_URL='rapt.firebaseio.com': wanted https://",
        ),
        ({"firebase_database_url": "http://localhost:9000/?ns=x"}, "wanted https://"),
        ({"firebase_database_url": f"{URL}/lectures"}, "wanted https://"),
        ({"firebase_database_emulator_host": "http://localhost:9000"}, "wanted host:port"),
        ({"firebase_database_url": URL}, "FIREBASE_CREDENTIALS_PATH: not set"),
    ],
)
def test_a_wrong_setting_stops_the_start(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(WrongSetting) as caught:
        firebase_client(load_settings(**settings))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"{", "not JSON"),
        (b"\xff\xd8\xff", "not JSON"),
        (b"[]", "not JSON"),
        (b"{}", 'must contain a "type" field set to "service_account"'),
        (b'{"type": "service_account", "client_email": "a@b", "token_uri": "https://t"}', "private_key"),
        (
            b'{"type": "service_account", "client_email": "a@b", "token_uri": "https://t", "private_key": "secret!"}',
            "Failed to initialize a certificate credential",
        ),
    ],
)
def test_a_missing_or_malformed_account_stops_the_start(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "account.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WrongSetting) as caught:
        firebase_client(load_settings(firebase_database_url=URL, firebase_credentials_path=path))
    text = str(caught.value)
    assert text.startswith(f"FIREBASE_CREDENTIALS_PATH={str(path)!r}: ")
    assert reason in text
    assert "\n" not in text
    assert "secret!" not in text


async def test_a_revoked_account_is_named(tmp_path: Path, key: str, server: FirebaseServer) -> None:
    server.fail(Fault(revoked=True))
    path = account(tmp_path, key, f"http://{server.host}/token")
    text = await line(client(firebase_database_url=URL, firebase_credentials_path=path))
    assert "no token for the account of FIREBASE_CREDENTIALS_PATH" in text
    assert "invalid_grant" in text


async def test_a_token_server_that_is_away_is_no_wrong_account(
    tmp_path: Path, key: str, server: FirebaseServer
) -> None:
    server.stop()
    path = account(tmp_path, key, f"http://{server.host}/token")
    assert "FIREBASE_CREDENTIALS_PATH" in await line(client(firebase_database_url=URL, firebase_credentials_path=path))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "refuses the account of FIREBASE_CREDENTIALS_PATH (Unauthorized request.); wanted a service account"),
        (403, "refuses the account of FIREBASE_CREDENTIALS_PATH (Permission denied); wanted a service account"),
        (503, "The Firebase Database is currently unavailable"),
    ],
)
async def test_what_firebase_answers_is_named(server: FirebaseServer, status: int, expected: str) -> None:
    server.fail(Fault(status=status))
    assert expected in await line(client(firebase_database_url=URL, firebase_database_emulator_host=server.host))


async def test_an_unknown_project_is_named(server: FirebaseServer) -> None:
    text = await line(client(firebase_database_emulator_host=server.host))  # its database is named `rapt` then
    assert text.startswith("there is no Realtime Database at FIREBASE_DATABASE_URL=")


async def test_no_answer_in_time_may_be_a_write_that_is_done(server: FirebaseServer) -> None:
    server.fail(Fault(delay_s=60.0))
    slow = firebase_client(
        load_settings(firebase_database_url=URL, firebase_database_emulator_host=server.host), (0.2, 0.2)
    )
    assert slow is not None
    with pytest.raises(FirebaseDown) as caught:
        await slow.update({"a": 1})
    assert caught.value.unsure
    slow.close()
    assert len(server.requests("PATCH")) == 0  # and nobody asked again behind our back


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[tuple[LocalLog, SqliteStore]]:
    log, store = LocalLog(tmp_path / "log.sqlite"), SqliteStore(tmp_path / "store.sqlite")
    await log.start()
    await store.start()
    yield log, store
    await store.close()
    await log.close()


async def reason(sink: Sink) -> str:
    try:
        await sink.check()
    except RuntimeError as error:
        return str(error)
    return ""


async def test_the_store_goes_on_while_firebase_refuses(
    parts: tuple[LocalLog, SqliteStore], server: FirebaseServer
) -> None:
    log, store = parts
    server.fail(Fault(status=401))
    settings = load_settings(firebase_database_url=URL, firebase_database_emulator_host=server.host)
    sink = build_app(settings, log, store, Metrics())
    assert isinstance(sink, Sink)
    await sink.start()
    firebase = next(group for group in sink._groups if group.name == "sink-firebase")
    await until(lambda: firebase.trouble is not None)
    assert (await reason(sink)).startswith("sink-firebase: ")
    assert "refuses the account" in await reason(sink)
    await (await log.send(topics.METRICS, examples.METRICS.session_id, examples.METRICS.encode()))
    async with asyncio.timeout(30):
        while not await store.count(METRICS.name):
            await asyncio.sleep(0.01)
    server.mend()
    await (await log.send(topics.STATUS, examples.STATUS.session_id, examples.STATUS.encode()))
    await until(lambda: firebase.trouble is None and server.dump() is not None)
    assert await reason(sink) == ""
    await sink.stop()


async def test_a_stop_waits_for_no_firebase(parts: tuple[LocalLog, SqliteStore], server: FirebaseServer) -> None:
    log, store = parts
    server.fail(Fault(delay_s=60.0))
    settings = load_settings(firebase_database_url=URL, firebase_database_emulator_host=server.host)
    sink = build_app(settings, log, store, Metrics())
    await sink.start()
    await (await log.send(topics.STATUS, examples.STATUS.session_id, examples.STATUS.encode()))
    async with asyncio.timeout(30):
        await sink.stop()
    assert not server.requests()  # the one that is under way still waits


def test_the_doctor_says_whether_firebase_is_on(tmp_path: Path, key: str) -> None:
    def finding(settings: Settings) -> tuple[bool, str]:
        found = next(each for each in examine(settings, tmp_path) if each.what == "firebase")
        assert found.ok == (not found.advice)
        return found.ok, found.found

    assert finding(load_settings()) == (True, "off (set FIREBASE_DATABASE_URL)")
    assert finding(load_settings(firebase_database_emulator_host="localhost:9000")) == (
        True,
        "emulator at localhost:9000",
    )
    assert finding(load_settings(firebase_database_url=URL)) == (False, f"{URL}: no FIREBASE_CREDENTIALS_PATH")
    gone = tmp_path / "gone.json"
    ok, found = finding(load_settings(firebase_database_url=URL, firebase_credentials_path=gone))
    assert (ok, str(gone) in found) == (False, True)
    path = account(tmp_path, key, "https://token")
    assert finding(load_settings(firebase_database_url=URL, firebase_credentials_path=path)) == (True, URL)
