"""A service that asks PostgreSQL something all the time, with credentials that it reads from the server, while these are
rotated and the server is killed in every step. Not one of its queries may fail, and at no moment may neither the old
nor the new credentials work.

Environment: STRONGROOM (our binary), POSTGRES_PORT and POSTGRES_PASSWORD (of the account postgres), ROTATIONS, KILLS
(at random moments, for each of the four ways), ROUNDS (of kills in every step), SEED, ONLY (some of the ways).
"""

import contextlib
import os
import random
import sys
import tempfile
import threading
import time

import psycopg

from outside import Database, Gate, Way, eventually
from server import Refused, Server

POSTGRES_PASSWORD = os.environ["POSTGRES_PASSWORD"]
ROTATIONS = int(os.environ.get("ROTATIONS", "100"))
KILLS = int(os.environ.get("KILLS", "20"))
ROUNDS = int(os.environ.get("ROUNDS", "1"))
RANDOM = random.Random(int(os.environ.get("SEED", "1")))
SERVICES = 3
QUERIES_PER_CONNECTION = 3
# A service with one account waits for its new password so long, one with two not at all.
PATIENCE_SECONDS = 60
GRACE_SECONDS = 2
ONLY = os.environ.get("ONLY", "static,static-turns,plan,plan-turns").split(",")


class World:
    def __init__(self, folder):
        self.server = Server(os.environ["STRONGROOM"], folder)
        self.database = Database(int(os.environ["POSTGRES_PORT"]), POSTGRES_PASSWORD)
        self.way, self.gate = Way(self.database.port), Gate()

    def prepare(self):
        ask = self.server.ask
        self.server.start()
        ask("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": str(self.server.audit)}})
        ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        ask("POST", "sys/mounts/database", {"type": "database"})
        ask(
            "POST",
            "database/config/pg",
            {
                "plugin_name": "postgresql-database-plugin",
                "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{self.way.port}/postgres?sslmode=disable",
                "username": "postgres",
                "password": POSTGRES_PASSWORD,
                "allowed_roles": "*",
            },
        )

    def locked(self, account):
        return self.database.locked(account, POSTGRES_PASSWORD)

    def restart(self):
        self.server.kill()
        self.server.start()


class Plan:
    """A secret in KV that a plan rotates, with one account or with two that take turns."""

    def __init__(self, world, name, accounts):
        self.world, self.server, self.name, self.accounts, self.services = world, world.server, name, accounts, []
        self.patience = PATIENCE_SECONDS if len(accounts) == 1 else 0
        for account in accounts:
            world.database.make(account)
        data = {"username": accounts[0], "password": "not-a-real-password"}
        self.server.ask("POST", f"secret/data/{name}", {"data": data})
        turns = f" accounts={','.join(accounts)}" if len(accounts) > 1 else ""
        self.write(
            field="password",
            generate="command name=make",
            apply="database connection=pg" + turns,
            timeout="60s",
            grace=f"{GRACE_SECONDS}s",
            notify=[f"webhook url={world.gate.url}"],
        )

    def write(self, **parts):
        self.server.ask("POST", f"sys/rotation/plans/secret/{self.name}", parts)

    def credentials(self):
        return self.server.ask("GET", f"secret/data/{self.name}")["data"]["data"]

    def status(self):
        return self.server.ask("GET", f"sys/rotation/status/secret/{self.name}")["data"]

    def step(self):
        rotation = self.status()["rotation"]
        return rotation and rotation["step"]

    def is_retired(self):
        history = self.server.ask("GET", f"sys/rotation/history/secret/{self.name}")["data"]["rotations"]
        return all(past["retired"] for past in history if past["outcome"] == "promoted")

    def idle(self):
        """The account that is changed next."""
        self.until_retired()
        present = self.credentials()["username"]
        return next((account for account in self.accounts if account != present), present)

    def rotate(self):
        """Begins a rotation as soon as the grace of the one before is over. The version before."""
        while True:
            version = self.status()["versions"]["current"]
            try:
                self.server.ask("POST", f"sys/rotation/rotate/secret/{self.name}", {})
                return version
            except Refused as error:
                if "412" not in str(error):
                    raise
                time.sleep(0.05)

    def until_retired(self):
        # With one account there is nothing to be done for that, and nothing to wait for.
        if len(self.accounts) > 1:
            eventually("the version before is retired", self.is_retired)

    def begin(self):
        self.until_retired()
        self.version = self.rotate()

    def is_over(self):
        status = self.status()
        assert status["state"] != "paused", status["paused"]
        return status["rotation"] is None

    def finish(self):
        """Waits for the end of the rotation that was begun; whether it was promoted."""
        eventually("the rotation ends", self.is_over)
        return self.status()["versions"]["current"] > self.version

    def somebody_gets_in(self):
        """The current value works, or the pending one does."""
        works = self.world.database.works
        if works(self.credentials()):
            return True
        try:
            pending = self.server.ask("GET", f"secret/data/{self.name}?label=pending")["data"]["data"]
        except Refused:
            # It was promoted between the two looks.
            return works(self.credentials())
        return works(pending) or works(self.credentials())

    @contextlib.contextmanager
    def verified_by(self, status):
        """A webhook is asked, which says this."""
        self.write(verify=f"webhook url={self.world.gate.url}")
        self.world.gate.status = status
        yield
        self.world.gate.status = 200
        self.write(verify="database")

    # Points at which the server is held up until it was killed. Each yields once it is there, and lets go at its end.

    @contextlib.contextmanager
    def at_generate(self):
        self.server.hold.touch()
        self.begin()
        eventually("the step", lambda: self.step() == "generate")
        yield
        self.server.hold.unlink()

    @contextlib.contextmanager
    def at_apply(self):
        with self.world.locked(self.idle()) as reached:
            self.begin()
            reached()
            assert self.step() == "apply"
            yield

    @contextlib.contextmanager
    def at_applied(self):
        self.until_retired()
        with self.world.way.holding("commit") as reached:
            self.begin()
            reached()
            assert self.step() == "apply"
            yield

    @contextlib.contextmanager
    def at_verify(self):
        with self.world.way.holding("login", self.idle()) as reached:
            self.begin()
            reached()
            assert self.step() == "verify"
            yield

    @contextlib.contextmanager
    def at_notify(self):
        with self.world.gate.closed() as reached:
            self.begin()
            reached()
            assert self.step() == "notify"
            yield

    @contextlib.contextmanager
    def at_grace(self):
        self.begin()
        self.finish()
        assert self.status()["versions"]["previous"], self.status()
        yield

    @contextlib.contextmanager
    def at_retire(self):
        # What is retired is the password of the account that was in use.
        old = self.credentials()["username"]
        self.begin()
        self.finish()
        with self.world.locked(old) as reached:
            reached()
            yield

    @contextlib.contextmanager
    def at_restore(self):
        with self.verified_by(400):
            with self.world.gate.closed() as refusing:
                self.begin()
                refusing()
                lock = self.world.locked(self.accounts[0])
                reached = lock.__enter__()
            reached()
            assert self.step() == "restore"
            yield
            lock.__exit__(None, None, None)
            self.world.gate.status = 200
            self.finish()

    @contextlib.contextmanager
    def at_verify_restored(self):
        with self.verified_by(400):
            with self.world.gate.closed() as refusing:
                self.begin()
                refusing()
                lock = self.world.locked(self.accounts[0])
                reached = lock.__enter__()
            reached()
            with self.world.gate.closed() as proving:
                self.world.gate.status = 200
                lock.__exit__(None, None, None)
                proving()
                assert self.step() == "verify-restored"
                yield
            self.finish()

    def points(self):
        points = ["generate", "apply", "applied", "verify", "notify", "grace"]
        # With one account there is nothing to be retired; of two, the one in use was never touched.
        return points + (["retire"] if len(self.accounts) > 1 else ["restore", "verify_restored"])

    def raced(self):
        """Steps whose records in the audit log are followed by a commit: the server is killed at each of them."""
        steps = ["promote", "generate", "apply", "verify", "notify"] + (["retire"] if len(self.accounts) > 1 else [])
        return [(kind, step) for step in steps for kind in ("request", "response")]


class StaticRole:
    """A static role of the database engine, with one account or with two that take turns."""

    def __init__(self, world, name, accounts):
        self.world, self.server, self.name, self.accounts, self.services = world, world.server, name, accounts, []
        self.patience = PATIENCE_SECONDS if len(accounts) == 1 else 0
        for account in accounts:
            world.database.make(account)
        accounts = {"usernames": accounts} if len(accounts) > 1 else {"username": accounts[0]}
        role = {"db_name": "pg", "rotation_period": "24h", **accounts}
        self.server.ask("POST", f"database/static-roles/{name}", role)
        self.credentials()

    def credentials(self):
        return self.server.ask("GET", f"database/static-creds/{self.name}")["data"]

    def is_over(self):
        return not self.server.ask("GET", f"database/static-roles/{self.name}")["data"]["is_rotating"]

    def step(self):
        return None if self.is_over() else "pending"

    def idle(self):
        present = self.credentials()["username"]
        return next((account for account in self.accounts if account != present), present)

    def rotate(self):
        self.server.ask("POST", f"database/rotate-role/{self.name}", {})

    def begin(self):
        """Asks for it, and does not wait for the answer."""

        def ask():
            with contextlib.suppress(OSError, Refused):
                self.rotate()

        if len(self.accounts) > 1:
            # The account before the present one is changed next: whoever read it has to be done with it. Of two reads
            # the second one began after this.
            marks = [(service, service.reads + 2) for service in self.services]
            eventually("everybody has read", lambda: all(service.reads >= mark for service, mark in marks))
        self.before = self.credentials()["password"]
        self.asking = threading.Thread(target=ask, daemon=True)
        self.asking.start()

    def finish(self):
        self.asking.join()
        if not self.is_over():
            # By itself it goes on after a minute.
            self.rotate()
        assert self.is_over()
        return self.credentials()["password"] != self.before

    def somebody_gets_in(self):
        return self.world.database.works(self.credentials())

    @contextlib.contextmanager
    def at_set(self):
        with self.world.locked(self.idle()) as reached:
            self.begin()
            reached()
            yield

    @contextlib.contextmanager
    def at_committed(self):
        with self.world.way.holding("commit") as reached:
            self.begin()
            reached()
            yield

    @contextlib.contextmanager
    def at_login(self):
        with self.world.way.holding("login", self.idle()) as reached:
            self.begin()
            reached()
            yield

    @contextlib.contextmanager
    def at_promote(self):
        """A moment after the login: before the commit, or after it."""
        with self.world.way.holding("login", self.idle()) as reached:
            self.begin()
            reached()
        time.sleep(RANDOM.uniform(0, 0.03))
        yield

    def points(self):
        return ["set", "committed", "login", "promote"]

    def raced(self):
        return []


class Service(threading.Thread):
    """Logs in and asks, over and over. Credentials are read again now and then, and when they are refused."""

    def __init__(self, subject):
        super().__init__(daemon=True)
        self.subject, self.database = subject, subject.world.database
        self.queries, self.logins, self.reads, self.read_again, self.failures = 0, 0, 0, 0, []
        self.credentials = subject.credentials()
        self.users, self.passwords = set(), set()
        self.held = self.database.log_in(self.credentials)
        self.is_over = threading.Event()

    def read(self):
        # It is being killed, or sealed: what was read before is good for its grace.
        with contextlib.suppress(Refused, OSError):
            self.credentials = self.subject.credentials()
            self.reads += 1

    def log_in(self):
        until = time.monotonic() + self.subject.patience
        while True:
            try:
                connection = self.database.log_in(self.credentials)
                self.logins += 1
                self.users.add(self.credentials["username"])
                self.passwords.add(self.credentials["password"])
                return connection
            except psycopg.OperationalError:
                if time.monotonic() >= until:
                    raise
                self.read_again += 1
                self.read()
                time.sleep(0.02)

    def run(self):
        while not self.is_over.is_set():
            if self.logins % 2 == 0:
                self.read()
            try:
                with self.log_in() as connection:
                    for _ in range(QUERIES_PER_CONNECTION):
                        assert connection.execute("SELECT 40 + 2").fetchone() == (42,)
                        self.queries += 1
                # A connection that is open stays open whatever happens to passwords.
                self.held.execute("SELECT 1")
                self.queries += 1
            except psycopg.Error as error:
                self.failures.append(f"{type(error).__name__}: {error}".splitlines()[0])
            time.sleep(0.005)


def plainly(subject, count):
    start = time.monotonic()
    for _ in range(count):
        subject.begin()
        assert subject.finish(), "it was rolled back"
    print(f"  {subject.name}: {count} rotations in {time.monotonic() - start:.1f} s", flush=True)


def after_a_kill(subject, where):
    assert subject.somebody_gets_in(), f"killed in {where}: neither value works"
    step = subject.step()
    is_promoted = subject.finish()
    assert subject.world.database.works(subject.credentials()), f"killed in {where}: the current value does not work"
    return step, is_promoted


def killed_in_every_step(subject):
    for point in subject.points():
        with getattr(subject, f"at_{point}")():
            subject.world.restart()
        _, is_promoted = after_a_kill(subject, point)
        is_back = point in ("restore", "verify_restored")
        assert is_promoted != is_back, f"killed in {point}: promoted is {is_promoted}"
    return subject.points()


def killed_at_a_record(subject, awaited):
    """Kills as soon as a step's record is in the audit log. The step that it goes on with says which side of the commit
    that was."""
    records = subject.server.records()
    next(records)
    subject.begin()
    until = time.monotonic() + 60
    while next(records) != awaited:
        assert time.monotonic() < until, f"no record {awaited}"
    time.sleep(RANDOM.choice((0, 0, 0.002, 0.006)))
    subject.world.restart()
    return after_a_kill(subject, awaited)[0]


def killed_at_random(subject):
    subject.begin()
    time.sleep(RANDOM.uniform(0, 0.3) + (GRACE_SECONDS - 0.2 if RANDOM.random() < 0.3 else 0))
    subject.world.restart()
    after_a_kill(subject, "a random moment")


def tried(subject, is_long):
    services = subject.services = [Service(subject) for _ in range(SERVICES)]
    for service in services:
        service.start()
    # Two accounts with a grace wait for its end between two rotations: for a short run that is too long.
    is_slow = isinstance(subject, Plan) and len(subject.accounts) > 1 and not is_long
    plainly(subject, max(1, ROTATIONS // 5) if is_slow else ROTATIONS)
    hit = []
    for _ in range(ROUNDS):
        hit = killed_in_every_step(subject)
    found = {}
    for awaited in subject.raced() if is_long else subject.raced()[:2]:
        for _ in range(ROUNDS):
            step = killed_at_a_record(subject, awaited)
            found.setdefault(" ".join(awaited), []).append(str(step))
    for _ in range(KILLS):
        killed_at_random(subject)
    for service in services:
        service.is_over.set()
    for service in services:
        service.join()
    return told(subject, services, hit, found)


def told(subject, services, hit, found):
    total = {name: sum(getattr(service, name) for service in services) for name in ("queries", "logins", "read_again")}
    failures = [failure for service in services for failure in service.failures]
    users = set().union(*(service.users for service in services))
    passwords = set().union(*(service.passwords for service in services))
    print(f"  {subject.name}: killed in {', '.join(hit)} ({ROUNDS} times each), at {KILLS} random moments")
    for record, steps in found.items():
        print(f"    killed at the audit record \"{record}\": went on with {', '.join(sorted(set(steps)))}")
    print(
        f"    {total['queries']} queries over {total['logins']} logins of {len(users)} accounts with {len(passwords)} "
        f"passwords, credentials read again {total['read_again']} times, {len(failures)} failures",
        flush=True,
    )
    for failure in failures[:5]:
        print("      " + failure)
    return len(failures) + (users != set(subject.accounts))


def main():
    failed = 0
    is_long = ROTATIONS >= 100 or "LONG" in os.environ
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        world = World(folder)
        world.prepare()
        try:
            for kind, name, accounts in (
                (StaticRole, "static", ["app"]),
                (StaticRole, "static-turns", ["app_a", "app_b"]),
                (Plan, "plan", ["shop"]),
                (Plan, "plan-turns", ["shop_a", "shop_b"]),
            ):
                if name in ONLY:
                    failed += tried(kind(world, name, accounts), is_long)
        finally:
            world.server.kill()
    print(f"  {world.server.kills - 1} kills")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
