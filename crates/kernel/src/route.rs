//! Route tables: what a backend serves, as data. Requests, OpenAPI documents and help are made from the same tables.

use crate::call::Call;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::outbox::OutwardHandler;
use crate::request::{Operation, Request, Response};
use std::sync::Arc;

/// One path of a backend, relative to its mount.
pub struct Route {
    /// Segments joined by `/`. `{name}` takes one segment; `{name..}`, in the last place, takes the rest (one or more
    /// segments), and a trailing `/?` takes an optional slash. An empty pattern is the mount itself.
    pub pattern: &'static str,
    pub summary: &'static str,
    pub access: Access,
    pub fields: &'static [Field],
    pub methods: &'static [Method],
    /// Tells a creation from an update, where the difference matters to policy.
    pub exists: Option<fn(&mut Call<'_>) -> Result<bool, Error>>,
}

/// What one operation on a route does.
pub struct Method {
    pub operation: Operation,
    pub run: Run,
    pub summary: &'static str,
}

/// A handler.
pub type Handler = fn(&mut Call<'_>) -> Result<Response, Error>;

/// How a handler is run.
#[derive(Clone, Copy)]
pub enum Run {
    /// On a snapshot; its writes are an error.
    Read(Handler),
    /// In a transaction, again on a conflict.
    Write(Handler),
    /// On a snapshot, and again in a transaction where that turns out to write: for what seldom does.
    ReadOrWrite(Handler),
    /// A write that computes for tens of milliseconds (password hashes) or waits for a peer: it runs in the small pool.
    Heavy(Handler),
    /// A write that does something outside the store: see [`crate::Errand`].
    Outward(OutwardHandler),
    /// Without keys, tokens or a transaction: what must work while the server is sealed.
    Bare(fn(&Arc<Kernel>, &Request) -> Result<Response, Error>),
}

/// Who may call a route, before policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A valid token whose policies allow it.
    Token,
    /// As `Token`, and the policies must grant `sudo`.
    Sudo,
    /// As `Sudo`; anybody, while the server's configuration opens the making of root tokens to those who lost theirs.
    Recovery,
    /// Anybody: logins, and what must be known before one.
    Open,
    /// Open, for a token is looked at by the handler itself (response wrapping).
    OwnToken,
}

/// One named parameter.
pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    pub description: &'static str,
}

/// The JSON shape of a parameter, as OpenAPI names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    Integer,
    Boolean,
    /// Seconds, or text such as `1h30m`.
    Duration,
    /// A list, or text with commas.
    List,
    Map,
    /// A time in RFC 3339.
    Time,
    Any,
}

impl Route {
    pub fn method(&self, operation: Operation) -> Option<&Method> {
        self.methods.iter().find(|method| method.operation == operation)
    }
}

/// What a pattern took from a path.
pub type Captures = Vec<(&'static str, String)>;

/// Finds the route for a path relative to its mount. The first match in table order counts.
pub(crate) fn find<'r>(tables: &[&'r [Route]], path: &str) -> Option<(&'r Route, Captures)> {
    tables
        .iter()
        .copied()
        .flatten()
        .find_map(|route| captures(route.pattern, path).map(|captures| (route, captures)))
}

/// Matches one pattern; `path` is normal (no empty segments but for a trailing slash).
fn captures(pattern: &'static str, path: &str) -> Option<Captures> {
    let (pattern, slash_optional) = match pattern.strip_suffix("/?") {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let path = if slash_optional { path.strip_suffix('/').unwrap_or(path) } else { path };
    let mut captures = Vec::new();
    let mut rest = path;
    let mut parts = pattern.split('/').peekable();
    while let Some(part) = parts.next() {
        let inner = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        if let Some(name) = inner.and_then(|name| name.strip_suffix("..")) {
            if rest.is_empty() {
                return None;
            }
            captures.push((name, rest.to_owned()));
            return parts.peek().is_none().then_some(captures);
        }
        let (segment, tail) = match rest.split_once('/') {
            Some((segment, tail)) => (segment, Some(tail)),
            None => (rest, None),
        };
        match inner {
            Some(name) if !segment.is_empty() => captures.push((name, segment.to_owned())),
            Some(_) => return None,
            None if part == segment => {}
            None => return None,
        }
        match (parts.peek(), tail) {
            (Some(_), Some(tail)) => rest = tail,
            (Some(_), None) | (None, Some(_)) => return None,
            (None, None) => return Some(captures),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_whole_segments() {
        let taken = |pattern, path| {
            captures(pattern, path)
                .map(|c| c.into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(","))
        };
        assert_eq!(taken("config", "config"), Some(String::new()));
        assert_eq!(taken("config", "configs"), None);
        assert_eq!(taken("", ""), Some(String::new()));
        assert_eq!(taken("data/{path..}", "data/a/b"), Some("path=a/b".into()));
        assert_eq!(taken("data/{path..}", "data/a/"), Some("path=a/".into()));
        assert_eq!(taken("data/{path..}", "data/"), None);
        assert_eq!(taken("role/{name}/secret-id", "role/x/secret-id"), Some("name=x".into()));
        assert_eq!(taken("role/{name}/secret-id", "role/x/secret-id/"), None);
        assert_eq!(taken("role/?", "role/"), Some(String::new()));
        assert_eq!(taken("role/?", "role"), Some(String::new()));
        assert_eq!(taken("role/{name}/secret-id/?", "role/x/secret-id/"), Some("name=x".into()));
        assert_eq!(taken("{path..}", "a"), Some("path=a".into()));
    }
}
