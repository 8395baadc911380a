"""What is outside of the server: PostgreSQL, the way to it, and a webhook; each can hold the server up at one point."""

import contextlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg

SECONDS_MAX = 60


def eventually(what, is_so):
    until = time.monotonic() + SECONDS_MAX
    while not (found := is_so()):
        assert time.monotonic() < until, f"not within {SECONDS_MAX} s: {what}"
        time.sleep(0.01)
    return found


class Database:
    def __init__(self, port, password):
        self.port = port
        self.administrator = self.log_in({"username": "postgres", "password": password})

    def log_in(self, credentials):
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname="postgres",
            user=credentials["username"],
            password=credentials["password"],
            autocommit=True,
            connect_timeout=30,
        )

    def works(self, credentials):
        try:
            self.log_in(credentials).close()
            return True
        except psycopg.OperationalError:
            return False

    def make(self, account):
        self.administrator.execute(f"DROP ROLE IF EXISTS {account}")
        self.administrator.execute(f"CREATE ROLE {account} LOGIN PASSWORD 'not-a-real-password'")

    @contextlib.contextmanager
    def locked(self, account, password):
        """Nobody changes this account meanwhile. Gives what waits until somebody wants to."""
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'strongroom'"
        with self.log_in({"username": "postgres", "password": password}) as other:
            other.autocommit = False
            other.execute(f"ALTER ROLE {account} CONNECTION LIMIT -1")
            yield lambda: eventually(
                "the account is being changed", lambda: self.administrator.execute(waiting).fetchone()
            )
            other.rollback()


class Way:
    """A proxy between the server and PostgreSQL."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.holds, self.held, self.go = None, threading.Event(), threading.Event()
        self.go.set()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            here, _ = self.listener.accept()
            there = socket.create_connection(("127.0.0.1", self.target))
            for socket_ in (here, there):
                socket_.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.pump, args=(here, there, self.asked), daemon=True).start()
            threading.Thread(target=self.pump, args=(there, here, self.said), daemon=True).start()

    def pump(self, source, sink, look):
        state = {"bytes": 0}
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                look(data, state)
                sink.sendall(data)
        for socket_ in (source, sink):
            with contextlib.suppress(OSError):
                socket_.shutdown(socket.SHUT_RDWR)

    def asked(self, data, state):
        kind, name = self.holds or (None, None)
        is_first = state["bytes"] == 0
        state["bytes"] += len(data)
        if kind == "login" and is_first and f"user\0{name}\0".encode() in data:
            self.hold()

    def said(self, data, _):
        if self.holds and self.holds[0] == "commit" and b"COMMIT\0" in data:
            self.hold()

    def hold(self):
        self.held.set()
        self.go.wait()

    @contextlib.contextmanager
    def holding(self, kind, name=""):
        """Holds up the login of a name, or the answer to a COMMIT. Gives what waits until that has come."""
        self.held.clear()
        self.go.clear()
        self.holds = (kind, name)
        try:
            yield lambda: eventually(f"the {kind} is on its way", self.held.is_set)
        finally:
            self.holds = None
            self.go.set()


class Gate:
    """A webhook that says yes, says no, or holds requests up."""

    def __init__(self):
        self.open, self.seen, self.status = threading.Event(), threading.Event(), 200
        self.open.set()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                gate.seen.set()
                gate.open.wait()
                with contextlib.suppress(OSError):
                    self.send_response(gate.status)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, *_):
                pass

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        http.daemon_threads = True
        self.url = f"http://127.0.0.1:{http.server_address[1]}/"
        threading.Thread(target=http.serve_forever, daemon=True).start()

    @contextlib.contextmanager
    def closed(self):
        self.seen.clear()
        self.open.clear()
        try:
            yield lambda: eventually("somebody is told", self.seen.is_set)
        finally:
            self.open.set()
