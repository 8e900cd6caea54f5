"""Accounts in the store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from schemas.rest import NewUser
from services.runtime.accounts import (
    DEMO_ACCOUNTS,
    create_user,
    ensure_demo_accounts,
    find_user,
    log_in,
    public,
)
from services.runtime.auth import Auth
from services.runtime.store import Conflict
from services.runtime.store.sqlite import SqliteStore

ADA = NewUser(username="ada", password="correct horse", display_name="Ada L.", role="instructor")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.sqlite")
    await store.start()
    yield store
    await store.close()


@pytest.fixture
def auth() -> Auth:
    return Auth("a secret of at least thirty-two bytes", hasher=PasswordHasher(1, 8, 1))


async def test_an_account_is_made_found_and_logged_into(store: SqliteStore, auth: Auth) -> None:
    made = await create_user(store, auth, ADA)
    assert await find_user(store, "ada") == made
    assert await log_in(store, auth, "ada", "correct horse") == made
    assert await log_in(store, auth, "ada", "wrong horse") is None
    assert await log_in(store, auth, "bob", "correct horse") is None
    assert await find_user(store, "bob") is None


async def test_a_name_is_taken_once(store: SqliteStore, auth: Auth) -> None:
    await create_user(store, auth, ADA)
    with pytest.raises(Conflict):
        await create_user(store, auth, ADA.model_copy(update={"role": "admin"}))


async def test_what_is_shown_of_an_account_has_no_hash(store: SqliteStore, auth: Auth) -> None:
    shown = public(await create_user(store, auth, ADA)).model_dump()
    assert shown == {"user_id": "ada", "username": "ada", "display_name": "Ada L.", "role": "instructor"}


async def test_the_demo_accounts(store: SqliteStore, auth: Auth) -> None:
    await ensure_demo_accounts(store, auth, "first password")
    users = await store.find("users")
    assert {(user["_id"], user["role"]) for user in users} == {(name, role) for name, _, role in DEMO_ACCOUNTS}
    assert sum(user["role"] == "student" for user in users) == 4
    for name, _, _ in DEMO_ACCOUNTS:
        assert await log_in(store, auth, name, "first password")


async def test_starting_again_changes_nothing(store: SqliteStore, auth: Auth) -> None:
    await ensure_demo_accounts(store, auth, "first password")
    before = await store.find("users", sort=[("_id", 1)])
    await ensure_demo_accounts(store, auth, "first password")
    assert await store.find("users", sort=[("_id", 1)]) == before


async def test_another_password_replaces_the_first(store: SqliteStore, auth: Auth) -> None:
    await ensure_demo_accounts(store, auth, "first password")
    await ensure_demo_accounts(store, auth, "second password")
    assert await log_in(store, auth, "student3", "second password")
    assert await log_in(store, auth, "student3", "first password") is None


async def test_an_account_of_somebody_else_is_left_alone(store: SqliteStore, auth: Auth) -> None:
    await create_user(store, auth, ADA.model_copy(update={"username": "admin"}))
    await ensure_demo_accounts(store, auth, "demo password")
    assert await log_in(store, auth, "admin", "correct horse")
    assert await log_in(store, auth, "admin", "demo password") is None
    assert await log_in(store, auth, "student", "demo password")
