"""A server of ours for each module: a real process in a folder of its own, initialised and unsealed."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import socket
import subprocess
import time

import pytest
import requests

BINARY = os.environ["STRONGROOM_BINARY"]


class Server:
    """A process that serves, and what its initialisation gave."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.config = folder / "server.json"
        self.config.write_text(
            json.dumps(
                {
                    "storage": {"file": {"path": str(folder / "data")}},
                    "listener": {"tcp": {"address": f"127.0.0.1:{self.port}", "tls_disable": True}},
                }
            )
        )
        self.process = None
        self.keys = []
        self.root_token = ""

    def start(self):
        log = open(self.folder / "log", "ab")
        arguments = [BINARY, "server", f"--config={self.config}"]
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                requests.get(f"{self.address}/v1/sys/seal-status", timeout=5)
                return
            except requests.ConnectionError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, "no answer within a minute"
                time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)

    def initialise(self):
        made = self.put("sys/init", {"secret_shares": 1, "secret_threshold": 1}).json()
        self.keys, self.root_token = made["keys_base64"], made["root_token"]

    def unseal(self):
        assert self.put("sys/unseal", {"key": self.keys[0]}).json()["sealed"] is False

    def put(self, path, body, token=None):
        headers = {"X-Vault-Token": token} if token else {}
        answer = requests.put(f"{self.address}/v1/{path}", json=body, headers=headers, timeout=30)
        assert answer.status_code < 300, answer.text
        return answer

    def run(self, *arguments, token=None, **options):
        """One command of ours, in an environment of its own."""
        return subprocess.run([BINARY, *arguments], env=self.environment(token), timeout=60, **options)

    def environment(self, token=None):
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "VAULT_ADDR": self.address}
        return variables | ({"VAULT_TOKEN": token} if token else {})


def totp(secret, steps=0):
    """The code of a key in base32 (RFC 6238: SHA-1, six digits, thirty seconds), now or some steps from now."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, (int(time.time() // 30) + steps).to_bytes(8, "big"), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    server.initialise()
    server.unseal()
    server.put("sys/mounts/secret", {"type": "kv-v2"}, server.root_token)
    yield server
    server.stop()


@pytest.fixture
def unseal_key(server):
    assert len(base64.b64decode(server.keys[0])) == 32
    return server.keys[0]
