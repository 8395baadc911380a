//! The kernel of a server: what it holds, and how commits change it.

use crate::audit::{Broker, Prepared};
use crate::audit_trail::AuditParts;
use crate::backend::{Backend, Registry};
use crate::barrier::Keys;
use crate::caller::CallerCache;
use crate::effect::Effect;
use crate::error::Error;
use crate::expirer::Housekeeping;
use crate::fingerprints::{BuiltMounts, Sweeps};
use crate::honey::Honey;
use crate::in_flight::InFlight;
use crate::lockout::Lockouts;
use crate::metrics::Metrics;
use crate::notices::Notices;
use crate::outbound::Outbound;
use crate::outbox::{Outbox, OutwardPool, OutwardSettings};
use crate::policies::PolicyCache;
use crate::pool::Pool;
use crate::probing::Probing;
use crate::quotas::Quotas;
use crate::rotation::{Failures, Rotation};
use crate::seal::{AutoSeal, Seal, SealProgress};
use crate::settings::{LiveSettings, ServerSettings};
use crate::streams::Streams;
use crate::surroundings::Surroundings;
use crate::topology::Topology;
use crate::transaction::{Intent, Marks, Tx};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use strongroom_crypto::token::uuid_v4;
use strongroom_secret::{Clock, Entropy, SecretString, Timestamp};
use strongroom_storage::{CommitError, CommitIndex, Storage, Transaction};

/// What a kernel is made of.
pub struct KernelParts {
    pub storage: Arc<dyn Storage>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub backends: Vec<&'static Backend>,
    /// How the root key is kept: by people with shares, or by something that opens by itself.
    pub seal: Seal,
    /// The seal before that one, disabled in the configuration: a store that it sealed can be migrated.
    pub seal_before: Option<Arc<dyn AutoSeal>>,
    pub audit: AuditParts,
    pub settings: KernelSettings,
    pub surroundings: Surroundings,
}

/// What the server's configuration says to the kernel.
#[derive(Debug, Clone)]
pub struct KernelSettings {
    pub cluster_name: String,
    pub default_lease_ttl: Duration,
    pub max_lease_ttl: Duration,
    /// Threads for password hashes and other long work; zero runs it in place (simulations).
    pub heavy_threads: usize,
    /// Long work that may wait; beyond it the server says that it is busy.
    pub heavy_queue_max: usize,
    /// Threads, at the most, that act outside the store (databases); zero acts in place (simulations).
    pub outward_threads: usize,
    /// Errands that may wait for such a thread; beyond it the server says that it is busy.
    pub outward_queue_max: usize,
    /// What the server calls itself in `sys/health`: clients decide by it what they may use.
    pub version: String,
    /// The version of the program, for `sys/version-history`.
    pub program_version: String,
    /// Whether a 403 says which rule is missing, to callers who could read it anyway.
    pub explain_denials: bool,
    /// Open a store that is older than what audit has signed.
    pub accept_rollback: bool,
    /// Let callers without a token begin, feed and cancel the making of a root token.
    pub open_generate_root: bool,
    pub api_address: String,
    /// `file`, `inmem`, `postgresql`: for `sys/seal-status`.
    pub storage_type: String,
}

impl Default for KernelSettings {
    fn default() -> Self {
        let month = Duration::from_secs(768 * 3600);
        Self {
            cluster_name: "strongroom".to_owned(),
            default_lease_ttl: month,
            max_lease_ttl: month,
            heavy_threads: 0,
            heavy_queue_max: 256,
            outward_threads: 0,
            outward_queue_max: 1024,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            explain_denials: true,
            accept_rollback: false,
            open_generate_root: false,
            api_address: String::new(),
            storage_type: "file".to_owned(),
        }
    }
}

/// The kernel of a server.
pub struct Kernel {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) registry: Registry,
    pub(crate) seal: Seal,
    pub(crate) seal_before: Option<Arc<dyn AutoSeal>>,
    pub(crate) progress: Mutex<SealProgress>,
    pub(crate) settings: KernelSettings,
    pub(crate) policies: PolicyCache,
    pub(crate) callers: CallerCache,
    pub(crate) pool: Pool,
    pub(crate) outward: OutwardPool,
    pub(crate) outbox: Outbox,
    pub(crate) lockouts: Lockouts,
    pub(crate) mfa_attempts: crate::identity::mfa::Attempts,
    pub(crate) quotas: Quotas,
    pub(crate) metrics: Metrics,
    pub(crate) in_flight: InFlight,
    pub(crate) surroundings: Surroundings,
    pub(crate) live: LiveSettings,
    pub(crate) housekeeping: Mutex<Housekeeping>,
    pub(crate) rotation: Rotation,
    pub(crate) probing: Probing,
    /// Mounts whose index of fingerprints is whole.
    pub(crate) built: BuiltMounts,
    pub(crate) sweeps: Sweeps,
    /// Values that were asked about and are in no secret.
    pub(crate) guesses: Failures,
    pub(crate) honey: Honey,
    pub(crate) notices: Notices,
    pub(crate) started: Duration,
    pub(crate) audit_parts: AuditParts,
    broker: RwLock<Option<Arc<Broker>>>,
    open: RwLock<Option<Open>>,
    token_generation: AtomicU64,
    identity_epoch: AtomicU64,
    /// Whether this program stands in the store's history of versions.
    pub(crate) is_version_noted: AtomicBool,
}

/// What became of a commit and of the record of its answer.
pub(crate) enum Committed {
    /// It stands, and a device was asked to write the answer's record.
    Recorded { is_written: bool },
    /// The answer is still to be recorded, whatever it is now.
    Unrecorded(Result<CommitIndex, CommitError>),
}

/// What a server has while it is not sealed.
#[derive(Clone)]
pub(crate) struct Open {
    pub keys: Arc<Keys>,
    pub topology: Arc<Topology>,
}

impl Kernel {
    pub fn new(parts: KernelParts) -> Arc<Self> {
        let mut backends = crate::system::backends();
        backends.extend(parts.backends);
        let metrics = Metrics::new(backends.iter().copied());
        let outward = OutwardSettings {
            threads: parts.settings.outward_threads,
            queue_max: parts.settings.outward_queue_max,
        };
        Arc::new(Self {
            started: parts.clock.monotonic(),
            outward: OutwardPool::new(outward, parts.clock.clone()),
            outbox: Outbox::new(uuid_v4(&*parts.entropy)),
            storage: parts.storage,
            clock: parts.clock,
            entropy: parts.entropy,
            registry: Registry::new(backends),
            seal: parts.seal,
            seal_before: parts.seal_before,
            progress: Mutex::default(),
            pool: Pool::new(parts.settings.heavy_threads, parts.settings.heavy_queue_max),
            settings: parts.settings,
            lockouts: Lockouts::default(),
            mfa_attempts: crate::identity::mfa::Attempts::default(),
            quotas: Quotas::default(),
            metrics,
            in_flight: InFlight::default(),
            surroundings: parts.surroundings,
            live: LiveSettings::default(),
            housekeeping: Mutex::default(),
            rotation: Rotation::default(),
            probing: Probing::default(),
            built: BuiltMounts::default(),
            sweeps: Sweeps::default(),
            guesses: Failures::default(),
            honey: Honey::default(),
            notices: Notices::default(),
            policies: PolicyCache::default(),
            callers: CallerCache::default(),
            audit_parts: parts.audit,
            broker: RwLock::new(None),
            open: RwLock::new(None),
            token_generation: AtomicU64::new(0),
            identity_epoch: AtomicU64::new(0),
            is_version_noted: AtomicBool::new(false),
        })
    }

    pub fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn settings(&self) -> &KernelSettings {
        &self.settings
    }

    /// The way to other servers over HTTP.
    pub fn outbound(&self) -> &Outbound {
        &self.surroundings.outbound
    }

    /// The way to other servers that speak no HTTP.
    pub fn streams(&self) -> &Streams {
        &self.surroundings.streams
    }

    /// The token of the Kubernetes pod that the program runs in.
    pub fn service_account_token(&self) -> Option<SecretString> {
        (self.surroundings.service_account_token)()
    }

    pub fn is_sealed(&self) -> bool {
        self.open.read().is_none()
    }

    /// The keys and the topology, or the error that the server is sealed.
    pub(crate) fn opened(&self) -> Result<Open, Error> {
        self.open.read().clone().ok_or_else(Error::sealed)
    }

    pub(crate) fn marks(&self) -> Marks {
        Marks {
            tokens: self.token_generation.load(Ordering::Acquire),
            policies: self.policies.epoch(),
            identity: self.identity_epoch.load(Ordering::Acquire),
        }
    }

    /// The audit devices; None while sealed.
    pub(crate) fn broker(&self) -> Option<Arc<Broker>> {
        self.broker.read().clone()
    }

    /// A transaction on the newest commit. `keys` are those that the caller knows of.
    pub(crate) fn begin(&self, keys: &Arc<Keys>, intent: Intent) -> Result<Tx<'_>, Error> {
        // The marks come first: what changes between them and the snapshot is then read, but not cached.
        let marks = self.marks();
        let mut tx = Tx::new(&*self.storage, keys.clone(), intent, marks)?;
        // The keys come last: a new term is known before anything is encrypted by it, so that whatever the snapshot
        // has can be read, even by a request that was routed before the keys were rotated.
        if let Some(open) = &*self.open.read() {
            tx.renew_keys(&open.keys);
        }
        Ok(tx)
    }

    /// Opens the server with its keys: reads the topology and from then on serves.
    pub(crate) fn open_with(&self, keys: Arc<Keys>) -> Result<(), Error> {
        let mut tx = Tx::new(&*self.storage, keys.clone(), Intent::Read, self.marks())?;
        let topology = Arc::new(Topology::load(&mut tx, &self.registry, None)?);
        self.quotas.load(&mut tx)?;
        self.live.load(&mut tx)?;
        self.rotation.clock.reset();
        self.rotation.counted.load(&mut tx)?;
        self.honey.load(&mut tx)?;
        self.notices.ask();
        self.check_age(&mut tx, &keys)?;
        drop(tx);
        self.policies.advance();
        self.callers.clear();
        // The old devices write their last lines before the new ones read where the files end.
        if let Some(broker) = self.broker.write().take() {
            broker.close();
        }
        *self.broker.write() = Some(self.start_audit(&keys)?);
        *self.open.write() = Some(Open { keys, topology });
        Ok(())
    }

    /// Forgets the keys and everything that was read with them.
    pub(crate) fn close(&self) {
        *self.open.write() = None;
        if let Some(broker) = self.broker.write().take() {
            broker.close();
        }
        self.policies.advance();
        self.callers.clear();
    }

    /// Replaces the keys of an open server by ones of the same root (a new term of the keyring).
    pub(crate) fn replace_keys(&self, keys: Arc<Keys>) {
        if let Some(open) = self.open.write().as_mut() {
            open.keys = keys;
        }
    }

    /// Commits and applies the effects; then, if the commit stands, records the answer. The future ends when all is done:
    /// whoever waits is woken once. All of it is done even if nobody waits for the future any longer.
    pub(crate) async fn commit_and_record(
        self: &Arc<Self>,
        transaction: Transaction,
        effects: Vec<Effect>,
        answer: Option<Prepared>,
    ) -> Committed {
        let (sender, receiver) = oneshot::channel();
        let kernel = self.clone();
        self.storage.submit(
            transaction,
            Box::new(move |outcome| {
                kernel.committed(&outcome, &effects);
                let handed_on = match (answer, &outcome) {
                    (Some(answer), Ok(_)) => kernel.record(answer, sender),
                    _ => Err(sender),
                };
                if let Err(sender) = handed_on {
                    drop(sender.send(Committed::Unrecorded(outcome)));
                }
            }),
        );
        receiver.await.unwrap_or(Committed::Unrecorded(Err(CommitError::Closed)))
    }

    fn committed(&self, outcome: &Result<CommitIndex, CommitError>, effects: &[Effect]) {
        // An unknown outcome may be a success: memory is then read again as well.
        if matches!(outcome, Ok(_) | Err(CommitError::Unknown(_))) {
            self.apply(effects);
        }
    }

    /// Commits and applies the effects, for threads that may wait.
    pub(crate) fn commit_blocking(
        self: &Arc<Self>,
        transaction: Transaction,
        effects: Vec<Effect>,
    ) -> Result<CommitIndex, CommitError> {
        self.submit(transaction, effects).recv().unwrap_or(Err(CommitError::Closed))
    }

    /// Submits without waiting; the receiver gets the outcome.
    pub(crate) fn submit(
        self: &Arc<Self>,
        transaction: Transaction,
        effects: Vec<Effect>,
    ) -> oneshot::Receiver<Result<CommitIndex, CommitError>> {
        let (sender, receiver) = oneshot::channel();
        let kernel = self.clone();
        self.storage.submit(
            transaction,
            Box::new(move |outcome| {
                kernel.committed(&outcome, &effects);
                // Nobody waits when the caller went away: the commit stands all the same.
                drop(sender.send(outcome));
            }),
        );
        receiver
    }

    fn apply(&self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Topology => {
                    self.reload_topology();
                    // Tokens of a mount that is gone end with it.
                    self.token_generation.fetch_add(1, Ordering::AcqRel);
                    self.callers.clear();
                }
                Effect::Policies => self.policies.advance(),
                Effect::Identity => {
                    self.identity_epoch.fetch_add(1, Ordering::AcqRel);
                }
                Effect::Token(row) => {
                    self.token_generation.fetch_add(1, Ordering::AcqRel);
                    self.callers.forget(row);
                }
                Effect::TokenTrees => {
                    self.token_generation.fetch_add(1, Ordering::AcqRel);
                    self.callers.clear();
                }
                Effect::AuditDevices => self.reconcile_audit(),
                Effect::Keyring => self.reload_keyring(),
                Effect::Rekeyed(target) => self.progress.lock().rekeyed(*target),
                Effect::RootGenerated => self.progress.lock().generate_root = None,
                Effect::Quotas => self.reload_quotas(),
                Effect::Settings => self.reload_settings(),
                Effect::CountedSecrets => self.reload_counted_secrets(),
                Effect::Looks => self.probing.ask(),
                Effect::Honey => self.reload_honey(),
                Effect::Notices => self.notices.ask(),
            }
        }
    }

    /// Calls `watcher` with the settings that are changed by API: now, and after each change.
    pub fn watch_settings(&self, watcher: impl Fn(&ServerSettings) + Send + Sync + 'static) {
        self.live.watch(Box::new(watcher));
    }

    fn reload_settings(&self) {
        let Ok(open) = self.opened() else { return };
        let loaded = self.begin(&open.keys, Intent::Read).and_then(|mut tx| self.live.load(&mut tx));
        if let Err(error) = loaded {
            tracing::error!(?error, "the settings cannot be read again: the ones before stay in force");
        }
    }

    fn reload_counted_secrets(&self) {
        let Ok(open) = self.opened() else { return };
        let loaded =
            self.begin(&open.keys, Intent::Read).and_then(|mut tx| self.rotation.counted.load(&mut tx));
        if let Err(error) = loaded {
            tracing::error!(?error, "which secrets' reads are counted cannot be read again");
        }
    }

    fn reload_quotas(&self) {
        let Ok(open) = self.opened() else { return };
        let loaded = self.begin(&open.keys, Intent::Read).and_then(|mut tx| self.quotas.load(&mut tx));
        if let Err(error) = loaded {
            tracing::error!(?error, "the quotas cannot be read again: the ones before stay in force");
        }
    }

    fn reload_topology(&self) {
        let Ok(open) = self.opened() else { return };
        let loaded = self
            .begin(&open.keys, Intent::Read)
            .and_then(|mut tx| Topology::load(&mut tx, &self.registry, Some(&open.topology)));
        match loaded {
            Ok(topology) => {
                if let Some(open) = self.open.write().as_mut() {
                    open.topology = Arc::new(topology);
                }
            }
            Err(error) => {
                // Serving by a table that is known to be old would be wrong; being sealed is merely inconvenient.
                tracing::error!(?error, "the mount table cannot be read again: sealing");
                self.close();
            }
        }
    }
}
