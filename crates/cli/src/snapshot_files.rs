//! Snapshot files without a server: is a file whole, and what is in it.

use crate::context::Context;
use crate::failure::{Failure, Kind};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use strongroom_storage::archive::{self, ArchiveError, Header};

/// Reads the whole file and checks its sum.
pub fn verify(context: &Context, file: &Path) -> Result<ExitCode, Failure> {
    let summary = archive::verify(&mut open(file)?).map_err(|error| failed(file, &error))?;
    let mut shown = header(&summary.header);
    shown.insert("entries".into(), json!(summary.entries));
    shown.insert("sha256".into(), json!(hex::encode(summary.sha256)));
    shown.insert("whole".into(), json!(true));
    context.output.map(&shown)
}

/// Reads the head of the file alone.
pub fn inspect(context: &Context, file: &Path) -> Result<ExitCode, Failure> {
    let found = archive::inspect(&mut open(file)?).map_err(|error| failed(file, &error))?;
    context.output.map(&header(&found))
}

fn open(file: &Path) -> Result<File, Failure> {
    File::open(file).map_err(|error| Failure::new(Kind::Missing, format!("{}: {error}", file.display())))
}

fn failed(file: &Path, error: &ArchiveError) -> Failure {
    let kind = if matches!(error, ArchiveError::File(_)) { Kind::Other } else { Kind::Integrity };
    Failure::new(kind, format!("{}: {error}", file.display()))
}

fn header(header: &Header) -> Map<String, Value> {
    Map::from_iter([
        ("store_id".to_owned(), json!(header.store_id.to_string())),
        ("commit_index".to_owned(), json!(header.index.0)),
        ("created".to_owned(), json!(header.created.rfc3339())),
    ])
}
