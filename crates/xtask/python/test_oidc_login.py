"""`login -method=oidc` at one server of ours, whose provider is another one; this test is the browser."""

import html.parser
import json
import re
import socket
import subprocess
import urllib.parse

import pytest
import requests

from conftest import BINARY, Server, totp

PASSWORD = "not-a-real-password"


class Form(html.parser.HTMLParser):
    """The first form of a page."""

    def __init__(self, page):
        super().__init__()
        self.fields, self.ended = {}, False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "input" and not self.ended:
            self.fields[attributes["name"]] = attributes.get("value", "")

    def handle_endtag(self, tag):
        self.ended = self.ended or tag == "form"


class Login:
    """The command, waiting for the browser."""

    def __init__(self, server, *words):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        arguments = [BINARY, "login", "--method=oidc", "--no-browser", "--format=json", *words]
        self.process = subprocess.Popen(
            [*arguments, f"port={self.port}", "callbackhost=127.0.0.1", "listenaddress=127.0.0.1"],
            env=server.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.told = ""
        while "Waiting for the provider" not in self.told:
            line = self.process.stderr.readline()
            assert line, self.told
            self.told += line
        self.url = re.search(r"https?://\S+", self.told)[0]

    def callback(self, query):
        return requests.get(f"http://127.0.0.1:{self.port}/oidc/callback?{query}", timeout=30)

    def finish(self):
        out, told = self.process.communicate(timeout=30)
        return self.process.returncode, out, told


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("provider"))
    server.start()
    server.initialise()
    server.unseal()
    root = server.root_token
    server.put("sys/auth/userpass", {"type": "userpass"}, root)
    for name in ["ann", "bob"]:
        server.put(f"auth/userpass/users/{name}", {"password": PASSWORD}, root)
    entity = server.put("auth/userpass/login/ann", {"password": PASSWORD}).json()["auth"]["entity_id"]
    server.put(f"identity/entity/id/{entity}", {"name": "ann"}, root)
    server.put("identity/group", {"name": "ops", "member_entity_ids": [entity]}, root)
    template = '{"name": {{identity.entity.name}}, "groups": {{identity.entity.groups.names}}}'
    server.put("identity/oidc/scope/person", {"template": template}, root)
    server.put("identity/oidc/provider/default", {"scopes_supported": ["person"]}, root)
    server.put("identity/oidc/assignment/ann", {"entity_ids": [entity]}, root)
    client = {"redirect_uris": ["http://127.0.0.1:8250/oidc/callback"], "assignments": ["ann"]}
    server.put("identity/oidc/client/room", client, root)
    yield server
    server.stop()


def read(server, path):
    answer = requests.get(f"{server.address}/v1/{path}", headers={"X-Vault-Token": server.root_token}, timeout=30)
    assert answer.ok, answer.text
    return answer.json()["data"]


@pytest.fixture(scope="module")
def room(server, provider):
    """The server that lets in whom the provider knows."""
    client = read(provider, "identity/oidc/client/room")
    root = server.root_token
    server.put("sys/auth/oidc", {"type": "oidc"}, root)
    config = {
        "oidc_discovery_url": f"{provider.address}/v1/identity/oidc/provider/default",
        "oidc_client_id": client["client_id"],
        "oidc_client_secret": client["client_secret"],
        "default_role": "people",
    }
    server.put("auth/oidc/config", config, root)
    role = {
        "user_claim": "name",
        "groups_claim": "groups",
        "oidc_scopes": ["person"],
        "allowed_redirect_uris": ["http://127.0.0.1:8250/oidc/callback"],
        "token_policies": ["people"],
    }
    server.put("auth/oidc/role/people", role, root)
    return server


def visit(url, **filled):
    page = requests.get(url, timeout=30)
    assert page.ok, page.text
    return submit(page, url, **filled)


def submit(page, url, **filled):
    return requests.post(url.split("?")[0], data=Form(page.text).fields | filled, allow_redirects=False, timeout=30)


def test_somebody_logs_in_through_the_page(room):
    login = Login(room)
    sent = visit(login.url, username="ann", password=PASSWORD)
    assert sent.status_code == 303, sent.text
    back = requests.get(sent.headers["Location"], timeout=30)
    assert back.status_code == 200 and "You are logged in" in back.text
    code, out, told = login.finish()
    assert code == 0, told
    auth = json.loads(out)["auth"]
    assert auth["token_policies"] == ["default", "people"]
    assert auth["metadata"]["role"] == "people"
    # It was stored: the next command is somebody.
    looked = room.run("token", "lookup", "--format=json", stdout=subprocess.PIPE)
    assert json.loads(looked.stdout)["data"]["display_name"] == "oidc-ann"


def test_what_does_not_belong_to_the_login_is_not_heard(room):
    login = Login(room)
    assert login.callback("state=another&code=stolen").status_code == 400
    assert requests.get(f"http://127.0.0.1:{login.port}/favicon.ico", timeout=30).status_code == 404
    with socket.create_connection(("127.0.0.1", login.port)) as nonsense:
        nonsense.sendall(b"nonsense\r\n\r\n")
    sent = visit(login.url, username="ann", password=PASSWORD)
    assert requests.get(sent.headers["Location"], timeout=30).status_code == 200
    assert login.finish()[0] == 0


def test_a_refusal_of_the_provider_is_told(room):
    login = Login(room)
    sent = visit(login.url, username="bob", password=PASSWORD)
    assert sent.status_code == 303 and "error=access_denied" in sent.headers["Location"]
    back = requests.get(sent.headers["Location"], timeout=30)
    assert "The login failed" in back.text
    code, out, told = login.finish()
    assert code == 4 and out == "", (code, out, told)
    assert "the provider says: access_denied: identity entity not authorized" in told


def test_a_code_that_the_provider_does_not_know_is_refused(room):
    login = Login(room)
    state = dict(urllib.parse.parse_qsl(login.url.split("?")[1]))["state"]
    back = login.callback(urllib.parse.urlencode({"state": state, "code": "made-up"}))
    assert "The login failed" in back.text
    code, _, told = login.finish()
    assert code == 4 and "made-up" not in told, told


def test_nobody_comes_back(room):
    login = Login(room, "timeout=1s")
    code, _, told = login.finish()
    assert code != 0 and "the provider did not come back within 1 s" in told


def test_a_redirect_that_the_role_does_not_have(room):
    done = room.run("login", "--method=oidc", "--no-browser", "callbackhost=example.com", "port=0", capture_output=True)
    assert done.returncode != 0 and b"allowed_redirect_uris" in done.stderr, done.stderr


def test_the_page_asks_for_a_second_factor(room, provider):
    root = provider.root_token
    method = provider.put("identity/mfa/method/totp", {"issuer": "room", "method_name": "phone"}, root).json()
    method = method["data"]["method_id"]
    accessor = read(provider, "sys/auth")["userpass/"]["accessor"]
    provider.put("identity/mfa/login-enforcement/all", {"mfa_method_ids": [method], "auth_method_accessors": [accessor]}, root)
    try:
        entity = read(provider, "identity/entity/name/ann")["id"]
        made = provider.put("identity/mfa/method/totp/admin-generate", {"method_id": method, "entity_id": entity}, root)
        secret = dict(urllib.parse.parse_qsl(made.json()["data"]["url"].split("?")[1]))["secret"]
        login = Login(room)
        asked = visit(login.url, username="ann", password=PASSWORD)
        assert asked.status_code == 200 and "Code of phone" in asked.text, asked.text
        wrong = submit(asked, login.url, **{f"code:{method}": "000000"})
        assert wrong.status_code == 200 and "That did not work" in wrong.text
        asked = visit(login.url, username="ann", password=PASSWORD)
        sent = submit(asked, login.url, **{f"code:{method}": totp(secret)})
        assert sent.status_code == 303, sent.text
        assert requests.get(sent.headers["Location"], timeout=30).status_code == 200
        assert login.finish()[0] == 0
    finally:
        requests.delete(
            f"{provider.address}/v1/identity/mfa/login-enforcement/all", headers={"X-Vault-Token": root}, timeout=30
        )
