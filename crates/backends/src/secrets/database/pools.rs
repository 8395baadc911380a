//! Connections that are kept open between errands, and how a database is reached.

use super::wire::{Crowd, Engine, Link, Login, Target, Trouble};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use strongroom_kernel::{Deadline, Error, ErrorKind, Failure};
use strongroom_secret::SecretString;

/// Idle connections by the name of their connection. Those of an older state of it are not used again.
#[derive(Default)]
pub(super) struct Pools {
    idle: Mutex<HashMap<String, Pool>>,
}

#[derive(Default)]
struct Pool {
    revision: String,
    links: Vec<Idle>,
    /// Transactions come one after another until then, on the server's monotonic clock.
    in_turn_until: Duration,
}

/// For so long after two transactions were in each other's way, they come one after another.
const IN_TURN: Duration = Duration::from_secs(30);

struct Idle {
    link: Link,
    /// On the server's monotonic clock.
    made: Duration,
}

/// How a database is reached, apart from any transaction.
#[derive(Clone)]
pub(super) struct Reach {
    pub pools: Arc<Pools>,
    pub name: String,
    pub revision: String,
    pub engine: Engine,
    pub target: Target,
    pub username: String,
    /// The present one, and the one that is to be: while it changes, either may count.
    pub passwords: Arc<Vec<SecretString>>,
    pub idle_max: usize,
    /// Zero: for ever.
    pub lifetime: Duration,
}

impl Reach {
    /// Runs statements for an account.
    pub(super) fn run(
        &self,
        account: &str,
        statements: &[SecretString],
        deadline: &Deadline,
    ) -> Result<(), Trouble> {
        let now = deadline.now();
        let crowd = match self.pools.idle.lock().get(&self.name) {
            Some(pool) if pool.in_turn_until > now => Crowd::InTurn,
            _ => Crowd::Apart,
        };
        let met = self.with_link(deadline, |link| link.run(account, statements, crowd, deadline))?;
        if met == Crowd::InTurn
            && let Some(pool) = self.pools.idle.lock().get_mut(&self.name)
        {
            pool.in_turn_until = now + IN_TURN;
        }
        Ok(())
    }

    pub(super) fn has_account(&self, name: &str, deadline: &Deadline) -> Result<bool, Trouble> {
        self.with_link(deadline, |link| link.has_account(name, deadline))
    }

    /// Logs in anew and asks for nothing.
    pub(super) fn ping(&self, deadline: &Deadline) -> Result<(), Trouble> {
        self.connect(deadline)?.ping(deadline)
    }

    /// Whether somebody can log in. Refused logins are `Trouble::LoginRefused`.
    pub(super) fn verify(
        &self,
        username: &str,
        password: &SecretString,
        deadline: &Deadline,
    ) -> Result<(), Trouble> {
        let login = Login { username, password };
        Link::open(self.engine, &self.target, &login, deadline).map(drop)
    }

    /// Lends a connection. It is kept for the next only if all went well.
    pub(super) fn with_link<T>(
        &self,
        deadline: &Deadline,
        act: impl Fn(&mut Link) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        if let Some(Idle { mut link, made }) = self.take(deadline.now()) {
            match act(&mut link) {
                Ok(done) => {
                    self.keep(Idle { link, made });
                    return Ok(done);
                }
                // The server has closed it meanwhile, and perhaps all of them: it was restarted.
                Err(Trouble::Unreachable(_)) => self.pools.forget(&self.name),
                Err(other) => return Err(other),
            }
        }
        let made = deadline.now();
        let mut link = self.connect(deadline)?;
        let done = act(&mut link)?;
        self.keep(Idle { link, made });
        Ok(done)
    }

    fn connect(&self, deadline: &Deadline) -> Result<Link, Trouble> {
        let mut last = Trouble::LoginRefused("there is no password".to_owned());
        for password in self.passwords.iter() {
            let login = Login { username: &self.username, password };
            match Link::open(self.engine, &self.target, &login, deadline) {
                Err(refused @ Trouble::LoginRefused(_)) => last = refused,
                other => return other,
            }
        }
        Err(last)
    }

    fn take(&self, now: Duration) -> Option<Idle> {
        let mut idle = self.pools.idle.lock();
        let pool = idle.get_mut(&self.name).filter(|pool| pool.revision == self.revision)?;
        if !self.lifetime.is_zero() {
            pool.links.retain(|idle| now.saturating_sub(idle.made) < self.lifetime);
        }
        pool.links.pop()
    }

    fn keep(&self, link: Idle) {
        let mut idle = self.pools.idle.lock();
        let pool = idle.entry(self.name.clone()).or_default();
        if pool.revision != self.revision {
            *pool = Pool { revision: self.revision.clone(), ..Pool::default() };
        }
        if pool.links.len() < self.idle_max {
            pool.links.push(link);
        }
    }

    /// An error that says where it was.
    pub(super) fn error(&self, trouble: &Trouble) -> Error {
        let name = &self.name;
        let text = trouble.text();
        match trouble {
            Trouble::Unreachable(_) => {
                Error::new(ErrorKind::Unavailable, format!("the database {name:?} cannot be reached: {text}"))
            }
            Trouble::LoginRefused(_) => Error::invalid(format!(
                "the database {name:?} refuses the login of {:?}: {text}",
                self.username
            )),
            Trouble::Refused(_) => Error::invalid(format!("the database {name:?} refuses it: {text}")),
            Trouble::Unclear(_) => Error::new(
                ErrorKind::Unavailable,
                format!("the database {name:?} did not say whether it was done: {text}"),
            ),
        }
    }

    /// What it means for an errand: what was refused has left nothing behind only where statements are transactions.
    pub(super) fn failure(&self, trouble: Trouble, secrets: &[&SecretString]) -> Failure {
        let trouble = trouble.without(secrets);
        let error = self.error(&trouble);
        match (&trouble, self.engine) {
            (Trouble::Unreachable(_) | Trouble::LoginRefused(_), _)
            | (Trouble::Refused(_), Engine::Postgres) => Failure::Untouched(error),
            _ => Failure::Unclear(error),
        }
    }
}

impl Pools {
    /// Closes what is open for a connection.
    pub(super) fn forget(&self, name: &str) {
        let gone = self.idle.lock().remove(name);
        drop(gone);
    }
}
