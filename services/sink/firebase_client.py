"""firebase-admin's Realtime Database, whose calls block, from the event loop: one call at a time, in one thread."""

import asyncio
import itertools
import json
import queue
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from services.runtime.settings import Settings, WrongSetting
from services.sink.firebase_attendance import Json

CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 3.0, 10.0
_EMULATOR_NAMESPACE = "rapt"

Result = TypeVar("Result")
_numbers = itertools.count()


class FirebaseDown(Exception):
    """Firebase did not do it now; one line says why. `unsure`: no answer came, so that a write may be done yet."""

    def __init__(self, reason: str, *, unsure: bool = False) -> None:
        super().__init__(reason)
        self.unsure = unsure


class FirebaseRefused(Exception):
    """Firebase will never take this: what was asked for means nothing to it."""


class FirebaseClient:
    """One database. Making it connects to nothing; `close` waits for nobody."""

    def __init__(self, app: Any, url: str) -> None:
        import requests.adapters
        from firebase_admin import db  # type: ignore[import-untyped]

        self._url = url
        self._app = app
        self._reference: Callable[[str], Any] = lambda path: db.reference(path, app)
        session = db.reference("/", app)._client.session  # noqa: SLF001 - no public way leads to it
        for scheme in ("http://", "https://"):
            # The library's own retries hide an outage for seconds and send a write twice before anybody knows.
            session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=0))
        self._thread = _Thread("firebase")

    async def read(self, path: str, *, shallow: bool = False) -> Json:
        """What is at `path`, a list where its keys are 0, 1, 2, …; `shallow`: true in place of each child.

        Raises `FirebaseDown`.
        """
        return await self._ask(lambda: self._reference(quote(path)).get(shallow=shallow))

    async def update(self, changes: Mapping[str, Json]) -> None:
        """Write values by their paths, all or none; None takes away. Raises `FirebaseDown`, `FirebaseRefused`."""
        await self._ask(lambda: self._reference("/").update(dict(changes)))

    def close(self) -> None:
        """Ends the thread once the call that is under way has returned, and forgets the app."""
        from firebase_admin import delete_app

        self._thread.end(lambda: delete_app(self._app))

    async def _ask(self, call: Callable[[], Result]) -> Result:
        from firebase_admin import exceptions
        from google.auth.exceptions import GoogleAuthError

        try:
            return await self._thread.run(call)
        except exceptions.InvalidArgumentError as error:
            raise FirebaseRefused(str(error)) from error
        except (exceptions.UnauthenticatedError, exceptions.PermissionDeniedError) as error:
            raise FirebaseDown(
                f"{self._url} refuses the account of FIREBASE_CREDENTIALS_PATH ({error}); "
                "wanted a service account that may write there"
            ) from error
        except exceptions.NotFoundError as error:
            raise FirebaseDown(
                f"there is no Realtime Database at FIREBASE_DATABASE_URL={self._url} ({error})"
            ) from error
        except exceptions.FirebaseError as error:
            raise FirebaseDown(_one_line(error), unsure=error.http_response is None) from error
        except GoogleAuthError as error:
            raise FirebaseDown(
                f"no token for the account of FIREBASE_CREDENTIALS_PATH ({_one_line(error)}); "
                "if it was revoked, make it a new key"
            ) from error


def firebase_client(
    settings: Settings, timeout: tuple[float, float] = (CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S)
) -> FirebaseClient | None:
    """The client of the settings' database; None where they name none. Raises `WrongSetting`.

    `timeout`: seconds to connect, and to wait for an answer.
    """
    emulator, url = settings.firebase_database_emulator_host, settings.firebase_database_url
    if not emulator and not url:
        return None
    try:
        import firebase_admin
    except ModuleNotFoundError:
        raise WrongSetting("FIREBASE_DATABASE_URL: needs firebase-admin; pip install 'rapt[firebase]'") from None
    namespace = _namespace(url) if url else _EMULATOR_NAMESPACE
    if emulator:
        if not re.fullmatch(r"[^\s/]+:\d{1,5}", emulator):
            raise WrongSetting(f"FIREBASE_DATABASE_EMULATOR_HOST={emulator!r}: wanted host:port")
        url = f"http://{emulator}/?ns={namespace}"
    credential = None if emulator else _certificate(settings)
    options = {"databaseURL": url, "httpTimeout": timeout}
    app = firebase_admin.initialize_app(credential, options, name=f"rapt-{next(_numbers)}")
    return FirebaseClient(app, str(url))


def _namespace(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise WrongSetting(f"FIREBASE_DATABASE_URL={url!r}: wanted https://<database>.<region>.firebasedatabase.app")
    return parts.hostname.split(".")[0]


def _certificate(settings: Settings) -> Any:
    from firebase_admin import credentials

    path = settings.firebase_credentials_path
    if path is None:
        raise WrongSetting(
            "FIREBASE_CREDENTIALS_PATH: not set; FIREBASE_DATABASE_URL wants a service account's JSON file"
        )
    try:
        return credentials.Certificate(str(path))
    except OSError as error:
        raise WrongSetting(f"FIREBASE_CREDENTIALS_PATH={str(path)!r}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        reason = "not JSON"
    except ValueError as error:
        reason = _one_line(error)
    raise WrongSetting(
        f"FIREBASE_CREDENTIALS_PATH={str(path)!r}: {reason}; wanted a service account's key as downloaded"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


class _Thread:
    """Does calls one after the other. A daemon: one that waits for an answer keeps no process from ending, as a
    `ThreadPoolExecutor`'s threads would."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def run(self, call: Callable[[], Result]) -> Result:
        """The call's result or exception. Cancelled, it goes on in its thread if it has begun."""
        future: Future[Result] = Future()
        self._calls.put((future, call))
        return await asyncio.wrap_future(future)

    def end(self, last: Callable[[], object]) -> None:
        """Do this and no more, once the call that is under way has returned."""
        self._calls.put((Future(), last))
        self._calls.put(None)

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            future, call = item
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except Exception as error:
                    future.set_exception(error)
