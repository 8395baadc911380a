//! `operator snapshot …`. A file appears under its name only when it is whole and on disk.

use crate::context::Context;
use crate::failure::{Doing, Failure};
use crate::snapshot_files;
use clap::{Args, Subcommand};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum SnapshotCommand {
    /// Write all that is stored to a file, encrypted as it is stored
    Save(FileArgs),
    /// Replace all that is stored by a snapshot
    Restore(RestoreArgs),
    /// Check that a snapshot is whole, without a server
    Verify(FileArgs),
    /// What is in a snapshot, without a server
    Inspect(FileArgs),
}

#[derive(Args)]
pub struct FileArgs {
    file: PathBuf,
}

#[derive(Args)]
pub struct RestoreArgs {
    file: PathBuf,
    /// Even if the snapshot is of another server: its keys are then the ones that unseal
    #[arg(long)]
    force: bool,
}

const API_PATH: &str = "sys/storage/raft/snapshot";

pub fn run(context: &Context, command: &SnapshotCommand) -> Result<ExitCode, Failure> {
    match command {
        SnapshotCommand::Save(args) => save(context, &args.file),
        SnapshotCommand::Restore(args) => restore(context, args),
        SnapshotCommand::Verify(args) => snapshot_files::verify(context, &args.file),
        SnapshotCommand::Inspect(args) => snapshot_files::inspect(context, &args.file),
    }
}

fn save(context: &Context, file: &Path) -> Result<ExitCode, Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("cannot write {}: {error}", file.display()));
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut partial = tempfile::Builder::new().prefix(".snapshot").tempfile_in(folder).map_err(failed)?;
    let client = context.client()?;
    let size =
        client.download(API_PATH, partial.as_file_mut()).while_doing(|| "taking the snapshot".to_owned())?;
    if size == 0 {
        return Err(Failure::other("the server sent an empty snapshot").doing("taking the snapshot"));
    }
    partial.as_file().sync_all().map_err(failed)?;
    partial.persist(file).map_err(|error| failed(error.error))?;
    context.output.success(&format!("Snapshot of {size} bytes written to: {}", file.display()))
}

fn restore(context: &Context, args: &RestoreArgs) -> Result<ExitCode, Failure> {
    let file = &args.file;
    let opened = File::open(file);
    let mut source =
        opened.map_err(|error| Failure::other(format!("cannot read {}: {error}", file.display())))?;
    let path = if args.force { "sys/storage/raft/snapshot-force" } else { API_PATH };
    context.client()?.upload(path, &mut source).while_doing(|| "installing the snapshot".to_owned())?;
    context.output.success(&format!("Restored from: {}", file.display()))
}
