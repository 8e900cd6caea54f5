"""Who may do what: passwords (argon2id) and tokens (JWT, HS256 by `JWT_SECRET`).

Two kinds of token: an access token for the REST API and the instructor's socket, and a stream token that opens the
WebSocket of one session and nothing else. Access tokens may also come from an external issuer
(`services.runtime.issuer`).
"""

import asyncio
import base64
import secrets
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from schemas.rest import Role
from services.runtime.clock import now_ms

ACCESS_LIFETIME_S = 12 * 3600
STREAM_LIFETIME_S = 12 * 3600

Purpose = Literal["access", "stream"]
ROLES: tuple[Role, ...] = get_args(Role)
_ALGORITHM = "HS256"


class BadToken(Exception):
    """The token is missing, forged, expired or made for something else; the text says which."""


class IssuerUnavailable(Exception):
    """The external issuer's keys cannot be fetched now."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. `session_id` is set in a stream token only."""

    user_id: str
    role: Role
    session_id: str | None = None


class Issuer(Protocol):
    """Checks access tokens that Rapt did not make."""

    def verify(self, token: str) -> Principal:
        """May block on the network. Raises `BadToken` or `IssuerUnavailable`."""


class Auth:
    """Makes and checks tokens and password hashes."""

    def __init__(self, secret: str, issuer: Issuer | None = None, hasher: PasswordHasher | None = None) -> None:
        self._secret = secret
        self._issuer = issuer
        self._hasher = hasher or PasswordHasher()
        self._nobody = _hash_of_nobody(self._hasher)

    def hash_password(self, password: str) -> str:
        """An argon2id hash; takes some 50 ms of CPU by intent, so call it in a thread."""
        return self._hasher.hash(password)

    def verify_password(self, password: str, hashed: str | None) -> bool:
        """True when they match. Without a hash (unknown user) it takes as long, so that time tells nothing."""
        try:
            return self._hasher.verify(hashed or self._nobody, password) and hashed is not None
        except (VerificationError, InvalidHashError):
            return False

    def access_token(self, user_id: str, role: Role) -> str:
        return self._token({"sub": user_id, "role": role}, "access", ACCESS_LIFETIME_S)

    def stream_token(self, user_id: str, role: Role, session_id: str) -> str:
        return self._token({"sub": user_id, "role": role, "session_id": session_id}, "stream", STREAM_LIFETIME_S)

    async def identify(self, token: str, purpose: Purpose) -> Principal:
        """`verify`, and for access tokens also the external issuer. Raises `BadToken` or `IssuerUnavailable`."""
        if self._issuer is not None and purpose == "access" and _algorithm(token) not in (None, _ALGORITHM):
            return await asyncio.to_thread(self._issuer.verify, token)
        return self.verify(token, purpose)

    def verify(self, token: str, purpose: Purpose) -> Principal:
        """Who holds a token that Rapt made. Raises `BadToken`."""
        if not token:
            raise BadToken("the token is missing")
        required = ["exp", "sub", "aud", "role"]
        try:
            claims = jwt.decode(
                token, self._secret, algorithms=[_ALGORITHM], audience=purpose, options={"require": required}
            )
        except jwt.ExpiredSignatureError:
            raise BadToken("the token has expired; log in again") from None
        except jwt.InvalidAudienceError:
            raise BadToken(f"the token is not made for this; wanted one for {purpose}") from None
        except jwt.InvalidTokenError:
            raise BadToken("the token is not valid") from None
        role = next((role for role in ROLES if role == claims["role"]), None)
        if role is None:
            raise BadToken(f"the token's role is unknown; wanted one of {', '.join(ROLES)}")
        if purpose == "stream" and not claims.get("session_id"):
            raise BadToken("the token is not valid")
        return Principal(claims["sub"], role, claims.get("session_id"))

    def _token(self, claims: dict[str, str], purpose: Purpose, lifetime_s: int) -> str:
        issued_s = now_ms() // 1000
        return jwt.encode(
            {**claims, "aud": purpose, "iat": issued_s, "exp": issued_s + lifetime_s},
            self._secret,
            algorithm=_ALGORITHM,
        )


def _algorithm(token: str) -> str | None:
    """What the token's header claims; only chooses who checks it."""
    try:
        return str(jwt.get_unverified_header(token).get("alg"))
    except jwt.InvalidTokenError:
        return None


def _hash_of_nobody(hasher: PasswordHasher) -> str:
    """A well-formed hash that no known password has. Checking it costs what checking a real one does."""
    salt, hashed = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${hashed}"
