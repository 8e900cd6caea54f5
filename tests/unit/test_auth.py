"""Passwords and tokens that Rapt makes."""

from typing import Any

import jwt
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from services.runtime import auth as module
from services.runtime.auth import Auth, BadToken, Principal
from services.runtime.clock import now_ms

SECRET = "a secret of at least thirty-two bytes"
OTHER_SECRET = "another secret, as long as the first one"


@pytest.fixture
def auth() -> Auth:
    return Auth(SECRET)


def forged(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"sub": "ada", "role": "student", "aud": "access", "exp": now_ms() // 1000 + 3600, **changes}
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, secret, algorithm)


def test_a_token_says_who_holds_it(auth: Auth) -> None:
    assert auth.verify(auth.access_token("ada", "instructor"), "access") == Principal("ada", "instructor")
    stream = auth.stream_token("ada", "student", "s-1")
    assert auth.verify(stream, "stream") == Principal("ada", "student", "s-1")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "missing"),
        ("nonsense", "not valid"),
        ("a.b.c", "not valid"),
        (forged(OTHER_SECRET), "not valid"),
        (forged("", "none"), "not valid"),
        (forged(algorithm="HS512", secret=SECRET * 2), "not valid"),
        (forged()[:-3], "not valid"),
        (forged(exp=now_ms() // 1000 - 1), "expired; log in again"),
        (forged(exp=None), "not valid"),
        (forged(sub=None), "not valid"),
        (forged(sub=7), "not valid"),
        (forged(aud=None), "not valid"),
        (forged(role=None), "not valid"),
        (forged(role="root"), "role is unknown; wanted one of student, instructor, admin"),
        (forged(aud="stream"), "not made for this; wanted one for access"),
        (forged(aud="else"), "not made for this; wanted one for access"),
    ],
)
def test_a_bad_token_is_refused_with_the_reason(auth: Auth, token: str, reason: str) -> None:
    with pytest.raises(BadToken, match=reason):
        auth.verify(token, "access")


def test_an_access_token_opens_no_stream(auth: Auth) -> None:
    with pytest.raises(BadToken, match="wanted one for stream"):
        auth.verify(auth.access_token("ada", "student"), "stream")


def test_a_stream_token_names_its_session(auth: Auth) -> None:
    with pytest.raises(BadToken, match="not valid"):
        auth.verify(forged(aud="stream"), "stream")


def test_tokens_expire(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    token = auth.access_token("ada", "student")
    made_ms = now_ms()
    monkeypatch.setattr(module, "now_ms", lambda: made_ms - module.ACCESS_LIFETIME_S * 1000 - 1000)
    old = auth.access_token("ada", "student")
    auth.verify(token, "access")
    with pytest.raises(BadToken, match="expired"):
        auth.verify(old, "access")


async def test_without_an_issuer_only_own_tokens_count(auth: Auth) -> None:
    assert await auth.identify(auth.access_token("ada", "admin"), "access") == Principal("ada", "admin")
    for token in ("", "nonsense", forged(OTHER_SECRET)):
        with pytest.raises(BadToken):
            await auth.identify(token, "access")


def test_a_password_matches_its_own_hash_only(auth: Auth) -> None:
    hashed = auth.hash_password("correct horse")
    assert hashed.startswith("$argon2id$")
    assert "correct" not in hashed
    assert auth.verify_password("correct horse", hashed)
    assert not auth.verify_password("wrong horse", hashed)
    assert not auth.verify_password("", hashed)


def test_a_damaged_hash_matches_nothing(auth: Auth) -> None:
    assert not auth.verify_password("x", "$argon2id$v=19$m=8,t=1,p=1$broken")
    assert not auth.verify_password("x", "not a hash")


def test_an_unknown_user_costs_what_a_known_one_does() -> None:
    hasher = PasswordHasher(time_cost=2, memory_cost=256, parallelism=1)
    auth = Auth(SECRET, hasher=hasher)
    assert extract_parameters(auth._nobody) == extract_parameters(auth.hash_password("x"))
    # A hash that could not be decoded would be refused at once; this one is computed and then does not match.
    with pytest.raises(VerifyMismatchError):
        hasher.verify(auth._nobody, "x")
    assert not auth.verify_password("x", None)
