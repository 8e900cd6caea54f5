"""A small server that speaks the Realtime Database's REST protocol, for firebase-admin to talk to.

`python -m tests.support.firebase --port N [--namespace NAME]` is a process of its own (to be stopped with SIGSTOP, or
killed); `FirebaseServer` runs one in this process. FIREBASE_DATABASE_EMULATOR_HOST=127.0.0.1:N leads there. Beside the
database (any path that ends in `.json`) and `POST /token` (a service account's `token_uri`), there is:

- `GET /.control/dump`: the whole tree; `PUT` puts one in its place.
- `PUT /.control/fault`: how to fail from now on, a JSON object (`Fault`); `DELETE` ends it.
- `GET /.control/requests`: `[method, path, status]` of the last 10,000 requests.
"""

import argparse
import contextlib
import itertools
import json
import socket
import threading
import urllib.request
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support import firebase_tree
from tests.support.firebase_tree import Json, Refused

ERRORS = {
    401: "Unauthorized request.",
    403: "Permission denied",
    404: "404 Not Found",
    412: "ETag mismatch",
    503: "The Firebase Database is currently unavailable",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Answer `status` (0: as usual) to the next `times` requests (None: all) of `methods` (empty: any).

    A request waits `delay_s` before anything else. `lost`: it is done as usual, and its answer never comes. `revoked`:
    `/token` refuses the account.
    """

    status: int = 0
    times: int | None = None
    methods: Sequence[str] = ()
    delay_s: float = 0.0
    lost: bool = False
    revoked: bool = False


class Database:
    """The tree, how it fails, and who asked what. Whoever touches it holds `lock`."""

    def __init__(self, namespace: str | None) -> None:
        self.namespace = namespace
        self.tree: Json = None
        self.fault = Fault()
        self.left: int | None = None
        self.requests: deque[tuple[str, str, int]] = deque(maxlen=10_000)
        self.pushes = itertools.count()
        self.lock = threading.Lock()
        self.ended = threading.Event()

    def fail(self, fault: Fault) -> None:
        with self.lock:
            self.fault, self.left = fault, fault.times

    def next_fault(self, method: str) -> Fault:
        with self.lock:
            if (self.fault.methods and method not in self.fault.methods) or self.left == 0:
                return Fault()
            if self.left is not None:
                self.left -= 1
            return self.fault


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def setup(self) -> None:
        super().setup()
        self._answered = 0

    def _serve(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path.startswith("/.control/"):
            return self._control(url.path.removeprefix("/.control/"), body)
        database = self.server.database
        fault = database.next_fault(self.command)
        if fault.delay_s:
            database.ended.wait(fault.delay_s)
        if url.path == "/token":
            self._token(fault)
        elif fault.status:
            self._answer(fault.status, {"error": ERRORS.get(fault.status, "failed")})
        else:
            self._lost = fault.lost
            self._database(url.path, dict(parse_qsl(url.query, keep_blank_values=True)), body)
        database.requests.append((self.command, unquote(url.path), self._answered))
        return None

    do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = _serve  # noqa: N815 - the base class's names

    def _database(self, path: str, parameters: dict[str, str], body: bytes) -> None:
        database = self.server.database
        if not path.endswith(".json"):
            return self._answer(404, {"error": "append .json to your request URI to use the REST API"})
        if database.namespace not in (None, parameters.get("ns")):
            return self._answer(404, {"error": "404 Not Found"})
        if "Authorization" not in self.headers:
            return self._answer(401, {"error": ERRORS[401]})
        try:
            at = firebase_tree.path_of(unquote(path.removesuffix(".json")))
            value = json.loads(body) if body else None
            with database.lock:
                self._perform(at, parameters, value)
        except Refused as error:
            self._answer(400, {"error": str(error)})
        except ValueError as error:
            self._answer(400, {"error": f"Invalid data; couldn't parse JSON: {error}"})
        return None

    def _perform(self, at: firebase_tree.Path, parameters: dict[str, str], value: Json) -> None:
        database = self.server.database
        before = firebase_tree.read(database.tree, at)
        tag = firebase_tree.etag(before)
        if self.command == "GET":
            if self.headers.get("If-None-Match") == tag:
                return self._answer(304, None, tag)
            return self._answer(200, firebase_tree.shown(firebase_tree.query(before, parameters)), tag)
        expected = self.headers.get("If-Match")
        if expected is not None and self.command not in ("PUT", "DELETE"):
            raise Refused(f"{self.command} does not take an if-match")
        if expected not in (None, tag):
            return self._answer(412, firebase_tree.shown(before), tag)
        if self.command == "PATCH":
            database.tree = firebase_tree.update(database.tree, at, value)
            answer = value
        elif self.command == "POST":
            name = f"-N{next(database.pushes):018d}"
            database.tree = firebase_tree.write(database.tree, (*at, name), value)
            answer = {"name": name}
        else:
            value = None if self.command == "DELETE" else value
            database.tree = firebase_tree.write(database.tree, at, value)
            answer = value
        tag = firebase_tree.etag(firebase_tree.read(database.tree, at))
        silent = parameters.get("print") == "silent"
        return self._answer(204 if silent else 200, answer, tag)

    def _token(self, fault: Fault) -> None:
        if fault.revoked:
            text = "Invalid JWT Signature."
            return self._answer(400, {"error": "invalid_grant", "error_description": text})
        return self._answer(200, {"access_token": "a token", "expires_in": 3600, "token_type": "Bearer"})

    def _control(self, what: str, body: bytes) -> None:
        database = self.server.database
        given: Json = json.loads(body) if body else None
        match self.command, what:
            case "GET", "dump":
                with database.lock:
                    return self._answer(200, database.tree)
            case "PUT", "dump":
                with database.lock:
                    database.tree = firebase_tree.pruned(given)
            case "PUT", "fault":
                database.fail(Fault(**(given or {})))
            case "DELETE", "fault":
                database.fail(Fault())
            case "GET", "requests":
                return self._answer(200, list(database.requests))
            case _:
                return self._answer(404, {"error": f"no {self.command} of {what}"})
        return self._answer(200, None)

    _lost = False

    def _answer(self, status: int, value: Json, tag: str | None = None) -> None:
        self._answered = status
        if self._lost:
            self._lost, self.close_connection = False, True
            return
        body = b"" if status in (204, 304) else json.dumps(value).encode()
        self.send_response(status)
        if tag is not None:
            self.send_header("ETag", tag)
        if status not in (204, 304):
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class's name


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, database: Database) -> None:
        super().__init__(("127.0.0.1", port), _Request)
        self.database = database
        self.open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """Close the connections that clients keep for their next request."""
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None: ...  # a client that went away is none of ours


class Control:
    """The control routes of a server, wherever it runs."""

    def __init__(self, url: str) -> None:
        self._url = url

    def dump(self) -> Json:
        return self._ask("GET", "dump")

    def load(self, tree: Json) -> None:
        self._ask("PUT", "dump", tree)

    def fail(self, fault: Fault) -> None:
        self._ask("PUT", "fault", asdict(fault))

    def mend(self) -> None:
        self._ask("DELETE", "fault")

    def requests(self, method: str | None = None) -> list[tuple[str, str, int]]:
        return [(m, path, status) for m, path, status in self._ask("GET", "requests") if method in (None, m)]

    def _ask(self, method: str, what: str, value: Json = None) -> Json:
        body = None if method == "GET" else json.dumps(value).encode()
        request = urllib.request.Request(f"{self._url}/.control/{what}", body, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)


class FirebaseServer(Control):
    """A server in a thread of this process; the tree outlives `stop`, and `start` brings it back at the same port."""

    def __init__(self, namespace: str | None = None) -> None:
        self._database = Database(namespace)
        self._server: _Server | None = None
        self._port = 0
        self.start()
        super().__init__(f"http://{self.host}")

    @property
    def host(self) -> str:
        """For FIREBASE_DATABASE_EMULATOR_HOST."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        self._server = _Server(self._port, self._database)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more, and open connections are cut. A request that waits out a delay is still done."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut()
            self._server = None

    def close(self) -> None:
        self._database.ended.set()
        self.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--namespace", help="the one database there is; any, if not given")
    options = parser.parse_args()
    _Server(options.port, Database(options.namespace)).serve_forever()


if __name__ == "__main__":
    main()
