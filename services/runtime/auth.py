"""Who may do what: passwords (argon2id) and tokens (JWT, HS256 by `JWT_SECRET`).

Two kinds of token: an access token for the REST API and the instructor's socket, and a stream token that opens the
WebSocket of one session and nothing else.
"""

from dataclasses import dataclass
from typing import Literal, cast

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from schemas.rest import Role
from services.runtime.clock import now_ms

ACCESS_LIFETIME_S = 12 * 3600
STREAM_LIFETIME_S = 12 * 3600

Purpose = Literal["access", "stream"]


class BadToken(Exception):
    """The token is missing, forged, expired or made for something else; the text says which."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. `session_id` is set in a stream token only."""

    user_id: str
    role: Role
    session_id: str | None = None


class Auth:
    """Makes and checks tokens and password hashes."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._hasher = PasswordHasher()

    def hash_password(self, password: str) -> str:
        """An argon2id hash; takes some 50 ms of CPU by intent, so call it in a thread."""
        return self._hasher.hash(password)

    def verify_password(self, password: str, hashed: str | None) -> bool:
        """True when they match. Without a hash (unknown user) it takes as long, so that time tells nothing."""
        try:
            return self._hasher.verify(hashed or _NOBODY, password) and hashed is not None
        except (VerifyMismatchError, InvalidHashError):
            return False

    def access_token(self, user_id: str, role: Role) -> str:
        return self._token({"sub": user_id, "role": role}, "access", ACCESS_LIFETIME_S)

    def stream_token(self, user_id: str, role: Role, session_id: str) -> str:
        return self._token({"sub": user_id, "role": role, "session_id": session_id}, "stream", STREAM_LIFETIME_S)

    def verify(self, token: str, purpose: Purpose) -> Principal:
        """Raises `BadToken`."""
        if not token:
            raise BadToken("the token is missing")
        try:
            claims = jwt.decode(
                token, self._secret, algorithms=["HS256"], audience=purpose, options={"require": ["exp", "sub", "aud"]}
            )
        except jwt.ExpiredSignatureError:
            raise BadToken("the token has expired; log in again") from None
        except jwt.InvalidAudienceError:
            raise BadToken(f"the token is not an {purpose} token") from None
        except jwt.InvalidTokenError:
            raise BadToken("the token is not valid") from None
        return Principal(str(claims["sub"]), cast(Role, claims.get("role", "student")), claims.get("session_id"))

    def _token(self, claims: dict[str, str], purpose: Purpose, lifetime_s: int) -> str:
        issued_s = now_ms() // 1000
        return jwt.encode(
            {**claims, "aud": purpose, "iat": issued_s, "exp": issued_s + lifetime_s}, self._secret, algorithm="HS256"
        )


# argon2id hash of a random password that nobody has.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
