"""Access tokens of an external issuer, with its keys served over HTTP."""

import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from jwt.utils import base64url_encode

from services.runtime import issuer as module
from services.runtime.auth import Auth, BadToken, IssuerUnavailable, Principal
from services.runtime.clock import now_ms
from services.runtime.issuer import JwksIssuer
from services.runtime.settings import WrongSetting

rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa", reason="cryptography is not installed")

serialization = pytest.importorskip(
    "cryptography.hazmat.primitives.serialization", reason="cryptography is not installed"
)

SECRET = "a secret of at least thirty-two bytes"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGERS_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwks() -> bytes:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
    return json.dumps({"keys": [{**public, "kid": "k1", "use": "sig", "alg": "RS256"}]}).encode()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = jwks()
            self.send_response(200 if self.path == "/keys" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def auth(url: str) -> Auth:
    return Auth(SECRET, JwksIssuer(f"{url}/keys"))


def token(key: Any = KEY, kid: str = "k1", **changes: Any) -> str:
    claims = {"sub": "ada", "aud": "rapt", "exp": now_ms() // 1000 + 3600, **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, "RS256", headers={"kid": kid})


async def test_a_token_of_the_issuer_says_who_holds_it(auth: Auth) -> None:
    assert await auth.identify(token(role="instructor"), "access") == Principal("ada", "instructor")


async def test_own_tokens_count_as_well(auth: Auth) -> None:
    assert await auth.identify(auth.access_token("bob", "admin"), "access") == Principal("bob", "admin")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (token(STRANGERS_KEY), "not valid"),
        (token(kid="unknown"), "not valid"),
        (token(exp=now_ms() // 1000 - 1), "expired"),
        (token(exp=None), "not valid"),
        (token(sub=None), "not valid"),
        (token(aud="another-app"), "another application; wanted the audience rapt"),
        (token(aud=None), "not valid"),
        (token()[:-4], "not valid"),
    ],
)
async def test_a_bad_token_is_refused_with_the_reason(auth: Auth, bad: str, reason: str) -> None:
    with pytest.raises(BadToken, match=reason):
        await auth.identify(bad, "access")


async def test_the_issuer_opens_no_streams(auth: Auth) -> None:
    with pytest.raises(BadToken, match="not valid"):
        await auth.identify(token(aud="stream", session_id="s-1", role="student"), "stream")


async def test_the_public_key_signs_nothing(auth: Auth) -> None:
    # The classic confusion: a shared-secret token "signed" with what everybody can fetch.
    public = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = {"alg": "HS512", "typ": "JWT", "kid": "k1"}
    claims = {"sub": "ada", "aud": "rapt", "exp": now_ms() // 1000 + 60}
    text = b".".join(base64url_encode(json.dumps(part).encode()) for part in (header, claims))
    signature = base64url_encode(hmac.digest(public, text, "sha512"))
    with pytest.raises(BadToken, match="not valid"):
        await auth.identify(f"{text.decode()}.{signature.decode()}", "access")


@pytest.mark.parametrize("path", ["/absent", None])
async def test_an_issuer_that_does_not_answer(url: str, path: str | None) -> None:
    auth = Auth(SECRET, JwksIssuer(f"{url}{path}" if path else "http://127.0.0.1:1/keys", timeout_s=1))
    with pytest.raises(IssuerUnavailable, match="cannot be fetched"):
        await auth.identify(token(), "access")
    assert await auth.identify(auth.access_token("bob", "student"), "access")


def test_an_address_that_is_none() -> None:
    with pytest.raises(WrongSetting, match=r"JWT_JWKS_URL='file:///etc/passwd': wanted an http"):
        JwksIssuer("file:///etc/passwd")


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({}, "student"),
        ({"role": "student"}, "student"),
        ({"role": "counselor"}, "instructor"),
        ({"role": "root"}, "student"),
        ({"roles": ["student", "admin", 7]}, "admin"),
        ({"role": "student", "roles": ["instructor"]}, "instructor"),
        ({"role": ["admin"]}, "student"),
        ({"roles": "admin"}, "student"),
    ],
)
def test_the_highest_role_counts(claims: dict[str, Any], role: str) -> None:
    assert module.role(claims) == role


def test_a_subject_that_is_no_identifier_becomes_one() -> None:
    assert module.user_id("ada.l-1") == "ada.l-1"
    made = [module.user_id(subject) for subject in ("auth0|1", "auth0|2", "../etc", "", "ada\n", "x" * 200)]
    assert all(each.startswith("u-") and len(each) == 34 for each in made)
    assert len(set(made)) == len(made)
    assert module.user_id("auth0|1") == made[0]
