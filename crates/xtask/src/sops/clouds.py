"""AWS (moto) and as much of Google's Cloud KMS as SOPS files need, until standard input ends. Prints where they are."""

import base64
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from moto.server import ThreadedMotoServer

KEY = AESGCM(AESGCM.generate_key(256))


class CloudKms(BaseHTTPRequestHandler):
    """projects.locations.keyRings.cryptoKeys encrypt and decrypt, of the REST API v1."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        resource, _, verb = self.path.partition("?")[0].removeprefix("/v1/").rpartition(":")
        if self.headers["Authorization"] != "Bearer not-a-real-token":
            return self.answer(401, {"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "no token"}})
        try:
            if verb == "encrypt":
                nonce = os.urandom(12)
                sealed = nonce + KEY.encrypt(nonce, base64.b64decode(request["plaintext"]), resource.encode())
                return self.answer(200, {"name": f"{resource}/cryptoKeyVersions/1", "ciphertext": text(sealed)})
            sealed = base64.b64decode(request["ciphertext"])
            plain = KEY.decrypt(sealed[:12], sealed[12:], resource.encode())
            return self.answer(200, {"plaintext": text(plain), "usedPrimary": True})
        except Exception:
            message = "Decryption failed: verify that 'name' refers to the correct CryptoKey."
            return self.answer(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": message}})

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def text(data):
    return base64.b64encode(data).decode()


google = ThreadingHTTPServer(("127.0.0.1", 0), CloudKms)
threading.Thread(target=google.serve_forever, daemon=True).start()
aws = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
aws.start()
address = "http://{}:{}".format(*aws.get_host_and_port())
kms = boto3.client(
    "kms",
    endpoint_url=address,
    region_name="eu-west-1",
    aws_access_key_id="AKIDEXAMPLE",
    aws_secret_access_key="not-real",
)
print(
    json.dumps(
        {
            "aws": address,
            "aws_key": kms.create_key()["KeyMetadata"]["Arn"],
            "google": "http://127.0.0.1:{}".format(google.server_port),
        }
    ),
    flush=True,
)
sys.stdin.read()
