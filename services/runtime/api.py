"""What every REST router shares: problem details (RFC 9457) and who calls.

`install_problems(app)` turns every error into `application/problem+json`; `Caller` is the dependency that gives the
`Principal` of the bearer token (401 without one).
"""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.rest import Problem
from services.runtime.auth import Auth, BadToken, IssuerUnavailable, Principal
from services.runtime.log import LogUnavailable
from services.runtime.store import StoreUnavailable

_bearer = HTTPBearer(auto_error=False)

# The largest body of the API, a consent with a long name, has some 2 KB.
MAX_BODY_BYTES = 1 << 20


def problem(status: int, detail: str, **extra: Any) -> JSONResponse:
    """A problem-details response."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, **extra)
    return JSONResponse(body.model_dump(exclude_none=True), status_code=status, media_type="application/problem+json")


def install_problems(app: FastAPI) -> None:
    """Answer HTTP errors, failed validation, an absent store or log and mistakes in the code with problem details."""

    @app.exception_handler(StarletteHTTPException)
    async def _http(_: Request, error: StarletteHTTPException) -> JSONResponse:
        response = problem(error.status_code, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        errors = [{"field": _field(each), "error": each["msg"]} for each in error.errors()]
        detail = "; ".join(f"{each['field']}: {each['error']}" for each in errors)
        return problem(422, detail, errors=errors)

    @app.exception_handler(StoreUnavailable)
    async def _store(_: Request, error: StoreUnavailable) -> JSONResponse:
        return _unavailable(f"the store is not available: {error}")

    @app.exception_handler(LogUnavailable)
    async def _log(_: Request, error: LogUnavailable) -> JSONResponse:
        return _unavailable(f"the event log is not available: {error}")

    @app.exception_handler(IssuerUnavailable)
    async def _issuer(_: Request, error: IssuerUnavailable) -> JSONResponse:
        return _unavailable(str(error))

    @app.exception_handler(Exception)
    async def _bug(_: Request, __: Exception) -> JSONResponse:
        # The server logs the traceback; what went wrong inside is nobody else's business.
        return problem(500, "something went wrong inside Rapt; its log says what")


class BodyLimit:
    """Answers 413 to a larger body, whoever sends it, before it is in memory; a middleware."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        reason = f"the body is too large; at most {self._max_bytes} bytes are taken"
        if told.isdigit() and int(told) > self._max_bytes:
            await problem(413, reason)(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_bytes:
                raise HTTPException(413, reason)
            return message

        await self._app(scope, counted, send)


def _unavailable(detail: str) -> JSONResponse:
    response = problem(503, detail)
    response.headers["Retry-After"] = "2"
    return response


def _field(error: dict[str, Any]) -> str:
    """The dotted name of what failed. A body that is not JSON at all is at a place in the text, not in a field."""
    where, *path = error["loc"]
    return ".".join(map(str, path)) if path and error["type"] != "json_invalid" else str(where)


async def _caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    auth: Auth = request.app.state.auth
    try:
        return await auth.identify(credentials.credentials if credentials else "", "access")
    except BadToken as error:
        raise HTTPException(401, str(error), headers={"WWW-Authenticate": "Bearer"}) from None


Caller = Annotated[Principal, Depends(_caller)]
