//! Seeded mutations of good examples at every parser that takes bytes from outside. `fuzz/` does the same for longer.
//! `HOSTILE_ROUNDS` is compiled in: `HOSTILE_ROUNDS=1000000 cargo test -p strongroom-backends --test hostile`.

use serde_json::json;
use strongroom_testkit::SeededEntropy;
use strongroom_testkit::hostile::{
    CONVERSATIONS, DATABASE_TEXTS, TARGETS, body, database_answers, database_texts, mutated,
    prepare_databases, presented,
};
use strongroom_testkit::server::TestServer;

fn rounds() -> u64 {
    option_env!("HOSTILE_ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(2000)
}

#[test]
fn parsers_take_anything() {
    let random = SeededEntropy::new(7);
    for target in TARGETS {
        for example in target.examples {
            for _ in 0..rounds() {
                let bytes = mutated(&random, example.as_bytes());
                (target.run)(&bytes);
            }
        }
    }
}

#[test]
fn what_peers_and_clients_of_protocols_send_is_taken() {
    let random = SeededEntropy::new(10);
    for target in strongroom_backends::hostile::TARGETS {
        for example in target.examples {
            (target.run)(example);
            for _ in 0..rounds() {
                (target.run)(&mutated(&random, example));
            }
        }
    }
}

#[test]
fn tokens_and_paths_of_strangers_open_nothing() {
    let server = TestServer::start(strongroom_backends::all());
    let random = SeededEntropy::new(8);
    let made = server.root().write("auth/token/create", json!({"type": "batch", "ttl": "1h"}));
    let examples = [
        "hvs.AAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "hvs.AAAAAAAAAAAAAAAAAAAAAAAAAAAA.abcdef".to_owned(),
        "hvb.AAAAAQ.abcdef".to_owned(),
        "sys/health".to_owned(),
        "auth/token/create".to_owned(),
        made.body["auth"]["client_token"].as_str().unwrap_or("hvb.none").to_owned(),
    ];
    for example in &examples {
        for _ in 0..rounds() / 8 {
            let bytes = mutated(&random, example.as_bytes());
            if bytes != example.as_bytes() {
                presented(&server, &bytes);
            }
        }
    }
}

#[test]
fn databases_may_say_anything() {
    let server = TestServer::start(strongroom_backends::all());
    prepare_databases(&server);
    let random = SeededEntropy::new(10);
    for (plugin, conversation) in CONVERSATIONS {
        database_answers(&server, plugin, conversation);
        for _ in 0..rounds() / 10 {
            database_answers(&server, plugin, &mutated(&random, conversation));
        }
    }
}

#[test]
fn texts_for_databases_and_plans_may_be_anything() {
    let server = TestServer::start(strongroom_backends::all());
    prepare_databases(&server);
    let random = SeededEntropy::new(11);
    for text in DATABASE_TEXTS {
        for _ in 0..rounds() / 20 {
            database_texts(&server, &mutated(&random, text.as_bytes()));
        }
    }
}

#[test]
fn bodies_of_any_shape_are_answered() {
    let server = TestServer::start(strongroom_backends::all());
    let random = SeededEntropy::new(9);
    assert_eq!(server.root().write("sys/mounts/kv", json!({"type": "kv-v2"})).status, 204);
    for engine in ["transit", "pki", "totp"] {
        assert_eq!(
            server.root().write(&format!("sys/mounts/{engine}"), json!({ "type": engine })).status,
            204
        );
    }
    server.root().write("transit/keys/k", json!({})).data();
    server
        .root()
        .write("pki/root/generate/internal", json!({"common_name": "Root", "key_type": "ec"}))
        .data();
    server.root().write("pki/roles/r", json!({"allow_any_name": true, "key_type": "ec"})).data();
    let examples = [
        ("kv/data/a", r#"{"data": {"k": "v", "n": 1}, "options": {"cas": 0}}"#),
        (
            "kv/metadata/a",
            r#"{"max_versions": 3, "custom_metadata": {"a": "b"}, "delete_version_after": "1h"}"#,
        ),
        ("kv/destroy/a", r#"{"versions": [1, 2, "3"]}"#),
        ("auth/token/create", r#"{"policies": ["a"], "ttl": "1h", "num_uses": 2, "meta": {"a": "b"}}"#),
        ("sys/policy/p", r#"{"policy": "path \"a\" { capabilities = [\"read\"] }"}"#),
        ("sys/mounts/m", r#"{"type": "kv", "options": {"version": "2"}, "config": {"max_lease_ttl": "1h"}}"#),
        ("sys/wrapping/wrap", r#"{"a": {"b": [1, null, true]}}"#),
        (
            "transit/encrypt/k",
            r#"{"batch_input": [{"plaintext": "AAAA", "key_version": 1, "reference": "a"}]}"#,
        ),
        (
            "transit/decrypt/k",
            r#"{"ciphertext": "vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "context": "AAAA"}"#,
        ),
        (
            "transit/keys/n",
            r#"{"type": "ed25519", "derived": true, "auto_rotate_period": "1h", "key_size": 0}"#,
        ),
        ("transit/restore", r#"{"backup": "eyJmb3JtYXQiOiJzdHJvbmdyb29tLXRyYW5zaXQtMSJ9", "force": true}"#),
        (
            "pki/roles/n",
            r#"{"allowed_domains": ["a.b", "*.c"], "ttl": "1h", "key_bits": 256, "key_usage": ["CertSign"]}"#,
        ),
        (
            "pki/issue/r",
            r#"{"common_name": "*.a.b", "alt_names": "c@d.e,f", "ip_sans": "::1", "other_sans": "1.2.3;utf8:x"}"#,
        ),
        (
            "pki/config/ca",
            r#"{"pem_bundle": "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"}"#,
        ),
        ("pki/revoke", r#"{"serial_number": "01:ab-cd"}"#),
        ("totp/keys/n", r#"{"url": "otpauth://totp/a:b?secret=GEZDGNBV&digits=6&period=30&algorithm=SHA1"}"#),
        ("sys/capabilities-self", r#"{"paths": ["a", "b/*"]}"#),
    ];
    for (path, example) in examples {
        for _ in 0..rounds() / 8 {
            body(&server, path, &mutated(&random, example.as_bytes()));
        }
    }
}
