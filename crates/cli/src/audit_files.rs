//! Audit files without a server: is a file whole, and what is in it.

use crate::context::Context;
use crate::failure::{Failure, Kind};
use clap::Args;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_crypto::sign::VerifyingKey;
use strongroom_kernel::audit::{
    Match, Outcome, Query, RecordKind, Report, Restart, Search, Verifier, VerifyOptions, write_table,
};
use strongroom_secret::Timestamp;

#[derive(Args)]
pub struct VerifyArgs {
    /// The files of one device; oldest first, where its log was rotated
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// The server's public key (Ed25519, hexadecimal), under which checkpoints have to be signed; may be given often
    #[arg(long, value_name = "HEX")]
    pub public_key: Vec<String>,
}

#[derive(Args)]
pub struct QueryArgs {
    /// Oldest first
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Requests to paths that begin so
    #[arg(long, value_name = "PREFIX")]
    pub path: Option<String>,
    /// Requests of this operation: read, update…
    #[arg(long, value_name = "NAME")]
    pub operation: Option<String>,
    /// Requests under this display name
    #[arg(long, value_name = "NAME")]
    pub who: Option<String>,
    /// Requests by this entity
    #[arg(long, value_name = "ID")]
    pub entity: Option<String>,
    /// Requests by the token of this accessor, as it is in the log
    #[arg(long, value_name = "ACCESSOR")]
    pub accessor: Option<String>,
    /// Requests from this address
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// A hash, anywhere in the record
    #[arg(long, value_name = "HASH")]
    pub hash: Option<String>,
    /// Not before this time, as 2026-11-22T20:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only what was refused or failed
    #[arg(long)]
    pub failed: bool,
    /// At most this many
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub limit: usize,
}

pub fn verify(context: &Context, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let keys = args.public_key.iter().map(|text| public_key(text)).collect::<Result<Vec<_>, _>>()?;
    let mut verifier = Verifier::new(VerifyOptions { public_keys: &keys, last_line: None });
    for (name, reader) in open_all(&args.files)? {
        verifier.read(&name, reader).map_err(|error| unreadable(Path::new(&name), &error))?;
    }
    let report = verifier.finish();
    if context.output.is_table() {
        context.output.text(&summary(&report, &keys))?;
    } else {
        context.output.structured(&report)?;
    }
    match &report.broken {
        None if !is_chained(&report) => Err(Failure::new(
            Kind::Integrity,
            "no line is chained to another: nothing can be said about these files",
        )
        .hint("only logs that Strongroom wrote can be verified")),
        None => Ok(ExitCode::SUCCESS),
        Some(broken) => Err(Failure::new(Kind::Integrity, broken.to_string())),
    }
}

fn is_chained(report: &Report) -> bool {
    report.last_sequence.is_some()
}

fn public_key(text: &str) -> Result<VerifyingKey, Failure> {
    let key = hex::FromHex::from_hex(text.trim()).ok().and_then(|bytes| VerifyingKey::from_bytes(bytes).ok());
    key.ok_or_else(|| Failure::usage("a public key is 64 hexadecimal digits"))
}

fn summary(report: &Report, keys: &[VerifyingKey]) -> String {
    let signatures =
        if keys.is_empty() { "signatures not checked: --public-key" } else { "signatures checked" };
    let mut text = format!(
        "{} lines, {} records, {} checkpoints ({signatures})\n",
        report.lines, report.records, report.checkpoints
    );
    // A log begins with a line that says so: nothing to tell anybody.
    let is_told = |restart: &&Restart| restart.line != 1 || restart.reason != "a new file";
    for restart in report.restarts.iter().filter(is_told) {
        text.push_str(&format!(
            "{}:{}: the chain starts anew: {}\n",
            restart.log, restart.line, restart.reason
        ));
    }
    if report.records_dropped > 0 {
        text.push_str(&format!(
            "{} records were dropped by the device at the time\n",
            report.records_dropped
        ));
    }
    if report.is_intact() && is_chained(report) {
        text.push_str("Success! No record was changed, removed or added.\n");
    }
    text
}

pub fn query(context: &Context, args: &QueryArgs) -> Result<ExitCode, Failure> {
    let query = Query {
        path_prefix: args
            .path
            .as_deref()
            .map(|path| path.trim_start_matches('/').trim_end_matches('*').to_owned()),
        operation: args.operation.clone(),
        since: time(args.since.as_deref())?,
        until: time(args.until.as_deref())?,
        // One line a request: the record of its answer says all that the one before it said.
        kind: Some(RecordKind::Response),
        accessor: args.accessor.clone(),
        entity_id: args.entity.clone(),
        display_name: args.who.clone(),
        remote_address: args.from.clone(),
        hash: args.hash.clone(),
        outcome: if args.failed { Outcome::Failed } else { Outcome::Any },
        limit: Some(args.limit),
    };
    let mut search = Search::new(query, open_all(&args.files)?);
    let found: Result<Vec<Match>, _> = search.by_ref().collect();
    let found = found.map_err(|error| Failure::other(format!("cannot read the audit files: {error}")))?;
    if search.lines_unreadable > 0 {
        context.output.note(&format!("warning: {} lines are no records", search.lines_unreadable));
    }
    if !context.output.is_table() {
        return context.output.structured(&found);
    }
    let mut table = Vec::new();
    write_table(&mut table, &found).map_err(|error| Failure::other(error.to_string()))?;
    context.output.bytes(&table)
}

fn time(text: Option<&str>) -> Result<Option<Timestamp>, Failure> {
    let parse = |text: &str| {
        Timestamp::parse_rfc3339(text)
            .ok_or_else(|| Failure::usage(format!("{text:?} is not a time as 2026-11-22T20:00:00Z")))
    };
    text.map(parse).transpose()
}

fn open_all(files: &[PathBuf]) -> Result<Vec<(String, BufReader<File>)>, Failure> {
    let open = |file: &PathBuf| {
        let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
        Ok((file.display().to_string(), BufReader::new(opened)))
    };
    files.iter().map(open).collect()
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::other(format!("cannot read {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_are_hexadecimal() {
        assert!(public_key(&"ab".repeat(31)).is_err());
        assert!(public_key("not hexadecimal").is_err());
        // The public key of RFC 8032, section 7.1, test 1.
        assert!(public_key("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").is_ok());
    }
}
