//! The PKI engine, as its users see it.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_testkit::server::{Answer, Session, TestServer};

fn server() -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    mount(&server.root(), "pki");
    server
}

fn mount(root: &Session<'_>, path: &str) {
    let body = json!({ "type": "pki", "config": { "max_lease_ttl": "87600h" } });
    assert_eq!(root.write(&format!("sys/mounts/{path}"), body).status, 204);
}

#[track_caller]
fn text(answer: &Answer, name: &str) -> String {
    answer.data()[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer:?}")).to_owned()
}

/// A root with an elliptic-curve key, and a role for names below example.com.
fn authority(root: &Session<'_>) -> String {
    let body =
        json!({ "common_name": "Example Root", "key_type": "ec", "ttl": "8760h", "issuer_name": "first" });
    let made = root.write("pki/root/generate/internal", body);
    let role = json!({ "allowed_domains": "example.com", "allow_subdomains": true, "key_type": "ec", "max_ttl": "72h" });
    assert_eq!(root.write("pki/roles/web", role).status, 200);
    text(&made, "certificate")
}

fn issue(root: &Session<'_>, name: &str) -> Answer {
    root.write("pki/issue/web", json!({ "common_name": name }))
}

#[test]
fn a_root_issues_and_revokes() {
    let server = server();
    let root = server.root();
    assert_eq!(root.read_bytes("pki/ca/pem").0, 204, "there is none yet");
    let ca = authority(&root);
    let made = issue(&root, "www.example.com");
    assert_eq!(text(&made, "issuing_ca"), ca);
    assert_eq!(made.data()["ca_chain"], json!([ca]));
    assert!(text(&made, "private_key").starts_with("-----BEGIN EC PRIVATE KEY-----"));
    let serial = text(&made, "serial_number");
    let kept = root.read(&format!("pki/cert/{serial}"));
    assert_eq!(text(&kept, "certificate").trim(), text(&made, "certificate"));
    assert_eq!(kept.data()["revocation_time"], 0);
    assert_eq!(root.list("pki/certs").data()["keys"].as_array().map(Vec::len), Some(2));

    let revoked = root.write("pki/revoke", json!({ "serial_number": serial }));
    assert_eq!(revoked.data()["state"], "revoked");
    assert!(root.read(&format!("pki/cert/{serial}")).data()["revocation_time"].as_i64() > Some(0));
    assert_eq!(root.list("pki/certs/revoked").data(), &json!({ "keys": [serial] }));
    let again = root.write("pki/revoke", json!({ "serial_number": serial.replace(':', "-") }));
    assert_eq!(again.data(), revoked.data());
    let unknown = root.write("pki/revoke", json!({ "serial_number": "01:02" }));
    assert_eq!(unknown.refusal(), (400, "certificate with serial 01:02 not found.".into()));
    let own = root.write("pki/revoke", json!({ "certificate": ca }));
    assert!(own.refusal().1.ends_with("to its own CRL is not allowed"));
}

#[test]
fn roles_decide_about_names() {
    let server = server();
    let root = server.root();
    authority(&root);
    let ask = |role: Value, body: Value| {
        root.write("pki/roles/r", role);
        root.write("pki/issue/r", body).refusal()
    };
    let role = |more: Value| {
        let mut role = json!({ "allowed_domains": ["example.com", "*.glob.org"], "key_type": "ec" });
        role.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        role
    };
    let named = |name: &str| json!({ "common_name": name });
    for (more, name, is_allowed) in [
        (json!({}), "example.com", false),
        (json!({ "allow_bare_domains": true }), "example.com", true),
        (json!({ "allow_subdomains": true }), "a.example.com", true),
        (json!({ "allow_subdomains": true }), "aexample.com", false),
        (json!({ "allow_subdomains": true }), "*.example.com", true),
        (json!({ "allow_subdomains": true, "allow_wildcard_certificates": false }), "*.example.com", false),
        (json!({ "allow_subdomains": true }), "a.*.example.com", false),
        (json!({ "allow_subdomains": true }), "a b.example.com", false),
        (json!({ "allow_subdomains": true }), "me@a.example.com", true),
        (json!({ "allow_glob_domains": true }), "x.glob.org", true),
        (json!({}), "localhost", true),
        (json!({ "allow_localhost": false }), "localhost", false),
        (json!({ "allow_any_name": true }), "anything.at.all", true),
        (json!({ "allow_any_name": true }), "no host name", false),
        (json!({ "allow_any_name": true, "enforce_hostnames": false }), "no host name", true),
    ] {
        let (status, reason) = ask(role(more.clone()), named(name));
        assert_eq!(status == 200, is_allowed, "{more} {name} {reason}");
        assert!(is_allowed || reason.contains("not allowed by this role"), "{reason}");
    }
    let any = json!({ "allow_any_name": true });
    let with = |more: Value| {
        let mut body = named("a.b");
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_eq!(ask(role(any.clone()), with(json!({ "ip_sans": "10.0.0.1" }))).0, 200);
    assert_eq!(ask(role(any.clone()), with(json!({ "ip_sans": "10.0.0" }))).0, 400);
    assert_eq!(ask(role(any.clone()), with(json!({ "uri_sans": "spiffe://a/b" }))).0, 400);
    assert_eq!(ask(role(any.clone()), with(json!({ "other_sans": "1.2.3.4;utf8:x" }))).0, 400);
    assert_eq!(ask(role(any.clone()), with(json!({ "serial_number": "7" }))).0, 400);
    assert_eq!(ask(role(any), json!({})).0, 400);
    let all = json!({ "allow_any_name": true, "allowed_uri_sans": "spiffe://a/*", "allowed_other_sans": "*",
        "allowed_serial_numbers": "*", "allowed_ip_sans_cidr": "10.0.0.0/8", "require_cn": false });
    let body = json!({ "uri_sans": "spiffe://a/b", "other_sans": "1.2.3.4;utf8:x", "serial_number": "7", "ip_sans": "10.1.1.1" });
    assert_eq!(ask(role(all.clone()), body), (200, String::new()));
    assert_eq!(ask(role(all), with(json!({ "ip_sans": "11.0.0.1" }))).0, 400);
}

#[test]
fn lifetimes_are_bounded() {
    let server = server();
    let root = server.root();
    authority(&root);
    let ask = |body: Value| {
        let mut body = body;
        body["common_name"] = "a.example.com".into();
        root.write("pki/issue/web", body)
    };
    let long = ask(json!({ "ttl": "100h" }));
    assert_eq!(
        long.body["warnings"],
        json!(["TTL \"100h\" is longer than permitted maxTTL \"72h\", so maxTTL is being used"])
    );
    assert!(
        ask(json!({ "not_after": "2199-01-01T00:00:00Z" }))
            .refusal()
            .1
            .contains("beyond the expiration of the CA")
    );
    root.write("pki/issuer/first", json!({ "leaf_not_after_behavior": "truncate" }));
    assert_eq!(ask(json!({ "not_after": "2199-01-01T00:00:00Z" })).status, 200);
    assert_eq!(ask(json!({ "not_after": "2199-01-01T00:00:00Z", "ttl": "1h" })).status, 400);
    server.clock.advance(Duration::from_secs(8761 * 3600));
    assert_eq!(ask(json!({})).refusal(), (400, "the issuer's certificate has expired".into()));
}

#[test]
fn an_intermediate_in_another_mount() {
    let server = server();
    let root = server.root();
    let ca = authority(&root);
    mount(&root, "below");
    let asked = root.write(
        "below/intermediate/generate/internal",
        json!({ "common_name": "Example Below", "key_type": "ec" }),
    );
    let body = json!({ "csr": asked.data()["csr"], "common_name": "Example Below", "ttl": "4000h", "max_path_length": 0 });
    let signed = root.write("pki/root/sign-intermediate", body);
    assert_eq!(signed.data()["ca_chain"].as_array().map(Vec::len), Some(2));
    let certificate = format!("{}\n{ca}\n", text(&signed, "certificate"));
    let imported = root.write("below/intermediate/set-signed", json!({ "certificate": certificate }));
    assert_eq!(imported.data()["imported_issuers"].as_array().map(Vec::len), Some(2));
    root.write("below/roles/web", json!({ "allow_any_name": true, "key_type": "ed25519" }));
    let made = root.write("below/issue/web", json!({ "common_name": "a.b", "format": "pem_bundle" }));
    assert_eq!(made.data()["ca_chain"].as_array().map(Vec::len), Some(2), "{made:?}");
    assert_eq!(text(&made, "certificate").matches("BEGIN").count(), 4);
    // Below an authority with a path length of zero there is no further one.
    let asked = root
        .write("below/intermediate/generate/internal", json!({ "common_name": "Deeper", "key_type": "ec" }));
    let deeper = root.write(
        "below/root/sign-intermediate",
        json!({ "csr": asked.data()["csr"], "common_name": "Deeper" }),
    );
    assert_eq!(deeper.status, 400);
}

#[test]
fn issuers_have_names_and_a_default() {
    let server = server();
    let root = server.root();
    authority(&root);
    let second = root.write(
        "pki/root/generate/internal",
        json!({ "common_name": "Second", "key_type": "ed25519", "issuer_name": "second" }),
    );
    let id = text(&second, "issuer_id");
    let listed = root.list("pki/issuers");
    assert_eq!(listed.data()["keys"].as_array().map(Vec::len), Some(2));
    assert_eq!(listed.data()["key_info"][&id]["is_default"], false);
    assert_eq!(root.write("pki/config/issuers", json!({ "default": "second" })).data()["default"], id);
    assert_eq!(text(&issue(&root, "a.example.com"), "issuing_ca"), text(&second, "certificate"));
    let first = root.write("pki/issuer/first/issue/web", json!({ "common_name": "a.example.com" }));
    assert_ne!(first.data()["issuing_ca"], second.data()["certificate"]);
    assert_eq!(root.write("pki/issuer/first", json!({ "issuer_name": "second" })).status, 400);
    assert_eq!(root.write("pki/issuer/first", json!({ "usage": "read-only" })).status, 200);
    let refused = root.write("pki/issuer/first/issue/web", json!({ "common_name": "a.example.com" }));
    assert!(refused.refusal().1.contains("may not issue"));
    assert_eq!(root.delete("pki/issuer/second").body["warnings"].as_array().map(Vec::len), Some(1));
    assert_eq!(root.read("pki/issuer/second").status, 500);
    assert_eq!(issue(&root, "a.example.com").status, 500);
}

#[test]
fn leases_take_certificates_back() {
    let server = server();
    let root = server.root();
    authority(&root);
    let role = json!({ "allow_any_name": true, "key_type": "ec", "generate_lease": true, "ttl": "1h" });
    root.write("pki/roles/leased", role);
    let made = root.write("pki/issue/leased", json!({ "common_name": "a.b" }));
    let lease = made.body["lease_id"].as_str().unwrap_or_default().to_owned();
    assert!(lease.starts_with("pki/issue/leased/"));
    assert_eq!(root.write("sys/leases/revoke", json!({ "lease_id": lease })).status, 204);
    server.kernel.maintain();
    let kept = root.read(&format!("pki/cert/{}", text(&made, "serial_number")));
    assert!(kept.data()["revocation_time"].as_i64() > Some(0));
}

#[test]
fn tidying_removes_what_is_over() {
    let server = server();
    let root = server.root();
    authority(&root);
    let (first, second) = (issue(&root, "a.example.com"), issue(&root, "b.example.com"));
    root.write("pki/revoke", json!({ "serial_number": text(&first, "serial_number") }));
    server.clock.advance(Duration::from_secs(800 * 3600));
    let third = issue(&root, "c.example.com");
    assert_eq!(root.write("pki/tidy", json!({})).status, 202);
    let body = json!({ "tidy_cert_store": true, "tidy_revoked_certs": true });
    assert_eq!(root.write("pki/tidy", body).status, 202);
    let status = root.read("pki/tidy-status");
    assert_eq!(status.data()["state"], "Finished");
    assert_eq!(
        (
            status.data()["cert_store_deleted_count"].clone(),
            status.data()["revoked_cert_deleted_count"].clone()
        ),
        (1.into(), 1.into())
    );
    let read = |answer: &Answer| root.read(&format!("pki/cert/{}", text(answer, "serial_number"))).status;
    assert_eq!((read(&first), read(&second), read(&third)), (404, 404, 200));
    assert_eq!(root.write("pki/tidy-cancel", json!({})).status, 400);
    root.write(
        "pki/config/auto-tidy",
        json!({ "enabled": true, "tidy_cert_store": true, "interval_duration": "1h" }),
    );
    server.clock.advance(Duration::from_secs(800 * 3600));
    server.kernel.maintain();
    assert_eq!(read(&third), 404);
}

#[test]
fn requests_are_signed_as_the_role_says() {
    let server = server();
    let root = server.root();
    authority(&root);
    mount(&root, "other");
    let asked = root.write(
        "other/intermediate/generate/internal",
        json!({ "common_name": "x.example.com", "key_type": "ec" }),
    );
    let csr = text(&asked, "csr");
    let signed = root.write("pki/sign/web", json!({ "csr": csr, "common_name": "ignored.example.com" }));
    assert_eq!(signed.body["warnings"].as_array().map(Vec::len), Some(1));
    assert_eq!(signed.data().get("private_key"), None);
    assert_eq!(root.write("pki/sign-verbatim", json!({ "csr": csr })).status, 200);
    root.write("pki/roles/rsa", json!({ "allow_any_name": true }));
    assert!(
        root.write("pki/sign/rsa", json!({ "csr": csr }))
            .refusal()
            .1
            .contains("role requires a key of type rsa")
    );
    assert_eq!(root.write("pki/sign/web", json!({ "csr": "no request" })).status, 400);
    assert_eq!(
        root.write("pki/sign/none", json!({ "csr": csr })).refusal(),
        (400, "unknown role: none".into())
    );
}

#[test]
fn leases_of_a_disabled_mount_are_not_those_of_its_successor() {
    let server = server();
    let root = server.root();
    let lease = |root: &Session<'_>| {
        authority(root);
        let role = json!({ "allow_any_name": true, "key_type": "ec", "generate_lease": true, "ttl": "1h" });
        root.write("pki/roles/leased", role);
        root.write("pki/issue/leased", json!({ "common_name": "a.b" })).data();
    };
    lease(&root);
    assert_eq!(
        root.list("sys/leases/lookup/pki/issue/leased").data()["keys"].as_array().map(Vec::len),
        Some(1)
    );
    root.delete("sys/mounts/pki");
    mount(&root, "pki");
    // The first one is being taken back by the maintenance, which has not come to it.
    assert_eq!(root.list("sys/leases/lookup/pki").status, 404);
    lease(&root);
    assert_eq!(root.list("sys/leases/lookup/pki").data(), &json!({ "keys": ["issue/"] }));
    assert_eq!(
        root.list("sys/leases/lookup/pki/issue/leased").data()["keys"].as_array().map(Vec::len),
        Some(1)
    );
}
