"""The query API: a session's metrics and summary."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from schemas import examples
from schemas.rest import MetricsPage, Summary
from services.runtime.api import install_problems
from services.runtime.auth import Auth
from services.runtime.store import Document
from services.runtime.store.sqlite import SqliteStore
from services.sink import api
from services.sink.summary import Summarizer
from services.sink.thinning import LastPerStep

AUTH = Auth("a secret of at least thirty-two bytes")
START_MS = 1_760_000_000_000


def frame(seq: int, at_ms: int, **changes: Any) -> Document:
    event = examples.METRICS.model_dump(mode="json")
    return {
        "_id": f"s-1:{seq}",
        **event,
        "session_id": "s-1",
        "seq": seq,
        "captured_at_ms": START_MS + at_ms,
        **changes,
    }


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.sqlite")
    await store.start()
    await store.insert("sessions", {"_id": "s-1", "student_id": "ada", "lecture_code": "PHYS"})
    await store.insert("sessions", {"_id": "s-2", "student_id": "bob", "lecture_code": "PHYS"})
    await store.insert("lectures", {"_id": "PHYS", "instructor_id": "erna"})
    yield store
    await store.close()


@pytest.fixture
async def client(store: SqliteStore) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.auth = AUTH
    install_problems(app)
    app.include_router(api.build_router(store), prefix="/api")
    headers = {"Authorization": f"Bearer {AUTH.access_token('ada', 'student')}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://rapt/api", headers=headers
    ) as client:
        yield client


async def seqs(client: httpx.AsyncClient, **params: int) -> list[int]:
    answer = await client.get("/sessions/s-1/metrics", params=params)
    assert answer.status_code == 200, answer.text
    page = MetricsPage.decode(answer.content)
    assert (page.session_id, page.from_ms, page.to_ms, page.step_ms) == (
        "s-1",
        params.get("from_ms"),
        params.get("to_ms"),
        params.get("step_ms"),
    )
    return [metrics.seq for metrics in page.metrics]


async def test_metrics_come_in_the_order_of_their_capture(client: httpx.AsyncClient, store: SqliteStore) -> None:
    assert await seqs(client) == []
    # Ten and nine share a moment: numbers are ordered as numbers.
    await store.upsert_many("metrics", [frame(10, 200), frame(9, 200), frame(1, 0), frame(2, 100)])
    await store.insert("metrics", {**frame(5, 50), "_id": "s-2:5", "session_id": "s-2"})
    assert await seqs(client) == [1, 2, 9, 10]


async def test_bounds_take_in_the_first_and_leave_out_the_last(client: httpx.AsyncClient, store: SqliteStore) -> None:
    await store.upsert_many("metrics", [frame(n, n * 100) for n in range(10)])
    assert await seqs(client, from_ms=START_MS + 300) == [3, 4, 5, 6, 7, 8, 9]
    assert await seqs(client, to_ms=START_MS + 300) == [0, 1, 2]
    assert await seqs(client, from_ms=START_MS + 300, to_ms=START_MS + 500) == [3, 4]


async def test_a_step_keeps_its_last_frame(
    client: httpx.AsyncClient, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_PAGE", 3)
    await store.upsert_many("metrics", [frame(n, n * 100) for n in range(25)])
    assert await seqs(client, step_ms=1000) == [9, 19, 24]
    assert await seqs(client, step_ms=1000, from_ms=START_MS + 1_500) == [19, 24]


async def test_what_a_newer_analyzer_added_is_left_out(client: httpx.AsyncClient, store: SqliteStore) -> None:
    await store.insert("metrics", frame(1, 0, mood="good", engagement=1))
    answer = await client.get("/sessions/s-1/metrics")
    (metrics,) = answer.json()["metrics"]
    assert "mood" not in metrics
    assert "_id" not in metrics
    assert metrics["engagement"] == 1


async def test_too_much_is_refused_and_not_cut(
    client: httpx.AsyncClient, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MAX_ENTRIES", 10)
    await store.upsert_many("metrics", [frame(n, n * 100) for n in range(11)])
    for params in ({}, {"step_ms": 1}):
        answer = await client.get("/sessions/s-1/metrics", params=params)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "step_ms"
        assert "More than 10 entries" in answer.json()["detail"]
    assert len(await seqs(client, step_ms=200)) == 6


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"from_ms": -1}, "from_ms"),
        ({"from_ms": "yesterday"}, "from_ms"),
        ({"to_ms": 2**60}, "to_ms"),
        ({"step_ms": 0}, "step_ms"),
        ({"from_ms": 5, "to_ms": 5}, "to_ms"),
    ],
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, params: dict[str, Any], field: str) -> None:
    answer = await client.get("/sessions/s-1/metrics", params=params)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_summary(client: httpx.AsyncClient, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_PAGE", 2)
    nothing = {"insufficient_signal": True, "engagement": None, "perclos": None, "state": "absent"}
    await store.upsert_many(
        "metrics",
        [
            frame(1, 0, engagement=0.5, perclos=0.0, blink_count=1, yawn_count=0),
            frame(2, 100, engagement=1.0, perclos=0.1, blink_count=3, yawn_count=1),
            frame(3, 200, **nothing, blink_count=3, yawn_count=1),
            frame(4, 1_000, **nothing, blink_count=3, yawn_count=1),
        ],
    )
    answer = await client.get("/sessions/s-1/summary")
    assert answer.json() == {
        "session_id": "s-1",
        "frames_analyzed": 4,
        "frames_measurable": 2,
        "duration_ms": 1_000,
        "blink_count": 3,
        "yawn_count": 1,
        "perclos_mean": 0.05,
        "engagement_mean": 0.75,
        "state_shares": {"absent": 0.5, "engaged": 0.5},
    }


async def test_the_summary_of_nothing(client: httpx.AsyncClient) -> None:
    summary = Summary.decode((await client.get("/sessions/s-1/summary")).content)
    assert (summary.frames_analyzed, summary.engagement_mean, summary.state_shares) == (0, None, {})


@pytest.mark.parametrize("what", ["metrics", "summary"])
@pytest.mark.parametrize(
    ("session", "user", "role", "status"),
    [
        ("s-1", "ada", "student", 200),
        ("s-2", "ada", "student", 404),
        ("s-3", "ada", "student", 404),
        ("s-2", "erna", "instructor", 200),
        ("s-2", "kurt", "instructor", 404),
        ("s-2", "root", "admin", 200),
        ("s-1", None, None, 401),
    ],
)
async def test_who_may_ask(
    client: httpx.AsyncClient, what: str, session: str, user: str | None, role: Any, status: int
) -> None:
    token = AUTH.access_token(user, role) if user else ""
    answer = await client.get(f"/sessions/{session}/{what}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == status


FRAMES = st.lists(
    st.builds(
        lambda at_ms, measured, blinks, state: frame(
            0,
            at_ms,
            engagement=measured,
            perclos=measured,
            insufficient_signal=measured is None,
            blink_count=blinks,
            state=state,
        ),
        st.integers(0, 10_000),
        st.none() | st.floats(0, 1),
        st.integers(0, 9),
        st.sampled_from(["engaged", "drowsy", "absent"]),
    )
)


@given(FRAMES, st.integers(0, 50))
def test_a_summary_does_not_depend_on_pages(frames: list[Document], cut: int) -> None:
    whole, parts = Summarizer(), Summarizer()
    whole.add(frames)
    parts.add(frames[:cut])
    parts.add(frames[cut:])
    assert parts.result("s-1") == whole.result("s-1")
    summary = whole.result("s-1")
    assert 0 <= summary.frames_measurable <= summary.frames_analyzed == len(frames)
    if frames:
        assert abs(sum(summary.state_shares.values()) - 1) < 1e-9


@given(st.lists(st.integers(0, 5_000)), st.integers(1, 1_000), st.integers(0, 50))
def test_thinning_keeps_the_last_of_each_step(times_ms: list[int], step_ms: int, cut: int) -> None:
    frames = [frame(seq, at_ms) for seq, at_ms in enumerate(sorted(times_ms))]
    thinned = LastPerStep(step_ms)
    thinned.add(frames[:cut])
    thinned.add(frames[cut:])
    kept = thinned.entries
    steps = [each["captured_at_ms"] // step_ms for each in kept]
    assert steps == sorted(set(steps))
    assert set(steps) == {each["captured_at_ms"] // step_ms for each in frames}
    for each, step in zip(kept, steps, strict=True):
        assert each["seq"] == max(other["seq"] for other in frames if other["captured_at_ms"] // step_ms == step)
