"""Problem details, and who calls."""

from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Query

from schemas.rest import NewSession
from services.runtime.api import Caller, install_problems
from services.runtime.auth import Auth, IssuerUnavailable, Principal
from services.runtime.log import LogUnavailable
from services.runtime.store import StoreUnavailable

AUTH = Auth("a secret of at least thirty-two bytes")
TOKEN = AUTH.access_token("ada", "student")


class AbsentIssuer:
    def verify(self, token: str) -> Principal:
        raise IssuerUnavailable("the token issuer's keys cannot be fetched")


def build() -> FastAPI:
    app = FastAPI()
    app.state.auth = AUTH
    install_problems(app)

    @app.get("/me")
    async def me(caller: Caller) -> str:
        return f"{caller.user_id} {caller.role}"

    @app.post("/sessions")
    async def sessions(body: NewSession) -> str:
        return body.lecture_code

    @app.get("/pages")
    async def pages(limit: Annotated[int, Query(ge=1)]) -> int:
        return limit

    @app.get("/fails/{how}")
    async def fails(how: str) -> None:
        raise {
            "store": StoreUnavailable("disk full"),
            "log": LogUnavailable("broker away"),
            "bug": KeyError("internal detail"),
            "teapot": HTTPException(418, "short and stout", headers={"X-Pot": "tea"}),
        }[how]

    return app


@pytest.fixture
def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(build(), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://rapt")


def check_problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    return str(body["detail"])


async def test_the_bearer_token_says_who_calls(client: httpx.AsyncClient) -> None:
    answer = await client.get("/me", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.json() == "ada student"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "the token is missing"),
        ("Bearer ", "the token is missing"),
        ("Basic YWRhOmFkYQ==", "the token is missing"),
        ("Bearer nonsense", "the token is not valid"),
        (f"Bearer {AUTH.stream_token('ada', 'student', 's-1')}", "wanted one for access"),
    ],
)
async def test_without_a_token_for_it(client: httpx.AsyncClient, header: str | None, reason: str) -> None:
    answer = await client.get("/me", headers={"Authorization": header} if header else {})
    assert reason in check_problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "lecture_code"),
        (b'{"lecture_code": "../x", "consent": {}}', "lecture_code"),
        (b'{"lecture_code": "PHYS", "consent": {"recording": "perhaps"}}', "consent.recording"),
        (b'{"lecture_code": "PHYS", "consent": {}, "mood": "good"}', "mood"),
        (b"{not json", "body"),
        (b"", "body"),
        (b"[]", "body"),
    ],
)
async def test_a_body_that_fails_names_the_field(client: httpx.AsyncClient, body: bytes, field: str) -> None:
    answer = await client.post("/sessions", content=body, headers={"Content-Type": "application/json"})
    detail = check_problem(answer, 422)
    assert field in {error["field"] for error in answer.json()["errors"]}
    assert f"{field}: " in detail


async def test_what_was_sent_is_not_sent_back(client: httpx.AsyncClient) -> None:
    answer = await client.post("/sessions", json={"lecture_code": {"password": "hunter2"}})
    assert "hunter2" not in answer.text


async def test_a_query_that_fails_names_the_parameter(client: httpx.AsyncClient) -> None:
    answer = await client.get("/pages", params={"limit": 0})
    assert check_problem(answer, 422).startswith("limit: ")


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("store", 503, "the store is not available: disk full"),
        ("log", 503, "the event log is not available: broker away"),
        ("teapot", 418, "short and stout"),
        ("bug", 500, "its log says what"),
    ],
)
async def test_what_fails_inside(client: httpx.AsyncClient, how: str, status: int, reason: str) -> None:
    answer = await client.get(f"/fails/{how}")
    assert reason in check_problem(answer, status)
    assert "internal detail" not in answer.text
    assert answer.headers.get("retry-after") == ("2" if status == 503 else None)
    assert answer.headers.get("x-pot") == ("tea" if status == 418 else None)


async def test_an_absent_issuer_is_no_bad_token() -> None:
    app = build()
    app.state.auth = Auth("another secret of thirty-two bytes", AbsentIssuer())
    # Its header names another algorithm than ours, so it is the issuer's to check.
    token = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://rapt") as client:
        answer = await client.get("/me", headers={"Authorization": f"Bearer {token}"})
    assert "cannot be fetched" in check_problem(answer, 503)


async def test_an_unknown_path(client: httpx.AsyncClient) -> None:
    check_problem(await client.get("/nowhere"), 404)
    check_problem(await client.delete("/me"), 405)
