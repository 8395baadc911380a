//! The server's log: structured, and never in the way. Lines that nobody reads are dropped, not waited for.

use super::config::Config;
use crate::failure::Failure;
use std::path::Path;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging. The log ends when the guard is dropped.
pub fn start(level: Option<&str>, format: Option<&str>, file: Option<&Path>) -> Result<WorkerGuard, Failure> {
    let level = match level.unwrap_or("info").to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" | "notice" => LevelFilter::INFO,
        "warn" | "warning" => LevelFilter::WARN,
        "err" | "error" => LevelFilter::ERROR,
        other => {
            return Err(Failure::usage(format!("log level {other:?}: trace, debug, info, warn or error")));
        }
    };
    let (writer, guard) = match file {
        None => tracing_appender::non_blocking(std::io::stderr()),
        Some(path) => {
            let file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .map_err(|error| Failure::usage(format!("the log file {}: {error}", path.display())))?;
            tracing_appender::non_blocking(file)
        }
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false);
    match format.unwrap_or("standard") {
        "standard" | "text" => lines.init(),
        "json" => lines.json().init(),
        other => return Err(Failure::usage(format!("log format {other:?}: standard or json"))),
    }
    Ok(guard)
}

/// Says what was read and has no effect.
pub fn warn_of(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("configuration: {warning}");
    }
}
