"""What can be said of MongoDB without one: wrong addresses, what its errors mean."""

from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteError,
    WTimeoutError,
)

from services.runtime.settings import WrongSetting
from services.runtime.store import Conflict, StoreUnavailable
from services.runtime.store.mongo import MongoStore
from services.runtime.store.mongo_client import new_client, without_password
from services.runtime.store.mongo_errors import plain_errors


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "Empty host"),
        ("http://host", "Invalid URI scheme"),
        ("mongodb://", "MONGO_URI='mongodb://'"),
        ("mongodb://host:port", "Port"),
        ("mongodb://rapt:top@secret@host", "escaped"),
        ("mongodb://host/?timeout=5", "Unknown option: timeout"),
        ("mongodb://host/?timeoutMS=soon", "soon"),
        ("mongodb://host/?w=majority&authMechanism=MAGIC", "MAGIC"),
    ],
)
def test_a_wrong_address_is_one_line_without_the_password(uri: str, says: str) -> None:
    with pytest.raises(WrongSetting) as caught:
        MongoStore(uri, "rapt")
    line = str(caught.value)
    assert line.startswith("MONGO_URI=")
    assert says in line
    assert line.endswith("or mongodb+srv://…")
    assert "\n" not in line
    assert "secret" not in line
    assert "top" not in line.replace("options", "")


def test_a_wrong_name_of_the_database_is_one_line() -> None:
    with pytest.raises(WrongSetting, match="DB_NAME='a b': "):
        MongoStore("mongodb://host", "a b")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("mongodb://host:1/?w=1", "mongodb://host:1/?w=1"),
        ("mongodb://rapt:secret@host:1,other/db", "mongodb://…@host:1,other/db"),
        ("mongodb+srv://rapt:se@cret@cluster.example", "mongodb+srv://…@cluster.example"),
    ],
)
def test_an_address_is_shown_without_its_account(uri: str, shown: str) -> None:
    assert without_password(uri) == shown


def test_what_the_address_says_wins_over_the_defaults() -> None:
    ours = new_client("mongodb://host").options
    assert ours.write_concern.document == {"w": "majority"}
    assert (ours.timeout, ours.retry_writes, ours.pool_options.max_pool_size) == (5.0, True, 20)
    theirs = new_client("mongodb://host/?W=2&timeoutms=100&maxPoolSize=3").options
    assert theirs.write_concern.document == {"w": 2}
    assert (theirs.timeout, theirs.pool_options.max_pool_size) == (0.1, 3)


def duplicate(**more: Any) -> dict[str, Any]:
    message = (
        'E11000 duplicate key error collection: t.users index: users__username__unique dup key: { username: "ada" }'
    )
    return {"code": 11000, "errmsg": message, **more}


NO_MAJORITY = {"code": 64, "errmsg": "waiting for replication timed out"}


@pytest.mark.parametrize(
    ("error", "means", "says"),
    [
        (DuplicateKeyError("E11000 ada", 11000, duplicate()), Conflict, "users__username__unique"),
        (DuplicateKeyError("E11000 ada", 11000, duplicate(keyPattern={"_id": 1})), Conflict, "this _id"),
        (BulkWriteError({"writeErrors": [duplicate(keyPattern={"username": 1})]}), Conflict, "this username"),
        (BulkWriteError({"writeErrors": [{"code": 14031}, duplicate()]}), Conflict, "username"),
        (BulkWriteError({"writeErrors": [{"code": 14031}]}), StoreUnavailable, "disk is full"),
        (BulkWriteError({"writeErrors": [], "writeConcernErrors": [NO_MAJORITY]}), StoreUnavailable, "confirmed"),
        (BulkWriteError({"writeErrors": [{"code": 52, "errmsg": "ada"}]}), ValueError, "code 52"),
        (WriteError("ada", 10334, {"code": 10334, "codeName": "BSONObjectTooLarge"}), ValueError, "TooLarge"),
        (WTimeoutError("late", 64, NO_MAJORITY), StoreUnavailable, "confirmed"),
        (ExecutionTimeout("late", 50), StoreUnavailable, "too long"),
        (OperationFailure("ada", 18), StoreUnavailable, "password is wrong"),
        (OperationFailure("ada", 13), StoreUnavailable, "may not use"),
        (OperationFailure("ada", 4711), StoreUnavailable, "4711"),
        (OperationFailure("bad query", 2), OperationFailure, "bad query"),
        (
            ServerSelectionTimeoutError(
                "h:1: refused (configured timeouts: a, b), Timeout: 5s, Topology Description: x"
            ),
            StoreUnavailable,
            "MongoDB: h:1: refused",
        ),
        (AutoReconnect("h:1: connection closed"), StoreUnavailable, "connection closed"),
    ],
)
def test_what_an_error_means(error: PyMongoError, means: type[Exception], says: str) -> None:
    with pytest.raises(means, match=says) as caught, plain_errors():
        raise error
    assert "ada" not in str(caught.value)
    assert "Topology" not in str(caught.value)
