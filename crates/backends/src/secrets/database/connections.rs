//! `config/:name`: how a database is reached, and who may use it.

use super::names::{self, Filling};
use super::places::{self, Encryption};
use super::pools::{Pools, Reach};
use super::statements::{self, Escaping};
use super::wire::{Engine, Place, Target, Tls, Trouble, Verification};
use super::{CONNECTIONS, DUE, ROLES, STATIC_ROLES};
use crate::answer::object;
use crate::listing::page;
use crate::secret_serde;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use strongroom_crypto::token::uuid_v4;
use strongroom_kernel::{
    Call, Errand, Error, Failure, Fields, Key, LANE_WIDTH_MAX, Lane, Outward, Record, Response,
};
use strongroom_secret::{SecretBytes, SecretString, Timestamp};

/// For everything that one request does in a database.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(30);
const OPEN_CONNECTIONS: usize = 4;
const PEM_BYTES_MAX: usize = 256 * 1024;

/// A connection as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct Connection {
    pub name: String,
    pub plugin: String,
    pub connection_url: String,
    pub username: String,
    #[serde(with = "secret_serde")]
    pub password: SecretBytes,
    /// What the password is being changed to; empty for none.
    #[serde(with = "secret_serde")]
    pub pending_password: SecretBytes,
    /// When changing it is tried again.
    pub pending_due: Option<Timestamp>,
    pub last_rotation: Option<Timestamp>,
    pub allowed_roles: Vec<String>,
    pub root_rotation_statements: Vec<String>,
    pub verify_connection: bool,
    pub password_policy: String,
    pub username_template: String,
    pub open_max: usize,
    pub idle_max: Option<usize>,
    pub lifetime: Duration,
    pub disable_escaping: bool,
    pub tls_ca: String,
    pub tls_certificate: String,
    #[serde(with = "secret_serde")]
    pub private_key: SecretBytes,
    pub tls_server_name: String,
    pub tls_skip_verify: bool,
    pub tls: bool,
    pub persistence_mode: String,
    /// Random, anew with each change: connections from before are not used any longer.
    pub revision: String,
}

impl Record for Connection {}

impl Connection {
    fn blank(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            plugin: String::new(),
            connection_url: String::new(),
            username: String::new(),
            password: SecretBytes::new(Vec::new()),
            pending_password: SecretBytes::new(Vec::new()),
            pending_due: None,
            last_rotation: None,
            allowed_roles: Vec::new(),
            root_rotation_statements: Vec::new(),
            verify_connection: true,
            password_policy: String::new(),
            username_template: String::new(),
            open_max: OPEN_CONNECTIONS,
            idle_max: None,
            lifetime: Duration::ZERO,
            disable_escaping: false,
            tls_ca: String::new(),
            tls_certificate: String::new(),
            private_key: SecretBytes::new(Vec::new()),
            tls_server_name: String::new(),
            tls_skip_verify: false,
            tls: false,
            persistence_mode: String::new(),
            revision: String::new(),
        }
    }

    pub(super) fn engine(&self) -> Result<Engine, Error> {
        match self.plugin.as_str() {
            "postgresql-database-plugin" => Ok(Engine::Postgres),
            "mysql-database-plugin"
            | "mysql-aurora-database-plugin"
            | "mysql-rds-database-plugin"
            | "mysql-legacy-database-plugin" => Ok(Engine::Mysql),
            "redis-database-plugin" | "valkey-database-plugin" => Ok(Engine::Redis),
            "" => Err(Error::invalid("missing plugin_name")),
            other => Err(Error::invalid(format!(
                "there is no plugin {other:?}: postgresql-database-plugin, mysql-database-plugin and \
                 redis-database-plugin are known"
            ))),
        }
    }

    pub(super) fn escaping(&self) -> Escaping {
        if self.disable_escaping { Escaping::AsItIs } else { Escaping::Literal }
    }

    pub(super) fn lane(&self) -> Lane {
        Lane { name: self.name.clone(), width: self.open_max }
    }

    pub(super) fn template(&self) -> Result<&str, Error> {
        Ok(match self.username_template.as_str() {
            "" => names::default_template(self.engine()?),
            template => template,
        })
    }

    /// What is behind statements of Redis, so that accounts outlive a restart of it.
    pub(super) fn with_persistence(&self, mut statements: Vec<String>) -> Vec<String> {
        match self.persistence_mode.to_ascii_uppercase().as_str() {
            "REWRITE" => statements.push("CONFIG\nREWRITE".to_owned()),
            "ACLFILE" => statements.push("ACL\nSAVE".to_owned()),
            _ => {}
        }
        statements
    }

    /// What reaching it takes.
    pub(super) fn reach(&self, call: &Call<'_>) -> Result<Reach, Error> {
        let engine = self.engine()?;
        let written = places::parse(engine, &self.connection_url).map_err(Error::invalid)?;
        let of_url = |own: &str, url: &str| if own.is_empty() { url.to_owned() } else { own.to_owned() };
        let password = text_of(&self.password)?;
        let password = if password.expose().is_empty() { written.password.as_str().into() } else { password };
        let mut passwords = vec![password];
        if !self.pending_password.expose().is_empty() {
            passwords.push(text_of(&self.pending_password)?);
        }
        let pools = call.mount.memory.clone().downcast::<Pools>();
        Ok(Reach {
            pools: pools.map_err(|_| Error::internal("a database mount without its memory"))?,
            name: self.name.clone(),
            revision: self.revision.clone(),
            engine,
            target: self.target(written.place, written.database, written.encryption)?,
            username: of_url(&self.username, &written.username),
            passwords: Arc::new(passwords),
            idle_max: self.idle_max.unwrap_or(self.open_max),
            lifetime: self.lifetime,
        })
    }

    fn target(&self, place: Place, database: String, encryption: Encryption) -> Result<Target, Error> {
        let is_wanted = self.tls || !self.tls_ca.is_empty() || !self.tls_certificate.is_empty();
        let encryption = match encryption {
            // An authority that is given is there to be asked.
            Encryption::Disable | Encryption::Prefer if is_wanted => Encryption::VerifyFull,
            Encryption::Require if !self.tls_ca.is_empty() => Encryption::VerifyAuthority,
            other => other,
        };
        let verification = match encryption {
            Encryption::Disable => {
                return Ok(Target { place, database, tls: None, tls_is_optional: true });
            }
            _ if self.tls_skip_verify => Verification::None,
            Encryption::Prefer | Encryption::Require => Verification::None,
            Encryption::VerifyAuthority => Verification::Authority,
            Encryption::VerifyFull => Verification::Full,
        };
        let Place::Host(host, _) = &place else {
            return Ok(Target { place, database, tls: None, tls_is_optional: true });
        };
        let host = if self.tls_server_name.is_empty() { host } else { &self.tls_server_name };
        let key = text_of(&self.private_key)?;
        let identity = match (self.tls_certificate.as_str(), key.expose()) {
            ("", _) => None,
            // MySQL's plugin takes both in one text.
            (both, "") => Some((both, both)),
            (chain, key) => Some((chain, key)),
        };
        let tls = Tls::new(host, &self.tls_ca, identity, verification).map_err(Error::invalid)?;
        let tls_is_optional = encryption == Encryption::Prefer;
        Ok(Target { place, database, tls: Some(tls), tls_is_optional })
    }
}

pub(super) fn text_of(bytes: &SecretBytes) -> Result<SecretString, Error> {
    String::from_utf8(bytes.expose().to_vec())
        .map(SecretString::new)
        .map_err(|_| Error::internal("a stored password is no text"))
}

fn key(call: &Call<'_>, name: &str) -> Key {
    call.tx.name_key(&call.table(CONNECTIONS), name)
}

pub(super) fn save(call: &mut Call<'_>, connection: &Connection) -> Result<(), Error> {
    let key = key(call, &connection.name);
    call.tx.put_record(&key, connection)
}

pub(super) fn stored(call: &mut Call<'_>, name: &str) -> Result<Option<Connection>, Error> {
    let key = key(call, name);
    call.tx.record(&key)
}

/// A connection that must be there.
pub(super) fn named(call: &mut Call<'_>, name: &str) -> Result<Connection, Error> {
    stored(call, name)?.ok_or_else(|| {
        Error::invalid(format!(
            "failed to find entry for connection with name: {name:?}; config/{name} makes it"
        ))
    })
}

/// A connection that a role may use.
pub(super) fn allowed(call: &mut Call<'_>, name: &str, role: &str) -> Result<Connection, Error> {
    let connection = named(call, name)?;
    let matches = |pattern: &String| match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(start), _) if role.starts_with(start) => true,
        (_, Some(end)) if role.ends_with(end) => true,
        _ => pattern == role,
    };
    match connection.allowed_roles.iter().any(matches) {
        true => Ok(connection),
        false => Err(Error::denied().with_detail(format!("{role:?} is not an allowed role"))).map_err(
            |mut error| {
                error.messages = vec![format!("{role:?} is not an allowed role of the connection {name:?}")];
                error
            },
        ),
    }
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let name = call.capture("name").to_owned();
    Ok(stored(call, &name)?.is_some())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(CONNECTIONS);
    let names = call.tx.children(&table)?;
    page(call, names)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let Some(connection) = stored(call, &name)? else { return Err(Error::not_found()) };
    let mut details = json!({
        "connection_url": shown_url(&connection.connection_url),
        "username": connection.username,
        "max_open_connections": connection.open_max,
        "max_idle_connections": connection.idle_max.unwrap_or(connection.open_max),
        "max_connection_lifetime": strongroom_secret::format_duration(connection.lifetime),
    });
    if let Some(details) = details.as_object_mut() {
        let mut add = |name: &str, value: serde_json::Value| details.insert(name.to_owned(), value);
        for (name, text) in [
            ("username_template", &connection.username_template),
            ("tls_ca", &connection.tls_ca),
            ("tls_certificate", &connection.tls_certificate),
            ("tls_server_name", &connection.tls_server_name),
            ("persistence_mode", &connection.persistence_mode),
        ] {
            // MySQL's plugin has the key behind the certificate.
            if !text.is_empty() && !text.contains("PRIVATE KEY") {
                add(name, json!(text));
            }
        }
        for (name, flag) in [
            ("disable_escaping", connection.disable_escaping),
            ("tls_skip_verify", connection.tls_skip_verify),
            ("tls", connection.tls),
        ] {
            if flag {
                add(name, json!(true));
            }
        }
    }
    Ok(object(json!({
        "plugin_name": connection.plugin,
        "plugin_version": "",
        "connection_details": details,
        "allowed_roles": connection.allowed_roles,
        "root_credentials_rotate_statements": connection.root_rotation_statements,
        "password_policy": connection.password_policy,
        "verify_connection": connection.verify_connection,
        "last_rotation": connection.last_rotation.map(Timestamp::rfc3339),
        "is_rotating": !connection.pending_password.expose().is_empty(),
    })))
}

/// Without a password that stands in it.
fn shown_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let shown = match rest.rsplit_once('@') {
        Some((user, place)) if !user.contains("{{") => {
            let name = user.split_once(':').map_or(user, |(name, _)| name);
            format!("{name}:*****@{place}")
        }
        _ => rest.to_owned(),
    };
    if scheme.is_empty() { shown } else { format!("{scheme}://{shown}") }
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let Some(connection) = stored(call, &name)? else { return Ok(Response::default()) };
    forget_due(call, connection.pending_due, &format!("root/{name}"))?;
    let key = key(call, &name);
    call.tx.delete(&key)?;
    let used = [ROLES, STATIC_ROLES].map(|table| call.table(table));
    let mut users = Vec::new();
    for table in used {
        users.extend(super::roles::of_connection(call, &table, &name)?);
    }
    let response = Response::default();
    Ok(match users.is_empty() {
        true => response,
        false => response.with_warning(format!(
            "roles still name this connection: {}. Accounts that they made cannot be taken away until it is there again",
            users.join(", ")
        )),
    })
}

/// Makes or changes a connection, once somebody could log in through it.
pub(super) fn write(call: &mut Call<'_>) -> Result<Outward, Error> {
    let name = call.capture("name").to_owned();
    let mut connection = stored(call, &name)?.unwrap_or_else(|| Connection::blank(&name));
    change(&mut connection, call.fields())?;
    connection.revision = uuid_v4(call.entropy());
    check(call, &connection)?;
    let reach = connection.reach(call)?;
    let (verify, lane) = (connection.verify_connection, connection.lane());
    if !verify {
        save(call, &connection)?;
        return Ok(Outward::nothing());
    }
    // The conclusion looks at what is stored by then: a password may have been changed meanwhile.
    let before = stored(call, &name)?.map(|connection| connection.revision);
    Ok(asked(
        lane,
        reach,
        |reach, deadline| reach.ping(deadline),
        move |call| {
            let now = stored(call, &name)?.map(|connection| connection.revision);
            if now != before {
                return Err(Error::invalid("the connection was changed meanwhile: try again"));
            }
            save(call, &connection)?;
            Ok(Response::default())
        },
    ))
}

/// An errand that leaves nothing behind, whatever becomes of it.
pub(super) fn asked(
    lane: Lane,
    reach: Reach,
    ask: impl FnOnce(&Reach, &strongroom_kernel::Deadline) -> Result<(), Trouble> + Send + 'static,
    conclude: impl Fn(&mut Call<'_>) -> Result<Response, Error> + Send + Sync + 'static,
) -> Outward {
    Outward::Errand(Errand {
        intent: None,
        lane,
        time_limit: TIME_LIMIT,
        action: Box::new(move |deadline| {
            ask(&reach, deadline).map_err(|trouble| Failure::Untouched(reach.error(&trouble)))?;
            Ok(Box::new(conclude))
        }),
    })
}

fn check(call: &mut Call<'_>, connection: &Connection) -> Result<(), Error> {
    connection.engine()?;
    if connection.connection_url.is_empty() {
        return Err(Error::invalid("missing connection_url"));
    }
    if !connection.password_policy.is_empty() {
        call.password_policy(&connection.password_policy)?;
    }
    let filling =
        Filling { display_name: "token", role_name: "role", now: call.now, entropy: call.entropy() };
    names::name(connection.template()?, &filling).map(drop)
}

fn change(connection: &mut Connection, fields: &Fields) -> Result<(), Error> {
    let texts: [(&str, &mut String); 9] = [
        ("plugin_name", &mut connection.plugin),
        ("connection_url", &mut connection.connection_url),
        ("username", &mut connection.username),
        ("password_policy", &mut connection.password_policy),
        ("username_template", &mut connection.username_template),
        ("tls_ca", &mut connection.tls_ca),
        ("tls_certificate", &mut connection.tls_certificate),
        ("tls_server_name", &mut connection.tls_server_name),
        ("persistence_mode", &mut connection.persistence_mode),
    ];
    for (name, place) in texts {
        if let Some(text) = fields.text(name)? {
            *place = text;
        }
    }
    if let Some(pem) = fields.text("ca_cert")? {
        connection.tls_ca = pem;
    }
    if let Some(pem) = fields.text("tls_certificate_key")? {
        connection.tls_certificate = pem;
    }
    if connection.tls_ca.len().max(connection.tls_certificate.len()) > PEM_BYTES_MAX {
        return Err(Error::invalid("tls_ca and tls_certificate have 256 KiB at the most"));
    }
    for (name, place) in
        [("password", &mut connection.password), ("private_key", &mut connection.private_key)]
    {
        if let Some(text) = fields.text(name)? {
            *place = SecretBytes::new(text.into_bytes());
        }
    }
    if fields.has("password") {
        connection.pending_password = SecretBytes::new(Vec::new());
    }
    for (name, place) in [
        ("verify_connection", &mut connection.verify_connection),
        ("disable_escaping", &mut connection.disable_escaping),
        ("tls_skip_verify", &mut connection.tls_skip_verify),
        ("tls", &mut connection.tls),
    ] {
        if let Some(flag) = fields.boolean(name)? {
            *place = flag;
        }
    }
    if let Some(flag) = fields.boolean("insecure_tls")? {
        connection.tls_skip_verify = flag;
    }
    change_limits(connection, fields)?;
    if let Some(roles) = fields.list("allowed_roles")? {
        connection.allowed_roles = roles;
    }
    if let Some(statements) = statements::of_field(fields, "root_rotation_statements")? {
        connection.root_rotation_statements = statements;
    }
    if let Some(host) = fields.text("host")? {
        connection.connection_url = redis_url(&host, fields)?;
    }
    Ok(())
}

fn change_limits(connection: &mut Connection, fields: &Fields) -> Result<(), Error> {
    let count =
        |name: &str| Ok::<_, Error>(fields.count(name)?.and_then(|count| usize::try_from(count).ok()));
    if let Some(open) = count("max_open_connections")? {
        connection.open_max = if open == 0 { OPEN_CONNECTIONS } else { open.min(LANE_WIDTH_MAX) };
    }
    if let Some(idle) = fields.integer("max_idle_connections")? {
        // Negative: none, as Vault has it; zero: as many as may be open.
        let idle = usize::try_from(idle).unwrap_or(0);
        connection.idle_max = (fields.integer("max_idle_connections")? != Some(0)).then_some(idle);
    }
    if let Some(lifetime) = fields.duration("max_connection_lifetime")? {
        connection.lifetime = lifetime;
    }
    Ok(())
}

/// Redis' plugin names host and port apart.
fn redis_url(host: &str, fields: &Fields) -> Result<String, Error> {
    let port = fields.count("port")?.unwrap_or(6379);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(is_plain) {
        return Err(Error::invalid("host must be a name or an address"));
    }
    Ok(format!("redis://{host}:{port}/"))
}

pub(super) fn reset(call: &mut Call<'_>) -> Result<Outward, Error> {
    let name = call.capture("name").to_owned();
    let mut connection = named(call, &name)?;
    connection.revision = uuid_v4(call.entropy());
    save(call, &connection)?;
    let reach = connection.reach(call)?;
    reach.pools.forget(&name);
    Ok(asked(connection.lane(), reach, |reach, deadline| reach.ping(deadline), |_| Ok(Response::default())))
}

fn due_key(call: &Call<'_>, at: Timestamp, chore: &str) -> Key {
    let table = call.table(DUE);
    let at = u64::try_from(at.nanoseconds()).unwrap_or(0).to_be_bytes();
    call.tx.name_key(&call.tx.id_key(&table, &at), chore)
}

/// Has a chore done at some time.
pub(super) fn make_due(call: &mut Call<'_>, at: Timestamp, chore: &str) -> Result<(), Error> {
    let key = due_key(call, at, chore);
    call.tx.put(&key, chore.as_bytes().to_vec())
}

pub(super) fn forget_due(call: &mut Call<'_>, at: Option<Timestamp>, chore: &str) -> Result<(), Error> {
    let Some(at) = at else { return Ok(()) };
    let key = due_key(call, at, chore);
    call.tx.delete(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for (url, shown) in [
            ("postgresql://{{username}}:{{password}}@h/d", "postgresql://{{username}}:{{password}}@h/d"),
            ("postgresql://app:not-a-p@ss@h/d", "postgresql://app:*****@h/d"),
            ("app:secret@tcp(h)/d", "app:*****@tcp(h)/d"),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }
}
