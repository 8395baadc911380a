"""Logins of a directory's people over TLS: OpenLDAP's own server, by ldaps and by StartTLS. It refuses to bind without."""

import pathlib
import shutil
import socket
import subprocess
import time

import pytest
import requests

SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/local/libexec:/usr/bin")
BIND_PASSWORD = "not-a-real-bind-password"
PASSWORD = "not-a-real-password"

pytestmark = pytest.mark.skipif(SLAPD is None, reason="OpenLDAP's slapd is not installed")

CONFIGURATION = """
include {schema}/core.schema
include {schema}/cosine.schema
include {schema}/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
security simple_bind=128
database mdb
suffix "dc=example,dc=com"
rootdn "cn=strongroom,dc=example,dc=com"
rootpw {password}
directory {folder}/db
"""

ENTRIES = """
dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: uid=ann,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: Ann
userPassword: {password}

dn: cn=ops,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: ops
member: uid=ann,ou=people,dc=example,dc=com
"""


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


class Directory:
    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        (folder / "db").mkdir()
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=directory", "-days", "2")
        openssl(folder, "req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost")
        (folder / "names").write_text("subjectAltName=DNS:localhost\n")
        openssl(
            folder, "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "cert.pem", "-days", "2", "-extfile", "names",
        )
        schema = next(path for path in ("/etc/ldap/schema", "/etc/openldap/schema") if pathlib.Path(path).is_dir())
        text = CONFIGURATION.format(schema=schema, folder=folder, password=BIND_PASSWORD)
        (folder / "slapd.conf").write_text(text)
        (folder / "entries.ldif").write_text(ENTRIES.format(password=PASSWORD).lstrip())
        add = [SLAPD, "-T", "add", "-f", folder / "slapd.conf", "-l", folder / "entries.ldif"]
        subprocess.run(add, check=True, capture_output=True)
        self.plain, self.secure = self.free_port(), self.free_port()
        addresses = f"ldap://127.0.0.1:{self.plain} ldaps://127.0.0.1:{self.secure}"
        log = open(folder / "log", "ab")
        self.process = subprocess.Popen(
            [SLAPD, "-f", folder / "slapd.conf", "-h", addresses, "-d", "0"], stdout=log, stderr=log
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.secure), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "no directory within half a minute"
                time.sleep(0.02)

    @staticmethod
    def free_port():
        with socket.create_server(("127.0.0.1", 0)) as free:
            return free.getsockname()[1]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def directory(tmp_path_factory, server):
    directory = Directory(tmp_path_factory.mktemp("directory"))
    server.put("sys/auth/ldap", {"type": "ldap"}, server.root_token)
    server.put("auth/ldap/groups/ops", {"policies": "ops"}, server.root_token)
    yield directory
    directory.stop()


def log_in(server, directory, settings, password=PASSWORD, authority="ca.pem"):
    config = {
        "certificate": (directory.folder / authority).read_text(),
        "binddn": "cn=strongroom,dc=example,dc=com",
        "bindpass": BIND_PASSWORD,
        "userdn": "ou=people,dc=example,dc=com",
        "userattr": "uid",
        "groupdn": "ou=groups,dc=example,dc=com",
    }
    server.put("auth/ldap/config", config | settings, server.root_token)
    body = {"password": password}
    return requests.post(f"{server.address}/v1/auth/ldap/login/ann", json=body, timeout=60)


@pytest.mark.parametrize("way", ["ldaps", "starttls"])
def test_people_log_in_over_tls(server, directory, way):
    ways = {
        "ldaps": {"url": f"ldaps://localhost:{directory.secure}", "starttls": False},
        "starttls": {"url": f"ldap://localhost:{directory.plain}", "starttls": True},
    }
    answer = log_in(server, directory, ways[way])
    assert answer.status_code == 200, answer.text
    assert answer.json()["auth"]["policies"] == ["default", "ops"]
    assert log_in(server, directory, ways[way], password="wrong").status_code == 400
    # Another authority, another name: nothing is said to such a directory.
    assert log_in(server, directory, ways[way], authority="other.pem").status_code == 503
    elsewhere = {"url": ways[way]["url"].replace("localhost", "127.0.0.1")}
    assert log_in(server, directory, ways[way] | elsewhere).status_code == 503


def test_without_tls_the_directory_refuses(server, directory):
    plain = {"url": f"ldap://localhost:{directory.plain}", "starttls": False}
    assert log_in(server, directory, plain).status_code == 503


@pytest.fixture(scope="module", autouse=True)
def another_authority(directory):
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "other.key"]
    openssl(directory.folder, "req", "-x509", *key, "-out", "other.pem", "-subj", "/CN=other", "-days", "2")
