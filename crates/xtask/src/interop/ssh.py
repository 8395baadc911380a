"""Keys that a running server signed, and hosts that it vouches for: OpenSSH's own sshd and ssh log in with them."""

import getpass
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HOST = "host.example.com"
USER = getpass.getuser()
OPTIONS = ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]


def call(method, path, body=None, token=os.environ["VAULT_TOKEN"]):
    """The answer; an error is an error."""
    request = urllib.request.Request(
        f"{os.environ['VAULT_ADDR']}/v1/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-Vault-Token": token} if token else {},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read()!r}") from error


def data(*arguments, **more):
    return json.loads(call(*arguments, **more))["data"]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def write(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def engine(name, kind):
    """An engine with an authority of a kind: its public key as everybody reads it."""
    call("POST", f"sys/mounts/ssh-{name}", {"type": "ssh"})
    bits = {"key_bits": 2048} if kind == "ssh-rsa" else {}
    call("POST", f"ssh-{name}/config/ca", {"key_type": kind, **bits})
    call(
        "POST",
        f"ssh-{name}/roles/people",
        {"key_type": "ca", "allow_user_certificates": True, "default_user": USER, "allowed_users": "somebody"},
    )
    call(
        "POST",
        f"ssh-{name}/roles/hosts",
        {"key_type": "ca", "allow_host_certificates": True, "allowed_domains": "example.com", "allow_subdomains": True},
    )
    return call("GET", f"ssh-{name}/public_key", token=None).decode()


def sign(engine, role, public, **wish):
    return data("POST", f"ssh-{engine}/sign/{role}", {"public_key": public.read_text(), **wish})["signed_key"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_sshd(home, sshd, authorities, engine):
    """A host that trusts the authorities' users, with a certificate of its own."""
    port = free_port()
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "host"))
    certificate = sign(engine, "hosts", home / "host.pub", cert_type="host", valid_principals=HOST)
    write(home / "host-cert.pub", certificate)
    write(home / "authorities", "".join(authorities))
    if os.getuid() == 0:
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    config = write(
        home / "sshd_config",
        f"""
        Port {port}
        ListenAddress 127.0.0.1
        HostKey {home}/host
        HostCertificate {home}/host-cert.pub
        TrustedUserCAKeys {home}/authorities
        AuthorizedKeysFile none
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        PermitRootLogin yes
        StrictModes no
        UsePAM no
        PidFile none
        """,
    )
    log = (home / "sshd.log").open("w")
    server = subprocess.Popen([sshd, "-D", "-e", "-f", str(config)], stderr=log)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server, port
        time.sleep(0.05)
    server.kill()
    raise AssertionError((home / "sshd.log").read_text())


def log_in(home, port, key, host=HOST):
    """What a command on the other side says; None if we are not let in."""
    done = subprocess.run(
        ["ssh", *OPTIONS, "-p", str(port), "-i", str(key), "-o", f"HostKeyAlias={host}"]
        + ["-o", f"UserKnownHostsFile={home}/known_hosts", "-o", "StrictHostKeyChecking=yes"]
        + [f"{USER}@127.0.0.1", "echo let in"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip() if done.returncode == 0 else None


def check(home, sshd):
    kinds = ["ssh-ed25519", "ec", "ssh-rsa"]
    authorities = [engine(kind, kind) for kind in kinds]
    engine("stranger", "ssh-ed25519")
    for name, authority in zip(kinds, authorities):
        folder = home / name
        folder.mkdir()
        write(folder / "known_hosts", f"@cert-authority *.example.com {authority}")
        server, port = start_sshd(folder, sshd, authorities, name)
        try:
            logins(folder, port, name, kinds)
        except BaseException:
            print((folder / "sshd.log").read_text(), file=sys.stderr)
            raise
        finally:
            server.terminate()
            server.wait()
        print(f"ok: sshd with an authority of {name}")


def logins(home, port, engine, kinds):
    key = home / "id"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    certificate = home / "id-cert.pub"
    assert log_in(home, port, key) is None, "a key without a certificate"
    for authority in kinds:
        write(certificate, sign(authority, "people", home / "id.pub"))
        assert log_in(home, port, key) == "let in", authority
    assert log_in(home, port, key, host="host.example.org") is None, "a host of another name"
    write(certificate, sign(engine, "people", home / "id.pub", valid_principals="somebody"))
    assert log_in(home, port, key) is None, "a certificate for somebody else"
    write(certificate, sign(engine, "people", home / "id.pub", ttl="1s"))
    ends = time.time() + 2
    while time.time() < ends:
        time.sleep(0.1)
    assert log_in(home, port, key) is None, "a certificate that has ended"
    # A key that the server made, in each form.
    for kind in ["rsa", "ec", "ed25519"]:
        made = data("POST", f"ssh-{engine}/issue/people", {"key_type": kind})
        issued = write(home / f"issued-{kind}", made["private_key"])
        write(home / f"issued-{kind}-cert.pub", made["signed_key"])
        assert log_in(home, port, issued) == "let in", f"an issued key of kind {kind}"
    stranger = "stranger"
    write(certificate, sign(stranger, "people", home / "id.pub"))
    assert log_in(home, port, key) is None, "an authority that the host does not trust"


def brought():
    """An authority that ssh-keygen made, in both of its forms."""
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        for kind, form in [("rsa", "RFC4716"), ("rsa", "PEM"), ("ecdsa", "RFC4716"), ("ed25519", "RFC4716"), ("rsa", "PKCS8")]:
            key = home / f"{kind}-{form}"
            run("ssh-keygen", "-q", "-t", kind, "-m", form, "-N", "", "-f", str(key))
            public = pathlib.Path(f"{key}.pub")
            mount = f"ssh-brought-{kind}-{form}".lower()
            call("POST", f"sys/mounts/{mount}", {"type": "ssh"})
            call("POST", f"{mount}/config/ca", {"private_key": key.read_text(), "public_key": public.read_text()})
            call("POST", f"{mount}/roles/it", {"key_type": "ca", "allow_user_certificates": True, "default_user": "it"})
            signed = data("POST", f"{mount}/sign/it", {"public_key": public.read_text()})["signed_key"]
            shown = run("ssh-keygen", "-L", "-f", str(write(home / "signed-cert.pub", signed)))
            fingerprint = run("ssh-keygen", "-l", "-f", str(public)).split()[1]
            assert f"Signing CA: {kind.upper()} {fingerprint}" in shown, shown
    print("ok: authorities that ssh-keygen made")


def main():
    sshd = next((path for path in ["/usr/sbin/sshd", "/usr/local/sbin/sshd"] if os.path.exists(path)), None)
    if sshd is None:
        print("skipped: sshd is not installed, and we may not install it")
        return
    with tempfile.TemporaryDirectory() as folder:
        check(pathlib.Path(folder), sshd)
    brought()


main()
