//! Whether a leaked token is still valid: one request to the service that issued it, which reads who the token is and changes
//! nothing. No value stands in an address, and no redirect is followed.

use crate::surroundings::Surroundings;
use crate::web::{Answer, Limits, Request, Web};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::SecretString;

/// Which services may be asked, and where.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// `None`: all that are known, where they usually are.
    allowed: Option<BTreeMap<String, String>>,
}

impl Hosts {
    /// `api.github.com`, or `api.github.com=https://github.example.com/api/v3`. None: all services that are known.
    ///
    /// # Errors
    /// A host that no service has, or an address that is none, in a sentence.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        if words.is_empty() {
            return Ok(Self::default());
        }
        let mut allowed = BTreeMap::new();
        for word in words {
            let (host, address) = match word.split_once('=') {
                Some((host, address)) => (host, address.trim_end_matches('/').to_owned()),
                None => (word.as_str(), format!("https://{word}")),
            };
            if !SERVICES.iter().any(|service| service.host == host) {
                let known: Vec<_> = SERVICES.iter().map(|service| service.host).collect();
                return Err(format!("nothing is asked of {host:?}; the hosts are {}", known.join(", ")));
            }
            if !address.starts_with("https://") && !is_local(&address) {
                return Err(format!("{address:?} is no https address: tokens are sent there"));
            }
            allowed.insert(host.to_owned(), address);
        }
        Ok(Self { allowed: Some(allowed) })
    }

    fn address(&self, service: &Service) -> Option<String> {
        match &self.allowed {
            None => Some(format!("https://{}", service.host)),
            Some(allowed) => allowed.get(service.host).cloned(),
        }
    }
}

/// Plain HTTP is for a server on this machine alone.
fn is_local(address: &str) -> bool {
    let host = address.strip_prefix("http://").unwrap_or_default();
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

/// What is known after asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The service knows it: whose it is, as far as it says.
    Active { identity: String },
    /// The service refuses it.
    Inactive,
    /// The service did not say: why.
    Unknown { reason: String },
    /// No service is known for it, or its host may not be asked.
    NotAsked,
}

impl Verdict {
    /// A word for a report.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Active { identity } if identity.is_empty() => Some("active".to_owned()),
            Self::Active { identity } => Some(format!("active: {identity}")),
            Self::Inactive => Some("inactive".to_owned()),
            Self::Unknown { reason } => Some(format!("liveness unknown: {reason}")),
            Self::NotAsked => None,
        }
    }
}

struct Service {
    host: &'static str,
    /// Words of a rule's id, one of which says that the service issued the token.
    rules: &'static [&'static str],
    /// What every such token begins with; empty: there is no such thing.
    prefixes: &'static [&'static str],
    request: fn(&str, &SecretString) -> Request,
    read: fn(&Answer) -> Verdict,
}

const SERVICES: &[Service] = &[
    // docs.github.com, "Get the authenticated user".
    Service {
        host: "api.github.com",
        rules: &["github"],
        prefixes: &["ghp_", "gho_", "ghu_", "ghs_", "github_pat_"],
        request: |base, token| {
            Request::get(format!("{base}/user"))
                .header("accept", "application/vnd.github+json")
                .header("user-agent", "strongroom")
                .bearer(token)
        },
        // 403: an application's token has no user, and is valid all the same.
        read: |answer| match answer.status {
            403 if is_github_scope(answer) => Verdict::Active { identity: String::new() },
            _ => by_status(answer, &["login"]),
        },
    },
    // docs.gitlab.com, "Users API": the current user.
    Service {
        host: "gitlab.com",
        rules: &["gitlab"],
        prefixes: &["glpat-"],
        request: |base, token| {
            Request::get(format!("{base}/api/v4/user")).header("private-token", token.expose())
        },
        read: |answer| match answer.status {
            403 => Verdict::Active { identity: "its scope does not show whose it is".to_owned() },
            _ => by_status(answer, &["username"]),
        },
    },
    // api.slack.com/methods/auth.test: 200 in every case.
    Service {
        host: "slack.com",
        rules: &["slack"],
        prefixes: &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe."],
        request: |base, token| Request::form(format!("{base}/api/auth.test"), &[]).bearer(token),
        read: |answer| {
            let body = answer.json().unwrap_or_default();
            match (body.get("ok").and_then(Value::as_bool), body.get("error").and_then(Value::as_str)) {
                (Some(true), _) => Verdict::Active { identity: text_of(&body, &["user", "team"]) },
                (
                    _,
                    Some(
                        "invalid_auth" | "account_inactive" | "token_revoked" | "token_expired"
                        | "not_authed",
                    ),
                ) => Verdict::Inactive,
                (_, error) => {
                    let reason = error.filter(|error| error.len() < 60).unwrap_or("no answer of Slack's");
                    Verdict::Unknown { reason: reason.to_owned() }
                }
            }
        },
    },
    // docs.stripe.com, "Retrieve balance"; a restricted key that may not read it is answered with 403.
    Service {
        host: "api.stripe.com",
        rules: &["stripe"],
        prefixes: &["sk_live_", "sk_test_", "rk_live_", "rk_test_"],
        request: |base, token| Request::get(format!("{base}/v1/balance")).bearer(token),
        read: |answer| match answer.status {
            403 => Verdict::Active { identity: "a restricted key".to_owned() },
            _ => by_status(answer, &[]),
        },
    },
    // The registry's `/-/whoami`, as `npm whoami` asks it. It is asked about its tokens; nothing is installed from it.
    Service {
        host: concat!("registry.", "npmjs.org"),
        rules: &["npm"],
        prefixes: &["npm_"],
        request: |base, token| Request::get(format!("{base}/-/whoami")).bearer(token),
        read: |answer| by_status(answer, &["username"]),
    },
];

fn is_github_scope(answer: &Answer) -> bool {
    answer.json().is_ok_and(|body| {
        body.get("message")
            .and_then(Value::as_str)
            .is_some_and(|message| message.contains("not accessible by integration"))
    })
}

fn by_status(answer: &Answer, names: &[&str]) -> Verdict {
    match answer.status {
        200..300 => Verdict::Active { identity: text_of(&answer.json().unwrap_or_default(), names) },
        401 => Verdict::Inactive,
        status => Verdict::Unknown { reason: format!("status {status}") },
    }
}

/// Who it is: never more than a short name.
fn text_of(body: &Value, names: &[&str]) -> String {
    let values = names.iter().filter_map(|name| body.get(*name)?.as_str());
    let plain =
        |text: &str| text.chars().filter(|character| !character.is_control()).take(80).collect::<String>();
    values.map(plain).collect::<Vec<_>>().join(" at ")
}

/// Asks services, one value at a time.
pub struct Liveness {
    web: Web,
    hosts: Hosts,
}

impl Liveness {
    pub fn new(surroundings: Arc<Surroundings>, hosts: Hosts) -> Self {
        let limits = Limits {
            total: Duration::from_secs(15),
            repetitions_max: 2,
            response_bytes_max: 1 << 20,
            ..Limits::default()
        };
        Self { web: Web::new(surroundings, limits), hosts }
    }

    /// Asks the service that the rule and the token itself name.
    pub fn check(&self, rule_id: &str, secret: &SecretString) -> Verdict {
        let Some(service) = service_of(rule_id, secret) else { return Verdict::NotAsked };
        let Some(base) = self.hosts.address(service) else { return Verdict::NotAsked };
        if !secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Verdict::NotAsked;
        }
        match self.web.send(&(service.request)(&base, secret)) {
            Ok(answer) => (service.read)(&answer),
            Err(error) => Verdict::Unknown { reason: error.message },
        }
    }
}

/// Only a token that has its service's form is sent to it.
fn service_of(rule_id: &str, secret: &SecretString) -> Option<&'static Service> {
    let id = rule_id.to_ascii_lowercase();
    SERVICES.iter().find(|service| {
        let named = service.rules.iter().any(|word| id.contains(word));
        named && service.prefixes.iter().any(|prefix| secret.expose().starts_with(prefix))
    })
}

#[cfg(test)]
mod tests;
