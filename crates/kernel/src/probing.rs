//! Looks at others that nobody waits for: whether somebody holds a name that they want a certificate for (RFC 8555, section 8;
//! RFC 8737). A look is noted in the store by the request that asks for it, done later without a transaction, and concluded in one.
//! A process that dies in between has lost nothing: the note is still there.

use crate::call::Call;
use crate::error::Error;
use crate::kernel::{Kernel, Open};
use crate::mounts::Mount;
use crate::transaction::Intent;
use ipnet::IpNet;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use strongroom_storage::CommitError;
use thiserror::Error as ThisError;

/// How long to wait when there is nothing: a request that asks for a look says so, and it begins after this.
const PAUSE: Duration = Duration::from_millis(200);
/// How often mounts are asked without a hint: looks to be repeated, and those that another process left.
const INTERVAL: Duration = Duration::from_secs(3);
/// Looks at the same time: one that hangs holds up no more than its round.
const LOOKS_AT_ONCE_MAX: usize = 16;
/// How often a conclusion that lost against another is run again.
const ATTEMPTS_MAX: u32 = 16;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// The body of `http://HOST:PORT/PATH`, through a bounded number of redirects.
    Http { host: String, port: u16, path: String },
    /// The texts (TXT) of a name.
    Texts { name: String },
    /// The certificate that a TLS server shows for a server name, with `acme-tls/1` as its protocol.
    Certificate { host: String, port: u16, server_name: String },
}

/// A look with its bounds.
#[derive(Debug, Clone)]
pub struct ProbeRequest {
    pub probe: Probe,
    /// The name server to ask; the system's without one.
    pub resolver: Option<SocketAddr>,
    /// Networks that may be reached although they are this machine's own or the link's.
    pub allowed: Vec<IpNet>,
    /// For all of it.
    pub timeout: Duration,
}

/// Why a look saw nothing. The texts go to whoever asked for it: they say no more than the name and what happened.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum ProbeError {
    #[error("{0}")]
    Names(String),
    #[error("{0}")]
    Connection(String),
    #[error("{0}")]
    Tls(String),
    /// There is an answer, and it is none that counts.
    #[error("{0}")]
    Answer(String),
}

/// Looks, and waits. What it answers: one body, the texts, or the certificate in DER.
pub type Prober = Arc<dyn Fn(&ProbeRequest) -> Result<Vec<Vec<u8>>, ProbeError> + Send + Sync>;

/// A server that looks at no other.
pub(crate) fn blind() -> Prober {
    Arc::new(|_| Err(ProbeError::Connection("this server has no way to others".to_owned())))
}

/// A look that a mount asks for, and what is written when it was done.
pub struct Look {
    pub request: ProbeRequest,
    pub conclude: Conclude,
}

/// A handler in every respect: it may run more than once.
type Conclude = Box<dyn Fn(&mut Call<'_>, &Seen) -> Result<(), Error> + Send>;

/// What a look came to.
pub type Seen = Result<Vec<Vec<u8>>, ProbeError>;

/// Whether there is something to look at.
#[derive(Default)]
pub(crate) struct Probing {
    is_asked_for: AtomicBool,
    /// By the monotonic clock.
    next_round: Mutex<Duration>,
}

impl Probing {
    pub(crate) fn ask(&self) {
        self.is_asked_for.store(true, Ordering::Release);
    }
}

impl Kernel {
    /// Does the looks that are due; says how long to wait before the next round. Called by one thread.
    pub fn look_around(self: &Arc<Self>) -> Duration {
        let uptime = self.clock.monotonic();
        let is_time = uptime >= *self.probing.next_round.lock();
        if self.is_sealed() || !(self.probing.is_asked_for.swap(false, Ordering::AcqRel) || is_time) {
            return PAUSE;
        }
        *self.probing.next_round.lock() = uptime + INTERVAL;
        if let Err(error) = self.look_for_all_mounts()
            && !self.is_sealed()
        {
            tracing::warn!(%error, detail = ?error.detail, "cannot look at others now");
        }
        PAUSE
    }

    fn look_for_all_mounts(self: &Arc<Self>) -> Result<(), Error> {
        let open = self.opened()?;
        let mounts: Vec<_> = open
            .topology
            .namespaces()
            .flat_map(|namespace| namespace.mounts.values())
            .filter_map(|mount| mount.backend.looks.map(|looks| (mount.clone(), looks)))
            .collect();
        for (mount, looks) in mounts {
            let tx = self.begin(&open.keys, Intent::Read)?;
            let (mut wanted, _) = self.speak_for(&open, tx, mount.clone(), self.now(), looks)?;
            if wanted.len() > LOOKS_AT_ONCE_MAX {
                wanted.truncate(LOOKS_AT_ONCE_MAX);
                self.probing.ask();
            }
            let prober = &self.surroundings.prober;
            let seen: Vec<(Look, Seen)> = std::thread::scope(|scope| {
                // One that gets no thread is found again in the next round.
                let running: Vec<_> = wanted
                    .into_iter()
                    .filter_map(|look| {
                        let work = move || {
                            let seen = prober(&look.request);
                            (look, seen)
                        };
                        std::thread::Builder::new().name("look".to_owned()).spawn_scoped(scope, work).ok()
                    })
                    .collect();
                running.into_iter().filter_map(|thread| thread.join().ok()).collect()
            });
            for (look, seen) in seen {
                self.conclude_look(&open, &mount, &look, &seen)?;
            }
        }
        Ok(())
    }

    fn conclude_look(
        self: &Arc<Self>,
        open: &Open,
        mount: &Arc<Mount>,
        look: &Look,
        seen: &Seen,
    ) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let tx = self.begin(&open.keys, Intent::Write)?;
            let ((), (transaction, effects)) =
                self.speak_for(open, tx, mount.clone(), self.now(), |call| (look.conclude)(call, seen))?;
            match self.commit_blocking(transaction, effects) {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict.into())
    }
}
