"""Records how the official SDKs of AWS, Google and Azure, and hvac for Vault, get their credentials, and that they take the
answers given here.

    pip install boto3 azure-identity google-auth requests hvac
    python credentials.py

writes credentials.json beside this file: for each source of credentials, the pairs of request and answer in order. The tests in
`src/provider/tests/recorded_credentials.rs` replay them: a request that the SDK did not make is refused.
"""

import base64
import datetime
import json
import os
import pathlib
import shutil
import stat
import tempfile
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

HERE = pathlib.Path(__file__).parent
HOME = pathlib.Path(tempfile.mkdtemp()) / "home"
RECORDED = {}
EXCHANGES = []
ANSWER = lambda method, path, headers, body: (500, {}, {})
# Headers that carry something; the others differ from client to client.
KEPT = [
    "authorization",
    "metadata",
    "metadata-flavor",
    "x-aws-ec2-metadata-token",
    "x-aws-ec2-metadata-token-ttl-seconds",
    "x-amz-sso_bearer_token",
    "x-identity-header",
    "x-vault-token",
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one(self):
        text = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        kind = (self.headers.get("content-type") or "").split(";")[0]
        if kind == "application/x-www-form-urlencoded":
            body = dict(urllib.parse.parse_qsl(text))
        else:
            body = json.loads(text) if text else None
        status, headers, answer = ANSWER(self.command, self.path, self.headers, body)
        kept = {name: self.headers[name] for name in KEPT if name in self.headers}
        EXCHANGES.append(
            {
                "method": self.command,
                "target": self.path,
                "headers": kept,
                "body": body,
                "status": status,
                "answer_headers": headers,
                "answer": answer,
            }
        )
        answer = answer if isinstance(answer, str) else json.dumps(answer)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    do_GET = do_POST = do_PUT = handle_one

    def log_message(self, *_):
        pass


def record(name, answer, client, variables=None):
    """Runs one client against a server that answers so, in a home folder and with variables of its own."""
    global ANSWER
    ANSWER = answer
    EXCHANGES.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    # The same folder each time: botocore asks for it once.
    home = HOME
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    host = url.removeprefix("http://")
    fill = lambda text: text.replace("SERVER", url).replace("HOST", host).replace("HOME", str(home))
    cleared = {"PATH": f"{home}:{os.environ['PATH']}", "HOME": str(home)}
    cleared.update({name: fill(value) for name, value in (variables or {}).items()})
    with mock.patch.dict(os.environ, cleared, clear=True):
        more = client(url, home)
    server.shutdown()
    assert EXCHANGES or more, f"{name}: nothing was asked"
    recorded = {"exchanges": list(EXCHANGES), **(more or {})}
    RECORDED[name] = json.loads(json.dumps(recorded).replace(url, "SERVER").replace(str(home), "HOME"))
    print(name, len(EXCHANGES))


# AWS

KEYS = {
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "not-a-real-secret",
    "Token": "not-a-real-session",
    "Expiration": "2099-01-01T00:00:00Z",
}


def botocore_credentials(profile=None):
    import botocore.session

    session = botocore.session.Session(profile=profile)
    credentials = session.get_credentials().get_frozen_credentials()
    assert credentials.access_key == "ASIAEXAMPLE", credentials.access_key
    assert credentials.secret_key == "not-a-real-secret" and credentials.token == "not-a-real-session"


def aws_container(url, home):
    (home / "token").write_text("not-a-real-pod-token")
    botocore_credentials()


def aws_instance_answer(method, path, headers, body):
    if method == "PUT":
        return 200, {}, "not-a-real-metadata-token"
    if path.endswith("/security-credentials/"):
        return 200, {}, "app-role"
    return 200, {}, {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-11-22T12:00:00Z", **KEYS}


SSO_CONFIG = """[profile dev]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = developer
region = eu-west-1
[sso-session corp]
sso_region = eu-north-1
sso_start_url = https://corp.awsapps.test/start
sso_registration_scopes = sso:account:access
"""


def sso_home(home, expires):
    (home / ".aws/sso/cache").mkdir(parents=True)
    (home / ".aws/config").write_text(SSO_CONFIG)
    import hashlib

    name = hashlib.sha1(b"corp").hexdigest()
    token = {
        "startUrl": "https://corp.awsapps.test/start",
        "region": "eu-north-1",
        "accessToken": "not-a-real-sso-token",
        "expiresAt": expires,
        "clientId": "client",
        "clientSecret": "not-a-real-client-secret",
        "registrationExpiresAt": "2099-01-01T00:00:00Z",
        "refreshToken": "not-a-real-refresh-token",
    }
    (home / f".aws/sso/cache/{name}.json").write_text(json.dumps(token))
    return name, token


def aws_sso(expires):
    def client(url, home):
        name, token = sso_home(home, expires)
        botocore_credentials("dev")
        kept = json.loads((home / f".aws/sso/cache/{name}.json").read_text())
        kept.pop("expiresAt")
        return {"config": SSO_CONFIG, "cache_name": name, "cache": token, "cache_afterwards": kept}

    return client


def aws_sso_answer(method, path, headers, body):
    if path == "/token":
        return 200, {"content-type": "application/json"}, {
            "accessToken": "not-a-real-renewed-token",
            "expiresIn": 28800,
            "refreshToken": "not-a-real-next-refresh-token",
            "tokenType": "Bearer",
        }
    keys = {
        "accessKeyId": "ASIAEXAMPLE",
        "secretAccessKey": "not-a-real-secret",
        "sessionToken": "not-a-real-session",
        "expiration": 4070908800000,
    }
    return 200, {"content-type": "application/json"}, {"roleCredentials": keys}


def sts_answer(method, path, headers, body):
    action = body["Action"]
    keys = (
        "<AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>not-a-real-secret</SecretAccessKey>"
        "<SessionToken>not-a-real-session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
    )
    text = (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
        f"<Credentials>{keys}</Credentials></{action}Result></{action}Response>"
    )
    return 200, {"content-type": "text/xml"}, text


def aws_web_identity(url, home):
    (home / "token").write_text("not-a-real-oidc-token")
    botocore_credentials()


ROLE_CONFIG = """[profile app]
role_arn = arn:aws:iam::123456789012:role/app
source_profile = base
role_session_name = here
external_id = agreed
duration_seconds = 900
region = eu-west-1
[profile base]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = not-a-real-base-secret
"""


def aws_profile_role(url, home):
    (home / ".aws").mkdir()
    (home / ".aws/config").write_text(ROLE_CONFIG)
    botocore_credentials("app")
    return {"config": ROLE_CONFIG}


# Google

GOOGLE_TOKEN = {"access_token": "not-a-real-access-token", "expires_in": 3599, "token_type": "Bearer"}
IMPERSONATED = {"accessToken": "not-a-real-impersonated-token", "expireTime": "2099-01-01T00:00:00Z"}


def google_answer(method, path, headers, body):
    flavor = {"metadata-flavor": "Google", "content-type": "application/json"}
    if path.startswith("/computeMetadata/v1/instance/service-accounts/default/token"):
        return 200, flavor, GOOGLE_TOKEN
    if path.startswith("/computeMetadata/"):
        return 200, flavor, {"email": "robot@shop.test", "aliases": ["default"], "scopes": []}
    if path.endswith(":generateAccessToken"):
        return 200, {}, IMPERSONATED
    return 200, {}, {**GOOGLE_TOKEN, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}


SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def google_here(url):
    """Some addresses stand in the SDK, whatever a file says: they lead here too."""
    import requests

    send = requests.adapters.HTTPAdapter.send

    def sent(adapter, request, **options):
        parts = urllib.parse.urlsplit(request.url)
        if parts.hostname.endswith(".googleapis.com"):
            request.url = url + request.url.split(parts.netloc, 1)[1]
        return send(adapter, request, **options)

    return mock.patch.object(requests.adapters.HTTPAdapter, "send", sent)


def google_file(file, expected):
    def client(url, home):
        import google.auth
        from google.auth.transport.requests import Request

        path = home / "credentials.json"
        path.write_text(json.dumps(file).replace("SERVER", url).replace("HOME", str(home)))
        (home / "oidc").write_text('{"jwt": "not-a-real-oidc-token"}')
        with google_here(url):
            credentials, _ = google.auth.load_credentials_from_file(str(path), scopes=[SCOPE])
            credentials.refresh(Request())
        assert credentials.token == expected, credentials.token
        return {"file": file}

    return client


def google_metadata(url, home):
    from google.auth import compute_engine
    from google.auth.transport.requests import Request

    credentials = compute_engine.Credentials()
    credentials.refresh(Request())
    assert credentials.token == GOOGLE_TOKEN["access_token"]


def google_aws_subject(url, home):
    """The signed request that stands for an identity of AWS, at a time that is set."""
    from google.auth import _helpers, aws

    when = datetime.datetime(2026, 11, 22, 12, 0, 0)
    file = {
        "type": "external_account",
        "audience": "//iam.test/pool",
        "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
        "token_url": f"{url}/v1/token",
        "credential_source": {
            "environment_id": "aws1",
            "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
        },
    }
    with mock.patch.object(_helpers, "utcnow", lambda: when):
        from google.auth.transport.requests import Request

        credentials = aws.Credentials.from_info(file)
        subject = json.loads(urllib.parse.unquote(credentials.retrieve_subject_token(Request())))
    file["token_url"] = "SERVER/v1/token"
    return {"file": file, "subject": subject}


# Azure

AZURE_TOKEN = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "not-a-real-token"}


def azure_answer(method, path, headers, body):
    if "openid-configuration" in path:
        base = "https://" + headers["host"] + "/tenant"
        return 200, {}, {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "issuer": f"{base}/v2.0",
        }
    if path.startswith("/metadata") or path.startswith("/msi"):
        return 200, {}, {**AZURE_TOKEN, "expires_in": "3599", "expires_on": "4070908800", "resource": "x"}
    return 200, {}, AZURE_TOKEN


def plain_transport():
    from azure.core.pipeline.transport import RequestsTransport

    class Plain(RequestsTransport):
        """The SDK insists on https addresses; the server here has no certificate."""

        def send(self, request, **kwargs):
            address = request.url
            request.url = address.replace("https://127", "http://127", 1)
            try:
                return super().send(request, **kwargs)
            finally:
                request.url = address

    return Plain()


def azure(make):
    def client(url, home):
        (home / "token").write_text("not-a-real-federated-token")
        import azure.identity

        options = {"transport": plain_transport(), "retry_total": 0}
        credential = make(azure.identity, url.replace("http://", "https://"), options)
        assert credential.get_token("https://vault.azure.net/.default").token == "not-a-real-token"

    return client


def azure_client_secret(identity, url, options):
    return identity.ClientSecretCredential(
        "tenant", "app", "not-a-real-client-secret", authority=url, disable_instance_discovery=True, **options
    )


def azure_workload(identity, url, options):
    return identity.WorkloadIdentityCredential(
        tenant_id="tenant",
        client_id="app",
        token_file_path=os.environ["AZURE_FEDERATED_TOKEN_FILE"],
        authority=url,
        disable_instance_discovery=True,
        **options,
    )


def azure_cli(url, home):
    import azure.identity

    answer = {
        "accessToken": "not-a-real-token",
        "expiresOn": "2099-01-01 00:00:00.000000",
        "expires_on": 4070908800,
        "subscription": "s",
        "tenant": "t",
        "tokenType": "Bearer",
    }
    program = home / "az"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {home}/asked\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    token = azure.identity.AzureCliCredential().get_token("https://vault.azure.net/.default").token
    assert token == "not-a-real-token"
    return {"arguments": (home / "asked").read_text().split(), "printed": answer}


# Vault

def vault_answer(method, path, headers, body):
    auth = {
        "client_token": "hvs.not-a-real-token",
        "accessor": "not-a-real-accessor",
        "policies": ["default"],
        "token_policies": ["default"],
        "metadata": {"role": "app"},
        "lease_duration": 3600,
        "renewable": True,
        "entity_id": "",
        "token_type": "service",
        "orphan": True,
    }
    answer = {"request_id": "r", "lease_id": "", "renewable": False, "lease_duration": 0, "data": None, "auth": auth}
    return (204, {}, "") if path.endswith("revoke-self") else (200, {}, answer)


def vault(login):
    def client(url, home):
        import hvac

        vault = hvac.Client(url=url, token="")
        assert login(vault)["auth"]["client_token"] == "hvs.not-a-real-token"
        vault.logout(revoke_token=True)

    return client


SERVICE_ACCOUNT = {
    "audience": "//iam.test/pool",
    "type": "external_account",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "SERVER/v1/token",
    "credential_source": {"file": "HOME/oidc", "format": {"type": "json", "subject_token_field_name": "jwt"}},
}
USER = {
    "type": "authorized_user",
    "client_id": "client",
    "client_secret": "not-a-real-client-secret",
    "refresh_token": "not-a-real-refresh-token",
    "token_uri": "SERVER/token",
}
ROBOT = "SERVER/v1/projects/-/serviceAccounts/robot@shop.test:generateAccessToken"

record(
    "aws container",
    lambda *_: (200, {}, {"RoleArn": "arn:aws:iam::123456789012:role/app", **KEYS}),
    aws_container,
    {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "SERVER/v1/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "HOME/token"},
)
record("aws instance", aws_instance_answer, lambda *_: botocore_credentials(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "SERVER"})
sso = {"AWS_ENDPOINT_URL_SSO": "SERVER", "AWS_ENDPOINT_URL_SSO_OIDC": "SERVER"}
record("aws sso", aws_sso_answer, aws_sso("2099-01-01T00:00:00Z"), sso)
record("aws sso refresh", aws_sso_answer, aws_sso("2020-01-01T00:00:00Z"), sso)
record(
    "aws web identity",
    sts_answer,
    aws_web_identity,
    {
        "AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/token",
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/app",
        "AWS_ROLE_SESSION_NAME": "here",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_STS": "SERVER",
    },
)
record("aws profile role", sts_answer, aws_profile_role, {"AWS_ENDPOINT_URL_STS": "SERVER"})
record("google user", google_answer, google_file(USER, GOOGLE_TOKEN["access_token"]))
record("google workload", google_answer, google_file(SERVICE_ACCOUNT, GOOGLE_TOKEN["access_token"]))
record(
    "google workload impersonation",
    google_answer,
    google_file({**SERVICE_ACCOUNT, "service_account_impersonation_url": ROBOT}, IMPERSONATED["accessToken"]),
)
record(
    "google impersonation",
    google_answer,
    google_file(
        {
            "type": "impersonated_service_account",
            "service_account_impersonation_url": ROBOT,
            "delegates": [],
            "source_credentials": USER,
        },
        IMPERSONATED["accessToken"],
    ),
)
record(
    "google workload aws",
    google_answer,
    google_aws_subject,
    {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-real-secret",
        "AWS_SESSION_TOKEN": "not-a-real-session",
        "AWS_REGION": "eu-west-1",
    },
)
record("google metadata", google_answer, google_metadata, {"GCE_METADATA_HOST": "HOST", "GCE_METADATA_IP": "HOST"})
record("azure client secret", azure_answer, azure(azure_client_secret))
record("azure workload", azure_answer, azure(azure_workload), {"AZURE_FEDERATED_TOKEN_FILE": "HOME/token"})
managed = lambda identity, url, options: identity.ManagedIdentityCredential(**options)
named = lambda identity, url, options: identity.ManagedIdentityCredential(client_id="app", **options)
record("azure machine", azure_answer, azure(managed), {"AZURE_POD_IDENTITY_AUTHORITY_HOST": "SERVER"})
record("azure machine named", azure_answer, azure(named), {"AZURE_POD_IDENTITY_AUTHORITY_HOST": "SERVER"})
service = {"IDENTITY_ENDPOINT": "SERVER/msi/token", "IDENTITY_HEADER": "not-a-real-header"}
record("azure service", azure_answer, azure(managed), service)
record("azure cli", azure_answer, azure_cli)
record("vault approle", vault_answer, vault(lambda v: v.auth.approle.login("role", "not-a-real-secret-id")))
record("vault userpass", vault_answer, vault(lambda v: v.auth.userpass.login("ann", "not-a-real-password")))
record("vault jwt", vault_answer, vault(lambda v: v.auth.jwt.jwt_login("app", "not-a-real-jwt")))
record("vault kubernetes", vault_answer, vault(lambda v: v.auth.kubernetes.login("app", "not-a-real-jwt")))
(HERE / "credentials.json").write_text(json.dumps(RECORDED, indent=1) + "\n")
