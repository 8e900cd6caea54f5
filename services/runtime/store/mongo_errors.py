"""What PyMongo's errors mean for whoever calls a store. What becomes of them carries nothing that a document held."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    WriteError,
)

from services.runtime.store.port import Conflict, StoreUnavailable

DUPLICATE_KEY = 11000
# What is the server's state and not the request's fault; the codes are those of MongoDB's error_codes.yml.
_UNABLE = {
    13: "the account may not use this database",
    18: "the user or the password is wrong",
    50: "it took too long",
    64: "too few members confirmed in time",
    85: "an index is there with other options; drop it",
    86: "an index is there with other options; drop it",
    91: "it is shutting down",
    100: "it has too few members to confirm",
    112: "another write was under way",
    189: "the primary stepped down",
    10107: "it is not the primary",
    11000: "documents that are there break a unique index",
    11600: "it is shutting down",
    11602: "its state changed",
    13435: "it is not the primary",
    13436: "it is not ready",
    14031: "its disk is full",
}
# What a mistake in the code looks like: BadValue, FailedToParse, TypeMismatch, ConflictingUpdateOperators,
# CommandNotFound, InvalidOptions, InvalidNamespace.
_MISTAKES = {2, 9, 14, 40, 59, 72, 73}


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise `Conflict`, `StoreUnavailable` and `ValueError` instead of what PyMongo raises."""
    try:
        yield
    except DocumentTooLarge as error:
        raise ValueError(f"a document cannot be stored: {error}") from None
    except BulkWriteError as error:
        raise _of_bulk(error.details or {}) from None
    except WriteError as error:
        raise _of_write(error.details or {}) from None
    except InvalidOperation:
        raise StoreUnavailable("the store is not open") from None
    except OperationFailure as error:
        if error.code in _MISTAKES:
            raise
        raise _unavailable(reason(error)) from None
    except PyMongoError as error:
        raise _unavailable(reason(error)) from None


def duplicated(refused: Mapping[str, Any]) -> str:
    """What a write refused for a duplicate key has in common with another: `_id`, or what tells the unique index."""
    if pattern := refused.get("keyPattern"):
        return ", ".join(pattern)
    found = re.search(r"index: (\S+)", str(refused.get("errmsg")))
    name = found[1] if found else "key"
    return "_id" if name == "_id_" else name


def reason(error: PyMongoError) -> str:
    """One line: why MongoDB did not do it."""
    if isinstance(error, OperationFailure):
        return _UNABLE.get(error.code or 0) or f"{type(error).__name__}, code {error.code}"
    # "host:port: … (configured timeouts: …), Timeout: 5s, Topology Description: …"
    text = str(error).partition(", Timeout: ")[0].replace("No servers found yet", "no answer in time")
    return re.sub(r"\s*\(configured timeouts: [^)]*\)", "", text)


def _of_bulk(details: Mapping[str, Any]) -> Exception:
    refused = details.get("writeErrors") or ()
    # A conflict stays one however often it is tried, so it is told first.
    told = [_of_write(each) for each in refused]
    told.sort(key=lambda error: not isinstance(error, Conflict))
    return told[0] if told else _unavailable(_UNABLE[64])


def _of_write(refused: Mapping[str, Any]) -> Exception:
    code = refused.get("code")
    if code == DUPLICATE_KEY:
        return Conflict(f"there is already a document with this {duplicated(refused)}")
    if code in _UNABLE:
        return _unavailable(_UNABLE[code])
    return ValueError(f"MongoDB refuses a document, code {code} {refused.get('codeName', '')}".rstrip())


def _unavailable(why: str) -> StoreUnavailable:
    return StoreUnavailable(f"MongoDB: {why}")
