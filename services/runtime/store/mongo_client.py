"""The client behind `MONGO_URI`: what is asked of it where the address says nothing; wrong addresses in one line."""

import re
import warnings
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bson import Int64
from bson.codec_options import TypeDecoder, TypeRegistry
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from pymongo.monitoring import ConnectionPoolListener

from services.runtime.settings import WrongSetting
from services.runtime.store.mongo_errors import reason

# Each may be set otherwise in the URI. A call, retries included, ends within `timeoutMS`: short enough for a request.
DEFAULTS: dict[str, Any] = {
    "appname": "rapt",
    "connectTimeoutMS": 2_000,
    "maxPoolSize": 20,
    "serverSelectionTimeoutMS": 5_000,
    "timeoutMS": 5_000,
    "w": "majority",
}
WANTED = "wanted mongodb://[user:password@]host[:port][,…]/[?options] or mongodb+srv://…"


class _PlainInt(TypeDecoder):
    """BSON's 64-bit numbers as `int` itself, not as a class of its own."""

    bson_type = Int64

    def transform_bson(self, value: Any) -> int:
        return int(value)


def new_client(uri: str, listeners: Sequence[ConnectionPoolListener] = ()) -> AsyncMongoClient[dict[str, Any]]:
    """A client that has not connected yet. Raises `WrongSetting`, without the password."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an option that PyMongo does not know is a warning to it
            given = {name.lower() for name, _ in parse_qsl(urlsplit(uri).query)}
            defaults = {name: value for name, value in DEFAULTS.items() if name.lower() not in given}
            return AsyncMongoClient(
                uri, event_listeners=listeners, type_registry=TypeRegistry([_PlainInt()]), **defaults
            )
    except (PyMongoError, UserWarning, TypeError, ValueError) as error:
        raise WrongSetting(f"MONGO_URI={without_password(uri)!r}: {_reason(error, uri)}; {WANTED}") from None


async def trouble(uri: str, db_name: str) -> str:
    """One line: why this MongoDB does not answer; empty when it does."""
    try:
        client = new_client(uri)
    except WrongSetting as error:
        return str(error)
    async with client:
        try:
            await client[db_name].command("ping")
        except PyMongoError as error:
            return f"{without_password(uri)}: {reason(error)}"
    return ""


def without_password(uri: str) -> str:
    """The address as it may be shown: what stands between `://` and the last `@` is left out."""
    scheme, separator, rest = uri.rpartition("://")
    return f"{scheme}{separator}…@{rest.rpartition('@')[2]}" if "@" in rest else uri


def _reason(error: Exception, uri: str) -> str:
    text = str(error).strip().rstrip(".")
    account = uri.rpartition("://")[2].rpartition("@")[0]
    for secret in filter(None, re.split("[:@/]", account)):
        text = text.replace(secret, "…")
    return text
