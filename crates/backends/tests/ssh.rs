//! The engine of SSH certificates and one-time passwords, as its users see it. What OpenSSH makes of it, `cargo xtask test interop`
//! looks at.

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_testkit::server::{Session, TestServer};

const KEY: &str = include_str!("../../crypto/src/ssh/vectors/ed25519.pub");
const PRIVATE: &str = include_str!("../../crypto/src/ssh/vectors/ed25519");
const ECDSA: &str = include_str!("../../crypto/src/ssh/vectors/ecdsa256.pub");
const ENCRYPTED: &str = include_str!("../../crypto/src/ssh/vectors/encrypted");
const PKCS8: &str = include_str!("../../crypto/src/ssh/vectors/ecdsa521.pkcs8");
const PKCS8_PUBLIC: &str = include_str!("../../crypto/src/ssh/vectors/ecdsa521.pub");

/// With an engine that has an authority.
fn server() -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    assert_eq!(server.root().write("sys/mounts/ssh", json!({ "type": "ssh" })).status, 204);
    let made = server.root().write("ssh/config/ca", json!({ "key_type": "ed25519" }));
    assert!(made.data()["public_key"].as_str().is_some_and(|key| key.starts_with("ssh-ed25519 AAAA")));
    server
}

/// One object of two; what the second says counts.
fn both(mut first: Value, second: &Value) -> Value {
    if let (Some(all), Some(more)) = (first.as_object_mut(), second.as_object()) {
        all.extend(more.clone());
    }
    first
}

fn role(root: &Session<'_>, more: Value) {
    let role = json!({ "key_type": "ca", "allow_user_certificates": true });
    let made = root.write("ssh/roles/it", both(role, &more));
    assert_eq!(made.status, 204, "{}", made.body);
}

/// Asks for a certificate: what the answer refuses, or nothing.
fn refusal(root: &Session<'_>, wish: Value) -> String {
    let answer = root.write("ssh/sign/it", both(json!({ "public_key": KEY }), &wish));
    if answer.status == 200 { String::new() } else { answer.refusal().1 }
}

#[test]
fn an_authority_is_made_or_brought_and_shown_to_everybody() {
    let server = server();
    let root = server.root();
    let shown = root.read("ssh/config/ca").data()["public_key"].as_str().unwrap().to_owned();
    let (status, text) = server.session(None).read_bytes("ssh/public_key");
    assert_eq!((status, String::from_utf8(text).unwrap()), (200, shown));
    let again = root.write("ssh/config/ca", json!({}));
    assert_eq!(again.refusal().1, "keys are already configured; delete them before reconfiguring");
    for (body, expected) in [
        (json!({ "private_key": PRIVATE }), "only one of public_key and private_key set"),
        (json!({ "generate_signing_key": false }), "missing private_key"),
        (
            json!({ "generate_signing_key": true, "public_key": KEY }),
            "must not be set when generate_signing_key",
        ),
        (json!({ "private_key": ENCRYPTED, "public_key": KEY }), "the private key is encrypted"),
        (json!({ "private_key": PRIVATE, "public_key": ECDSA }), "do not belong together"),
        (json!({ "private_key": "nothing", "public_key": KEY }), "Unable to parse private_key"),
        (json!({ "key_type": "dsa" }), "unknown key type"),
        (json!({ "key_type": "rsa", "key_bits": 1024 }), "must be 2048, 3072 or 4096"),
    ] {
        assert_eq!(root.delete("ssh/config/ca").status, 204);
        let refused = root.write("ssh/config/ca", body.clone());
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.refusal().1.contains(expected), "{}", refused.body);
        assert!(!refused.body.to_string().contains("PRIVATE KEY"));
    }
    assert_eq!(root.read("ssh/config/ca").refusal().1, "keys haven't been configured yet");
    for (private, public) in [(PRIVATE, KEY), (PKCS8, PKCS8_PUBLIC)] {
        let brought = json!({ "private_key": private, "public_key": public, "generate_signing_key": false });
        assert_eq!(root.write("ssh/config/ca", brought).status, 204);
        let shown = root.read("ssh/config/ca").data()["public_key"].as_str().unwrap().to_owned();
        assert!(public.starts_with(shown.trim()));
        assert_eq!(root.delete("ssh/config/ca").status, 204);
    }
}

/// CVE-2024-7594: a certificate without principals opens every account.
#[test]
fn a_certificate_names_somebody_unless_the_role_says_otherwise() {
    let server = server();
    let root = server.root();
    role(&root, json!({ "allowed_users": "*" }));
    assert!(refusal(&root, json!({})).starts_with("empty valid principals not allowed by role"));
    assert!(refusal(&root, json!({ "valid_principals": " , " })).starts_with("empty valid principals"));
    assert_eq!(refusal(&root, json!({ "valid_principals": "alice" })), "");
    role(&root, json!({ "allowed_users": "*", "allow_empty_principals": true }));
    assert_eq!(refusal(&root, json!({})), "");
    role(&root, json!({ "default_user": "deploy" }));
    assert_eq!(refusal(&root, json!({})), "");
    assert_eq!(refusal(&root, json!({ "valid_principals": "deploy" })), "");
    assert_eq!(
        refusal(&root, json!({ "valid_principals": "root" })),
        "role is not configured to allow any principals"
    );
}

#[test]
fn only_allowed_principals_are_signed() {
    let server = server();
    let root = server.root();
    role(
        &root,
        json!({
            "allowed_users": "alice,bob", "allow_host_certificates": true, "allowed_domains": "example.com",
            "allow_subdomains": true,
        }),
    );
    for (wish, expected) in [
        (json!({ "valid_principals": "alice,bob" }), ""),
        (json!({ "valid_principals": ["alice", "eve"] }), "eve is not a valid value for valid_principals"),
        (json!({ "valid_principals": "alice\n" }), ""),
        (
            json!({ "valid_principals": ["al\nice"] }),
            "a name in valid_principals has a comma or a control character",
        ),
        (json!({ "valid_principals": "a.example.com", "cert_type": "host" }), ""),
        (
            json!({ "valid_principals": "example.com", "cert_type": "host" }),
            "example.com is not a valid value for valid_principals",
        ),
        (
            json!({ "valid_principals": "evilexample.com", "cert_type": "host" }),
            "evilexample.com is not a valid value for valid_principals",
        ),
        (json!({ "valid_principals": "alice", "cert_type": "other" }), "cert_type must be user or host"),
        (json!({ "valid_principals": "alice", "key_id": "me" }), "setting key_id is not allowed by role"),
        (
            json!({ "valid_principals": "alice", "extensions": { "permit-pty": "" } }),
            "extensions not on allowed list: [\"permit-pty\"]",
        ),
        (json!({ "valid_principals": "alice", "critical_options": { "force-command": "/bin/true" } }), ""),
        (json!({ "valid_principals": "alice", "ttl": "10000h" }), "ttl is larger than maximum allowed 768h"),
        (
            json!({ "valid_principals": "alice", "public_key": "ssh-rsa nothing" }),
            "failed to parse public_key as SSH key: this is no OpenSSH public key: it must look like `ssh-ed25519 AAAA…`",
        ),
    ] {
        assert_eq!(refusal(&root, wish.clone()), expected, "{wish}");
    }
    role(&root, json!({ "allowed_users": "alice", "allowed_user_key_lengths": { "rsa": 4096 } }));
    assert_eq!(
        refusal(&root, json!({ "valid_principals": "alice" })),
        "public_key failed to meet the key requirements: key of type ssh-ed25519 is not allowed"
    );
    role(&root, json!({ "allowed_users": "alice", "allowed_user_key_lengths": { "ec": [384] } }));
    assert_eq!(
        refusal(&root, json!({ "valid_principals": "alice", "public_key": ECDSA })),
        "public_key failed to meet the key requirements: key is of an invalid size: 256"
    );
}

/// An entity's name is one user, whatever stands in it.
#[test]
fn a_template_brings_one_name() {
    let server = server();
    let root = server.root();
    assert_eq!(root.write("sys/auth/userpass", json!({ "type": "userpass" })).status, 204);
    let policy = r#"path "ssh/sign/it" { capabilities = ["update"] }"#;
    assert_eq!(root.write("sys/policies/acl/ssh", json!({ "policy": policy })).status, 204);
    let user = json!({ "password": "visibly-fake", "token_policies": "ssh" });
    assert_eq!(root.write("auth/userpass/users/alice", user).status, 204);
    let login =
        server.session(None).write("auth/userpass/login/alice", json!({ "password": "visibly-fake" }));
    let token = login.body["auth"]["client_token"].as_str().unwrap().to_owned();
    let entity = login.body["auth"]["entity_id"].as_str().unwrap().to_owned();
    let alice = server.session(Some(&token));
    role(
        &root,
        json!({
            "allowed_users": "{{identity.entity.name}}", "allowed_users_template": true,
            "default_extensions": { "login@github.com": "{{identity.entity.name}}" }, "default_extensions_template": true,
        }),
    );
    assert_eq!(root.write(&format!("identity/entity/id/{entity}"), json!({ "name": "alice" })).status, 204);
    assert_eq!(refusal(&alice, json!({ "valid_principals": "alice" })), "");
    assert_eq!(
        refusal(&alice, json!({ "valid_principals": "root" })),
        "root is not a valid value for valid_principals"
    );
    let name = json!({ "name": "alice,root" });
    assert_eq!(root.write(&format!("identity/entity/id/{entity}"), name).status, 204);
    assert_eq!(
        refusal(&alice, json!({ "valid_principals": "root" })),
        "root is not a valid value for valid_principals"
    );
    // The root token has no identity.
    assert_eq!(
        refusal(&root, json!({ "valid_principals": "root" })),
        "role is not configured to allow any principals"
    );
}

#[test]
fn a_key_is_made_with_its_certificate() {
    let server = server();
    let root = server.root();
    role(&root, json!({ "default_user": "alice" }));
    for (kind, private, public) in [
        ("ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-ed25519-cert-v01@openssh.com "),
        ("ec", "-----BEGIN EC PRIVATE KEY-----", "ecdsa-sha2-nistp256-cert-v01@openssh.com "),
        ("rsa", "-----BEGIN RSA PRIVATE KEY-----", "ssh-rsa-cert-v01@openssh.com "),
    ] {
        let made = root.write("ssh/issue/it", json!({ "key_type": kind }));
        assert!(made.data()["private_key"].as_str().unwrap().starts_with(private), "{kind}");
        assert!(made.data()["signed_key"].as_str().unwrap().starts_with(public), "{kind}");
        assert_eq!(made.data()["private_key_type"], kind);
    }
}

#[test]
fn a_password_counts_once_for_one_host() {
    let server = server();
    let root = server.root();
    let made = root.write(
        "ssh/roles/otp",
        json!({
            "key_type": "otp", "default_user": "ubuntu", "allowed_users": "admin", "cidr_list": "10.0.0.0/8",
            "exclude_cidr_list": "10.1.0.0/16",
        }),
    );
    assert_eq!(made.status, 204);
    for (wish, expected) in [
        (json!({}), "missing ip"),
        (json!({ "ip": "nowhere" }), "ip is no IP address"),
        (json!({ "ip": "10.1.2.3" }), "IP 10.1.2.3 does not belong to role \"otp\""),
        (json!({ "ip": "192.0.2.1" }), "IP 192.0.2.1 does not belong to role \"otp\""),
        (json!({ "ip": "10.0.0.1", "username": "root" }), "username is not present in allowed users list"),
    ] {
        assert_eq!(root.write("ssh/creds/otp", wish).refusal().1, expected);
    }
    let host = server.session(None);
    let password = |wish: Value| {
        let made = root.write("ssh/creds/otp", wish);
        (made.data()["key"].as_str().unwrap().to_owned(), made.body["lease_id"].as_str().unwrap().to_owned())
    };
    let (first, _) = password(json!({ "ip": "10.0.0.1" }));
    let checked = host.write("ssh/verify", json!({ "otp": first }));
    assert_eq!(checked.data(), &json!({ "ip": "10.0.0.1", "role_name": "otp", "username": "ubuntu" }));
    assert_eq!(host.write("ssh/verify", json!({ "otp": first })).refusal().1, "OTP not found");
    // One whose lease was revoked, or is over, counts no longer.
    let (second, lease) = password(json!({ "ip": "10.0.0.1", "username": "admin" }));
    assert_eq!(root.write("sys/leases/revoke", json!({ "lease_id": lease, "sync": true })).status, 204);
    assert_eq!(host.write("ssh/verify", json!({ "otp": second })).refusal().1, "OTP not found");
    let (third, _) = password(json!({ "ip": "10.0.0.1" }));
    server.clock.advance(Duration::from_secs(800 * 3600));
    while server.kernel.maintain() < Duration::from_millis(500) {}
    assert_eq!(host.write("ssh/verify", json!({ "otp": third })).refusal().1, "OTP not found");
    let echo = host.write("ssh/verify", json!({ "otp": "verify-echo-request" }));
    assert_eq!(echo.data()["message"], "verify-echo-response");
    // Every address, by a setting of its own.
    assert_eq!(root.write("ssh/lookup", json!({ "ip": "192.0.2.1" })).data()["roles"], json!([]));
    assert_eq!(
        root.write("ssh/config/zeroaddress", json!({ "roles": "nobody" })).refusal().1,
        "role \"nobody\" does not exist"
    );
    assert_eq!(root.write("ssh/config/zeroaddress", json!({ "roles": "otp" })).status, 204);
    assert_eq!(root.write("ssh/lookup", json!({ "ip": "192.0.2.1" })).data()["roles"], json!(["otp"]));
    assert_eq!(root.write("ssh/creds/otp", json!({ "ip": "192.0.2.1" })).status, 200);
}
