//! Who did what, when, from where: a search through logs.

use super::lines::{Lines, json_of, kind_of};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, BufRead};
use strongroom_secret::Timestamp;

/// What to look for. Whatever is None or empty matches everything.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pub path_prefix: Option<String>,
    pub operation: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub kind: Option<RecordKind>,
    /// As it is in the log: a hash, unless the device has `hmac_accessor=false`.
    pub accessor: Option<String>,
    pub entity_id: Option<String>,
    pub display_name: Option<String>,
    pub remote_address: Option<String>,
    /// The hash of a value or token ([`super::hashed`]), anywhere in the record.
    pub hash: Option<String>,
    pub outcome: Outcome,
    pub limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    Request,
    Response,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    #[default]
    Any,
    /// Only what was refused or failed.
    Failed,
}

/// A record that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Match {
    pub log: String,
    pub line: u64,
    #[serde(serialize_with = "as_rfc3339")]
    pub time: Timestamp,
    #[serde(rename = "type")]
    pub kind: RecordKind,
    pub request_id: String,
    pub operation: String,
    pub namespace: String,
    pub path: String,
    pub display_name: String,
    pub entity_id: String,
    pub accessor: String,
    pub remote_address: String,
    pub error: String,
    /// The whole line.
    #[serde(skip)]
    pub text: String,
}

fn as_rfc3339<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.rfc3339())
}

/// The members that a search looks at.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: RecordKind,
    #[serde(borrow, default)]
    auth: SeenAuth<'a>,
    #[serde(borrow, default)]
    request: SeenRequest<'a>,
    #[serde(borrow, default)]
    error: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SeenAuth<'a> {
    #[serde(borrow)]
    accessor: Cow<'a, str>,
    #[serde(borrow)]
    display_name: Cow<'a, str>,
    #[serde(borrow)]
    entity_id: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SeenRequest<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    remote_address: Cow<'a, str>,
    #[serde(borrow)]
    client_token_accessor: Cow<'a, str>,
    #[serde(borrow)]
    namespace: SeenNamespace<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SeenNamespace<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
}

impl Query {
    fn matches(&self, seen: &Seen<'_>, time: Timestamp, line: &[u8]) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let request = &seen.request;
        let is_in_path = |prefix: &str| match request.path.strip_prefix(prefix) {
            Some(_) => true,
            // A prefix may begin with the namespace.
            None => prefix
                .strip_prefix(&*request.namespace.path)
                .is_some_and(|rest| request.path.starts_with(rest)),
        };
        self.path_prefix.as_deref().is_none_or(is_in_path)
            && is(&self.operation, &request.operation)
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
            && self.kind.is_none_or(|kind| kind == seen.kind)
            && (is(&self.accessor, &seen.auth.accessor) || is(&self.accessor, &request.client_token_accessor))
            && is(&self.entity_id, &seen.auth.entity_id)
            && is(&self.display_name, &seen.auth.display_name)
            && is(&self.remote_address, &request.remote_address)
            && (self.outcome == Outcome::Any || !seen.error.is_empty())
            && self.hash.as_deref().is_none_or(|hash| memchr::memmem::find(line, hash.as_bytes()).is_some())
    }
}

/// The matches in logs, in their order. Lines that are no records are passed over and counted.
pub struct Search<R> {
    query: Query,
    logs: VecDeque<(String, Lines<R>)>,
    found: usize,
    /// Lines that could not be read as records, nor as the server's own lines.
    pub lines_unreadable: u64,
}

impl<R: BufRead> Search<R> {
    /// Through `logs`, each with its name, oldest first.
    pub fn new(query: Query, logs: impl IntoIterator<Item = (String, R)>) -> Self {
        let logs = logs.into_iter().map(|(name, reader)| (name, Lines::new(reader))).collect();
        Self { query, logs, found: 0, lines_unreadable: 0 }
    }

    /// The next match in the first log; None at its end.
    fn next_in_log(&mut self) -> io::Result<Option<Match>> {
        let Some((log, lines)) = self.logs.front_mut() else { return Ok(None) };
        loop {
            let number = lines.number + 1;
            let Some(line) = lines.next()? else { return Ok(None) };
            if matches!(kind_of(line.bytes), Some("checkpoint" | "chain-start" | "dropped")) {
                continue;
            }
            let seen: Option<Seen<'_>> = serde_json::from_slice(json_of(line.bytes)).ok();
            let Some((seen, time)) =
                seen.and_then(|seen| Timestamp::parse_rfc3339(&seen.time).map(|time| (seen, time)))
            else {
                self.lines_unreadable += 1;
                continue;
            };
            if self.query.matches(&seen, time, line.bytes) {
                return Ok(Some(seen.into_match(log, number, time, line.bytes)));
            }
        }
    }
}

impl<R: BufRead> Iterator for Search<R> {
    type Item = io::Result<Match>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.logs.is_empty() && self.query.limit.is_none_or(|limit| self.found < limit) {
            match self.next_in_log() {
                Ok(Some(found)) => {
                    self.found += 1;
                    return Some(Ok(found));
                }
                Ok(None) => drop(self.logs.pop_front()),
                Err(error) => {
                    self.logs.pop_front();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Seen<'_> {
    fn into_match(self, log: &str, line: u64, time: Timestamp, text: &[u8]) -> Match {
        Match {
            log: log.to_owned(),
            line,
            time,
            kind: self.kind,
            request_id: self.request.id.into_owned(),
            operation: self.request.operation.into_owned(),
            namespace: self.request.namespace.path.into_owned(),
            path: self.request.path.into_owned(),
            display_name: self.auth.display_name.into_owned(),
            entity_id: self.auth.entity_id.into_owned(),
            accessor: self.auth.accessor.into_owned(),
            remote_address: self.request.remote_address.into_owned(),
            error: self.error.into_owned(),
            text: String::from_utf8_lossy(text).into_owned(),
        }
    }
}
