//! What simulated clients do, as requests.

use super::model::{Model, NAMESPACES};
use serde_json::{Value, json};
use std::time::Duration;
use strongroom_kernel::Operation;

/// One thing that a client does.
#[derive(Debug, Clone)]
pub(super) struct Act {
    /// The token's number in the model; None for an open route.
    pub caller: Option<usize>,
    pub namespace: usize,
    pub deed: Deed,
}

#[derive(Debug, Clone)]
pub(super) enum Deed {
    Kv { slot: usize, mount: Option<u64>, is_v2: bool, kv: Kv },
    Create { ttl_seconds: u64, uses: u64, is_batch: bool, policies: Vec<usize> },
    LookupSelf,
    RenewSelf,
    RevokeSelf,
    Revoke(usize),
    RevokeOrphan(usize),
    WritePolicy { name: usize, variant: usize },
    DeletePolicy { name: usize },
    Enable { slot: usize, is_v2: bool },
    Disable { slot: usize },
    Move { from: usize, to: usize },
    MakeSecretId { uses: u64 },
    Login(usize),
    Unwrap(usize),
}

/// What is done to a key-value store.
#[derive(Debug, Clone)]
pub(super) enum Kv {
    Put { secret: usize, cas: Option<u64>, value: u64 },
    Get { secret: usize, version: u64, is_wrapped: bool },
    Delete { secret: usize },
    Change { secret: usize, versions: Vec<u64>, change: Change },
    Remove { secret: usize },
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Delete,
    Undelete,
    Destroy,
}

/// A request, before it is parsed.
pub(super) struct Plain {
    pub operation: Operation,
    pub path: String,
    pub body: Value,
    pub wrap_ttl: Option<Duration>,
}

/// How long a wrapped answer waits.
pub(super) const WRAP_SECONDS: u64 = 600;
/// What a login's token lives.
pub(super) const LOGIN_SECONDS: u64 = 3600;

pub(super) fn secret_name(secret: usize) -> String {
    if secret < 6 { format!("s{secret}") } else { format!("folder/s{secret}") }
}

/// The content that stands for a number, long enough to be torn.
pub(super) fn payload(value: u64) -> Value {
    let text = format!("{value:x}-").repeat((value % 40) as usize + 1);
    json!({ "value": value, "text": text, "key": key_text(value) })
}

/// A text that cannot be guessed, another for every number: it has a fingerprint.
pub(super) fn key_text(value: u64) -> String {
    let mixed = (value + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("fake-{mixed:016x}-{:016x}", mixed.rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9))
}

fn mount(slot: usize) -> String {
    format!("m{slot}")
}

impl Kv {
    fn is_change(&self) -> bool {
        !matches!(self, Self::Get { .. } | Self::List)
    }

    fn request(&self, slot: usize, is_v2: bool) -> Plain {
        let at = mount(slot);
        let place = |part: &str, secret: &usize| {
            let name = secret_name(*secret);
            if is_v2 { format!("{at}/{part}/{name}") } else { format!("{at}/{name}") }
        };
        let (operation, path, body) = match self {
            Self::Put { secret, value, .. } if !is_v2 => {
                (Operation::Write, place("", secret), payload(*value))
            }
            Self::Put { secret, cas, value } => {
                let mut body = json!({ "data": payload(*value) });
                if let Some(cas) = cas {
                    body["options"] = json!({ "cas": cas });
                }
                (Operation::Write, place("data", secret), body)
            }
            Self::Get { secret, version, .. } => {
                (Operation::Read, place("data", secret), json!({ "version": version }))
            }
            Self::Delete { secret } => (Operation::Delete, place("data", secret), json!({})),
            Self::Change { secret, versions, change } => {
                let part = match change {
                    Change::Delete => "delete",
                    Change::Undelete => "undelete",
                    Change::Destroy => "destroy",
                };
                (Operation::Write, place(part, secret), json!({ "versions": versions }))
            }
            Self::Remove { secret } => (Operation::Delete, place("metadata", secret), json!({})),
            Self::List => {
                let path = if is_v2 { format!("{at}/metadata/") } else { format!("{at}/") };
                (Operation::List, path, json!({}))
            }
        };
        let is_wrapped = matches!(self, Self::Get { is_wrapped: true, .. });
        Plain { operation, path, body, wrap_ttl: is_wrapped.then(|| Duration::from_secs(WRAP_SECONDS)) }
    }
}

impl Act {
    pub(super) fn is_kv_change(&self) -> bool {
        matches!(&self.deed, Deed::Kv { kv, .. } if kv.is_change())
    }

    pub(super) fn namespace_path(&self) -> &'static str {
        NAMESPACES[self.namespace]
    }

    pub(super) fn request(&self, model: &Model) -> Plain {
        let text = |token: usize| model.tokens[token].text.clone();
        let write = |path: &str, body: Value| (Operation::Write, path.to_owned(), body);
        let (operation, path, body) = match &self.deed {
            Deed::Kv { slot, is_v2, kv, .. } => return kv.request(*slot, *is_v2),
            Deed::Create { ttl_seconds, uses, is_batch, policies } => {
                let mut body = json!({ "ttl": format!("{ttl_seconds}s") });
                if *uses > 0 {
                    body["num_uses"] = json!(uses);
                }
                if *is_batch {
                    body["type"] = json!("batch");
                }
                if self.caller == Some(0) {
                    let mut names: Vec<_> = policies.iter().map(|name| format!("p{name}")).collect();
                    names.push("minter".to_owned());
                    body["policies"] = json!(names);
                }
                write("auth/token/create", body)
            }
            Deed::LookupSelf => (Operation::Read, "auth/token/lookup-self".to_owned(), json!({})),
            Deed::RenewSelf => write("auth/token/renew-self", json!({})),
            Deed::RevokeSelf => write("auth/token/revoke-self", json!({})),
            Deed::Revoke(token) => write("auth/token/revoke", json!({ "token": text(*token) })),
            Deed::RevokeOrphan(token) => write("auth/token/revoke-orphan", json!({ "token": text(*token) })),
            Deed::WritePolicy { name, variant } => {
                write(&format!("sys/policy/p{name}"), json!({ "policy": policy_text(*variant) }))
            }
            Deed::DeletePolicy { name } => (Operation::Delete, format!("sys/policy/p{name}"), json!({})),
            Deed::Enable { slot, is_v2 } => {
                let version = if *is_v2 { "2" } else { "1" };
                let body = json!({ "type": "kv", "options": { "version": version } });
                write(&format!("sys/mounts/{}", mount(*slot)), body)
            }
            Deed::Disable { slot } => (Operation::Delete, format!("sys/mounts/{}", mount(*slot)), json!({})),
            Deed::Move { from, to } => {
                write("sys/remount", json!({ "from": mount(*from), "to": mount(*to) }))
            }
            Deed::MakeSecretId { uses } => {
                write(&format!("auth/approle/role/uses{uses}/secret-id"), json!({}))
            }
            Deed::Login(secret_id) => {
                let found = &model.secret_ids[*secret_id];
                let body = json!({ "role_id": format!("role-uses{}", found.uses), "secret_id": found.text });
                write("auth/approle/login", body)
            }
            Deed::Unwrap(_) => write("sys/wrapping/unwrap", json!({})),
        };
        Plain { operation, path, body, wrap_ttl: None }
    }
}

/// What a policy grants: the namespace below the policy's own, the mount's slot, and whether changes are granted.
pub(super) fn grants(variant: usize) -> &'static [(&'static str, usize, bool)] {
    match variant {
        0 => &[("", 0, true)],
        1 => &[("", 0, false)],
        2 => &[("", 1, true), ("", 2, true)],
        3 => &[("", 0, true), ("", 1, true), ("", 2, true), ("", 3, true)],
        _ => &[("a/", 0, true), ("c/", 0, false)],
    }
}

pub(super) fn policy_text(variant: usize) -> String {
    let mut text = String::new();
    for (below, slot, may_change) in grants(variant) {
        let capabilities =
            if *may_change { r#""create", "read", "update", "delete", "list""# } else { r#""read", "list""# };
        text.push_str(&format!("path \"{below}{}/*\" {{ capabilities = [{capabilities}] }}\n", mount(*slot)));
    }
    text
}
