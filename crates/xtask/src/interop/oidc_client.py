"""An application that people log in to by our OpenID Connect provider: Authlib is the application, this script the browser."""

import html.parser
import json
import os
import urllib.parse

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.jwk import KeySet

ADDRESS = os.environ["VAULT_ADDR"]
PASSWORD = "not-a-real-password"


def call(method, path, body=None, token=os.environ["VAULT_TOKEN"]):
    answer = requests.request(
        method, f"{ADDRESS}/v1/{path}", json=body, headers={"X-Vault-Token": token} if token else {}, timeout=30
    )
    assert answer.ok, (method, path, answer.text)
    return answer.json() if answer.content else None


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


def visit(url, **filled):
    """What a browser gets for a login on the provider's page: the address that it is sent to."""
    page = requests.get(url, timeout=30)
    assert page.status_code == 200 and "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    fields = Form(page.text).fields | filled
    answer = requests.post(url.split("?")[0], data=fields, allow_redirects=False, timeout=30)
    return answer.status_code, answer.headers.get("Location", answer.text)


def set_up():
    call("POST", "sys/auth/people", {"type": "userpass", "config": {"listing_visibility": "unauth"}})
    call("POST", "auth/people/users/ann", {"password": PASSWORD})
    entity = call("POST", "auth/people/login/ann", {"password": PASSWORD}, None)["auth"]["entity_id"]
    call("POST", f"identity/entity/id/{entity}", {"name": "ann", "metadata": {"email": "ann@example.com"}})
    call("POST", "identity/oidc/scope/profile", {"template": '{"email": {{identity.entity.metadata.email}}}'})
    call("POST", "identity/oidc/provider/company", {"allowed_client_ids": "*", "scopes_supported": "profile"})
    return entity


def application(name, kind, algorithm, redirect):
    call("POST", f"identity/oidc/key/{name}", {"algorithm": algorithm, "allowed_client_ids": "*"})
    settings = {"key": name, "client_type": kind, "redirect_uris": redirect, "assignments": "allow_all"}
    call("POST", f"identity/oidc/client/{name}", settings)
    return call("GET", f"identity/oidc/client/{name}")["data"]


def check(entity, name, kind, algorithm, method):
    redirect = "https://app.example.com/callback?from=room"
    client = application(name, kind, algorithm, redirect)
    issuer = f"{ADDRESS}/v1/identity/oidc/provider/company"
    metadata = OpenIDProviderMetadata(requests.get(f"{issuer}/.well-known/openid-configuration", timeout=30).json())
    # It wants https, which this test's server has not: everything else is checked.
    checked = {key: value.replace("http://", "https://") if isinstance(value, str) else value for key, value in metadata.items()}
    OpenIDProviderMetadata(checked).validate()
    assert metadata["issuer"] == issuer
    session = OAuth2Session(
        client["client_id"],
        client.get("client_secret"),
        scope="openid profile",
        redirect_uri=redirect,
        code_challenge_method="S256",
        token_endpoint_auth_method=method,
    )
    verifier = "a-verifier-that-is-long-enough-for-everybody-0001"
    url, state = session.create_authorization_url(
        metadata["authorization_endpoint"], nonce="the-nonce", code_verifier=verifier, max_age=60
    )
    status, back = visit(url, username="ann", password=PASSWORD)
    assert status == 303 and back.startswith(f"{redirect}&code="), back
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(back).query))
    assert (query["state"], query["iss"], query["from"]) == (state, issuer, "room")
    tokens = session.fetch_token(metadata["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier)
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=30).json())
    decoded = jwt.decode(tokens["id_token"], keys, algorithms=metadata["id_token_signing_alg_values_supported"])
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        {"iss": {"values": [issuer]}, "aud": {"value": client["client_id"]}},
        {"nonce": "the-nonce", "client_id": client["client_id"], "access_token": tokens["access_token"], "max_age": 60},
    )
    claims.validate(leeway=5)
    assert (decoded.header["alg"], claims["sub"], claims["email"]) == (algorithm, entity, "ann@example.com")
    user = session.get(metadata["userinfo_endpoint"]).json()
    assert user == {"sub": entity, "email": "ann@example.com"}, user
    print(f"ok: {kind} client, {algorithm}, {method}")
    return url


def failures(url):
    status, page = visit(url, username="ann", password="wrong")
    assert status == 200 and "That did not work" in page
    status, page = visit(url.replace("app.example.com", "evil.example.com"), username="ann", password=PASSWORD)
    assert status == 400 and "redirect_uri is not allowed" in page
    status, page = visit(url, token="hvs.not-a-real-token")
    assert status == 403 and "the token is not valid" in page
    status, back = visit(url.replace("scope=openid", "scope=other"), username="ann", password=PASSWORD)
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(back).query))
    assert status == 303 and query["error"] == "invalid_request" and query["state"], back
    own = call("POST", "auth/people/login/ann", {"password": PASSWORD}, None)["auth"]["client_token"]
    status, back = visit(url, token=own)
    assert status == 303 and "code=" in back
    # The token was brought along: it is still there.
    call("GET", "auth/token/lookup-self", token=own)
    foreign = requests.post(
        url.split("?")[0], data={"username": "ann"}, headers={"Sec-Fetch-Site": "cross-site"}, timeout=30
    )
    assert foreign.status_code == 403, foreign.text
    assert requests.get(f"{ADDRESS}/ui/vault/identity/oidc/provider/nobody/authorize", timeout=30).status_code == 404
    print("ok: what the page refuses")


def main():
    entity = set_up()
    url = check(entity, "app", "confidential", "RS256", "client_secret_basic")
    check(entity, "posting", "confidential", "ES384", "client_secret_post")
    check(entity, "desk", "public", "EdDSA", "none")
    failures(url)


main()
