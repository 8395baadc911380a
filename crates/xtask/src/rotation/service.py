"""A service that asks PostgreSQL something all the time, with credentials that it reads from the server, while these are
rotated and the server is killed. Not one of its queries may fail.

Environment: STRONGROOM (our binary), POSTGRES_PORT and POSTGRES_PASSWORD (of the account postgres), ROTATIONS, KILLS, SEED.
"""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg

BINARY = os.environ["STRONGROOM"]
POSTGRES_PORT = int(os.environ["POSTGRES_PORT"])
POSTGRES_PASSWORD = os.environ["POSTGRES_PASSWORD"]
ROTATIONS = int(os.environ.get("ROTATIONS", "100"))
KILLS = int(os.environ.get("KILLS", "20"))
RANDOM = random.Random(int(os.environ.get("SEED", "1")))
# A service with one account waits for its new password so long, one with two not at all.
PATIENCE_SECONDS = 30


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """The real server, started over the same data again and again."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        plugins = self.folder / "plugins"
        plugins.mkdir(mode=0o755)
        plugin = plugins / "make"
        plugin.write_text(
            "#!/usr/bin/env python3\n"
            "import json, pathlib, secrets, sys, time\n"
            "json.loads(sys.stdin.readline())\n"
            f"while pathlib.Path({str(self.folder / 'hold')!r}).exists(): time.sleep(0.01)\n"
            "print(json.dumps({'ok': True, 'value': secrets.token_hex(16)}))\n"
        )
        plugin.chmod(0o755)
        config = {
            "storage": {"file": {"path": str(self.folder / "data")}},
            "listener": {"tcp": {"address": f"127.0.0.1:{self.port}", "tls_disable": True}},
            "plugin_directory": str(plugins),
        }
        (self.folder / "config.json").write_text(json.dumps(config))
        self.child, self.token, self.key = None, None, None

    def start(self):
        log = open(self.folder / "log", "ab")
        config = f"--config={self.folder / 'config.json'}"
        self.child = subprocess.Popen([BINARY, "server", config], stdout=log, stderr=log)
        self.until_it_answers()
        if self.key is None:
            made = self.ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.token, self.key = made["root_token"], made["keys"][0]
        self.ask("PUT", "sys/unseal", {"key": self.key})

    def until_it_answers(self):
        for _ in range(3000):
            try:
                return self.ask("GET", "sys/seal-status")
            except (urllib.error.URLError, ConnectionError):
                assert self.child.poll() is None, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.01)
        raise SystemExit("the server does not answer")

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def ask(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/{path}", method=method)
        if self.token:
            request.add_header("X-Vault-Token", self.token)
        content = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, content, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return json.loads(text) if text else {}

    def secret(self, name):
        return self.ask("GET", f"secret/data/{name}")["data"]["data"]

    def status(self, name):
        return self.ask("GET", f"sys/rotation/status/secret/{name}")["data"]


class Gate:
    """A webhook that holds requests up while it is closed."""

    def __init__(self):
        self.open = threading.Event()
        self.open.set()
        self.seen = threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                gate.seen.set()
                gate.open.wait()
                try:
                    self.send_response(200)
                    self.send_header("content-length", "0")
                    self.end_headers()
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.seen.clear()
        self.open.clear()


class Service(threading.Thread):
    """Logs in and asks, over and over. Credentials are read again now and then, and when they are refused."""

    def __init__(self, server, name, patience):
        super().__init__(daemon=True)
        self.server, self.name_of_secret, self.patience = server, name, patience
        self.queries, self.read_again, self.failures = 0, 0, []
        self.credentials = server.secret(name)
        self.held = self.connect()
        self.is_over = threading.Event()

    def connect(self):
        user, password = self.credentials["username"], self.credentials["password"]
        return psycopg.connect(
            host="127.0.0.1", port=POSTGRES_PORT, dbname="postgres", user=user, password=password, connect_timeout=30
        )

    def read(self):
        try:
            self.credentials = self.server.secret(self.name_of_secret)
        except (AssertionError, OSError):
            pass  # It is being killed, or sealed: what was read before is good for its grace.

    def query(self):
        until = time.monotonic() + self.patience
        while True:
            try:
                with self.connect() as connection:
                    connection.execute("SELECT 1")
                self.queries += 1
                return
            except psycopg.OperationalError as error:
                if time.monotonic() >= until:
                    self.failures.append(str(error).splitlines()[0])
                    return
                self.read_again += 1
                self.read()
                time.sleep(0.02)

    def run(self):
        while not self.is_over.is_set():
            if self.queries % 5 == 0:
                self.read()
            self.query()
            # A connection that is open stays open whatever happens to passwords.
            try:
                self.held.execute("SELECT 1")
                self.queries += 1
            except psycopg.Error as error:
                self.failures.append(str(error).splitlines()[0])
                return
            time.sleep(0.005)

    def end(self):
        self.is_over.set()
        self.join()
        print(
            f"  {self.name_of_secret}: {self.queries} queries, {len(self.failures)} failed, "
            f"credentials read again {self.read_again} times"
        )
        for failure in self.failures[:5]:
            print("    " + failure)
        return len(self.failures)


def works(credentials):
    try:
        psycopg.connect(
            host="127.0.0.1", port=POSTGRES_PORT, dbname="postgres", user=credentials["username"],
            password=credentials["password"],
        ).close()
        return True
    except psycopg.OperationalError:
        return False


def somebody_gets_in(server, name):
    """The current value works, or the pending one does."""
    current = server.secret(name)
    if works(current):
        return True
    try:
        pending = server.ask("GET", f"secret/data/{name}?label=pending")["data"]["data"]
    except AssertionError:
        # It was promoted between the two looks.
        return works(server.secret(name))
    return works(pending) or works(server.secret(name))


def until_done(server, name, since):
    for _ in range(6000):
        status = server.status(name)
        assert status["state"] != "paused", status["paused"]
        if status["rotation"] is None and status["versions"]["current"] > since:
            return
        time.sleep(0.02)
    raise AssertionError(f"the rotation does not end: {server.status(name)}")


def prepare(server, gate):
    administrator = psycopg.connect(
        host="127.0.0.1", port=POSTGRES_PORT, dbname="postgres", user="postgres", password=POSTGRES_PASSWORD, autocommit=True
    )
    for account in ("app", "app_a", "app_b"):
        administrator.execute(f"DROP ROLE IF EXISTS {account}")
        administrator.execute(f"CREATE ROLE {account} LOGIN PASSWORD 'not-a-real-password'")
    server.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    server.ask("POST", "sys/mounts/database", {"type": "database"})
    server.ask(
        "POST",
        "database/config/pg",
        {
            "plugin_name": "postgresql-database-plugin",
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{POSTGRES_PORT}/postgres?sslmode=disable",
            "username": "postgres",
            "password": POSTGRES_PASSWORD,
            "allowed_roles": "*",
        },
    )
    shared = {
        "field": "password", "generate": "command name=make", "timeout": "60s", "notify": [f"webhook url={gate.url}"],
    }
    plans = {
        "one": ("app", "database connection=pg", "0s"),
        "turns": ("app_a", "database connection=pg accounts=app_a,app_b", "3s"),
    }
    for name, (account, apply, grace) in plans.items():
        data = {"username": account, "password": "not-a-real-password"}
        server.ask("POST", f"secret/data/{name}", {"data": data})
        plan = shared | {"apply": apply, "grace": grace}
        server.ask("POST", f"sys/rotation/plans/secret/{name}", plan)


def rotate(server, name):
    """Begins a rotation as soon as the grace of the one before is over. The version before."""
    while True:
        version = server.status(name)["versions"]["current"]
        try:
            server.ask("POST", f"sys/rotation/rotate/secret/{name}", {})
            return version
        except AssertionError as error:
            if "412" not in str(error):
                raise
            time.sleep(0.1)


def plainly(server, name, count):
    start = time.monotonic()
    for _ in range(count):
        until_done(server, name, rotate(server, name))
    print(f"  {name}: {count} rotations in {time.monotonic() - start:.1f} s")


def killed_in_a_step(server, gate, name, step):
    hold = server.folder / "hold"
    if step == "generate":
        hold.touch()
    elif step == "verify":
        server.ask("POST", f"sys/rotation/plans/secret/{name}", {"verify": f"webhook url={gate.url}"})
        gate.close()
    elif step == "notify":
        gate.close()
    version = rotate(server, name)
    if step in ("verify", "notify"):
        assert gate.seen.wait(60), f"step {step} is not reached"
    while server.status(name)["rotation"] is None or server.status(name)["rotation"]["step"] != step:
        time.sleep(0.01)
    server.kill()
    hold.unlink(missing_ok=True)
    server.start()
    assert somebody_gets_in(server, name), f"killed in {step}: neither value works"
    gate.open.set()
    until_done(server, name, version)
    server.ask("POST", f"sys/rotation/plans/secret/{name}", {"verify": "database"})
    assert works(server.secret(name)), f"killed in {step}: the current value does not work"


def killed_at_random(server, name):
    version = rotate(server, name)
    time.sleep(RANDOM.uniform(0, 0.5) + (1.0 if RANDOM.random() < 0.5 else 0))
    server.kill()
    server.start()
    assert somebody_gets_in(server, name), "neither value works"
    until_done(server, name, version)
    assert works(server.secret(name)), "the current value does not work"


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        server, gate = Server(folder), Gate()
        server.start()
        try:
            prepare(server, gate)
            for name, patience in (("turns", 0), ("one", PATIENCE_SECONDS)):
                services = [Service(server, name, patience) for _ in range(2)]
                for service in services:
                    service.start()
                # Two accounts wait three seconds between two rotations: a fifth of the number is enough for them.
                plainly(server, name, ROTATIONS if name == "one" else max(1, ROTATIONS // 5))
                for step in ("generate", "verify", "notify"):
                    killed_in_a_step(server, gate, name, step)
                for _ in range(KILLS):
                    killed_at_random(server, name)
                print(f"  {name}: killed in 3 steps and {KILLS} times at random")
                failed += sum(service.end() for service in services)
        finally:
            server.kill()
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
