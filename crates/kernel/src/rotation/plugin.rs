//! Executables of the operator's, which generate, apply, verify and retire. The kernel starts no process: what does comes in
//! from outside.

use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::SecretBytes;
use thiserror::Error;

/// One run of an executable: a line on its standard input, an answer on its standard output.
#[derive(Debug)]
pub struct PluginRequest<'r> {
    /// The name of a file in the plugin directory; never a path.
    pub name: &'r str,
    pub input: &'r SecretBytes,
    /// Then it is killed, with all that it started.
    pub timeout: Duration,
    pub output_bytes_max: usize,
}

/// Why there is no answer. Never what the program was given or printed.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct PluginError(pub String);

/// Runs an executable to its end and hands back what it printed.
pub type Plugins = Arc<dyn Fn(&PluginRequest<'_>) -> Result<SecretBytes, PluginError> + Send + Sync>;

/// Writes a notice into a file below the notice directory: its path there, and its content.
pub type NoticeFiles = Arc<dyn Fn(&str, &[u8]) -> Result<(), PluginError> + Send + Sync>;

pub(crate) fn no_plugins() -> Plugins {
    Arc::new(|_| {
        Err(PluginError("this server runs no plugins: its configuration has no plugin_directory".to_owned()))
    })
}

pub(crate) fn no_notice_files() -> NoticeFiles {
    Arc::new(|_, _| {
        Err(PluginError(
            "this server writes no notices: its configuration has no notify_directory".to_owned(),
        ))
    })
}
