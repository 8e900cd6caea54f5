"""The REST API of accounts, lectures and sessions over a real uvicorn."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.events import Control
from schemas.rest import Role
from schemas.sessions import SessionEnd
from schemas.topics import CONTROL, FRAMES
from services.ingest.app import ensure_demo_lecture
from tests.support.edge import PASSWORD, Edge, Reader, edge
from tests.support.log_reader import until

CONSENT = {"analysis": True, "recording": True}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Edge]:
    async with edge(tmp_path, settings={"cors_origins": "https://school.example"}) as running:
        yield running


@pytest.fixture
async def http(running: Edge) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.http.url, trust_env=False) as http:
        yield http


def bearer(running: Edge, user_id: str, role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {running.access(user_id, role)}"}


def detail(response: httpx.Response, status: int) -> str:
    """The text of a problem of this status."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    return str(problem["detail"])


async def test_log_in_and_say_who_i_am(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/login", json={"username": "student", "password": PASSWORD})
    token = response.json()
    assert token["user"] == {
        "user_id": "student",
        "username": "student",
        "display_name": "Student",
        "role": "student",
    }
    me = await http.get("/api/me", headers={"Authorization": f"Bearer {token['access_token']}"})
    assert me.json() == token["user"]


async def test_a_huge_body_is_refused_before_it_is_read(http: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:  # without a Content-Length
        yield b'{"username": "'
        for _ in range(40):
            yield b"x" * (64 << 10)

    for content in (b"x" * (2 << 20), chunks()):
        response = await http.post("/api/login", content=content, headers={"Content-Type": "application/json"})
        assert "at most 1048576 bytes" in detail(response, 413)


async def test_a_wrong_password_and_an_unknown_name_look_the_same(http: httpx.AsyncClient) -> None:
    wrong = await http.post("/api/login", json={"username": "student", "password": "nonsense"})
    unknown = await http.post("/api/login", json={"username": "nobody", "password": "nonsense"})
    assert detail(wrong, 401) == detail(unknown, 401)
    assert "token is missing" in detail(await http.get("/api/me"), 401)


async def test_a_body_that_fails_names_the_field(http: httpx.AsyncClient, running: Edge) -> None:
    response = await http.post("/api/login", json={"username": "student"})
    assert "password" in detail(response, 422)
    headers = bearer(running, "student", "student")
    body = {"lecture_code": "PHYS-101", "consent": {"analysis": "perhaps"}, "hat": "red"}
    assert "consent.analysis" in detail(response := await http.post("/api/sessions", json=body, headers=headers), 422)
    assert {each["field"] for each in response.json()["errors"]} == {"consent.analysis", "hat"}


@pytest.mark.parametrize(("setting", "offered"), [("on", True), ("off", False)])
async def test_clients_learn_whether_expressions_are_read(tmp_path: Path, setting: str, offered: bool) -> None:
    async with (
        edge(tmp_path / setting, settings={"emotion_inference": setting}) as running,
        httpx.AsyncClient(base_url=running.http.url, trust_env=False) as http,
    ):
        assert detail(await http.get("/api/capabilities"), 401)
        answer = await http.get("/api/capabilities", headers=bearer(running, "student", "student"))
        assert answer.json() == {"emotion_inference": offered}


async def test_only_an_admin_adds_users(http: httpx.AsyncClient, running: Edge) -> None:
    body = {"username": "new", "password": "long enough", "display_name": "New", "role": "student"}
    admin = bearer(running, "admin", "admin")
    detail(await http.post("/api/users", json=body, headers=bearer(running, "instructor", "instructor")), 403)
    created = await http.post("/api/users", json=body, headers=admin)
    assert created.status_code == 201
    assert "password" not in created.text
    assert "new" in detail(await http.post("/api/users", json=body, headers=admin), 409)
    assert (await http.post("/api/login", json={"username": "new", "password": "long enough"})).status_code == 200


async def test_lectures(http: httpx.AsyncClient, running: Edge) -> None:
    student, instructor = bearer(running, "student", "student"), bearer(running, "instructor", "instructor")
    colleague, admin = bearer(running, "colleague", "instructor"), bearer(running, "admin", "admin")
    detail(await http.post("/api/lectures", json={"title": "Mine"}, headers=student), 403)
    made = (await http.post("/api/lectures", json={"title": "Optics"}, headers=colleague)).json()
    assert (made["instructor_id"], made["engagement_enabled"]) == ("colleague", True)
    taken = {"title": "Optics", "lecture_code": "PHYS-101"}
    assert "PHYS-101" in detail(await http.post("/api/lectures", json=taken, headers=colleague), 409)

    async def codes(headers: dict[str, str]) -> set[str]:
        return {each["lecture_code"] for each in (await http.get("/api/lectures", headers=headers)).json()}

    assert await codes(student) == await codes(admin) == {"PHYS-101", made["lecture_code"]}
    assert await codes(instructor) == {"PHYS-101"}
    await running.session("s-1")
    await running.session("s-2", student_id="other")
    for headers, seen in ((student, ["s-1"]), (instructor, ["s-1", "s-2"]), (admin, ["s-1", "s-2"])):
        found = (await http.get("/api/lectures/PHYS-101", headers=headers)).json()
        assert sorted(each["session_id"] for each in found["sessions"]) == seen
    detail(await http.get("/api/lectures/PHYS-101", headers=colleague), 404)
    detail(await http.get("/api/lectures/NONE", headers=student), 404)


async def test_the_engagement_switch(http: httpx.AsyncClient, running: Edge) -> None:
    path, body = "/api/lectures/PHYS-101/engagement", {"enabled": False}
    async with Reader(running.log, [CONTROL]) as log:
        detail(await http.put(path, json=body, headers=bearer(running, "student", "student")), 404)
        detail(await http.put(path, json=body, headers=bearer(running, "colleague", "instructor")), 404)
        switched = await http.put(path, json=body, headers=bearer(running, "instructor", "instructor"))
        assert switched.json()["engagement_enabled"] is False
        await until(lambda: len(log.records) == 1)
        control = Control.decode(log.records[0].value)
        assert (control.enabled, control.lecture_code, control.issued_by) == (False, "PHYS-101", "instructor")


async def test_an_unknown_lecture_is_refused_before_the_camera_starts(http: httpx.AsyncClient, running: Edge) -> None:
    body = {"lecture_code": "CHEM-2", "consent": CONSENT}
    response = await http.post("/api/sessions", json=body, headers=bearer(running, "student", "student"))
    assert "CHEM-2" in detail(response, 404)


async def test_a_recording_needs_consent(http: httpx.AsyncClient, running: Edge) -> None:
    body = {"lecture_code": "PHYS-101", "record": True, "consent": {"recording": False}}
    response = await http.post("/api/sessions", json=body, headers=bearer(running, "student", "student"))
    assert "consent.recording" in detail(response, 422)
    assert [error["field"] for error in response.json()["errors"]] == ["record"]


@pytest.mark.parametrize("role", ["student", "instructor", "admin"])
async def test_a_page_of_sessions_beyond_all_sense_names_the_parameter(
    http: httpx.AsyncClient, running: Edge, role: Role
) -> None:
    where = {"skip": 2**63 - 1}
    response = await http.get("/api/sessions", params=where, headers=bearer(running, "somebody", role))
    assert detail(response, 422).startswith("skip:")


async def test_a_session_is_made_streamed_seen_and_ended(http: httpx.AsyncClient, running: Edge) -> None:
    student = bearer(running, "student", "student")
    body = {"lecture_code": "PHYS-101", "record": True, "consent": CONSENT, "session_name": "Week 3"}
    async with Reader(running.log, [FRAMES]) as log:
        made = (await http.post("/api/sessions", json=body, headers=student)).json()
        client = await running.client(f"{made['stream_url']}?token={made['stream_token']}")
        await client.start()
        await client.frame(0)
        await until(lambda: client.acked == 0)
        path = f"/api/sessions/{made['session_id']}"
        session = (await http.get(path, headers=student)).json()
        assert (session["state"], session["session_name"], session["record"]) == ("live", "Week 3", True)
        assert [each["session_id"] for each in (await http.get("/api/sessions", headers=student)).json()] == [
            made["session_id"]
        ]
        other = bearer(running, "other", "student")
        assert (await http.get("/api/sessions", headers=other)).json() == []
        detail(await http.get(path, headers=other), 404)
        detail(await http.post(f"{path}/end", headers=other), 404)
        detail(await http.get(path, headers=bearer(running, "colleague", "instructor")), 404)
        assert (await http.get(path, headers=bearer(running, "instructor", "instructor"))).status_code == 200

        ended = (await http.post(f"{path}/end", headers=student)).json()
        assert (ended["state"], ended["end_reason"]) == ("ended", "api")
        again = (await http.post(f"{path}/end", headers=student)).json()
        assert again["ended_at_ms"] == ended["ended_at_ms"]
        await until(lambda: len(log.of("end")) > 0)
        assert [SessionEnd.decode(each.value).reason for each in log.of("end")] == ["api"]


async def test_a_session_that_never_started_ends_without_a_word_in_the_log(
    http: httpx.AsyncClient, running: Edge
) -> None:
    await running.session("s-1")
    async with Reader(running.log, [FRAMES]) as log:
        ended = await http.post("/api/sessions/s-1/end", headers=bearer(running, "student", "student"))
        assert ended.json()["state"] == "ended"
        assert log.records == []


async def test_the_demo_lecture_is_made_once(running: Edge) -> None:
    for at_ms in (1, 2):
        await ensure_demo_lecture(running.store, at_ms)
    lecture = await running.store.get("lectures", "DEMO")
    assert lecture is not None
    assert (lecture["instructor_id"], lecture["created_at_ms"]) == ("instructor", 1)


async def test_health_documentation_and_origins(http: httpx.AsyncClient) -> None:
    ready = await http.get("/readyz")
    assert ready.json()["parts"] == {"ingest": "ok", "log": "ok", "store": "ok"}
    assert (await http.get("/livez")).status_code == 200
    assert "rapt_sockets" in (await http.get("/metrics")).text
    assert (await http.get("/docs")).status_code == 200
    assert "/api/login" in (await http.get("/openapi.json")).json()["paths"]
    page = await http.get("/", headers={"Origin": "https://school.example"})
    assert page.headers["access-control-allow-origin"] == "https://school.example"
    assert (
        "access-control-allow-origin" not in (await http.get("/", headers={"Origin": "https://evil.example"})).headers
    )
    assert (await http.get("/api/nothing")).status_code == 404
