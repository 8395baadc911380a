//! The `server` command.

use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Starts a server.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// A server for development: in memory, initialised, unsealed, with a known root token. Nothing outlives it
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
    /// A configuration file (HCL or JSON), or a folder of them
    #[arg(long, value_name = "FILE|FOLDER")]
    pub config: Vec<PathBuf>,
    #[arg(long, value_name = "LEVEL", help = "trace, debug, info, warn or error")]
    pub log_level: Option<String>,
    #[arg(long, value_name = "FORMAT", help = "standard or json")]
    pub log_format: Option<String>,
    #[arg(long, value_name = "FILE", help = "Write the log to FILE instead of standard error")]
    pub log_file: Option<PathBuf>,
}

pub fn run(args: &ServerArgs) -> anyhow::Result<ExitCode> {
    let _ = args;
    anyhow::bail!("this build has no server")
}
