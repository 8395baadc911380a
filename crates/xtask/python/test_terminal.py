"""Prompts, at a terminal: what is typed is taken, and never shown."""

import os
import pty
import select
import subprocess
import time
import urllib.parse

from conftest import BINARY, totp

SECRET = "not-a-real-password"


class Terminal:
    """A command of ours behind a terminal of its own."""

    def __init__(self, server, *arguments, token=None):
        self.screen, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [BINARY, *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=server.environment(token),
            start_new_session=True,
            # The terminal becomes the command's own: it asks there, not where the test runs.
            preexec_fn=lambda: os.close(os.open(os.ttyname(terminal), os.O_RDWR)),
        )
        os.close(terminal)
        self.shown = ""

    def wait_for(self, text):
        deadline = time.monotonic() + 30
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} did not come: {self.shown!r}"
            if select.select([self.screen], [], [], 0.1)[0]:
                self.shown += self.read()

    def type(self, text):
        os.write(self.screen, f"{text}\n".encode())

    def finish(self):
        """What was shown in all, and the exit code."""
        deadline = time.monotonic() + 30
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end: {self.shown!r}"
            if select.select([self.screen], [], [], 0.1)[0]:
                self.shown += self.read()
        while select.select([self.screen], [], [], 0.1)[0]:
            more = self.read()
            if not more:
                break
            self.shown += more
        os.close(self.screen)
        return self.shown, self.process.returncode

    def read(self):
        try:
            return os.read(self.screen, 65536).decode(errors="replace")
        except OSError:  # The other end is closed.
            return ""


def test_a_key_for_unsealing_is_not_shown(server, unseal_key):
    server.put("sys/seal", {}, server.root_token)
    terminal = Terminal(server, "operator", "unseal")
    terminal.wait_for("Unseal Key (will be hidden): ")
    terminal.type(unseal_key)
    shown, code = terminal.finish()
    assert code == 0 and unseal_key not in shown
    assert "Sealed" in shown and "false" in shown


def test_a_password_for_a_login_is_not_shown(server):
    server.put("sys/auth/userpass", {"type": "userpass"}, server.root_token)
    server.put("auth/userpass/users/ann", {"password": SECRET}, server.root_token)
    terminal = Terminal(server, "login", "--method", "userpass", "username=ann")
    terminal.wait_for("Password (will be hidden): ")
    terminal.type(SECRET)
    shown, code = terminal.finish()
    assert code == 0 and SECRET not in shown
    assert "You are now authenticated" in shown


def test_a_token_for_a_login_is_not_shown(server):
    terminal = Terminal(server, "login", "--no-print")
    terminal.wait_for("Token (will be hidden): ")
    terminal.type(server.root_token)
    shown, code = terminal.finish()
    assert code == 0 and server.root_token not in shown


def test_a_value_is_not_shown(server):
    terminal = Terminal(server, "kv", "put", "secret/typed", "PASSWORD=-", token=server.root_token)
    terminal.wait_for("Value (will be hidden): ")
    terminal.type(SECRET)
    shown, code = terminal.finish()
    assert code == 0 and SECRET not in shown, shown
    read = server.run(
        "kv", "get", "--field", "PASSWORD", "secret/typed", token=server.root_token, capture_output=True
    )
    assert read.stdout.decode().rstrip("\n") == SECRET


def test_a_piped_value_is_taken_as_it_is(server):
    written = server.run(
        "kv", "put", "secret/piped", "PASSWORD=-", token=server.root_token, input=b"line\n", capture_output=True
    )
    assert written.returncode == 0, written.stderr
    read = server.run(
        "kv", "get", "--format", "json", "secret/piped", token=server.root_token, capture_output=True
    )
    assert '"PASSWORD": "line\\n"' in read.stdout.decode()


def test_a_piped_password_may_end_with_a_line_feed(server):
    login = server.run(
        "login", "--method", "userpass", "--no-store", "--token-only", "username=ann", "password=-",
        input=f"{SECRET}\n".encode(), capture_output=True,
    )
    assert login.returncode == 0, login.stderr


def test_a_second_factor_is_asked_for(server):
    root = server.root_token
    server.put("sys/auth/staff", {"type": "userpass"}, root)
    server.put("auth/staff/users/eve", {"password": SECRET}, root)
    entity = server.put("auth/staff/login/eve", {"password": SECRET}).json()["auth"]["entity_id"]
    method = {"issuer": "room", "method_name": "phone"}
    method = server.put("identity/mfa/method/totp", method, root).json()["data"]["method_id"]
    rule = {"mfa_method_ids": [method], "identity_entity_ids": [entity]}
    server.put("identity/mfa/login-enforcement/staff", rule, root)
    made = server.put("identity/mfa/method/totp/admin-generate", {"method_id": method, "entity_id": entity}, root)
    secret = dict(urllib.parse.parse_qsl(made.json()["data"]["url"].split("?")[1]))["secret"]
    # The code of the step before is let through once, so that the one of now is still there for the second login.
    for code, expected in [("000000", 4), (totp(secret, -1), 0), (totp(secret, -1), 4), (totp(secret), 0)]:
        terminal = Terminal(server, "login", "--method", "userpass", "--path", "staff", "username=eve")
        terminal.wait_for("Password (will be hidden): ")
        terminal.type(SECRET)
        terminal.wait_for("Code of phone (will be hidden): ")
        terminal.type(code)
        shown, status = terminal.finish()
        assert status == expected, shown
        assert SECRET not in shown and code not in shown
