"""The part of the REST API that the clients call."""

from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError

from schemas.base import Contract
from schemas.rest import AccessToken, Login, NewSession, Recording, Session, SessionCreated, Summary, User
from schemas.sessions import Consent
from services.client.errors import Refused, Unreachable

_TIMEOUT_S = 15.0
_Body = TypeVar("_Body", bound=Contract)
_RECORDINGS: TypeAdapter[list[Recording]] = TypeAdapter(list[Recording])


class Api:
    """One user's calls to one server. `url` is the server's address as the page has it, without a path."""

    def __init__(self, url: str) -> None:
        self.url = checked_url(url)
        loopback = is_loopback(url)
        self._http = httpx.AsyncClient(
            base_url=f"{self.url}/api",
            timeout=_TIMEOUT_S,
            trust_env=not loopback,  # a proxy has no way to this machine
            # Building the list of authorities takes tens of milliseconds, and plain HTTP has no use for it.
            verify=self.url.startswith("https"),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def login(self, username: str, password: str) -> User:
        """Raises `Refused` when the two do not match, `Unreachable`."""
        answer = await self._call("POST", "/login", Login(username=username, password=password))
        token = _read(AccessToken, answer)
        self._http.headers["Authorization"] = f"Bearer {token.access_token}"
        return token.user

    async def create_session(
        self, lecture_code: str, *, session_name: str | None = None, record: bool = False, consent: Consent
    ) -> SessionCreated:
        """Raises `Refused`, naming what is wrong, for instance a lecture that does not exist."""
        body = NewSession(lecture_code=lecture_code, session_name=session_name, record=record, consent=consent)
        return _read(SessionCreated, await self._call("POST", "/sessions", body))

    async def session(self, session_id: str) -> Session:
        return _read(Session, await self._call("GET", f"/sessions/{quote(session_id, safe='')}"))

    async def stream_token(self, session_id: str) -> SessionCreated:
        """A new token for one's own session, to go on with it. Raises `Refused` when there is none or it has ended."""
        return _read(SessionCreated, await self._call("POST", f"/sessions/{quote(session_id, safe='')}/token"))

    async def end_session(self, session_id: str) -> None:
        await self._call("POST", f"/sessions/{session_id}/end")

    async def summary(self, session_id: str) -> Summary:
        return _read(Summary, await self._call("GET", f"/sessions/{session_id}/summary"))

    async def recordings(self, session_id: str) -> list[Recording]:
        """The session's recordings; none yet is an empty list."""
        answer = await self._call("GET", f"/recordings/sessions/{session_id}")
        try:
            return _RECORDINGS.validate_json(answer.content, strict=False, extra="ignore")
        except ValidationError:
            raise _something_else(answer) from None

    async def download(self, recording_id: str, to: Path) -> None:
        """Write a recording's file to a path."""
        try:
            async with self._http.stream("GET", f"/recordings/{recording_id}/download") as answer:
                if answer.status_code != httpx.codes.OK:
                    await answer.aread()
                    raise _refused(answer)
                with to.open("wb") as file:
                    async for chunk in answer.aiter_bytes(1 << 16):
                        file.write(chunk)
        except httpx.TransportError as error:
            raise Unreachable(f"no answer from {self.url}: {_said(error)}") from None

    async def _call(self, method: str, path: str, body: Contract | None = None) -> httpx.Response:
        content = None if body is None else body.encode()
        headers = {"Content-Type": "application/json"} if content is not None else None
        try:
            answer = await self._http.request(method, path, content=content, headers=headers)
        except httpx.TransportError as error:
            raise Unreachable(f"no answer from {self.url}: {_said(error)}; is Rapt running there?") from None
        if answer.is_error:
            raise _refused(answer)
        return answer


def checked_url(url: str) -> str:
    """The address without a slash at its end; raises `Unreachable` when it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unreachable(f"{url!r} is no address of a server; wanted something like http://127.0.0.1:8000")
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether the address is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(model: type[_Body], answer: httpx.Response) -> _Body:
    try:
        return model.decode(answer.content)
    except ValidationError:
        raise _something_else(answer) from None


def _something_else(answer: httpx.Response) -> Unreachable:
    return Unreachable(f"{answer.request.url} answered with something else; is Rapt running there?")


def _refused(answer: httpx.Response) -> Refused:
    """The problem details (RFC 9457) in one line."""
    try:
        problem: Any = answer.json()
        text = str(problem.get("detail") or problem.get("title") or answer.reason_phrase)
    except (ValueError, AttributeError):
        text = answer.reason_phrase
    return Refused(answer.status_code, text)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
