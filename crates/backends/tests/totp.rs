//! The engine of one-time passwords, as its users see it.

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_testkit::server::{Session, TestServer};

fn server() -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    assert_eq!(server.root().write("sys/mounts/totp", json!({ "type": "totp" })).status, 204);
    server
}

fn code(root: &Session<'_>, name: &str) -> String {
    root.read(&format!("totp/code/{name}")).data()["code"].as_str().unwrap_or_default().to_owned()
}

fn check(root: &Session<'_>, name: &str, code: &str) -> Value {
    let answer = root.write(&format!("totp/code/{name}"), json!({ "code": code }));
    if answer.status == 200 { answer.data()["valid"].clone() } else { answer.refusal().1.into() }
}

#[test]
fn a_password_counts_once_and_for_its_time() {
    let server = server();
    let root = server.root();
    let made = root.write(
        "totp/keys/me",
        json!({ "generate": true, "issuer": "Vault & Co", "account_name": "me@example.com" }),
    );
    let url = made.data()["url"].as_str().unwrap_or_default().to_owned();
    assert!(
        url.starts_with("otpauth://totp/Vault%20%26%20Co:me%40example%2Ecom?algorithm=SHA1&digits=6&"),
        "{url}"
    );
    // The same key as an app would have it, from the URL.
    assert_eq!(root.write("totp/keys/app", json!({ "url": url })).status, 204);
    assert_eq!(root.read("totp/keys/app").data(), root.read("totp/keys/me").data());
    let first = code(&root, "app");
    assert_eq!(check(&root, "me", &first), true);
    assert_eq!(check(&root, "me", &first), "code already used; wait until the next time period");
    assert_eq!(check(&root, "me", "12345"), "invalid number of digits for the code");
    server.clock.advance(Duration::from_secs(30));
    let second = code(&root, "app");
    // One period late is late enough for clocks that go wrong; two are not.
    server.clock.advance(Duration::from_secs(30));
    assert_eq!(check(&root, "me", &second), true);
    assert_eq!(check(&root, "me", &second), "code already used; wait until the next time period");
    let third = code(&root, "app");
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(check(&root, "me", &third), false);
}

#[test]
fn keys_from_elsewhere() {
    let server = server();
    let root = server.root();
    // RFC 6238's key, as people type it.
    let key = "gezd gnbv gy3t qojq gezd gnbv gy3t qojq";
    assert_eq!(root.write("totp/keys/rfc", json!({ "key": key, "digits": 8 })).status, 204);
    let made = root.read("totp/code/rfc");
    assert_eq!(made.data()["period"], "30s");
    assert_eq!(made.data()["code"].as_str().map(str::len), Some(8));
    assert_eq!(root.list("totp/keys").data(), &json!({ "keys": ["rfc"] }));
    for (body, expected) in [
        (json!({}), "the key value is required"),
        (json!({ "key": "not base32!" }), "invalid key value: it is not base32"),
        (json!({ "key": key, "digits": 7 }), "the digits value can only be 6 or 8"),
        (json!({ "key": key, "skew": 2 }), "the skew value must be 0 or 1"),
        (json!({ "key": key, "period": 0 }), "the period value must be greater than zero"),
        (json!({ "generate": true }), "the account_name value is required for generated keys"),
        (
            json!({ "url": "otpauth://hotp/x" }),
            "the url must have the form otpauth://totp/ISSUER:ACCOUNT?secret=KEY",
        ),
    ] {
        assert_eq!(root.write("totp/keys/bad", body).refusal(), (400, expected.into()));
    }
    assert_eq!(root.delete("totp/keys/rfc").status, 204);
    assert_eq!(root.read("totp/code/rfc").refusal(), (400, "unknown key: rfc".into()));
}
