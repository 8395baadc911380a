//! Encrypted ways to databases, with an authority that this server's own PKI engine is.

use super::{accounts, connection, credentials, server};
use serde_json::{Value, json};
use strongroom_testkit::peers::{Identity, Kind, Peer};
use strongroom_testkit::server::TestServer;

const ROLE_FOR_NAMES: &str = "pki/roles/servers";

/// An authority of this name, and a certificate of it for `localhost`, with its key.
fn identity(name: &str) -> (String, Identity) {
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    // Who looks at certificates has the time of the machine.
    let mount = json!({"type": "pki", "config": {"max_lease_ttl": "263000h"}});
    assert_eq!(root.write("sys/mounts/pki", mount).status, 204);
    let authority = json!({"common_name": name, "key_type": "ec", "key_bits": 256, "ttl": "262900h"});
    let made = root.write("pki/root/generate/internal", authority);
    let authority = made.data()["certificate"].as_str().unwrap().to_owned();
    let role = json!({"allow_any_name": true, "key_type": "ec", "key_bits": 256, "max_ttl": "262800h"});
    assert!(root.write(ROLE_FOR_NAMES, role).status < 300);
    let issued = root.write("pki/issue/servers", json!({"common_name": "localhost", "ttl": "262800h"}));
    let text = |name: &str| issued.data()[name].as_str().unwrap().to_owned();
    (authority, Identity { certificate: text("certificate"), key: text("private_key") })
}

fn encrypted(kind: Kind, peer: &Peer, host: &str, mode: &str) -> Value {
    let port = peer.port;
    let mut config = connection(peer);
    config["connection_url"] = match kind {
        Kind::Mariadb => format!("{{{{username}}}}:{{{{password}}}}@tcp({host}:{port})/?tls={mode}"),
        _ => format!("postgresql://{{{{username}}}}:{{{{password}}}}@{host}:{port}/postgres?sslmode={mode}"),
    }
    .into();
    config
}

fn is_checked(kind: Kind, full: &str) {
    let (authority, identity) = identity("Root of databases");
    let (stranger, _) = self::identity("Root of others");
    let Some(peer) = Peer::start_encrypted(kind, &identity) else { return };
    let server = server(&peer);
    let root = server.root();
    let configure = |host: &str, mode: &str, more: Value| {
        let mut config = encrypted(kind, &peer, host, mode);
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        root.write("database/config/db", config).refusal()
    };
    let (status, text) = configure("localhost", full, json!({"tls_ca": stranger}));
    assert!(status == 503 && text.contains("TLS") && text.contains("UnknownIssuer"), "{status} {text}");
    let (status, text) = configure("127.0.0.1", full, json!({"tls_ca": authority}));
    assert!(status == 503 && text.contains("TLS") && text.contains("not valid for name"), "{status} {text}");
    // Nothing of what was refused was kept, and each of these is.
    for (host, more) in [
        ("localhost", json!({"tls_ca": authority})),
        ("127.0.0.1", json!({"tls_ca": authority, "tls_server_name": "localhost"})),
    ] {
        assert_eq!(configure(host, full, more), (204, String::new()));
        let (name, password) = credentials(&root.read("database/creds/app"));
        assert!(peer.lets_in(&name, &password));
    }
    assert_eq!(accounts(&peer), 2);
    let used = match kind {
        Kind::Postgres => peer.ask(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'strongroom' AND backend_start > now() - interval '1 minute' AND ssl",
        ),
        _ => peer.ask("SELECT VARIABLE_VALUE > 0 FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'SSL_ACCEPTS'"),
    };
    assert!(matches!(used.as_str(), "t" | "1"), "{used}");
}

#[test]
fn certificates_of_postgresql_are_checked() {
    is_checked(Kind::Postgres, "verify-full");
}

#[test]
fn certificates_of_mariadb_are_checked() {
    is_checked(Kind::Mariadb, "true");
}

#[test]
fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let (authority, _) = identity("Root of databases");
    let Some(peer) = Peer::start(Kind::Postgres) else { return };
    let server = server(&peer);
    let mut config = encrypted(Kind::Postgres, &peer, "localhost", "verify-full");
    config["tls_ca"] = authority.into();
    let (status, text) = server.root().write("database/config/db", config).refusal();
    assert!(status == 503 && text.contains("the server does not offer TLS"), "{status} {text}");
}
