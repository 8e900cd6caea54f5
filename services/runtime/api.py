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

from schemas.rest import Problem
from services.runtime.auth import Auth, BadToken, Principal
from services.runtime.store import StoreUnavailable

_bearer = HTTPBearer(auto_error=False)


def problem(status: int, detail: str, **extra: Any) -> JSONResponse:
    """A problem-details response."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, **extra)
    return JSONResponse(body.model_dump(exclude_none=True), status_code=status, media_type="application/problem+json")


def install_problems(app: FastAPI) -> None:
    """Answer HTTP errors, failed validation and an absent store with problem details."""

    @app.exception_handler(StarletteHTTPException)
    async def _http(_: Request, error: StarletteHTTPException) -> JSONResponse:
        response = problem(error.status_code, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            {"field": ".".join(str(part) for part in each["loc"][1:]) or str(each["loc"][0]), "error": each["msg"]}
            for each in error.errors()
        ]
        detail = "; ".join(f"{each['field']}: {each['error']}" for each in errors)
        return problem(422, detail, errors=errors)

    @app.exception_handler(StoreUnavailable)
    async def _store(_: Request, error: StoreUnavailable) -> JSONResponse:
        response = problem(503, f"the store is not available: {error}")
        response.headers["Retry-After"] = "2"
        return response


def _caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    auth: Auth = request.app.state.auth
    try:
        return auth.verify(credentials.credentials if credentials else "", "access")
    except BadToken as error:
        raise HTTPException(401, str(error), headers={"WWW-Authenticate": "Bearer"}) from None


Caller = Annotated[Principal, Depends(_caller)]
