//! What the PKI engine makes, judged by OpenSSL: chains, revocation lists, OCSP answers, requests. Where there is no
//! openssl in PATH these tests say so and check nothing.
#![expect(clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use strongroom_testkit::server::{Answer, Session, TestServer};
use tempfile::TempDir;

/// OpenSSL in a folder of its own.
struct OpenSsl {
    folder: TempDir,
    /// The test's server has a clock of its own.
    now: String,
}

impl OpenSsl {
    /// None, and a word about it, where it is not installed.
    fn find(server: &TestServer) -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            println!("SKIPPED: no openssl in PATH");
            return None;
        }
        let now = server.kernel.now().seconds().to_string();
        Some(Self { folder: TempDir::new().expect("a folder"), now })
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// Runs it; says whether it was content, and what it said.
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("openssl").args(arguments).current_dir(self.folder.path()).output();
        let output = output.expect("openssl runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    #[track_caller]
    fn accept(&self, arguments: &[&str]) -> String {
        let (is_content, said) = self.run(arguments);
        assert!(is_content, "openssl {arguments:?}: {said}");
        said
    }
}

#[track_caller]
fn text(answer: &Answer, name: &str) -> String {
    answer.data()[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer:?}")).to_owned()
}

fn mount(root: &Session<'_>, path: &str) {
    let body = json!({ "type": "pki", "config": { "max_lease_ttl": "87600h" } });
    assert_eq!(root.write(&format!("sys/mounts/{path}"), body).status, 204);
}

#[test]
fn chains_of_every_kind_of_key_verify() {
    let server = TestServer::start(strongroom_backends::all());
    let Some(openssl) = OpenSsl::find(&server) else { return };
    let root = server.root();
    for (position, (key_type, bits, pss)) in [
        ("rsa", 2048, false),
        ("rsa", 2048, true),
        ("ec", 256, false),
        ("ec", 384, false),
        ("ec", 521, false),
        ("ed25519", 0, false),
    ]
    .into_iter()
    .enumerate()
    {
        let (above, below) = (format!("above-{position}"), format!("below-{position}"));
        mount(&root, &above);
        mount(&root, &below);
        let body = json!({ "common_name": "Root", "key_type": key_type, "key_bits": bits, "use_pss": pss, "ttl": "80000h",
            "organization": "Example, Inc.", "country": "DE" });
        let made = root.write(&format!("{above}/issuers/generate/root/internal"), body.clone());
        openssl.write("root.pem", text(&made, "certificate"));
        let asked = root.write(&format!("{below}/intermediate/generate/internal"), body.clone());
        openssl.write("request.pem", text(&asked, "csr"));
        openssl.accept(&["req", "-in", "request.pem", "-verify", "-noout"]);
        let body = json!({ "csr": asked.data()["csr"], "common_name": "Below", "ttl": "8000h",
            "permitted_dns_domains": "example.com" });
        let signed = root.write(&format!("{above}/issuer/default/sign-intermediate"), body);
        openssl.write("below.pem", text(&signed, "certificate"));
        let bundle = format!("{}\n{}", text(&signed, "certificate"), text(&made, "certificate"));
        root.write(&format!("{below}/intermediate/set-signed"), json!({ "certificate": bundle })).data();
        root.write(
            &format!("{below}/roles/web"),
            json!({ "allow_any_name": true, "key_type": key_type, "key_bits": bits, "ttl": "1h" }),
        );
        let body = json!({ "common_name": "www.example.com", "alt_names": "*.example.com,me@example.com", "ip_sans": "10.0.0.1" });
        let leaf = root.write(&format!("{below}/issue/web"), body);
        openssl.write("leaf.pem", text(&leaf, "certificate"));
        openssl.write("leaf.key", text(&leaf, "private_key"));
        let verify = [
            "verify",
            "-x509_strict",
            "-attime",
            &openssl.now,
            "-CAfile",
            "root.pem",
            "-untrusted",
            "below.pem",
        ];
        let strict = |more: &[&str]| openssl.accept(&[&verify[..], more, &["leaf.pem"]].concat());
        strict(&["-purpose", "sslserver", "-verify_hostname", "a.example.com"]);
        strict(&["-purpose", "sslclient", "-verify_ip", "10.0.0.1"]);
        // The key belongs to the certificate.
        let of_key = openssl.accept(&["pkey", "-in", "leaf.key", "-pubout"]);
        let of_certificate = openssl.accept(&["x509", "-in", "leaf.pem", "-noout", "-pubkey"]);
        assert_eq!(of_key, of_certificate);
        // Names outside of what the intermediate is restricted to do not verify.
        let outside = root.write(&format!("{below}/issue/web"), json!({ "common_name": "www.example.org" }));
        openssl.write("outside.pem", text(&outside, "certificate"));
        assert!(!openssl.run(&[&verify[..], &["outside.pem"]].concat()).0);
    }
}

#[test]
fn revocation_lists_are_believed() {
    let server = TestServer::start(strongroom_backends::all());
    let Some(openssl) = OpenSsl::find(&server) else { return };
    let root = server.root();
    mount(&root, "pki");
    let made = root.write(
        "pki/root/generate/internal",
        json!({ "common_name": "Root", "key_type": "ec", "ttl": "8000h" }),
    );
    root.write("pki/roles/web", json!({ "allow_any_name": true, "key_type": "ec" }));
    // OpenSSL looks at deltas for certificates that name one.
    root.write(
        "pki/config/urls",
        json!({ "delta_crl_distribution_points": "http://127.0.0.1/v1/pki/crl/delta" }),
    )
    .data();
    let issue = |name: &str| root.write("pki/issue/web", json!({ "common_name": name }));
    let (good, bad) = (issue("good.example"), issue("bad.example"));
    root.write("pki/revoke", json!({ "serial_number": text(&bad, "serial_number") })).data();
    openssl.write("root.pem", text(&made, "certificate"));
    openssl.write("good.pem", text(&good, "certificate"));
    openssl.write("bad.pem", text(&bad, "certificate"));
    openssl.write("crl.pem", root.read_bytes("pki/crl/pem").1);
    openssl.write("crl.der", root.read_bytes("pki/crl").1);
    openssl.accept(&["crl", "-in", "crl.pem", "-CAfile", "root.pem", "-noout"]);
    let shown = openssl.accept(&["crl", "-inform", "DER", "-in", "crl.der", "-noout", "-text"]);
    let serial = text(&bad, "serial_number").replace(':', "").to_uppercase();
    assert!(shown.contains(&format!("Serial Number: {serial}")), "{shown}");
    let verify =
        ["verify", "-crl_check", "-attime", &openssl.now, "-CAfile", "root.pem", "-CRLfile", "crl.pem"];
    openssl.accept(&[&verify[..], &["good.pem"]].concat());
    let (is_good, said) = openssl.run(&[&verify[..], &["bad.pem"]].concat());
    assert!(!is_good && said.contains("certificate revoked"), "{said}");

    // What is revoked after the complete list stands on the delta.
    root.write("pki/config/crl", json!({ "auto_rebuild": true, "enable_delta": true })).data();
    root.write("pki/revoke", json!({ "serial_number": text(&good, "serial_number") })).data();
    assert_eq!(root.read("pki/crl/rotate-delta").status, 200);
    openssl.write("delta.pem", root.read_bytes("pki/crl/delta/pem").1);
    let shown = openssl.accept(&["crl", "-in", "delta.pem", "-CAfile", "root.pem", "-noout", "-text"]);
    assert!(shown.contains("Delta CRL Indicator: critical"), "{shown}");
    let use_deltas = ["verify", "-crl_check", "-use_deltas", "-extended_crl", "-attime", &openssl.now];
    let files = ["-CAfile", "root.pem", "-CRLfile", "crl.pem", "-CRLfile", "delta.pem", "good.pem"];
    let (is_good, said) = openssl.run(&[&use_deltas[..], &files].concat());
    assert!(!is_good && said.contains("certificate revoked"), "{said}");
}

#[test]
fn ocsp_answers_are_believed() {
    let server = TestServer::start(strongroom_backends::all());
    let Some(openssl) = OpenSsl::find(&server) else { return };
    let root = server.root();
    for (mount_path, key_type) in [("pki-rsa", "rsa"), ("pki-ec", "ec"), ("pki-ed", "ed25519")] {
        mount(&root, mount_path);
        let body = json!({ "common_name": "Root", "key_type": key_type, "ttl": "8000h" });
        let made = root.write(&format!("{mount_path}/issuers/generate/root/internal"), body);
        root.write(&format!("{mount_path}/roles/web"), json!({ "allow_any_name": true, "key_type": "ec" }));
        let leaf = root.write(&format!("{mount_path}/issue/web"), json!({ "common_name": "a.example" }));
        openssl.write("root.pem", text(&made, "certificate"));
        openssl.write("leaf.pem", text(&leaf, "certificate"));
        let nobody = server.session(None);
        for (hash, expected) in
            [("-sha1", "leaf.pem: good"), ("-sha256", "leaf.pem: good"), ("-sha1", "leaf.pem: revoked")]
        {
            if expected.ends_with("revoked") {
                root.write(
                    &format!("{mount_path}/revoke"),
                    json!({ "serial_number": text(&leaf, "serial_number") }),
                )
                .data();
            }
            let ask = ["ocsp", hash, "-issuer", "root.pem", "-cert", "leaf.pem"];
            openssl.accept(&[&ask[..], &["-reqout", "request.der"]].concat());
            let request = fs::read(openssl.folder.path().join("request.der")).expect("a request");
            let (status, answer) = nobody.write_bytes(&format!("{mount_path}/ocsp"), request);
            assert_eq!(status, 200);
            openssl.write("answer.der", answer);
            let check = ["-respin", "answer.der", "-CAfile", "root.pem", "-attime", &openssl.now];
            let nonce = openssl.accept(&[&["ocsp", "-reqin", "request.der"][..], &check[..]].concat());
            assert!(nonce.contains("Response verify OK") && !nonce.contains("onc"), "{nonce}");
            let of_leaf = [
                "ocsp",
                "-no_nonce",
                "-validity_period",
                "1000000000",
                "-issuer",
                "root.pem",
                hash,
                "-cert",
                "leaf.pem",
            ];
            let said = openssl.accept(&[&of_leaf[..], &check[..]].concat());
            assert!(said.contains("Response verify OK"), "{said}");
            assert!(said.contains(expected), "{said}");
        }
        let (status, refused) = nobody.write_bytes(&format!("{mount_path}/ocsp"), b"no request".to_vec());
        assert_eq!((status, refused.as_slice()), (400, &[0x30, 0x03, 0x0a, 0x01, 0x01][..]));
    }
}
