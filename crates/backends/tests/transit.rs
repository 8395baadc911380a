//! The transit engine, as its users see it.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_testkit::server::{Answer, Session, TestServer};

const PLAINTEXT: &str = "dGhlIHBsYWludGV4dA==";

fn server() -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    assert_eq!(server.root().write("sys/mounts/transit", json!({ "type": "transit" })).status, 204);
    server
}

/// Makes a key and checks that it is there.
#[track_caller]
fn make(root: &Session<'_>, name: &str, body: Value) {
    let answer = root.write(&format!("transit/keys/{name}"), body);
    assert_eq!(answer.data()["latest_version"], 1, "{answer:?}");
}

#[track_caller]
fn text(answer: &Answer, name: &str) -> String {
    answer.data()[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer:?}")).to_owned()
}

#[track_caller]
fn encrypt(root: &Session<'_>, name: &str, mut body: Value) -> String {
    body["plaintext"] = PLAINTEXT.into();
    text(&root.write(&format!("transit/encrypt/{name}"), body), "ciphertext")
}

#[track_caller]
fn decrypt(root: &Session<'_>, name: &str, ciphertext: &str, mut body: Value) -> Answer {
    body["ciphertext"] = ciphertext.into();
    root.write(&format!("transit/decrypt/{name}"), body)
}

#[test]
fn a_key_reads_as_vault_shows_it() {
    let server = server();
    let root = server.root();
    make(&root, "a", json!({}));
    let expected = json!({
        "allow_plaintext_backup": false, "auto_rotate_period": 0, "deletion_allowed": false, "derived": false,
        "exportable": false, "imported_key": false, "keys": { "1": 1_700_000_000 }, "latest_version": 1,
        "min_available_version": 0, "min_decryption_version": 1, "min_encryption_version": 0, "name": "a",
        "soft_deleted": false, "supports_decryption": true, "supports_derivation": true,
        "supports_encryption": true, "supports_signing": false, "type": "aes256-gcm96"
    });
    let mut shown = root.read("transit/keys/a").data().clone();
    assert!(shown["keys"]["1"].is_i64());
    shown["keys"]["1"] = 1_700_000_000.into();
    assert_eq!(shown, expected);
    assert_eq!(root.list("transit/keys").data(), &json!({ "keys": ["a"] }));
    assert_eq!(root.read("transit/keys/none").status, 404);
    make(&root, "e", json!({ "type": "ecdsa-p256" }));
    let version = root.read("transit/keys/e").data()["keys"]["1"].clone();
    assert_eq!(version["name"], "P-256");
    assert!(version["public_key"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert_eq!(
        root.write("transit/keys/-x", json!({})).refusal().0,
        400,
        "names are words, as in Vault's routes"
    );
    assert_eq!(root.write("transit/keys/a", json!({})).body["warnings"], json!(["key a already existed"]));
}

#[test]
fn every_encrypting_type_decrypts_what_it_made() {
    let server = server();
    let root = server.root();
    for key_type in ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305", "rsa-2048"] {
        make(&root, key_type, json!({ "type": key_type }));
        let ciphertext = encrypt(&root, key_type, json!({}));
        assert!(ciphertext.starts_with("vault:v1:"));
        assert_eq!(
            decrypt(&root, key_type, &ciphertext, json!({})).data(),
            &json!({ "plaintext": PLAINTEXT })
        );
        assert_ne!(ciphertext, encrypt(&root, key_type, json!({})));
        let other = encrypt(&root, "another", json!({}));
        assert_eq!(
            decrypt(&root, key_type, &other, json!({})).refusal(),
            (400, "invalid ciphertext: unable to decrypt".into())
        );
        for (bad, why) in [
            ("vault:v1:!", "invalid ciphertext: could not decode base64"),
            ("vault:v1", "invalid ciphertext: wrong number of fields"),
            ("plain", "invalid ciphertext: no prefix"),
            ("vault:vx:AAAA", "invalid ciphertext: version number could not be decoded"),
            ("vault:v9:AAAA", "invalid ciphertext: version is too new"),
            ("vault:v1:AAAA", "invalid ciphertext: unable to decrypt"),
            ("", "missing ciphertext to decrypt"),
        ] {
            assert_eq!(decrypt(&root, key_type, bad, json!({})).refusal(), (400, why.into()));
        }
    }
}

#[test]
fn associated_data_must_be_given_again() {
    let server = server();
    let root = server.root();
    let ciphertext = encrypt(&root, "a", json!({ "associated_data": "YWFk" }));
    assert_eq!(decrypt(&root, "a", &ciphertext, json!({ "associated_data": "YWFk" })).status, 200);
    assert_eq!(decrypt(&root, "a", &ciphertext, json!({})).status, 400);
    make(&root, "r", json!({ "type": "rsa-2048" }));
    let refused =
        root.write("transit/encrypt/r", json!({ "plaintext": PLAINTEXT, "associated_data": "YWFk" }));
    assert_eq!(
        refused.refusal(),
        (400, "'associated_data' provided for non-AEAD cipher suite rsa-2048".into())
    );
}

#[test]
fn encrypting_makes_a_key_for_those_who_may_create() {
    let server = server();
    let root = server.root();
    let policy = r#"path "transit/encrypt/*" { capabilities = ["update"] }"#;
    root.write("sys/policies/acl/uses", json!({ "policy": policy }));
    let token = root.write("auth/token/create", json!({ "policies": ["uses"] })).token();
    let user = server.session(Some(&token));
    assert_eq!(user.write("transit/encrypt/new", json!({ "plaintext": PLAINTEXT })).status, 403);
    encrypt(&root, "new", json!({}));
    assert_eq!(user.write("transit/encrypt/new", json!({ "plaintext": PLAINTEXT })).status, 200);
    assert_eq!(root.read("transit/keys/new").data()["type"], "aes256-gcm96");
    root.write("transit/config/keys", json!({ "disable_upsert": true }));
    assert_eq!(
        root.write("transit/encrypt/newer", json!({ "plaintext": PLAINTEXT })).refusal(),
        (400, "encryption key not found".into())
    );
}

#[test]
fn rotation_minimums_and_trimming() {
    let server = server();
    let root = server.root();
    let first = encrypt(&root, "a", json!({}));
    assert_eq!(root.write("transit/keys/a/rotate", json!({})).data()["latest_version"], 2);
    root.write("transit/keys/a/rotate", json!({}));
    let rewrapped = root.write("transit/rewrap/a", json!({ "ciphertext": first }));
    assert_eq!(rewrapped.data()["key_version"], 3);
    assert!(text(&rewrapped, "ciphertext").starts_with("vault:v3:"));
    let second = encrypt(&root, "a", json!({ "key_version": 2 }));
    assert!(second.starts_with("vault:v2:"));

    let trim =
        |version| root.write("transit/keys/a/trim", json!({ "min_available_version": version })).refusal();
    assert_eq!(
        trim(2).1,
        "minimum available version cannot be set when minimum encryption version is not set"
    );
    let config = json!({ "min_decryption_version": 2, "min_encryption_version": 3 });
    let keys = root.write("transit/keys/a/config", config).data()["keys"].clone();
    assert_eq!(keys.as_object().unwrap().keys().collect::<Vec<_>>(), ["2", "3"]);
    assert_eq!(
        decrypt(&root, "a", &first, json!({})).refusal().1,
        "ciphertext or signature version is disallowed by policy (too old)"
    );
    let old = root.write("transit/encrypt/a", json!({ "plaintext": PLAINTEXT, "key_version": 2 }));
    assert_eq!(
        old.refusal().1,
        "requested version for encryption is less than the minimum encryption key version"
    );
    assert_eq!(trim(3).1, "minimum available version cannot be greater than minimum decryption version");
    assert_eq!(trim(2).0, 200);
    let back = root.write("transit/keys/a/config", json!({ "min_decryption_version": 1 }));
    assert_eq!(back.refusal().1, "cannot set min decryption version of 1, versions below 2 are trimmed");
    assert_eq!(decrypt(&root, "a", &second, json!({})).status, 200);
}

#[test]
fn convergent_and_derived_keys() {
    let server = server();
    let root = server.root();
    make(&root, "c", json!({ "derived": true, "convergent_encryption": true }));
    make(&root, "d", json!({ "derived": true, "type": "xchacha20-poly1305" }));
    let (one, other) = (json!({ "context": "b25l" }), json!({ "context": "b3RoZXI=" }));
    let ciphertext = encrypt(&root, "c", one.clone());
    assert_eq!(ciphertext, encrypt(&root, "c", one.clone()));
    assert_ne!(ciphertext, encrypt(&root, "c", other.clone()));
    assert_ne!(encrypt(&root, "d", one.clone()), encrypt(&root, "d", one.clone()));
    assert_eq!(decrypt(&root, "c", &ciphertext, one.clone()).data()["plaintext"], PLAINTEXT);
    assert_eq!(decrypt(&root, "c", &ciphertext, other).status, 400);
    assert!(decrypt(&root, "c", &ciphertext, json!({})).refusal().1.starts_with("missing 'context'"));
    // Two tags under one nonce would give the authentication key away.
    let body = json!({ "plaintext": PLAINTEXT, "context": "b25l", "associated_data": "YWFk" });
    assert_eq!(root.write("transit/encrypt/c", body).status, 400);
    let refused = root.write("transit/keys/x", json!({ "convergent_encryption": true }));
    assert_eq!(refused.refusal().1, "convergent encryption requires derivation to be enabled");
}

#[test]
fn batches_answer_for_every_item() {
    let server = server();
    let root = server.root();
    make(&root, "a", json!({}));
    let batch = json!({ "batch_input": [
        { "plaintext": PLAINTEXT, "reference": "first" },
        { "plaintext": "not base64!" },
        { "plaintext": "" },
    ] });
    let answer = root.write("transit/encrypt/a", batch);
    assert_eq!(answer.status, 400);
    let results = &answer.body["data"]["batch_results"];
    assert_eq!((&results[0]["reference"], &results[0]["key_version"]), (&json!("first"), &json!(1)));
    assert_eq!(results[1]["error"], "unable to decode plaintext as base64");
    assert_eq!(results[1].get("ciphertext"), None);
    assert!(results[2]["ciphertext"].is_string());
    let batch = json!({ "partial_failure_response_code": 207, "batch_input": [
        { "ciphertext": results[0]["ciphertext"] }, { "ciphertext": "vault:v1:AAAA" },
    ] });
    let answer = root.write("transit/decrypt/a", batch);
    assert_eq!(answer.status, 207);
    assert_eq!(answer.body["data"]["batch_results"][0]["plaintext"], PLAINTEXT);
    assert_eq!(root.write("transit/encrypt/a", json!({ "batch_input": [] })).status, 400);
    let mixed = json!({ "batch_input": [{ "plaintext": "", "context": "YQ==" }, { "plaintext": "" }] });
    assert!(root.write("transit/encrypt/a", mixed).refusal().1.contains("context should be set either"));
}

#[test]
fn signatures_of_every_type_verify() {
    let server = server();
    let root = server.root();
    for key_type in ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ml-dsa"] {
        make(&root, key_type, json!({ "type": key_type }));
        for options in [
            json!({}),
            json!({ "marshaling_algorithm": "jws" }),
            json!({ "hash_algorithm": "sha2-512", "signature_algorithm": "pkcs1v15" }),
        ] {
            let with = |more: Value| {
                let mut body = options.clone();
                body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                body
            };
            let signed = root.write(&format!("transit/sign/{key_type}"), with(json!({ "input": PLAINTEXT })));
            let signature = text(&signed, "signature");
            let verify = |input: &str| {
                let body = with(json!({ "input": input, "signature": signature }));
                root.write(&format!("transit/verify/{key_type}"), body).data().clone()
            };
            assert_eq!(verify(PLAINTEXT), json!({ "valid": true }), "{key_type} {options}");
            assert_eq!(verify("AAAA"), json!({ "valid": false }));
        }
    }
    make(&root, "a", json!({}));
    let refused = root.write("transit/sign/a", json!({ "input": PLAINTEXT }));
    assert_eq!(refused.refusal().1, "key type aes256-gcm96 does not support signing");
    let refused = root.write("transit/sign/rsa-2048/sha3-256", json!({ "input": PLAINTEXT }));
    assert_eq!(refused.refusal(), (400, "RSA keys sign digests of sha2-256, sha2-384 and sha2-512".into()));
}

#[test]
fn prehashed_input_and_salts() {
    let server = server();
    let root = server.root();
    make(&root, "r", json!({ "type": "rsa-2048" }));
    make(&root, "e", json!({ "type": "ecdsa-p256" }));
    let digest = root.write("transit/hash/sha2-256", json!({ "input": PLAINTEXT, "format": "base64" }));
    let digest = text(&digest, "sum");
    for key in ["r", "e"] {
        let signed =
            root.write(&format!("transit/sign/{key}"), json!({ "input": digest, "prehashed": true }));
        let body = json!({ "input": PLAINTEXT, "signature": signed.data()["signature"] });
        assert_eq!(root.write(&format!("transit/verify/{key}"), body).data(), &json!({ "valid": true }));
    }
    let sign = |salt: &str| root.write("transit/sign/r", json!({ "input": PLAINTEXT, "salt_length": salt }));
    for salt in ["auto", "hash", "-1", "0", "20", "64"] {
        let body = json!({ "input": PLAINTEXT, "signature": sign(salt).data()["signature"] });
        assert_eq!(root.write("transit/verify/r", body).data(), &json!({ "valid": true }), "{salt}");
    }
    assert_eq!(sign("x").refusal().1, "salt length neither 'auto', 'hash', nor an int");
    assert_eq!(sign("-2").refusal().1, "salt length is invalid: -2");
    let short = root.write("transit/sign/r", json!({ "input": "AAAA", "prehashed": true }));
    assert_eq!(short.refusal().1, "the digest has another length than its algorithm's");
}

#[test]
fn hmacs_and_cmacs() {
    let server = server();
    let root = server.root();
    make(&root, "a", json!({}));
    make(&root, "h", json!({ "type": "hmac", "key_size": 64 }));
    make(&root, "m", json!({ "type": "aes256-cmac" }));
    for key in ["a", "h"] {
        let hmac =
            text(&root.write(&format!("transit/hmac/{key}/sha3-512"), json!({ "input": PLAINTEXT })), "hmac");
        let verify = |algorithm: &str| {
            let body = json!({ "input": PLAINTEXT, "hmac": hmac, "hash_algorithm": algorithm });
            root.write(&format!("transit/verify/{key}"), body).data().clone()
        };
        assert_eq!(verify("sha3-512"), json!({ "valid": true }));
        assert_eq!(verify("sha2-256"), json!({ "valid": false }));
    }
    let cmac = text(&root.write("transit/cmac/m", json!({ "input": PLAINTEXT, "mac_length": 8 })), "cmac");
    let verify = |length: u64| {
        let body = json!({ "input": PLAINTEXT, "cmac": cmac, "mac_length": length });
        root.write("transit/verify/m", body).data().clone()
    };
    assert_eq!((verify(8), verify(16)), (json!({ "valid": true }), json!({ "valid": false })));
    assert_eq!(root.write("transit/cmac/a", json!({ "input": PLAINTEXT })).status, 400);
    assert_eq!(root.write("transit/verify/a", json!({ "input": PLAINTEXT })).status, 400);
}

#[test]
fn data_keys_open_with_the_key() {
    let server = server();
    let root = server.root();
    make(&root, "a", json!({}));
    let made = root.write("transit/datakey/plaintext/a", json!({ "bits": 512 }));
    let opened = decrypt(&root, "a", &text(&made, "ciphertext"), json!({}));
    assert_eq!(opened.data()["plaintext"], made.data()["plaintext"]);
    assert_eq!(text(&made, "plaintext").len(), 88);
    let wrapped = root.write("transit/datakey/wrapped/a", json!({}));
    assert_eq!(wrapped.data().get("plaintext"), None);
    assert_eq!(root.write("transit/datakey/other/a", json!({})).status, 400);
    assert_eq!(root.write("transit/datakey/wrapped/a", json!({ "bits": 7 })).status, 400);
}

#[test]
fn deletion_is_allowed_first() {
    let server = server();
    let root = server.root();
    let ciphertext = encrypt(&root, "a", json!({}));
    assert_eq!(root.delete("transit/keys/a").status, 400);
    let deleted = root.delete("transit/keys/a/soft-delete");
    assert_eq!(deleted.data()["soft_deleted"], true);
    assert_eq!(decrypt(&root, "a", &ciphertext, json!({})).refusal().1, "refusing to use soft-deleted key");
    root.write("transit/keys/a/soft-delete-restore", json!({}));
    assert_eq!(decrypt(&root, "a", &ciphertext, json!({})).status, 200);
    root.write("transit/keys/a/config", json!({ "deletion_allowed": true }));
    assert_eq!(root.delete("transit/keys/a").status, 204);
    assert_eq!(decrypt(&root, "a", &ciphertext, json!({})).refusal().1, "encryption key not found");
    // A key of the same name is another key.
    encrypt(&root, "a", json!({}));
    assert_eq!(decrypt(&root, "a", &ciphertext, json!({})).status, 400);
}

#[test]
fn backup_and_restore() {
    let server = server();
    let root = server.root();
    let ciphertext = encrypt(&root, "a", json!({}));
    assert_eq!(
        root.read("transit/backup/a").refusal(),
        (500, "exporting is disallowed on the policy".into())
    );
    root.write("transit/keys/a/config", json!({ "exportable": true }));
    assert_eq!(
        root.read("transit/backup/a").refusal(),
        (500, "plaintext backup is disallowed on the policy".into())
    );
    root.write("transit/keys/a/config", json!({ "allow_plaintext_backup": true }));
    let backup = text(&root.read("transit/backup/a"), "backup");
    assert_eq!(
        root.write("transit/restore", json!({ "backup": backup })).refusal(),
        (500, "key \"a\" already exists".into())
    );
    assert_eq!(root.write("transit/restore", json!({ "backup": backup, "force": true })).status, 204);
    assert_eq!(root.write("transit/restore/b", json!({ "backup": backup })).status, 204);
    assert_eq!(decrypt(&root, "b", &ciphertext, json!({})).data()["plaintext"], PLAINTEXT);
    assert_eq!(root.read("transit/keys/b").data()["restore_info"]["version"], 1);
    assert_eq!(root.write("transit/restore/c", json!({ "backup": "bm8=" })).status, 400);
}

#[test]
fn export_gives_what_may_leave() {
    let server = server();
    let root = server.root();
    make(&root, "a", json!({}));
    assert_eq!(
        root.read("transit/export/encryption-key/a").refusal(),
        (400, "private key material is not exportable".into())
    );
    make(&root, "x", json!({ "exportable": true }));
    root.write("transit/keys/x/rotate", json!({}));
    let exported = root.read("transit/export/encryption-key/x");
    assert_eq!(exported.data()["keys"].as_object().unwrap().len(), 2);
    let latest = root.read("transit/export/hmac-key/x/latest");
    assert_eq!(latest.data()["keys"].as_object().unwrap().keys().collect::<Vec<_>>(), ["2"]);
    assert_eq!(root.read("transit/export/encryption-key/x/7").status, 400);
    assert_eq!(root.read("transit/export/signing-key/x").status, 400);
    make(&root, "e", json!({ "type": "ecdsa-p256", "exportable": true }));
    let signing = root.read("transit/export/signing-key/e").data()["keys"]["1"].as_str().unwrap().to_owned();
    assert!(signing.starts_with("-----BEGIN EC PRIVATE KEY-----"));
}

#[test]
fn keys_rotate_by_themselves() {
    let server = server();
    let root = server.root();
    assert_eq!(root.write("transit/keys/s", json!({ "auto_rotate_period": "30m" })).status, 400);
    make(&root, "a", json!({ "auto_rotate_period": "1h" }));
    make(&root, "b", json!({ "auto_rotate_period": "3h" }));
    let latest = |name: &str| root.read(&format!("transit/keys/{name}")).data()["latest_version"].clone();
    for (hours, expected) in [(0, (1, 1)), (1, (2, 1)), (1, (3, 1)), (1, (4, 2))] {
        server.clock.advance(Duration::from_secs(hours * 3600 + 1));
        server.kernel.maintain();
        assert_eq!((latest("a"), latest("b")), (expected.0.into(), expected.1.into()));
    }
    root.write("transit/keys/a/config", json!({ "auto_rotate_period": 0 }));
    server.clock.advance(Duration::from_secs(7200));
    server.kernel.maintain();
    assert_eq!(latest("a"), 4);
}

#[test]
fn a_key_gets_its_certificate() {
    let server = server();
    let root = server.root();
    assert_eq!(root.write("sys/mounts/pki", json!({ "type": "pki" })).status, 204);
    root.write("pki/root/generate/internal", json!({ "common_name": "Root", "key_type": "ec" })).data();
    make(&root, "a", json!({ "type": "ecdsa-p256" }));
    make(&root, "b", json!({ "type": "ecdsa-p256" }));
    let csr = text(&root.write("transit/keys/a/csr", json!({})), "csr");
    let signed = root.write("pki/sign-verbatim", json!({ "csr": csr, "ttl": "1h" }));
    let chain = format!("{}\n{}", text(&signed, "certificate"), text(&signed, "issuing_ca"));
    let refused = root.write("transit/keys/b/set-certificate", json!({ "certificate_chain": chain }));
    assert_eq!(refused.refusal().1, "the first certificate's public key is not this key version's");
    assert_eq!(
        root.write("transit/keys/a/set-certificate", json!({ "certificate_chain": chain })).status,
        204
    );
    assert_eq!(root.read("transit/keys/a").data()["keys"]["1"]["certificate_chain"], chain);
    assert_eq!(root.read("transit/export/certificate-chain/a").data()["keys"]["1"], chain);
    assert_eq!(root.write("transit/keys/a/csr", json!({ "csr": csr })).status, 200);
}
