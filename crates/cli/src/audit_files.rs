//! Audit files without a server: is a file whole, and what is in it.

use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub struct VerifyArgs {
    /// Oldest first, where a log was rotated
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

#[derive(Args)]
pub struct QueryArgs {
    /// Audit files
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Requests to this path alone; ends in * for all below
    #[arg(long)]
    pub path: Option<String>,
    /// Requests of this operation alone: read, update…
    #[arg(long)]
    pub operation: Option<String>,
    /// Requests by this entity, display name or accessor alone
    #[arg(long)]
    pub who: Option<String>,
    /// Requests after this time alone (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Requests before this time alone (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

pub fn verify(context: &Context, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let _ = (context, &args.files);
    Err(Failure::other("this build cannot verify audit files"))
}

pub fn query(context: &Context, args: &QueryArgs) -> Result<ExitCode, Failure> {
    let _ = (context, &args.files, &args.path, &args.operation, &args.who, &args.since, &args.until);
    Err(Failure::other("this build cannot search audit files"))
}
