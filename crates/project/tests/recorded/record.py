"""Records what the official Python SDKs of Google and Azure say on the wire, and that they take the answers given here.

    pip install google-cloud-secret-manager google-cloud-kms azure-keyvault-secrets azure-keyvault-keys
    python record.py

writes google.json and azure.json beside this file: pairs of request and answer, in order. `tests/recorded.rs` replays them to
our providers, which must ask in the same way and read the same values out of the same answers.
"""

import base64
import json
import pathlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = pathlib.Path(__file__).parent
EXCHANGES = []
ANSWER = lambda method, path, headers, body: (500, {}, {})

# CRC-32C, bit by bit (RFC 3720, appendix B.4).
def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.loads(body) if body else None
        status, headers, answer = ANSWER(self.command, self.path, self.headers, body)
        EXCHANGES.append(
            {
                "method": self.command,
                "target": self.path,
                "has_token": "authorization" in self.headers,
                "body": body,
                "status": status,
                "answer_headers": headers,
                "answer": answer,
            }
        )
        text = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_one

    def log_message(self, *_):
        pass


def record(name, answer, client):
    global ANSWER
    ANSWER = answer
    EXCHANGES.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    client(address)
    server.shutdown()
    text = json.dumps(EXCHANGES, indent=1).replace(address, "VAULT")
    (HERE / f"{name}.json").write_text(text + "\n")
    print(name, len(EXCHANGES))


def google_answer(method, path, headers, body):
    value = b"not-a-real-value"
    payload = {"data": base64.b64encode(value).decode(), "dataCrc32c": str(crc32c(value))}
    secret = "projects/shop/secrets/db-password"
    route = path.split("?")[0]
    if route == f"/v1/{secret}/versions/latest:access":
        return 200, {}, {"name": "projects/123/secrets/db-password/versions/4", "payload": payload}
    if route == f"/v1/{secret}/versions/2:access":
        return 200, {}, {"name": "projects/123/secrets/db-password/versions/2", "payload": payload}
    if route == "/v1/projects/shop/secrets/none/versions/latest:access":
        return 404, {}, {"error": {"code": 404, "message": "Secret not found.", "status": "NOT_FOUND"}}
    if route == f"/v1/{secret}:addVersion":
        return 200, {}, {"name": "projects/123/secrets/db-password/versions/5", "state": "ENABLED", "etag": '"1"'}
    if route.endswith("cryptoKeys/sops:encrypt"):
        return 200, {}, {
            "name": "projects/shop/locations/global/keyRings/r/cryptoKeys/sops/cryptoKeyVersions/1",
            "ciphertext": base64.b64encode(b"encrypted").decode(),
            "ciphertextCrc32c": str(crc32c(b"encrypted")),
            "verifiedPlaintextCrc32c": True,
        }
    if route.endswith("cryptoKeys/sops:decrypt"):
        return 200, {}, {
            "plaintext": base64.b64encode(b"data key").decode(),
            "plaintextCrc32c": str(crc32c(b"data key")),
        }
    return 500, {}, {}


def google_client(address):
    from google.api_core.exceptions import NotFound
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import kms_v1, secretmanager_v1
    from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceRestTransport
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceRestTransport,
    )

    anonymous = AnonymousCredentials()
    transport = SecretManagerServiceRestTransport(host=address, url_scheme="http", credentials=anonymous)
    client = secretmanager_v1.SecretManagerServiceClient(transport=transport)
    name = "projects/shop/secrets/db-password"
    found = client.access_secret_version(name=f"{name}/versions/latest")
    assert found.payload.data == b"not-a-real-value" and found.payload.data_crc32c == crc32c(found.payload.data)
    client.access_secret_version(name=f"{name}/versions/2")
    try:
        client.access_secret_version(name="projects/shop/secrets/none/versions/latest")
        raise AssertionError("it is not there")
    except NotFound:
        pass
    payload = {"data": b"not-a-real-value", "data_crc32c": crc32c(b"not-a-real-value")}
    assert client.add_secret_version(parent=name, payload=payload).name.endswith("/5")
    transport = KeyManagementServiceRestTransport(host=address, url_scheme="http", credentials=anonymous)
    keys = kms_v1.KeyManagementServiceClient(transport=transport)
    key = "projects/shop/locations/global/keyRings/r/cryptoKeys/sops"
    request = {"name": key, "plaintext": b"data key", "plaintext_crc32c": crc32c(b"data key")}
    assert keys.encrypt(request=request).verified_plaintext_crc32c
    request = {"name": key, "ciphertext": b"encrypted", "ciphertext_crc32c": crc32c(b"encrypted")}
    assert keys.decrypt(request=request).plaintext == b"data key"


def azure_answer(method, path, headers, body):
    if "authorization" not in headers:
        challenge = 'Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"'
        error = {"error": {"code": "Unauthorized", "message": "AKV10000: Request is missing a Bearer or PoP token."}}
        return 401, {"www-authenticate": challenge}, error
    host = headers["host"]
    route = path.split("?")[0]
    attributes = {"enabled": True, "created": 1500000000, "updated": 1500000000, "recoveryLevel": "Recoverable"}
    secret = {"value": "not-a-real-value", "attributes": attributes}
    if method == "PUT":
        return 200, {}, {**secret, "id": f"https://{host}/secrets/db-password/v5"}
    if route in ("/secrets/db-password/", "/secrets/db-password"):
        return 200, {}, {**secret, "id": f"https://{host}/secrets/db-password/v4"}
    if route == "/secrets/db-password/v2":
        return 200, {}, {**secret, "id": f"https://{host}/secrets/db-password/v2"}
    if route.startswith("/secrets/none"):
        message = "A secret with (name/id) none was not found in this key vault."
        return 404, {}, {"error": {"code": "SecretNotFound", "message": message}}
    result = lambda value: base64.urlsafe_b64encode(value).decode().rstrip("=")
    kid = f"https://{host}/keys/sops/v7"
    if route == "/keys/sops/v7/encrypt":
        return 200, {}, {"kid": kid, "value": result(b"encrypted")}
    if route == "/keys/sops/v7/decrypt":
        return 200, {}, {"kid": kid, "value": result(b"data key")}
    # Without the public key, the SDK sends encryption to the vault too.
    return 403, {}, {"error": {"code": "Forbidden", "message": "keys/get is not permitted"}}


def azure_client(address):
    from azure.core.credentials import AccessToken
    from azure.core.exceptions import ResourceNotFoundError
    from azure.core.pipeline.transport import RequestsTransport
    from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm
    from azure.keyvault.secrets import SecretClient

    class Static:
        def get_token(self, *scopes, **_):
            assert scopes == ("https://vault.azure.net/.default",), scopes
            return AccessToken("not-a-real-token", 4102444800)

    class Plain(RequestsTransport):
        """The SDK insists on https addresses; the server here has no certificate."""

        def send(self, request, **kwargs):
            address = request.url
            request.url = address.replace("https://", "http://", 1)
            try:
                return super().send(request, **kwargs)
            finally:
                request.url = address

    options = {"verify_challenge_resource": False, "api_version": "7.4", "retry_total": 0, "transport": Plain()}
    client = SecretClient(f"https://{address}", Static(), **options)
    assert client.get_secret("db-password").value == "not-a-real-value"
    assert client.get_secret("db-password", "v2").properties.version == "v2"
    try:
        client.get_secret("none")
        raise AssertionError("it is not there")
    except ResourceNotFoundError:
        pass
    assert client.set_secret("db-password", "not-a-real-value").properties.version == "v5"
    keys = CryptographyClient(f"https://{address}/keys/sops/v7", Static(), **options)
    assert keys.encrypt(EncryptionAlgorithm.rsa_oaep_256, b"data key").ciphertext == b"encrypted"
    assert keys.decrypt(EncryptionAlgorithm.rsa_oaep_256, b"encrypted").plaintext == b"data key"


record("google", google_answer, google_client)
record("azure", azure_answer, azure_client)
