"""The real server, started over the same data again and again, and killed."""

import json
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

PLUGIN = """#!/usr/bin/env python3
import json, pathlib, secrets, sys, time
json.loads(sys.stdin.readline())
while pathlib.Path({hold!r}).exists(): time.sleep(0.01)
print(json.dumps({{'ok': True, 'value': secrets.token_hex(16)}}))
"""


class Refused(Exception):
    """The server said no."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, pathlib.Path(folder)
        self.port, self.hold, self.audit = free_port(), self.folder / "hold", self.folder / "audit.log"
        plugins = self.folder / "plugins"
        plugins.mkdir(mode=0o755)
        (plugins / "make").write_text(PLUGIN.format(hold=str(self.hold)))
        (plugins / "make").chmod(0o755)
        config = {
            "storage": {"file": {"path": str(self.folder / "data")}},
            "listener": {"tcp": {"address": f"127.0.0.1:{self.port}", "tls_disable": True}},
            "plugin_directory": str(plugins),
            "disable_mlock": True,
        }
        (self.folder / "config.json").write_text(json.dumps(config))
        self.child, self.token, self.key, self.kills = None, None, None, 0

    def start(self):
        config = f"--config={self.folder / 'config.json'}"
        with open(self.folder / "log", "ab") as log:
            self.child = subprocess.Popen([self.binary, "server", config], stdout=log, stderr=log)
        self.until_it_answers()
        if self.key is None:
            made = self.ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.token, self.key = made["root_token"], made["keys"][0]
        self.ask("PUT", "sys/unseal", {"key": self.key})

    def until_it_answers(self):
        for _ in range(3000):
            try:
                return self.ask("GET", "sys/seal-status")
            except (urllib.error.URLError, OSError):
                assert self.child.poll() is None, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.01)
        raise SystemExit("the server does not answer")

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        self.kills += 1

    def ask(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/{path}", method=method)
        if self.token:
            request.add_header("X-Vault-Token", self.token)
        content = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, content, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return json.loads(text) if text else {}

    def records(self):
        """What audit records of steps from now on, as (request or response, step). None while there is nothing new."""
        with open(self.audit, "rb") as log:
            log.seek(0, 2)
            half = b""
            while True:
                half += log.readline()
                if not half.endswith(b"\n"):
                    yield None
                    continue
                record, half = json.loads(half), b""
                step = (record.get("request", {}).get("data") or {}).get("step")
                if step:
                    yield record["type"], step
