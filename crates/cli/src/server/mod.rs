//! The `server` command: reads the configuration, wires the real clock, randomness, store, kernel and door, and runs.

mod config;
mod dev;
mod hardening;
mod host;
mod logging;
mod outbound;
mod plugins;
mod probing;
mod seal;
mod snapshots;
mod streams;

use crate::environment::Environment;
use crate::failure::Failure;
use crate::persona::Face;
use crate::system::{SystemClock, SystemEntropy};
use clap::Args;
use config::{Config, ListenerConfig, Store};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use strongroom_http::tls::TlsReloader;
use strongroom_http::{Address, CorsOrigins, CorsPolicy, Door, ForwardedFor, Listener, Options};
use strongroom_kernel::audit::Permissions;
use strongroom_kernel::{
    AuditParts, AutoSeal, CorsSettings, Kernel, KernelParts, KernelSettings, LogControl, Seal,
    ServerSettings, Surroundings,
};
use strongroom_secret::{Clock, Entropy};
use strongroom_storage::embedded::{EmbeddedOptions, OpenError, Rollback};
use strongroom_storage::{EmbeddedStorage, MemoryStorage, Storage};
use tokio::signal::unix::{SignalKind, signal};

/// Threads that wait for databases and other peers, at the most. They are made when they are needed.
const OUTWARD_THREADS_MAX: usize = 64;

/// What clients decide by which version of Vault's API they may use.
const API_VERSION: &str = "1.14.8";

/// Starts a server.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// A server for development: in a temporary folder, initialised, unsealed, with a known root token. Nothing
    /// outlives it
    #[arg(long)]
    pub dev: bool,
    /// The root token of the development server
    #[arg(long, value_name = "TOKEN")]
    pub dev_root_token_id: Option<String>,
    /// Where the development server listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8200")]
    pub dev_listen_address: String,
    /// Leave ~/.vault-token as it is
    #[arg(long)]
    pub dev_no_store_token: bool,
    /// The development server makes a certificate and serves https
    #[arg(long)]
    pub dev_tls: bool,
    /// A configuration file (TOML, HCL or JSON), or a folder of them
    #[arg(long, value_name = "FILE|FOLDER")]
    pub config: Vec<PathBuf>,
    #[arg(long, value_name = "LEVEL", help = "trace, debug, info, warn or error")]
    pub log_level: Option<String>,
    #[arg(long, value_name = "FORMAT", help = "standard or json")]
    pub log_format: Option<String>,
    #[arg(long, value_name = "FILE", help = "Write the log to FILE instead of standard error")]
    pub log_file: Option<PathBuf>,
}

/// Runs a server until it is told to stop.
pub fn run(args: &ServerArgs, environment: &Environment, face: Face) -> Result<ExitCode, Failure> {
    if args.dev {
        return dev::run(args, environment, face);
    }
    if args.config.is_empty() {
        return Err(Failure::usage("a server needs --config FILE, or --dev for a trial"));
    }
    let config = config::load(&args.config)?;
    let level =
        args.log_level.as_deref().or(environment.setting("LOG_LEVEL")).or(config.log_level.as_deref());
    let format =
        args.log_format.as_deref().or(environment.setting("LOG_FORMAT")).or(config.log_format.as_deref());
    let log = logging::start(level, format, args.log_file.as_deref().or(config.log_file.as_deref()))?;
    logging::warn_of(&config);
    hardening::apply();
    let parts = Parts::new(&config, environment, log.control)?;
    let _log_guard = log.guard;
    let kernel = parts.kernel(&config);
    let seal_failure = kernel.unseal_automatically().err();
    let _pid_file = config.pid_file.as_deref().map(PidFile::write).transpose()?;
    runtime()?.block_on(async {
        let (door, tls) = bind(&config.listeners, &parts, &kernel).await?;
        announce(&config, &door, &kernel);
        if let Some(error) = seal_failure {
            let detail = error.detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
            tracing::error!("the server stays sealed: {}{detail}", error.messages.join("; "));
        }
        let _snapshots =
            config.snapshots.clone().map(|snapshots| snapshots::start(kernel.clone(), snapshots));
        serve(door, tls, kernel).await
    })
}

type HostFacts = Box<dyn Fn() -> serde_json::Map<String, serde_json::Value> + Send + Sync>;

/// What the real world gives to the kernel.
struct Parts {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    storage: Arc<dyn Storage>,
    seal: parking_lot::Mutex<Option<Seal>>,
    seal_before: Option<Arc<dyn AutoSeal>>,
    surroundings: parking_lot::Mutex<Surroundings>,
}

impl Parts {
    fn new(config: &Config, environment: &Environment, log: LogControl) -> Result<Self, Failure> {
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let seal = seal::seal(&config.seal, environment, entropy.clone())?;
        let before =
            config.seal_before.as_ref().map(|before| seal::seal(before, environment, entropy.clone()));
        let seal_before = match before.transpose()? {
            Some(Seal::Auto(before)) => Some(before),
            Some(Seal::Shamir) | None => None,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let folder = match &config.store {
            Store::Embedded { folder, .. } => Some(folder.clone()),
            Store::Memory => None,
        };
        let host_clock = clock.clone();
        let host: HostFacts = Box::new(move || host::facts(folder.as_deref(), host_clock.now()));
        Ok(Self {
            clock,
            surroundings: parking_lot::Mutex::new(surroundings(config, host, log)),
            storage: open_store(&config.store, &*entropy)?,
            entropy,
            seal: parking_lot::Mutex::new(Some(seal)),
            seal_before,
        })
    }

    fn kernel(&self, config: &Config) -> Arc<Kernel> {
        let defaults = KernelSettings::default();
        Kernel::new(KernelParts {
            storage: self.storage.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            backends: strongroom_backends::all(),
            seal: self.seal.lock().take().unwrap_or(Seal::Shamir),
            seal_before: self.seal_before.clone(),
            surroundings: std::mem::take(&mut *self.surroundings.lock()),
            audit: AuditParts {
                permissions: Permissions {
                    directories: config.audit_directories.clone(),
                    network: config.audit_network,
                    ..Permissions::default()
                },
            },
            settings: KernelSettings {
                cluster_name: config.cluster_name.clone(),
                default_lease_ttl: config.default_lease_ttl.unwrap_or(defaults.default_lease_ttl),
                max_lease_ttl: config.max_lease_ttl.unwrap_or(defaults.max_lease_ttl),
                heavy_threads: std::thread::available_parallelism().map_or(2, usize::from),
                outward_threads: OUTWARD_THREADS_MAX,
                version: API_VERSION.to_owned(),
                program_version: env!("CARGO_PKG_VERSION").to_owned(),
                explain_denials: config.explain_denials,
                open_generate_root: config.open_generate_root,
                accept_rollback: matches!(config.store, Store::Embedded { accept_rollback: true, .. }),
                api_address: api_address(config),
                storage_type: match config.store {
                    Store::Embedded { .. } => "file".to_owned(),
                    Store::Memory => "inmem".to_owned(),
                },
                ..defaults
            },
        })
    }
}

/// Where clients reach the server: as it was said, or else at the first listener that has an address of its own.
fn api_address(config: &Config) -> String {
    if !config.api_address.is_empty() {
        return config.api_address.clone();
    }
    let listener = config.listeners.iter().find_map(|listener| match &listener.address {
        Address::Tcp(address) => {
            let (host, port) = address.rsplit_once(':')?;
            let is_everywhere = ["", "0.0.0.0", "[::]", "::"].contains(&host);
            let scheme = if listener.tls.is_some() { "https" } else { "http" };
            (!is_everywhere && port != "0").then(|| format!("{scheme}://{address}"))
        }
        Address::Unix { .. } => None,
    });
    listener.unwrap_or_default()
}

fn surroundings(config: &Config, host: HostFacts, log: LogControl) -> Surroundings {
    let nothing = Surroundings::default();
    Surroundings {
        host,
        log,
        outbound: outbound::outbound(),
        streams: streams::streams(),
        service_account_token: Box::new(outbound::service_account_token),
        plugins: plugins::plugins(config).unwrap_or(nothing.plugins),
        notice_files: plugins::notice_files(config).unwrap_or(nothing.notice_files),
        prober: probing::prober(),
    }
}

fn open_store(store: &Store, entropy: &dyn Entropy) -> Result<Arc<dyn Storage>, Failure> {
    match store {
        Store::Memory => Ok(Arc::new(MemoryStorage::new())),
        Store::Embedded { folder, accept_rollback } => {
            let rollback = if *accept_rollback { Rollback::Accept } else { Rollback::Refuse };
            let options = EmbeddedOptions { rollback, ..EmbeddedOptions::default() };
            let storage = EmbeddedStorage::open(folder, entropy, &options).map_err(|error| {
                let failure = Failure::other(error.to_string());
                match error {
                    OpenError::RolledBack { .. } | OpenError::MixedUp { .. } | OpenError::Missing { .. } => {
                        failure.hint(
                            "to accept the loss: accept_rollback = true in the storage block, for one start",
                        )
                    }
                    _ => failure,
                }
            })?;
            Ok(Arc::new(storage))
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(format!("the threads of the server cannot be started: {error}")))
}

async fn bind(
    listeners: &[ListenerConfig],
    parts: &Parts,
    kernel: &Arc<Kernel>,
) -> Result<(Door, Vec<Arc<TlsReloader>>), Failure> {
    let mut options = Options::default();
    let mut bound = Vec::new();
    let mut reloaders = Vec::new();
    for config in listeners {
        let tls = match &config.tls {
            None => None,
            Some(tls) => {
                Some(TlsReloader::new(tls.clone()).map_err(|error| Failure::usage(error.to_string()))?)
            }
        };
        reloaders.extend(tls.clone());
        if let Some(body_bytes_max) = config.body_bytes_max {
            options.body_bytes_max = body_bytes_max;
        }
        if let Some(request_timeout) = config.request_timeout {
            options.request_timeout = request_timeout;
        }
        let forwarded_for = (!config.forwarded_from.is_empty())
            .then(|| ForwardedFor::from_proxies(config.forwarded_from.clone()));
        bound.push(Listener {
            address: config.address.clone(),
            tls,
            forwarded_for,
            require_request_header: config.require_request_header,
        });
    }
    let door = Door::bind(bound, kernel.clone(), parts.clock.clone(), parts.entropy.clone(), options)
        .await
        .map_err(|error| Failure::other(error.to_string()))?;
    let cors = door.cors();
    let page_headers = door.page_headers();
    kernel.watch_settings(move |settings| {
        *cors.write() = Arc::new(cors_policy(&settings.cors));
        *page_headers.write() = Arc::new(single_headers(settings));
    });
    Ok((door, reloaders))
}

/// The web page's headers, one entry for each value.
fn single_headers(settings: &ServerSettings) -> Vec<(String, String)> {
    let pairs = settings.page_headers.iter();
    pairs.flat_map(|(name, values)| values.iter().map(|value| (name.clone(), value.clone()))).collect()
}

fn cors_policy(settings: &CorsSettings) -> CorsPolicy {
    let origins = match settings.allowed_origins.as_slice() {
        _ if !settings.is_enabled => CorsOrigins::Off,
        [all] if all == "*" => CorsOrigins::All,
        origins => CorsOrigins::Listed(origins.to_vec()),
    };
    CorsPolicy { origins, headers: settings.allowed_headers.clone() }
}

/// One line on standard output for whoever started us; the rest is the log.
fn announce(config: &Config, door: &Door, kernel: &Kernel) {
    let addresses: Vec<String> = config
        .listeners
        .iter()
        .map(|listener| match &listener.address {
            strongroom_http::Address::Tcp(address) => {
                format!("{}://{address}", if listener.tls.is_some() { "https" } else { "http" })
            }
            strongroom_http::Address::Unix { path, .. } => format!("unix://{}", path.display()),
        })
        .collect();
    tracing::info!(
        addresses = addresses.join(" "),
        ports = ?door.tcp_addresses().iter().map(std::net::SocketAddr::port).collect::<Vec<_>>(),
        sealed = kernel.is_sealed(),
        "Strongroom {} is ready",
        env!("CARGO_PKG_VERSION")
    );
    match kernel.is_initialized() {
        Ok(false) => tracing::info!("not initialised yet: `strongroom operator init` makes the keys"),
        Ok(true) if kernel.is_sealed() => {
            tracing::info!("sealed: `strongroom operator unseal` takes the keys")
        }
        _ => {}
    }
}

/// Serves until SIGINT or SIGTERM. SIGHUP reads certificates again and opens log files again.
async fn serve(door: Door, tls: Vec<Arc<TlsReloader>>, kernel: Arc<Kernel>) -> Result<ExitCode, Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("signals cannot be received: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let reopened = kernel.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            reload(&tls);
            reopened.reopen_audit();
        }
    });
    let maintenance = maintain(kernel.clone());
    let looks = look_around(kernel.clone());
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: running requests may end");
    };
    let cut_off = door.serve(stop).await;
    if cut_off > 0 {
        tracing::warn!(cut_off, "requests were cut off");
    }
    drop((maintenance, looks));
    tokio::task::spawn_blocking(move || kernel.seal())
        .await
        .map_err(|error| Failure::other(format!("closing failed: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

fn reload(tls: &[Arc<TlsReloader>]) {
    for reloader in tls {
        match reloader.reload() {
            Ok(()) => tracing::info!("certificates were read again"),
            Err(error) => tracing::error!(%error, "certificates stay as they were"),
        }
    }
}

/// The thread for what falls due by itself. It ends when what is returned is dropped.
fn maintain(kernel: Arc<Kernel>) -> std::sync::mpsc::Sender<()> {
    let (stop, stopped) = std::sync::mpsc::channel();
    let work = move || {
        let mut pause = Duration::from_millis(200);
        while stopped.recv_timeout(pause) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            pause = kernel.maintain();
        }
    };
    if let Err(error) = std::thread::Builder::new().name("maintenance".to_owned()).spawn(work) {
        tracing::error!(%error, "leases will not expire: the maintenance thread cannot be started");
    }
    stop
}

/// The thread for looks at others (ACME). It ends when what is returned is dropped.
fn look_around(kernel: Arc<Kernel>) -> std::sync::mpsc::Sender<()> {
    let (stop, stopped) = std::sync::mpsc::channel();
    let work = move || {
        let mut pause = Duration::from_millis(200);
        while stopped.recv_timeout(pause) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            pause = kernel.look_around();
        }
    };
    if let Err(error) = std::thread::Builder::new().name("looks".to_owned()).spawn(work) {
        tracing::error!(%error, "ACME challenges will not be looked at: their thread cannot be started");
    }
    stop
}

/// A file with our process id, gone when we are.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &std::path::Path) -> Result<Self, Failure> {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|error| Failure::usage(format!("the pid file {}: {error}", path.display())))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, "the pid file stays");
        }
    }
}
