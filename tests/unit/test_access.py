"""Who reaches which session, recording and lecture."""

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.access import both, find_for, lecture_for, recording_for, session_for
from services.runtime.auth import Principal
from services.runtime.store import Document
from services.runtime.store.sqlite import SqliteStore

ADA = Principal("ada", "student")
BOB = Principal("bob", "student")
ERNA = Principal("erna", "instructor")  # owns PHYS, and is a student in MATH
KURT = Principal("kurt", "instructor")  # owns MATH
ROOT = Principal("root", "admin")

# What each may see.
REACH = {ADA: "1 3", BOB: "2", ERNA: "1 2 4", KURT: "3 4", ROOT: "1 2 3 4 5"}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.sqlite")
    await store.start()
    await store.upsert_many(
        "lectures", [{"_id": "PHYS", "instructor_id": "erna"}, {"_id": "MATH", "instructor_id": "kurt"}]
    )
    documents = [
        {"_id": "1", "student_id": "ada", "lecture_code": "PHYS", "created_at_ms": 10},
        {"_id": "2", "student_id": "bob", "lecture_code": "PHYS", "created_at_ms": 20},
        {"_id": "3", "student_id": "ada", "lecture_code": "MATH", "created_at_ms": 30},
        {"_id": "4", "student_id": "erna", "lecture_code": "MATH", "created_at_ms": 40},
        {"_id": "5", "student_id": "carl", "lecture_code": "GONE", "created_at_ms": 50},
    ]
    await store.upsert_many("sessions", documents)
    await store.upsert_many("recordings", documents)
    yield store
    await store.close()


async def allowed(call: Awaitable[Document]) -> bool:
    try:
        await call
    except HTTPException as error:
        if error.status_code != 404:
            raise
        return False
    return True


@pytest.mark.parametrize("who", REACH, ids=lambda who: who.user_id)
@pytest.mark.parametrize("reach", [session_for, recording_for])
async def test_sessions_and_recordings(store: SqliteStore, who: Principal, reach: Any) -> None:
    reached = [key for key in "12345" if await allowed(reach(store, who, key))]
    assert reached == REACH[who].split()


@pytest.mark.parametrize(
    ("who", "lectures"), [(ADA, []), (ERNA, ["PHYS"]), (KURT, ["MATH"]), (ROOT, ["PHYS", "MATH"])], ids=str
)
async def test_lectures_belong_to_their_instructor(store: SqliteStore, who: Principal, lectures: list[str]) -> None:
    assert [code for code in ("PHYS", "MATH", "GONE") if await allowed(lecture_for(store, who, code))] == lectures


async def test_a_stranger_learns_nothing(store: SqliteStore) -> None:
    answers = set()
    for key in ("2", "9"):
        with pytest.raises(HTTPException) as caught:
            await session_for(store, ADA, key)
        answers.add((caught.value.status_code, caught.value.detail.replace(key, "?")))
    assert len(answers) == 1


async def test_an_instructor_who_lost_the_role_owns_nothing(store: SqliteStore) -> None:
    assert not await allowed(session_for(store, Principal("erna", "student"), "1"))


@pytest.mark.parametrize("who", REACH, ids=lambda who: who.user_id)
async def test_lists_hold_what_is_reached(store: SqliteStore, who: Principal) -> None:
    by_time = ("created_at_ms", -1)
    reached = list(reversed(REACH[who].split()))
    found = await find_for(store, who, "sessions", sort=by_time)
    assert [document["_id"] for document in found] == reached
    for skip in range(len(reached)):
        page = await find_for(store, who, "sessions", sort=by_time, limit=2, skip=skip)
        assert [document["_id"] for document in page] == reached[skip : skip + 2]


@pytest.mark.parametrize(
    ("who", "where", "expected"),
    [
        (ADA, {"lecture_code": "PHYS"}, ["1"]),
        (ADA, {"student_id": "bob"}, []),
        (ERNA, {"student_id": "ada"}, ["1"]),
        (ERNA, {"lecture_code": "MATH"}, ["4"]),
        (ERNA, {"lecture_code": "PHYS", "student_id": "bob"}, ["2"]),
        (KURT, {"lecture_code": "PHYS"}, []),
        (ROOT, {"student_id": "ada"}, ["1", "3"]),
        (ROOT, {"created_at_ms": {"$gte": 40}}, ["4", "5"]),
        (ERNA, {"created_at_ms": {"$gte": 20}}, ["2", "4"]),
    ],
)
async def test_a_list_asked_for_by_a_filter_holds_no_more(
    store: SqliteStore, who: Principal, where: dict[str, Any], expected: list[str]
) -> None:
    found = await find_for(store, who, "sessions", where, sort=("created_at_ms", 1))
    assert [document["_id"] for document in found] == expected


@given(
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 2)),
    st.dictionaries(
        st.sampled_from("ab"), st.one_of(st.integers(0, 2), st.fixed_dictionaries({"$in": st.lists(st.integers(0, 2))}))
    ),
    st.fixed_dictionaries({"a": st.integers(0, 2), "b": st.integers(0, 2)}),
)
def test_both_filters_hold(where: dict[str, Any], scope: dict[str, Any], document: dict[str, int]) -> None:
    def holds(filter_: Any) -> bool:
        return filter_ is not None and all(
            document[field] in (wanted["$in"] if isinstance(wanted, dict) else [wanted])
            for field, wanted in filter_.items()
        )

    assert holds(both(where, scope)) == (holds(where) and holds(scope))


def test_operators_on_a_scoped_field_are_refused() -> None:
    with pytest.raises(ValueError, match="'student_id'"):
        both({"student_id": {"$ne": "ada"}}, {"student_id": "bob"})
