"""Log in, who am I, new users."""

import asyncio

from fastapi import APIRouter, HTTPException

from schemas.rest import AccessToken, Login, NewUser, User
from services.runtime.accounts import create_user, log_in, public
from services.runtime.api import Caller
from services.runtime.auth import ACCESS_LIFETIME_S, Auth
from services.runtime.store import Conflict, Store
from services.runtime.store.collections import USERS

# Checking a password takes 64 MB and a core for a moment, by intent; more at a time would slow the frames down.
LOGINS_AT_A_TIME = 2


def build_router(store: Store, auth: Auth) -> APIRouter:
    router = APIRouter(tags=["accounts"])
    hashing = asyncio.Semaphore(LOGINS_AT_A_TIME)

    @router.post("/login")
    async def login(body: Login) -> AccessToken:
        async with hashing:
            user = await log_in(store, auth, body.username, body.password)
        if user is None:
            raise HTTPException(401, "the username or the password is wrong")
        token = auth.access_token(user["_id"], user["role"])
        return AccessToken(access_token=token, expires_in=ACCESS_LIFETIME_S, user=public(user))

    @router.get("/me")
    async def me(caller: Caller) -> User:
        user = await store.get(USERS.name, caller.user_id)
        if user is None:  # an external issuer's
            name = caller.user_id
            return User(user_id=name, username=name, display_name=name, role=caller.role)
        return public(user)

    @router.post("/users", status_code=201)
    async def add_user(body: NewUser, caller: Caller) -> User:
        if caller.role != "admin":
            raise HTTPException(403, "only an admin adds users")
        try:
            async with hashing:
                return public(await create_user(store, auth, body))
        except Conflict:
            raise HTTPException(409, f"the username {body.username} is taken") from None

    return router
