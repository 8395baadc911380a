"""A service that runs queries while its password changes: service.py static|turns ROTATIONS PORT.

static: one account. A new login reads the password first; should it be changed in the very moment between, it reads it
once more, as every client of a password that changes has to. Connections that are open stay open.
turns: two accounts that take turns. A login is never tried twice.
"""

import os
import sys
import threading
import time

import hvac
import psycopg

WAY, ROTATIONS, PORT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
WORKERS = 4
QUERIES_PER_CONNECTION = 5
TRIES = 3 if WAY == "static" else 1


def client():
    return hvac.Client(url=os.environ["VAULT_ADDR"], token=os.environ["VAULT_TOKEN"])


class Service:
    def __init__(self):
        self.lock = threading.Lock()
        self.is_over = False
        self.queries = self.logins = self.read_again = 0
        self.failures = []
        self.users = set()

    def connect(self, vault):
        for attempt in range(TRIES):
            data = vault.secrets.database.get_static_credentials(name=WAY)["data"]
            try:
                connection = psycopg.connect(
                    host="127.0.0.1",
                    port=PORT,
                    dbname="postgres",
                    user=data["username"],
                    password=data["password"],
                    autocommit=True,
                    connect_timeout=20,
                )
            except psycopg.OperationalError:
                if attempt + 1 == TRIES:
                    raise
                with self.lock:
                    self.read_again += 1
            else:
                with self.lock:
                    self.logins += 1
                    self.users.add(data["username"])
                return connection

    def work(self):
        vault = client()
        while not self.is_over:
            try:
                with self.connect(vault) as connection:
                    for _ in range(QUERIES_PER_CONNECTION):
                        assert connection.execute("SELECT 40 + 2").fetchone() == (42,)
                        with self.lock:
                            self.queries += 1
            except Exception as error:
                with self.lock:
                    self.failures.append(f"{type(error).__name__}: {error}")


def main():
    vault = client()
    names = {"username": "app"} if WAY == "static" else {"usernames": ["app_a", "app_b"]}
    vault.write_data(f"database/static-roles/{WAY}", data={"db_name": "db", "rotation_period": "24h", **names})
    service = Service()
    seen = set()
    workers = [threading.Thread(target=service.work) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    began = time.monotonic()
    for _ in range(ROTATIONS):
        vault.secrets.database.rotate_static_role_credentials(name=WAY)
        seen.add(vault.secrets.database.get_static_credentials(name=WAY)["data"]["password"])
        # Long enough for whoever read before it to have logged in.
        time.sleep(0.05 if WAY == "static" else 0.2)
    took = time.monotonic() - began
    service.is_over = True
    for worker in workers:
        worker.join()
    print(
        f"{WAY}: {len(seen)} passwords in {took:.1f} s, {service.queries} queries over {service.logins} logins of "
        f"{len(service.users)} accounts, {service.read_again} passwords read again, {len(service.failures)} failures"
    )
    for failure in service.failures[:5]:
        print(failure)
    is_good = not service.failures and len(seen) == ROTATIONS and service.queries > ROTATIONS
    is_good = is_good and len(service.users) == (1 if WAY == "static" else 2)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
