"""User accounts in the store: making them, finding them, logging in.

A document of `users`: `_id` (the user id, equal to the username), `username`, `display_name`, `role`, `password_hash`;
`demo` marks an account that `rapt up` made by itself.
"""

import asyncio
from collections.abc import Iterable

from schemas.rest import NewUser, Role, User
from services.runtime.auth import Auth
from services.runtime.store import Conflict, Document, Store
from services.runtime.store.collections import USERS

# Four students, so that a demo's class are four people.
DEMO_ACCOUNTS: tuple[tuple[str, str, Role], ...] = (
    ("student", "Student One", "student"),
    ("student2", "Student Two", "student"),
    ("student3", "Student Three", "student"),
    ("student4", "Student Four", "student"),
    ("instructor", "Instructor", "instructor"),
    ("admin", "Administrator", "admin"),
)


async def find_user(store: Store, username: str) -> Document | None:
    """The account of this name."""
    found = await store.find(USERS.name, {"username": username}, limit=1)
    return found[0] if found else None


async def create_user(store: Store, auth: Auth, new: NewUser) -> Document:
    """Make an account; raises `Conflict` when the name is taken."""
    hashed = await asyncio.to_thread(auth.hash_password, new.password)
    document = _document(new.username, new.display_name, new.role, hashed)
    await store.insert(USERS.name, document)
    return document


async def log_in(store: Store, auth: Auth, username: str, password: str) -> Document | None:
    """The account, if the password is its own; takes as long for a name that nobody has."""
    user = await find_user(store, username)
    hashed = user["password_hash"] if user else None
    return user if await asyncio.to_thread(auth.verify_password, password, hashed) else None


def public(user: Document) -> User:
    """An account without its password hash."""
    return User(user_id=user["_id"], username=user["username"], display_name=user["display_name"], role=user["role"])


async def ensure_demo_accounts(store: Store, auth: Auth, password: str) -> None:
    """Make the demo accounts that are missing; give those made earlier this password. Other accounts stay as they are.

    They share one hash: hashing takes 50 ms by intent, and the password is one for all anyway.
    """
    names = [name for name, _, _ in DEMO_ACCOUNTS]
    present = {user["_id"]: user for user in await store.find(USERS.name, {"_id": {"$in": names}})}
    outdated = await _hashes_of_another(auth, password, present.values())
    missing = [account for account in DEMO_ACCOUNTS if account[0] not in present]
    stale = [user for user in present.values() if user.get("demo") and user["password_hash"] in outdated]
    if not missing and not stale:
        return
    hashed = await asyncio.to_thread(auth.hash_password, password)
    for user in stale:
        await store.update(USERS.name, user["_id"], {"password_hash": hashed}, {"demo": True})
    for name, display_name, role in missing:
        try:
            await store.insert(USERS.name, {**_document(name, display_name, role, hashed), "demo": True})
        except Conflict:  # another process was first
            continue


async def _hashes_of_another(auth: Auth, password: str, users: Iterable[Document]) -> set[str]:
    hashes = {user["password_hash"] for user in users if user.get("demo")}
    return {each for each in hashes if not await asyncio.to_thread(auth.verify_password, password, each)}


def _document(username: str, display_name: str, role: Role, hashed: str) -> Document:
    return {
        "_id": username,
        "username": username,
        "display_name": display_name,
        "role": role,
        "password_hash": hashed,
    }
