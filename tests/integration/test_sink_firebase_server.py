"""The server that the other tests talk to is spoken to by the real firebase-admin here: it must be as Firebase is."""

import itertools
from collections.abc import Iterator

import firebase_admin  # type: ignore[import-untyped]
import pytest
from firebase_admin import db, exceptions
from requests.adapters import HTTPAdapter

from tests.support.firebase import Fault, FirebaseServer

names = (f"server-test-{number}" for number in itertools.count())


@pytest.fixture
def server() -> Iterator[FirebaseServer]:
    server = FirebaseServer(namespace="rapt")
    yield server
    server.close()


@pytest.fixture
def root(server: FirebaseServer) -> Iterator[db.Reference]:
    app = firebase_admin.initialize_app(
        options={"databaseURL": f"http://{server.host}/?ns=rapt", "httpTimeout": 2}, name=next(names)
    )
    reference = db.reference("/", app)
    reference._client.session.mount("http://", HTTPAdapter(max_retries=0))  # the library's own take seconds
    yield reference
    firebase_admin.delete_app(app)


def test_values_are_set_read_pushed_and_deleted(root: db.Reference, server: FirebaseServer) -> None:
    root.child("lectures/MATH-101").set({"title": "Algebra", "gone": None, "empty": {}})
    assert root.get() == {"lectures": {"MATH-101": {"title": "Algebra"}}}
    pushed = root.child("notes").push("hello")
    assert root.child("notes").get() == {pushed.key: "hello"}
    root.child("notes").delete()
    assert server.dump() == {"lectures": {"MATH-101": {"title": "Algebra"}}}
    assert root.child("nowhere").get() is None


def test_a_multi_path_update_is_whole_or_nothing(root: db.Reference, server: FirebaseServer) -> None:
    root.set({"a": {"b": 1, "c": 2}, "d": 3})
    root.update({"a/b": None, "a/e/f": 4, "d": {"g": 5}})
    assert server.dump() == {"a": {"c": 2, "e": {"f": 4}}, "d": {"g": 5}}
    for refused in ({"a/c": 1, "a": 2}, {"a/c": 1, "x/$y": 2}):
        with pytest.raises(exceptions.InvalidArgumentError):
            root.update(refused)
    assert server.dump() == {"a": {"c": 2, "e": {"f": 4}}, "d": {"g": 5}}


def test_queries(root: db.Reference) -> None:
    root.set({"x": {"n": 2, "s": "b"}, "y": {"n": 1}, "z": {"n": 10, "s": "a"}, "t": "text"})
    assert (
        root.get(shallow=True) == {"x": True, "y": True, "z": True, "t": "text"} or root.get(shallow=True)["x"] is True
    )
    assert list(root.order_by_child("n").start_at(2).get()) == ["x", "z"]
    assert list(root.order_by_child("n").end_at(2).get()) == ["t", "y", "x"]
    assert list(root.order_by_child("s").equal_to("a").get()) == ["z"]
    assert list(root.order_by_key().limit_to_first(2).get()) == ["t", "x"]
    assert list(root.order_by_child("n").limit_to_last(1).get()) == ["z"]


def test_numbered_keys_are_read_as_a_list(root: db.Reference) -> None:
    root.set({"0": "a", "2": "c"})
    assert root.get() == ["a", None, "c"]
    root.set({"7": "a", "b": "c"})
    assert root.get() == {"7": "a", "b": "c"}


def test_a_tag_guards_a_write(root: db.Reference) -> None:
    child = root.child("count")
    _, tag = child.get(etag=True)
    assert child.set_if_unchanged(tag, 1)[0]
    assert child.set_if_unchanged(tag, 2)[:2] == (False, 1)  # 412
    _, tag = child.get(etag=True)
    assert child.get_if_changed(tag)[0] is False  # 304
    assert child.transaction(lambda now: now + 1) == 2


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, exceptions.UnauthenticatedError),
        (404, exceptions.NotFoundError),
        (412, exceptions.FailedPreconditionError),
        (503, exceptions.UnavailableError),
    ],
)
def test_errors_on_demand(
    root: db.Reference, server: FirebaseServer, status: int, error: type[exceptions.FirebaseError]
) -> None:
    server.fail(Fault(status=status, methods=["PATCH"]))
    root.set({"a": 1})
    with pytest.raises(error):
        root.update({"a": 2})
    server.mend()
    root.update({"b": 3})
    assert server.dump() == {"a": 1, "b": 3}


def test_another_database_is_not_found(server: FirebaseServer) -> None:
    app = firebase_admin.initialize_app(options={"databaseURL": f"http://{server.host}/?ns=other"}, name=next(names))
    with pytest.raises(exceptions.NotFoundError):
        db.reference("/", app).get()
    firebase_admin.delete_app(app)


def test_a_lost_answer_is_of_a_write_that_was_done(root: db.Reference, server: FirebaseServer) -> None:
    server.fail(Fault(lost=True, methods=["PATCH"]))
    with pytest.raises(exceptions.UnavailableError):
        root.update({"a": 1})
    assert server.dump() == {"a": 1}


def test_the_tree_outlives_the_server(root: db.Reference, server: FirebaseServer) -> None:
    root.set({"a": 1})
    server.stop()
    with pytest.raises(exceptions.UnavailableError):
        root.update({"a": 2})
    server.start()
    root.update({"b": 2})
    assert server.dump() == {"a": 1, "b": 2}
