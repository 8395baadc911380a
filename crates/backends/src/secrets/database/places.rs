//! Where a database is, read from the ways in which people write it: URLs, PostgreSQL's `host=… dbname=…`, and the DSN of
//! Go's MySQL driver, which Vault takes.

use super::wire::{Engine, Place};
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// A place as it was written, before TLS is made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub place: Place,
    pub database: String,
    /// Empty where the URL has `{{username}}`, or nobody.
    pub username: String,
    pub password: String,
    pub encryption: Encryption,
}

/// What a URL says of TLS. The names are PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    Disable,
    Prefer,
    Require,
    VerifyAuthority,
    VerifyFull,
}

/// Reads it. Errors never repeat what may be a password.
pub(super) fn parse(engine: Engine, text: &str) -> Result<Written, String> {
    match engine {
        Engine::Postgres if text.contains("://") => postgres_url(text),
        Engine::Postgres => postgres_words(text),
        Engine::Mysql => mysql(text),
        Engine::Redis => redis(text),
    }
}

/// The parts of `scheme://user:password@host:port/path?a=b`, decoded.
struct Url {
    username: String,
    password: String,
    host: String,
    port: Option<u16>,
    path: String,
    query: BTreeMap<String, String>,
}

fn url(text: &str, schemes: &[&str]) -> Result<Url, String> {
    let expected = || format!("connection_url must begin with {}://", schemes.join(":// or "));
    let (scheme, rest) = text.split_once("://").ok_or_else(expected)?;
    if !schemes.contains(&scheme) {
        return Err(expected());
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (username, password) = user_of(user);
    let (host, port) = host_of(authority)?;
    Ok(Url { username, password, host, port, path: decoded(path), query: query_of(query) })
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn user_of(text: &str) -> (String, String) {
    if text.contains("{{") {
        return Default::default();
    }
    let (username, password) = text.split_once(':').unwrap_or((text, ""));
    (decoded(username), decoded(password))
}

fn host_of(text: &str) -> Result<(String, Option<u16>), String> {
    if text.contains(',') {
        return Err("connection_url must name one host".to_owned());
    }
    let bad_port = || "the port of connection_url is no number from 1 to 65535".to_owned();
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("an IPv6 address without its ]")?;
        let port = rest.strip_prefix(':').map(|port| port.parse().map_err(|_| bad_port())).transpose()?;
        return Ok((host.to_owned(), port));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => Ok((decoded(host), Some(port.parse().map_err(|_| bad_port())?))),
        None => Ok((decoded(text), None)),
    }
}

fn query_of(text: &str) -> BTreeMap<String, String> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

fn postgres_url(text: &str) -> Result<Written, String> {
    let url = url(text, &["postgresql", "postgres"])?;
    let mut words = url.query;
    let mut set = |name: &str, value: String| {
        if !value.is_empty() {
            words.insert(name.to_owned(), value);
        }
    };
    set("user", url.username);
    set("password", url.password);
    set("host", url.host);
    set("port", url.port.map(|port| port.to_string()).unwrap_or_default());
    set("dbname", url.path);
    postgres(&words)
}

/// `host=db port=5432 user='a b'`
fn postgres_words(text: &str) -> Result<Written, String> {
    let mut words = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) =
            rest.split_once('=').ok_or("connection_url must be a URL, or words as host=… dbname=…")?;
        let after = after.trim_start();
        let (value, behind) = match after.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').ok_or("a quote without its end in connection_url")?,
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        if !value.contains("{{") {
            words.insert(name.trim().to_owned(), value.to_owned());
        }
        rest = behind.trim_start();
    }
    postgres(&words)
}

fn postgres(words: &BTreeMap<String, String>) -> Result<Written, String> {
    let word = |name: &str| words.get(name).cloned().unwrap_or_default();
    let port = match word("port").as_str() {
        "" => 5432,
        port => port.parse().map_err(|_| "the port is no number from 1 to 65535")?,
    };
    let host = word("host");
    let place = match host.as_str() {
        "" => return Err("connection_url must name a host".to_owned()),
        folder if folder.starts_with('/') => {
            Place::Socket(std::path::Path::new(folder).join(format!(".s.PGSQL.{port}")))
        }
        host => Place::Host(host.to_owned(), port),
    };
    let encryption = match word("sslmode").as_str() {
        "disable" => Encryption::Disable,
        "" | "allow" | "prefer" => Encryption::Prefer,
        "require" => Encryption::Require,
        "verify-ca" => Encryption::VerifyAuthority,
        "verify-full" => Encryption::VerifyFull,
        _ => return Err("sslmode must be disable, prefer, require, verify-ca or verify-full".to_owned()),
    };
    let database = Some(word("dbname")).filter(|name| !name.is_empty());
    Ok(Written {
        place,
        database: database.unwrap_or_else(|| "postgres".to_owned()),
        username: word("user"),
        password: word("password"),
        encryption,
    })
}

/// `user:password@tcp(host:3306)/database?tls=true`, or a URL.
fn mysql(text: &str) -> Result<Written, String> {
    let is_url = text.contains("://");
    let written = if is_url { text.split_once("://").map_or(text, |(_, rest)| rest) } else { text };
    let (before, after) =
        written.rsplit_once('/').ok_or("connection_url must be as user:password@tcp(host:3306)/database")?;
    let (database, query) = after.split_once('?').unwrap_or((after, ""));
    // A socket's path has slashes: the last one before the query is the database's.
    let (user, address) = before.rsplit_once('@').unwrap_or(("", before));
    let (username, password) = user_of(user);
    let (network, address) = match address.split_once('(').and_then(|(n, a)| Some((n, a.strip_suffix(')')?)))
    {
        Some(found) => found,
        None if is_url || address.is_empty() => ("tcp", address),
        None => {
            return Err("the address of connection_url must be as tcp(host:3306) or unix(/path)".to_owned());
        }
    };
    let place = match network {
        "tcp" => {
            let (host, port) = host_of(address)?;
            let host = if host.is_empty() { "127.0.0.1".to_owned() } else { host };
            Place::Host(host, port.unwrap_or(3306))
        }
        "unix" => Place::Socket(address.into()),
        _ => return Err("the network of connection_url must be tcp or unix".to_owned()),
    };
    let encryption = match query_of(query).get("tls").map(String::as_str) {
        None | Some("false") => Encryption::Disable,
        Some("preferred") => Encryption::Prefer,
        Some("skip-verify") => Encryption::Require,
        Some("true" | "custom") => Encryption::VerifyFull,
        Some(_) => return Err("tls must be true, false, preferred or skip-verify".to_owned()),
    };
    Ok(Written { place, database: decoded(database), username, password, encryption })
}

fn redis(text: &str) -> Result<Written, String> {
    let url = url(text, &["redis", "rediss"])?;
    let encryption = if text.starts_with("rediss") { Encryption::VerifyFull } else { Encryption::Disable };
    Ok(Written {
        place: Place::Host(url.host, url.port.unwrap_or(6379)),
        database: url.path,
        username: url.username,
        password: url.password,
        encryption,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(engine: Engine, text: &str, expected: &str) {
        let shown = match parse(engine, text) {
            Ok(Written { place, database, username, password, encryption }) => {
                format!("{} {database} {username}:{password} {encryption:?}", place.shown())
            }
            Err(error) => error,
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn places_are_read_as_people_write_them() {
        let postgres = |text, expected| check(Engine::Postgres, text, expected);
        postgres(
            "postgresql://{{username}}:{{password}}@db.example:5433/app?sslmode=disable",
            "db.example:5433 app : Disable",
        );
        postgres("postgres://a%40b:c%2Fd@[::1]/", "::1:5432 postgres a@b:c/d Prefer");
        postgres("postgresql:///app?host=/run/pg&port=6000", "/run/pg/.s.PGSQL.6000 app : Prefer");
        postgres(
            "host=db user='a b' password={{password}} dbname=x sslmode=verify-full",
            "db:5432 x a b: VerifyFull",
        );
        postgres("postgresql://a:b@one,two/x", "connection_url must name one host");
        postgres("postgresql://a:b@host:99999/x", "the port of connection_url is no number from 1 to 65535");
        postgres("mysql://x", "connection_url must begin with postgresql:// or postgres://");
        postgres(
            "postgresql://h/x?sslmode=maybe",
            "sslmode must be disable, prefer, require, verify-ca or verify-full",
        );
        let mysql = |text, expected| check(Engine::Mysql, text, expected);
        mysql("{{username}}:{{password}}@tcp(127.0.0.1:3307)/", "127.0.0.1:3307  : Disable");
        mysql("root:p@ss@tcp(db)/app?tls=skip-verify", "db:3306 app root:p@ss Require");
        mysql("root@unix(/run/mysqld/mysqld.sock)/app", "/run/mysqld/mysqld.sock app root: Disable");
        mysql("root@pipe(x)/app", "the network of connection_url must be tcp or unix");
        mysql("nonsense", "connection_url must be as user:password@tcp(host:3306)/database");
        check(Engine::Redis, "rediss://u:p@cache:6380/2", "cache:6380 2 u:p VerifyFull");
    }
}
