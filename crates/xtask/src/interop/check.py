"""Ciphertexts, signatures, MACs and certificates of a running server, against the package `cryptography`."""

import base64
import datetime
import hashlib
import hmac
import json
import os
import sys
import urllib.error
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MESSAGE = b"What others make, and what others read."
b64 = lambda data: base64.b64encode(data).decode()


def call(method, path, body=None):
    """The data of an answer; an error is an error."""
    request = urllib.request.Request(
        f"{os.environ['VAULT_ADDR']}/v1/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-Vault-Token": os.environ["VAULT_TOKEN"]},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read()!r}") from error
    return json.loads(text)["data"] if text else None


def body_of(text):
    """The bytes after `vault:v1:`."""
    assert text.startswith("vault:v1:"), text
    return base64.b64decode(text.removeprefix("vault:v1:"))


def exported(kind, name):
    return call("GET", f"transit/export/{kind}/{name}")["keys"]["1"]


def symmetric_ciphers():
    for name, cipher in [("aes128-gcm96", AESGCM), ("aes256-gcm96", AESGCM), ("chacha20-poly1305", ChaCha20Poly1305)]:
        call("POST", f"transit/keys/{name}", {"type": name, "exportable": True})
        key = cipher(base64.b64decode(exported("encryption-key", name)))
        for data in [b"", b"bound to this"]:
            extra = {"associated_data": b64(data)} if data else {}
            made = call("POST", f"transit/encrypt/{name}", {"plaintext": b64(MESSAGE), **extra})["ciphertext"]
            sealed = body_of(made)
            assert key.decrypt(sealed[:12], sealed[12:], data) == MESSAGE, name
            nonce = os.urandom(12)
            ours = "vault:v1:" + b64(nonce + key.encrypt(nonce, MESSAGE, data))
            opened = call("POST", f"transit/decrypt/{name}", {"ciphertext": ours, **extra})["plaintext"]
            assert base64.b64decode(opened) == MESSAGE, name


def derived_and_convergent_keys():
    context = b"for one customer"
    call("POST", "transit/keys/conv", {"derived": True, "convergent_encryption": True, "exportable": True})
    root = base64.b64decode(exported("encryption-key", "conv"))
    derived = HKDF(hashes.SHA256(), 64, None, context).derive(root)
    nonce = hmac.new(derived[32:], MESSAGE, hashlib.sha256).digest()[:12]
    expected = "vault:v1:" + b64(nonce + AESGCM(derived[:32]).encrypt(nonce, MESSAGE, b""))
    made = call("POST", "transit/encrypt/conv", {"plaintext": b64(MESSAGE), "context": b64(context)})
    assert made["ciphertext"] == expected


def elliptic_curves():
    for name, curve_hash in [("ecdsa-p256", "sha2-256"), ("ecdsa-p384", "sha2-384"), ("ecdsa-p521", "sha3-512")]:
        call("POST", f"transit/keys/{name}", {"type": name, "exportable": True})
        algorithm = {"sha2-256": hashes.SHA256(), "sha2-384": hashes.SHA384(), "sha3-512": hashes.SHA3_512()}[curve_hash]
        private = serialization.load_pem_private_key(exported("signing-key", name).encode(), None)
        path = f"{name}/{curve_hash}"
        made = call("POST", f"transit/sign/{path}", {"input": b64(MESSAGE)})["signature"]
        private.public_key().verify(body_of(made), MESSAGE, ec.ECDSA(algorithm))
        ours = "vault:v1:" + b64(private.sign(MESSAGE, ec.ECDSA(algorithm)))
        assert call("POST", f"transit/verify/{path}", {"input": b64(MESSAGE), "signature": ours})["valid"], name
        made = call("POST", f"transit/sign/{path}", {"input": b64(MESSAGE), "marshaling_algorithm": "jws"})["signature"]
        fixed = base64.urlsafe_b64decode(made.removeprefix("vault:v1:") + "==")
        half = len(fixed) // 2
        numbers = int.from_bytes(fixed[:half], "big"), int.from_bytes(fixed[half:], "big")
        private.public_key().verify(utils.encode_dss_signature(*numbers), MESSAGE, ec.ECDSA(algorithm))


def ed25519_keys():
    call("POST", "transit/keys/ed", {"type": "ed25519", "exportable": True})
    both = base64.b64decode(exported("signing-key", "ed"))
    private = ed25519.Ed25519PrivateKey.from_private_bytes(both[:32])
    made = call("POST", "transit/sign/ed", {"input": b64(MESSAGE)})["signature"]
    assert body_of(made) == private.sign(MESSAGE)
    public = call("GET", "transit/keys/ed")["keys"]["1"]["public_key"]
    assert base64.b64decode(public) == both[32:]


def rsa_keys():
    call("POST", "transit/keys/rsa", {"type": "rsa-2048", "exportable": True})
    private = serialization.load_pem_private_key(exported("signing-key", "rsa").encode(), None)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    made = call("POST", "transit/encrypt/rsa", {"plaintext": b64(MESSAGE)})["ciphertext"]
    assert private.decrypt(body_of(made), oaep) == MESSAGE
    ours = "vault:v1:" + b64(private.public_key().encrypt(MESSAGE, oaep))
    assert base64.b64decode(call("POST", "transit/decrypt/rsa", {"ciphertext": ours})["plaintext"]) == MESSAGE
    for hash_name, algorithm in [("sha2-256", hashes.SHA256()), ("sha2-512", hashes.SHA512())]:
        masks = {
            "auto": padding.PSS(padding.MGF1(algorithm), padding.PSS.MAX_LENGTH),
            "hash": padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH),
            "pkcs1v15": padding.PKCS1v15(),
        }
        for name, mask in masks.items():
            options = {"hash_algorithm": hash_name, "input": b64(MESSAGE)}
            options |= {"signature_algorithm": name} if name == "pkcs1v15" else {"salt_length": name}
            made = call("POST", "transit/sign/rsa", options)["signature"]
            private.public_key().verify(body_of(made), MESSAGE, mask, algorithm)
            ours = "vault:v1:" + b64(private.sign(MESSAGE, mask, algorithm))
            assert call("POST", "transit/verify/rsa", {**options, "signature": ours})["valid"], name


def macs():
    call("POST", "transit/keys/mac", {"type": "hmac", "exportable": True})
    key = base64.b64decode(exported("hmac-key", "mac"))
    made = call("POST", "transit/hmac/mac/sha2-512", {"input": b64(MESSAGE)})["hmac"]
    assert body_of(made) == hmac.new(key, MESSAGE, hashlib.sha512).digest()
    call("POST", "transit/keys/cmac", {"type": "aes256-cmac", "exportable": True})
    ours = CMAC(AES(base64.b64decode(exported("cmac-key", "cmac"))))
    ours.update(MESSAGE)
    made = call("POST", "transit/cmac/cmac", {"input": b64(MESSAGE)})["cmac"]
    assert body_of(made) == ours.finalize()


def keys_of_ones_own():
    wrapping = serialization.load_pem_public_key(call("GET", "transit/wrapping_key")["public_key"].encode())
    wrap = lambda key, ephemeral: b64(
        wrapping.encrypt(ephemeral, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
        + keywrap.aes_key_wrap_with_padding(ephemeral, key)
    )
    key = os.urandom(32)
    call("POST", "transit/keys/mine/import", {"type": "aes256-gcm96", "ciphertext": wrap(key, os.urandom(32))})
    sealed = body_of(call("POST", "transit/encrypt/mine", {"plaintext": b64(MESSAGE)})["ciphertext"])
    assert AESGCM(key).decrypt(sealed[:12], sealed[12:], b"") == MESSAGE
    pair = ec.generate_private_key(ec.SECP256R1())
    form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    der = pair.private_bytes(*form)
    call("POST", "transit/keys/mine-ec/import", {"type": "ecdsa-p256", "ciphertext": wrap(der, os.urandom(32))})
    made = call("POST", "transit/sign/mine-ec", {"input": b64(MESSAGE)})["signature"]
    pair.public_key().verify(body_of(made), MESSAGE, ec.ECDSA(hashes.SHA256()))


def certificates():
    call("POST", "pki/root/generate/internal", {"common_name": "Root", "key_type": "ec", "ttl": "700h"})
    call("POST", "pki/roles/web", {"allow_any_name": True, "key_type": "ec"})
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.example")])
    names = x509.SubjectAlternativeName([x509.DNSName("a.example"), x509.DNSName("b.example")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(names, False)
    csr = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    made = call("POST", "pki/sign-verbatim", {"csr": csr, "ttl": "1h"})
    leaf = x509.load_pem_x509_certificate(made["certificate"].encode())
    root = x509.load_pem_x509_certificate(made["issuing_ca"].encode())
    leaf.verify_directly_issued_by(root)
    assert leaf.public_key() == key.public_key()
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names
    left = leaf.not_valid_after_utc - datetime.datetime.now(datetime.timezone.utc)
    assert abs(left.total_seconds() - 3600) < 120


CHECKS = [
    symmetric_ciphers,
    derived_and_convergent_keys,
    elliptic_curves,
    ed25519_keys,
    rsa_keys,
    macs,
    keys_of_ones_own,
    certificates,
]


def main():
    for engine in ["transit", "pki"]:
        call("POST", f"sys/mounts/{engine}", {"type": engine})
    failed = 0
    for check in CHECKS:
        try:
            check()
            print(f"ok   {check.__name__}")
        except Exception as error:  # every check is to be run
            failed += 1
            print(f"FAIL {check.__name__}: {type(error).__name__}: {error}")
    sys.exit(1 if failed else 0)


main()
