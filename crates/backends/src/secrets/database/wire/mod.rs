//! Connections to databases, without threads of their own: every call waits until its deadline at the most. Only what
//! changing accounts takes is spoken: a login, statements without parameters, whether there was a row.

mod mysql;
mod postgres;
mod redis;
mod stream;
mod tls;

pub(super) use tls::{Tls, Verification};

use mysql::Mysql;
use postgres::Postgres;
use redis::Redis;
use strongroom_kernel::Deadline;
use strongroom_secret::SecretString;

/// Which protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    Mysql,
    Redis,
}

/// Where a database is.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub place: Place,
    /// PostgreSQL's or MySQL's database; Redis' number.
    pub database: String,
    /// None: not encrypted.
    pub tls: Option<Tls>,
    /// Without TLS if the server has none.
    pub tls_is_optional: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Host(String, u16),
    /// A Unix socket.
    Socket(std::path::PathBuf),
}

/// Who logs in.
pub(super) struct Login<'l> {
    pub username: &'l str,
    pub password: &'l SecretString,
}

/// Why something did not work. Texts are for operators and hold no credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No connection, or none any longer before anything was asked for.
    Unreachable(String),
    /// The login was refused.
    LoginRefused(String),
    /// A statement was refused. What of the same attempt came before it may stand (MySQL, Redis) or not (PostgreSQL).
    Refused(String),
    /// The connection was lost, or time was over, while something was being done.
    Unclear(String),
}

/// How transactions at once get on with each other. In PostgreSQL two that grant something on the same table do not: the
/// second fails when the first commits, or both wait for each other for the second that finding a deadlock takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// None is in another's way.
    Apart,
    /// One comes after another.
    InTurn,
}

/// A connection that is logged in.
pub(super) enum Link {
    Postgres(Box<Postgres>),
    Mysql(Box<Mysql>),
    Redis(Box<Redis>),
}

impl Trouble {
    /// What was lost before anything was asked to be changed has changed nothing.
    fn before_anything(self) -> Self {
        match self {
            Self::Unclear(text) => Self::Unreachable(text),
            other => other,
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Unreachable(text)
            | Self::LoginRefused(text)
            | Self::Refused(text)
            | Self::Unclear(text) => text,
        }
    }

    /// The same, without texts that a server may have repeated from a statement.
    pub(super) fn without(mut self, secrets: &[&SecretString]) -> Self {
        let (Self::Unreachable(text) | Self::LoginRefused(text) | Self::Refused(text) | Self::Unclear(text)) =
            &mut self;
        for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
            *text = text.replace(secret.expose(), "[redacted]");
        }
        self
    }
}

impl Place {
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Host(host, port) => format!("{host}:{port}"),
            Self::Socket(path) => path.display().to_string(),
        }
    }
}

impl Link {
    pub(super) fn open(
        engine: Engine,
        target: &Target,
        login: &Login<'_>,
        deadline: &Deadline,
    ) -> Result<Self, Trouble> {
        let opened = match engine {
            Engine::Postgres => Postgres::open(target, login, deadline).map(Box::new).map(Self::Postgres),
            Engine::Mysql => Mysql::open(target, login, deadline).map(Box::new).map(Self::Mysql),
            Engine::Redis => Redis::open(target, login, deadline).map(Box::new).map(Self::Redis),
        };
        opened.map_err(|trouble| trouble.without(&[login.password]))
    }

    /// Runs statements, together where the database can (PostgreSQL), for one account: whoever else does something for
    /// it waits, so that what a process that died has begun is over before it is looked at. Says how it got on with
    /// others.
    pub(super) fn run(
        &mut self,
        account: &str,
        statements: &[SecretString],
        crowd: Crowd,
        deadline: &Deadline,
    ) -> Result<Crowd, Trouble> {
        match self {
            Self::Postgres(link) => link.run(account, statements, crowd, deadline),
            Self::Mysql(link) => link.run(account, statements, deadline).map(|()| Crowd::Apart),
            Self::Redis(link) => link.run(statements, deadline).map(|()| Crowd::Apart),
        }
    }

    /// Whether there is such an account.
    pub(super) fn has_account(&mut self, name: &str, deadline: &Deadline) -> Result<bool, Trouble> {
        let has = match self {
            Self::Postgres(link) => link.has_account(name, deadline),
            Self::Mysql(link) => link.has_account(name, deadline),
            Self::Redis(link) => link.has_account(name, deadline),
        };
        has.map_err(Trouble::before_anything)
    }

    /// Asks for nothing, to see that it answers.
    pub(super) fn ping(&mut self, deadline: &Deadline) -> Result<(), Trouble> {
        match self {
            Self::Postgres(link) => link.query("SELECT 1", deadline).map(drop),
            Self::Mysql(link) => link.ping(deadline),
            Self::Redis(link) => link.ping(deadline),
        }
    }
}
