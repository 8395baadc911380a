//! What the kernel is told of the program and the machine around it, and may change there: both come in from the
//! composition root, for the kernel reads no files and owns no log.

use crate::outbound::{self, Outbound};
use crate::probing::{self, Prober};
use crate::rotation::{NoticeFiles, Plugins, no_notice_files, no_plugins};
use crate::streams::{self, Streams};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use strongroom_secret::SecretString;

/// The loggers that operators can set apart, and the module paths whose lines are theirs.
pub const LOGGERS: [(&str, &str); 6] = [
    ("audit", "strongroom_kernel::audit"),
    ("backends", "strongroom_backends"),
    ("http", "strongroom_http"),
    ("kernel", "strongroom_kernel"),
    ("server", "strongroom::"),
    ("storage", "strongroom_storage"),
];

/// The most that is written to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// A level for every logger, by name.
pub type LogLevels = BTreeMap<&'static str, LogLevel>;

/// The program and the machine around a kernel.
pub struct Surroundings {
    /// Processors, memory, disks and uptime, under the names of `sys/host-info`.
    pub host: Box<dyn Fn() -> Map<String, Value> + Send + Sync>,
    pub log: LogControl,
    /// Asks other servers over HTTP.
    pub outbound: Outbound,
    /// Runs executables of the operator's.
    pub plugins: Plugins,
    /// Writes files that tell of new versions of secrets.
    pub notice_files: NoticeFiles,
    /// Opens connections to servers that speak no HTTP.
    pub streams: Streams,
    /// The token of the Kubernetes pod that the program runs in, read anew each time; None elsewhere.
    pub service_account_token: ServiceAccountToken,
    /// Looks whether somebody holds a name.
    pub prober: Prober,
}

/// Reads the token of a pod.
pub type ServiceAccountToken = Box<dyn Fn() -> Option<SecretString> + Send + Sync>;

/// The log's levels, which `sys/loggers` reads and changes until the next start.
pub struct LogControl {
    at_start: LogLevel,
    levels: Mutex<LogLevels>,
    apply: Box<dyn Fn(&LogLevels) + Send + Sync>,
}

impl LogLevel {
    /// Reads a name, in Vault's spellings too.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" | "notice" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "err" | "error" => Self::Error,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl LogControl {
    /// A log that starts with one level for everything; `apply` is called with all levels after each change.
    pub fn new(at_start: LogLevel, apply: impl Fn(&LogLevels) + Send + Sync + 'static) -> Self {
        Self { at_start, levels: Mutex::new(all(at_start)), apply: Box::new(apply) }
    }

    pub(crate) fn levels(&self) -> LogLevels {
        self.levels.lock().clone()
    }

    /// Sets one logger, or all without a name. None as the level: as at the start.
    pub(crate) fn set(&self, name: Option<&str>, level: Option<LogLevel>) {
        let level = level.unwrap_or(self.at_start);
        let mut levels = self.levels.lock();
        for (_, present) in levels.iter_mut().filter(|(known, _)| name.is_none_or(|name| name == **known)) {
            *present = level;
        }
        (self.apply)(&levels);
    }
}

fn all(level: LogLevel) -> LogLevels {
    LOGGERS.iter().map(|(name, _)| (*name, level)).collect()
}

impl Default for Surroundings {
    /// Knows nothing of the machine and reaches no other; its log takes any level and writes nothing.
    fn default() -> Self {
        Self {
            host: Box::new(Map::new),
            log: LogControl::new(LogLevel::Info, |_| ()),
            outbound: outbound::unreachable(),
            plugins: no_plugins(),
            notice_files: no_notice_files(),
            streams: streams::unreachable(),
            service_account_token: Box::new(|| None),
            prober: probing::blind(),
        }
    }
}
