//! What databases answer, and the texts that people write for them.

use crate::server::{Answer, TestServer};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use strongroom_kernel::rotation::next_by_cron;
use strongroom_secret::Timestamp;

/// Ends what a server says before it hears something again.
pub const TURN: u8 = 0x1e;

/// What databases say at a login and a look, a turn after the other, by the plugin that hears it.
pub const CONVERSATIONS: &[(&str, &[u8])] = &[
    (
        "postgresql-database-plugin",
        b"R\0\0\0\x08\0\0\0\0S\0\0\0\x11TimeZone\0UTC\0K\0\0\0\x0c\0\0\0\x07\0\0\0\x09Z\0\0\0\x05I\x1e\
          T\0\0\0\x1b\0\x01?c?\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0D\0\0\0\x0b\0\x01\0\0\0\x01\x31\
          C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I",
    ),
    ("postgresql-database-plugin", b"R\0\0\0\x0c\0\0\0\x05abcd\x1eR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I\x1eZ\0\0\0\x05I"),
    (
        "postgresql-database-plugin",
        b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0\x1eR\0\0\0\x24\0\0\0\x0br=abcdef,s=AAAAAAAA,i=4096\x1e\
          R\0\0\0\x12\0\0\0\x0cv=AAAAAA==",
    ),
    (
        "postgresql-database-plugin",
        b"E\0\0\0\x3aSFATAL\0C28P01\0Mpassword authentication failed\0Rauth_failed\0\0\x1e\
          N\0\0\0\x0eSNOTICE\0Mx\0\0",
    ),
    (
        "mysql-database-plugin",
        b"\x4a\0\0\0\x0a8.0.36\0\x01\0\0\0\x31234567\x008\0\xff\xff\x2d\x02\0\xff\xff\x15\0\0\0\0\0\0\0\0\0\0\
          abcdefghijkl\0mysql_native_password\0\x1e\x07\0\0\x02\0\0\0\x02\0\0\0\x1e\x07\0\0\x01\0\0\0\x02\0\0\0",
    ),
    (
        "mysql-database-plugin",
        b"\x48\0\0\0\x0a11.4.2\0\x01\0\0\0\x31234567\x008\0\xff\xff\x2d\x02\0\xff\xff\x15\0\0\0\0\0\0\0\0\0\0\
          abcdefghijkl\0caching_sha2_password\0\x1e\x02\0\0\x02\x01\x03\x07\0\0\x03\0\0\0\x02\0\0\0\x1e\
          \x11\0\0\x01\xff\x15\x04#28000Denied it",
    ),
    ("redis-database-plugin", b"+OK\r\n\x1e+PONG\r\n"),
    ("redis-database-plugin", b"-WRONGPASS no\r\n\x1e*2\r\n$3\r\nabc\r\n:12\r\n"),
];

/// A database that says this, whatever it hears: never a fault of the server's own.
pub fn database_answers(server: &TestServer, plugin: &str, bytes: &[u8]) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    let url = match plugin {
        "mysql-database-plugin" => format!("{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{port})/"),
        "redis-database-plugin" => format!("redis://127.0.0.1:{port}/"),
        _ => format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/d?sslmode=disable"),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if let Ok((stream, _)) = listener.accept() {
                // The other side may be gone at any moment.
                drop(say(stream, bytes));
            }
        });
        let asked = json!({
            "plugin_name": plugin, "connection_url": url, "username": "app", "password": "not-a-real-password",
        });
        let answer = server.root().write("database/config/hostile", asked);
        assert!(is_fair(&answer), "{plugin} {answer:?}");
    });
}

fn say(mut stream: TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    // Where both wait for the other, it is over.
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    let mut heard = [0; 4096];
    for (number, turn) in bytes.split(|byte| *byte == TURN).enumerate() {
        if number > 0 && stream.read(&mut heard)? == 0 {
            return Ok(());
        }
        stream.write_all(turn)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    while stream.read(&mut heard)? > 0 {}
    Ok(())
}

/// Examples of what people write: templates of names, statements, cron lines, and the parts of a plan.
pub const DATABASE_TEXTS: &[&str] = &[
    "{{ printf \"v-%s-%s-%s\" (.DisplayName | truncate 8) (random 20) (unix_time) | truncate 63 }}",
    "{{ .RoleName | replace \"a\" \"b\" | uppercase }}-{{ uuid }}",
    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; SELECT '{{'",
    "[\"~app:*\", \"+@read\", \"+acl|whoami\"]",
    "30 3 * * 0",
    "*/5 0-12 1,15 * MON-FRI",
    "token bytes=32 alphabet=base62 prefix=app_",
    "database connection=db accounts=app_a,app_b mount=database",
    "webhook url=https://a.example/x ca_file=/etc/ca.pem",
    "postgresql://{{username}}:{{password}}@db.example:5432/shop?sslmode=verify-full",
    "host=db.example port=5432 dbname='sh op' sslmode=require",
    "{{username}}:{{password}}@tcp([::1]:3306)/shop?tls=true",
];

/// A server on which [`database_texts`] runs.
pub fn prepare_databases(server: &TestServer) {
    let root = server.root();
    for (path, body) in [
        ("sys/mounts/database", json!({"type": "database"})),
        ("sys/mounts/secret", json!({"type": "kv-v2"})),
        ("secret/data/app", json!({"data": {"password": "not-a-real-password", "username": "app_a"}})),
        // Nobody listens there.
        ("database/config/db", connection("postgresql-database-plugin", "postgresql://127.0.0.1:1/d")),
        ("database/config/redis", connection("redis-database-plugin", "redis://127.0.0.1:1/")),
    ] {
        let answer = root.write(path, body);
        assert!(answer.status < 300, "{path} {answer:?}");
    }
}

fn connection(plugin: &str, url: &str) -> Value {
    json!({
        "plugin_name": plugin, "connection_url": url, "username": "app", "password": "not-a-real-password",
        "allowed_roles": "*", "verify_connection": false,
    })
}

/// A text wherever the database engine and plans take one.
pub fn database_texts(server: &TestServer, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let root = server.root();
    drop(next_by_cron(&text, Timestamp::from_seconds(1_800_000_000)));
    let mut template = connection("postgresql-database-plugin", "postgresql://127.0.0.1:1/d");
    template["username_template"] = json!(text);
    let role = |db: &str| json!({"db_name": db, "creation_statements": text});
    let static_role = |name: &str, value: &str| json!({"db_name": "db", "username": "app", "rotation_period": "1h", name: value});
    let mut asked = vec![
        ("database/config/named", template),
        ("database/config/placed", connection("postgresql-database-plugin", &text)),
        ("database/config/placed", connection("mysql-database-plugin", &text)),
        ("database/config/placed", connection("redis-database-plugin", &text)),
        ("database/roles/filled", role("db")),
        ("database/static-roles/s", static_role("username", &text)),
        (
            "database/static-roles/s",
            json!({"db_name": "db", "username": "app", "rotation_schedule": text, "skip_import_rotation": true}),
        ),
    ];
    for part in ["generate", "apply", "verify", "notify", "cron", "at", "every", "field"] {
        asked.push(("sys/rotation/plans/secret/app", json!({ part: text })));
    }
    for (path, body) in asked {
        let answer = root.write(path, body);
        assert!(is_fair(&answer), "{path} {answer:?}");
    }
    // What is filled in is filled before anything is reached.
    for _ in 0..2 {
        let answer = root.read("database/creds/filled");
        assert!(is_fair(&answer), "{answer:?}");
        assert!(root.write("database/roles/filled", role("redis")).status < 500);
    }
    assert_eq!(root.delete("database/roles/filled").status, 204);
    assert!(root.delete("sys/rotation/plans/secret/app").status < 500);
}

/// An answer, a refusal, or that a database cannot be reached.
fn is_fair(answer: &Answer) -> bool {
    answer.status < 500 || answer.status == 503
}
