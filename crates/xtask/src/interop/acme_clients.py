"""Certificates by ACME from a running server: certbot proves names by a web server and by a zone, its library by TLS."""

import datetime
import hashlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import josepy
from acme import client, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from dnslib import QTYPE, RCODE, RR, TXT, A
from dnslib.server import BaseResolver, DNSLogger, DNSServer

ADDRESS = os.environ["VAULT_ADDR"]


def call(method, path, body=None):
    """The data of an answer; an error is an error."""
    request = urllib.request.Request(
        f"{ADDRESS}/v1/{path}",
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


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Zone(BaseResolver):
    """Every name is this machine; the texts of names are in files."""

    def __init__(self, folder):
        self.folder = folder

    def resolve(self, request, handler):
        reply = request.reply()
        name = str(request.q.qname).rstrip(".").lower()
        if request.q.qtype == QTYPE.A:
            reply.add_answer(RR(name, QTYPE.A, rdata=A("127.0.0.1"), ttl=1))
        elif request.q.qtype == QTYPE.TXT and (self.folder / name).exists():
            for text in (self.folder / name).read_text().split():
                reply.add_answer(RR(name, QTYPE.TXT, rdata=TXT(text), ttl=1))
        elif request.q.qtype == QTYPE.TXT:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


class Certbot:
    def __init__(self, home, directory, port):
        self.home = home
        home.mkdir()
        self.base = [str(pathlib.Path(sys.executable).parent / "certbot"), "--non-interactive"]
        self.base += ["--server", directory, "--config-dir", f"{home}/c", "--work-dir", f"{home}/w", "--logs-dir", f"{home}/l"]
        self.port = port

    def run(self, *arguments, fails=False):
        done = subprocess.run([*self.base, *arguments], capture_output=True, text=True, timeout=180)
        if (done.returncode != 0) != fails:
            log = self.home / "l/letsencrypt.log"
            raise AssertionError(f"{arguments}: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}")
        return done.stdout + done.stderr

    def obtain(self, *arguments, **more):
        return self.run("certonly", "--agree-tos", "--register-unsafely-without-email", *arguments, **more)

    def by_http(self, *names, **more):
        domains = [word for name in names for word in ["-d", name]]
        return self.obtain("--standalone", "--http-01-port", str(self.port), *domains, **more)

    def chain(self, name):
        return x509.load_pem_x509_certificates((self.home / f"c/live/{name}/fullchain.pem").read_bytes())


def check_chain(chain, names):
    """The names are in it, and it was signed by what follows, up to the root of the server."""
    found = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sorted(found.get_values_for_type(x509.DNSName)) == sorted(names), found
    root = x509.load_pem_x509_certificate(call("GET", "pki-acme/cert/ca")["certificate"].encode())
    for certificate, issuer in zip(chain, [*chain[1:], root]):
        certificate.verify_directly_issued_by(issuer)


def http(home, directory, port):
    certbot = Certbot(home / "http", directory, port)
    certbot.by_http("a.example.com", "b.example.com")
    chain = certbot.chain("a.example.com")
    check_chain(chain, ["a.example.com", "b.example.com"])
    certbot.run("renew", "--force-renewal", "--http-01-port", str(port), "--no-random-sleep-on-renew")
    renewed = certbot.chain("a.example.com")
    check_chain(renewed, ["a.example.com", "b.example.com"])
    assert renewed[0].serial_number != chain[0].serial_number
    # By its account, and by its own key.
    certbot.run("revoke", "--cert-name", "a.example.com", "--no-delete-after-revoke", "--reason", "keycompromise")
    revoked = x509.load_pem_x509_crl(urllib.request.urlopen(f"{ADDRESS}/v1/pki-acme/crl/pem").read())
    assert revoked.get_revoked_certificate_by_serial_number(renewed[0].serial_number) is not None
    certbot.by_http("c.example.com")
    live = home / "http/c/live/c.example.com"
    key = ["--cert-path", f"{live}/cert.pem", "--key-path", f"{live}/privkey.pem", "--no-delete-after-revoke"]
    certbot.run("revoke", *key)
    certbot.run("unregister")
    print("ok: certbot by http-01, renewed, revoked")


def dns(home, directory, zone):
    certbot = Certbot(home / "dns", directory, 0)
    hook = home / "hook.sh"
    hook.write_text(f'#!/bin/sh\necho "$CERTBOT_VALIDATION" >> "{zone}/_acme-challenge.$CERTBOT_DOMAIN"\n')
    hook.chmod(0o755)
    hooks = ["--manual", "--preferred-challenges", "dns", "--manual-auth-hook", str(hook)]
    certbot.obtain(*hooks, "-d", "*.w.example.com", "-d", "w.example.com")
    check_chain(certbot.chain("w.example.com"), ["*.w.example.com", "w.example.com"])
    print("ok: certbot by dns-01, with a wildcard")


def bound(home, directory, port):
    call("POST", "pki-acme/config/acme", {"eab_policy": "always-required"})
    made = call("POST", "pki-acme/acme/new-eab", {})
    certbot = Certbot(home / "bound", directory, port)
    refused = certbot.by_http("d.example.com", fails=True)
    assert "external account binding" in refused.lower(), refused
    key = ["--eab-kid", made["id"], "--eab-hmac-key", made["key"]]
    certbot.obtain("--standalone", "--http-01-port", str(port), "-d", "d.example.com", *key)
    check_chain(certbot.chain("d.example.com"), ["d.example.com"])
    call("POST", "pki-acme/config/acme", {"eab_policy": "not-required"})
    print("ok: certbot with an external account")


class TlsProof:
    """A TLS server with the certificate of RFC 8737 for one name."""

    def __init__(self, port, name, proof, protocol):
        key = ec.generate_private_key(ec.SECP256R1())
        digest = b"\x04\x20" + hashlib.sha256(proof).digest()
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "proof")])
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"), digest), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_alpn_protocols([protocol])
        with tempfile.NamedTemporaryFile() as file:
            form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            file.write(key.private_bytes(*form) + certificate.public_bytes(serialization.Encoding.PEM))
            file.flush()
            self.context.load_cert_chain(file.name)
        self.listener = socket.create_server(("127.0.0.1", port), reuse_port=True)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            try:
                self.context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Empty(josepy.JSONDeSerializable):
    def to_partial_json(self):
        return {}

    @classmethod
    def from_json(cls, jobj):
        return cls()


def tls(directory, port):
    """certbot's own library speaks the protocol; it has no tls-alpn-01, so the proof is ours."""
    account = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    network = client.ClientNetwork(account, alg=josepy.ES256)
    acme = client.ClientV2(client.ClientV2.get_directory(directory, network), network)
    acme.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))
    for name, protocol, expected in [
        ("t.example.com", "acme-tls/1", "valid"),
        ("u.example.com", "http/1.1", "invalid"),
    ]:
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        csr = csr.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        order = acme.new_order(csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        url = order.authorizations[0].uri
        known = acme._post_as_get(url).json()["challenges"]
        challenge = next(one for one in known if one["type"] == "tls-alpn-01")
        thumbprint = josepy.b64encode(account.thumbprint()).decode()
        server = TlsProof(port, name, f"{challenge['token']}.{thumbprint}".encode(), protocol)
        acme._post(challenge["url"], Empty())
        ends = time.time() + 90
        while (status := acme._post_as_get(url).json()["status"]) == "pending" and time.time() < ends:
            time.sleep(0.2)
        server.close()
        assert status == expected, (name, acme._post_as_get(url).json())
        if expected == "valid":
            done = acme.finalize_order(order, datetime.datetime.now() + datetime.timedelta(seconds=30))
            check_chain(x509.load_pem_x509_certificates(done.fullchain_pem.encode()), [name])
    print("ok: tls-alpn-01")


def main():
    web, secure, names = free_port(), free_port(), free_port()
    call("POST", "sys/mounts/pki-acme", {"type": "pki", "config": {"max_lease_ttl": "87600h"}})
    call("POST", "pki-acme/root/generate/internal", {"common_name": "Root", "key_type": "ec", "ttl": "87600h"})
    call("POST", "pki-acme/config/cluster", {"path": f"{ADDRESS}/v1/pki-acme"})
    settings = {
        "enabled": True,
        "eab_policy": "not-required",
        "dns_resolver": f"127.0.0.1:{names}",
        "http01_port": web,
        "tls_alpn01_port": secure,
        "challenge_allowed_networks": "127.0.0.0/8",
    }
    call("POST", "pki-acme/config/acme", settings)
    directory = f"{ADDRESS}/v1/pki-acme/acme/directory"
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        zone = home / "zone"
        zone.mkdir()
        server = DNSServer(Zone(zone), address="127.0.0.1", port=names, logger=DNSLogger(logf=lambda _: None))
        server.start_thread()
        tls(directory, secure)
        http(home, directory, web)
        dns(home, directory, zone)
        bound(home, directory, web)
        server.stop()


main()
