"""The recordings API: who sees what, ranges, tokens in the query, and no way out of the folder."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from schemas.rest import Recording
from services.recorder.api import build_router
from services.runtime.api import install_problems
from services.runtime.auth import Auth
from services.runtime.settings import Settings
from services.runtime.store.collections import LECTURES, RECORDINGS, SESSIONS
from services.runtime.store.sqlite import SqliteStore

AUTH = Auth("a secret for tests, long enough to be taken")
CONTENT = bytes(range(256)) * 8


def recording(number: int, student_id: str, lecture_code: str = "PHYS-101", **more: Any) -> dict[str, Any]:
    return {
        "_id": f"r-{number}",
        "recording_id": f"r-{number}",
        "session_id": f"s-{number}",
        "student_id": student_id,
        "lecture_code": lecture_code,
        "kind": "completed",
        "status": "completed",
        "at_ms": 2_000,
        "started_at_ms": 1_000 + number,
        "filename": f"{student_id}_{lecture_code}_{number}.mp4",
        "codec": "h264",
        "frame_count": 3,
        **more,
    }


DOCUMENTS = [
    recording(1, "ann"),
    recording(2, "bob"),
    recording(3, "ann", "CHEM-7"),
    recording(4, "ann", status="deleted", kind="deleted"),
    recording(5, "ann", status="recording", kind="started", filename=None),
    recording(6, "ann", filename="../secret.mp4"),
    recording(7, "ann", filename="gone.mp4"),
]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.sqlite")
    await store.start()
    await store.upsert_many(LECTURES.name, [{"_id": "PHYS-101", "instructor_id": "ivy"}])
    await store.upsert_many(RECORDINGS.name, DOCUMENTS)
    sessions = [{**each, "_id": each["session_id"], "created_at_ms": 1_000} for each in DOCUMENTS]
    await store.upsert_many(SESSIONS.name, sessions)
    yield store
    await store.close()


@pytest.fixture
async def client(tmp_path: Path, store: SqliteStore) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(rapt_data=tmp_path)
    settings.recordings_dir.mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (settings.recordings_dir / "ann_PHYS-101_1.mp4").write_bytes(CONTENT)
    (settings.recordings_dir / "ann_PHYS-101_1.jpg").write_bytes(b"\xff\xd8picture")
    app = FastAPI()
    app.state.auth = AUTH
    install_problems(app)
    app.include_router(build_router(settings, store), prefix="/api")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://rapt/api") as client:
        yield client


def token(user_id: str, role: str) -> str:
    return AUTH.access_token(user_id, role)  # type: ignore[arg-type]


def bearer(user_id: str, role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user_id, role)}"}


ANN = bearer("ann", "student")


@pytest.mark.parametrize(
    ("user_id", "role", "seen"),
    [
        ("ann", "student", ["r-7", "r-6", "r-5", "r-3", "r-1"]),
        ("bob", "student", ["r-2"]),
        ("eve", "student", []),
        ("ivy", "instructor", ["r-7", "r-6", "r-5", "r-2", "r-1"]),
        ("ian", "instructor", []),
        ("root", "admin", ["r-7", "r-6", "r-5", "r-3", "r-2", "r-1"]),
    ],
)
async def test_everybody_sees_what_they_reach(
    client: httpx.AsyncClient, user_id: str, role: str, seen: list[str]
) -> None:
    answer = await client.get("/recordings/", headers=bearer(user_id, role))
    assert [Recording.model_validate(each).recording_id for each in answer.json()] == seen
    reached = await client.get("/recordings/r-1/download", headers=bearer(user_id, role))
    assert reached.status_code == (200 if "r-1" in seen else 404)
    reached = await client.get("/recordings/sessions/s-1", headers=bearer(user_id, role))
    assert reached.status_code == (200 if "r-1" in seen else 404)


async def test_a_list_has_pages(client: httpx.AsyncClient) -> None:
    answer = await client.get("/recordings/", params={"limit": 2, "skip": 1}, headers=ANN)
    assert [each["recording_id"] for each in answer.json()] == ["r-6", "r-5"]
    assert (await client.get("/recordings/", params={"limit": 0}, headers=ANN)).status_code == 422


async def test_a_session_tells_even_of_deleted_recordings(client: httpx.AsyncClient) -> None:
    [found] = (await client.get("/recordings/sessions/s-4", headers=ANN)).json()
    assert found["status"] == "deleted"


async def test_a_player_may_jump(client: httpx.AsyncClient) -> None:
    whole = await client.get("/recordings/r-1/download", headers=ANN)
    assert whole.content == CONTENT
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    part = await client.get("/recordings/r-1/download", headers={**ANN, "Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CONTENT[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(CONTENT)}"
    beyond = await client.get("/recordings/r-1/download", headers={**ANN, "Range": "bytes=99999-"})
    assert beyond.status_code == 416


async def test_the_size_is_told_without_the_file(client: httpx.AsyncClient) -> None:
    for what in ("download", "thumbnail"):
        whole = await client.get(f"/recordings/r-1/{what}", headers=ANN)
        head = await client.head(f"/recordings/r-1/{what}", headers=ANN)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "content-type", "accept-ranges", "referrer-policy"):
            assert head.headers[name] == whole.headers[name]
        assert (await client.head(f"/recordings/r-2/{what}", headers=ANN)).status_code == 404


async def test_a_player_without_headers_sends_the_token_in_the_query(client: httpx.AsyncClient) -> None:
    for what, kind in (("download", "video/mp4"), ("thumbnail", "image/jpeg")):
        answer = await client.get(f"/recordings/r-1/{what}", params={"token": token("ann", "student")})
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "query", ["", "?token=", "?token=forged", "?token=" + AUTH.stream_token("ann", "student", "s-1")]
)
async def test_without_a_good_token_there_is_nothing(client: httpx.AsyncClient, query: str) -> None:
    for path in ("/recordings/r-1/download", "/recordings/r-1/thumbnail", "/recordings/", "/recordings/sessions/s-1"):
        answer = await client.get(path + query)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


async def test_the_list_takes_no_token_from_the_query(client: httpx.AsyncClient) -> None:
    answer = await client.get("/recordings/", params={"token": token("ann", "student")})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("recording_id", "detail"),
    [
        ("r-4", "this recording was deleted"),
        ("r-5", "this recording has no file yet: it is still running"),
        ("r-6", "the recording's file is not there any more"),
        ("r-7", "the recording's file is not there any more"),
        ("r-99", "there is no recording r-99"),
        ("..%2Fsecret", "Not Found"),
    ],
)
async def test_what_has_no_file_says_why(client: httpx.AsyncClient, recording_id: str, detail: str) -> None:
    for what in ("download", "thumbnail"):
        answer = await client.get(f"/recordings/{recording_id}/{what}", headers=ANN)
        assert (answer.status_code, answer.json()["detail"]) == (404, detail)
