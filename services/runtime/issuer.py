"""Access tokens of an external issuer (`JWT_JWKS_URL`), checked with the public keys that it publishes.

What Rapt reads from a token: `sub`, the user id; `role` (one) or `roles` (a list): student, instructor or counselor,
admin, of which the highest counts; a token without any of them is a student's. `aud` must name Rapt (`rapt`), so
that a token made for another application does not open this one.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import jwt
from jwt.algorithms import has_crypto

from schemas.rest import Role
from services.runtime.auth import BadToken, IssuerUnavailable, Principal
from services.runtime.settings import WrongSetting

AUDIENCE = "rapt"
# Signatures by key pair only. With a shared-secret algorithm, anyone could sign with the public key.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_ROLES: tuple[tuple[str, Role], ...] = (  # the highest first
    ("admin", "admin"),
    ("instructor", "instructor"),
    ("counselor", "instructor"),
    ("student", "student"),
)
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class JwksIssuer:
    """Fetches the keys when the first token comes, and again every five minutes or when a token names a new one."""

    def __init__(self, jwks_url: str, *, audience: str = AUDIENCE, timeout_s: float = 5.0) -> None:
        """Raises `WrongSetting` for an address that cannot serve."""
        if not has_crypto:
            raise WrongSetting("JWT_JWKS_URL needs the package cryptography: pip install 'pyjwt[crypto]'")
        try:
            self._keys = jwt.PyJWKClient(jwks_url, timeout=timeout_s)
        except jwt.PyJWKClientError:
            raise WrongSetting(f"JWT_JWKS_URL={jwks_url!r}: wanted an http:// or https:// address") from None
        self._audience = audience

    def verify(self, token: str) -> Principal:
        try:
            key = self._keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token, key, algorithms=_ALGORITHMS, audience=self._audience, options={"require": ["exp", "sub", "aud"]}
            )
        except jwt.PyJWKClientConnectionError as error:
            raise IssuerUnavailable(f"the token issuer's keys cannot be fetched: {error}") from error
        except jwt.ExpiredSignatureError:
            raise BadToken("the token has expired; log in again") from None
        except jwt.InvalidAudienceError:
            raise BadToken(f"the token is made for another application; wanted the audience {self._audience}") from None
        except jwt.PyJWTError:
            raise BadToken("the token is not valid") from None
        return Principal(user_id(claims["sub"]), role(claims))


def user_id(subject: str) -> str:
    """The subject where it serves as an id (it becomes part of file names), else a stable id made from it."""
    return subject if _IDENTIFIER.fullmatch(subject) else "u-" + hashlib.sha256(subject.encode()).hexdigest()[:32]


def role(claims: Mapping[str, Any]) -> Role:
    """The highest role that the token names."""
    listed = claims.get("roles")
    named = {claims.get("role") if isinstance(claims.get("role"), str) else None}
    named.update(each for each in (listed if isinstance(listed, list) else []) if isinstance(each, str))
    return next((ours for name, ours in _ROLES if name in named), "student")
