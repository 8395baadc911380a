//! The server's log: structured, and never in the way. Lines that nobody reads are dropped, not waited for.

use super::config::Config;
use crate::failure::Failure;
use std::path::Path;
use std::sync::Arc;
use strongroom_detect::redact::{Json, Patterns, RedactingEvents, Redactor, Style, Values};
use strongroom_kernel::{LOGGERS, LogControl, LogLevel, LogLevels};
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry, reload};

/// A log that was started. It ends when the guard is dropped.
pub struct Log {
    pub guard: WorkerGuard,
    /// Changes its levels while it runs.
    pub control: LogControl,
}

/// Starts logging.
pub fn start(level: Option<&str>, format: Option<&str>, file: Option<&Path>) -> Result<Log, Failure> {
    let text = level.unwrap_or("info");
    let level = LogLevel::parse(text)
        .ok_or_else(|| Failure::usage(format!("log level {text:?}: trace, debug, info, warn or error")))?;
    let (writer, guard) = writer(file)?;
    let base = LevelFilter::from(verbosity(level));
    let (filter, handle) = reload::Layer::new(Targets::new().with_default(base));
    // Nothing secret is logged; should that ever be wrong, what is called a password or token is taken out.
    let redactor = Redactor::new(Values::telling(), Style::Name)
        .with_patterns(Patterns::of_names())
        .with_json(Json::Detected);
    let writer = RedactingEvents::new(writer, Arc::new(redactor));
    let lines = fmt::layer().with_writer(writer).with_ansi(false).with_target(false);
    match format.unwrap_or("standard") {
        "standard" | "text" => registry().with(filter).with(lines).init(),
        "json" => registry().with(filter).with(lines.json()).init(),
        other => return Err(Failure::usage(format!("log format {other:?}: standard or json"))),
    }
    let control = LogControl::new(level, move |levels: &LogLevels| {
        let targets = LOGGERS.iter().filter_map(|(name, target)| {
            levels.get(name).map(|level| (*target, LevelFilter::from(verbosity(*level))))
        });
        if let Err(error) = handle.reload(Targets::new().with_default(base).with_targets(targets)) {
            tracing::error!(%error, "the log's levels stay as they were");
        }
    });
    Ok(Log { guard, control })
}

fn writer(file: Option<&Path>) -> Result<(NonBlocking, WorkerGuard), Failure> {
    let Some(path) = file else { return Ok(tracing_appender::non_blocking(std::io::stderr())) };
    let file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(|error| Failure::usage(format!("the log file {}: {error}", path.display())))?;
    Ok(tracing_appender::non_blocking(file))
}

fn verbosity(level: LogLevel) -> tracing::Level {
    match level {
        LogLevel::Trace => tracing::Level::TRACE,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Error => tracing::Level::ERROR,
    }
}

/// Says what was read and has no effect.
pub fn warn_of(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("configuration: {warning}");
    }
}
