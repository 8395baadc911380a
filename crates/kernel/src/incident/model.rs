//! What an incident is made of. Nothing here holds a value of a secret: names, versions, keyed hashes, places and people.

use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_secret::Timestamp;

/// Who keeps a secret of the server's: `Leaked::kept_by`.
pub const KEPT_BY_SERVER: &str = "the server";
/// The same of a fake.
pub const KEPT_AS_HONEY: &str = "honey: a planted fake";

/// Something that got out, from the first hit to the proof that it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub id: String,
    /// Goes up with every change. Who changes something says which one they saw.
    pub revision: u64,
    pub title: String,
    #[serde(with = "rfc3339")]
    pub opened: Timestamp,
    pub opened_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closing>,
    pub facts: Facts,
    /// In the order in which they are best done.
    pub steps: Vec<Step>,
    /// The oldest first.
    pub events: Vec<Event>,
    /// Events that were dropped to stay within the bound.
    #[serde(default)]
    pub events_dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    pub by: String,
    pub note: String,
    /// Closed although steps were open.
    #[serde(default)]
    pub is_forced: bool,
}

/// What is known. All of it can be added to later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    pub secrets: Vec<Leaked>,
    pub findings: Vec<Sighting>,
    /// Who may read the secrets.
    pub readers: Vec<Reader>,
    /// Who did.
    pub accesses: Vec<Access>,
    /// Accesses that are known of and not listed.
    pub accesses_omitted: u64,
    /// Where leases hang that came from the secrets: prefixes, to be revoked.
    pub leases: Vec<String>,
    /// Tokens that got out or were made with the secrets: accessors, to be revoked.
    pub accessors: Vec<String>,
    /// What could not be found out, and why.
    pub unknown: Vec<String>,
}

/// A secret that got out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Leaked {
    /// As `secret/app/db`, or a name of the project's manifest.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The version that got out, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The current one when this was found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    pub state: LeakState,
    /// Whether the server can change it by a plan.
    pub has_plan: bool,
    /// Who keeps it: the server, or the provider of an environment.
    pub kept_by: String,
    /// When the version was made.
    #[serde(with = "rfc3339_maybe", skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// What becomes of somebody who presents the value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeakState {
    /// It is the current version.
    Live,
    /// It was replaced and is still valid for a while.
    Grace,
    /// It was replaced; whether it is still valid where it is used, nobody here knows.
    Replaced,
    Deleted,
    Destroyed,
    #[default]
    Unknown,
}

/// A place that the value was seen in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sighting {
    pub path: String,
    pub line: u64,
    pub rule: String,
    /// Of the scan that found it.
    pub fingerprint: String,
    pub commit: String,
    pub author: String,
    /// When the commit was made.
    #[serde(with = "rfc3339_maybe", skip_serializing_if = "Option::is_none")]
    pub date: Option<Timestamp>,
    /// `history`, `file`, `unreachable`, …
    pub origin: String,
    pub object: String,
    /// Branches and tags from which the commit can be reached.
    pub refs: Vec<String>,
    /// Those of them that are on a remote, as far as this clone knows.
    pub remotes: Vec<String>,
}

/// Somebody who may read the secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reader {
    /// `policy`, `entity`, `group`, `role`, `user`, `provider`, …
    pub kind: String,
    pub name: String,
    /// By what, in words.
    pub by: String,
}

/// A use of the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
    #[serde(default)]
    pub who: String,
    #[serde(default)]
    pub entity: String,
    /// As it is in the audit log.
    #[serde(default)]
    pub accessor: String,
    #[serde(default)]
    pub from: String,
    #[serde(default)]
    pub operation: String,
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub request: String,
    /// Why it was refused; empty where it was answered.
    #[serde(default)]
    pub error: String,
}

/// One line of the checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub kind: StepKind,
    pub state: StepState,
    /// Who changed the state last.
    pub by: String,
    #[serde(with = "rfc3339_maybe", default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Of a step that was skipped or failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default)]
    pub evidence: Vec<Evidence>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// Versions, leases and tokens end.
    Revoke,
    /// A new value comes into use.
    Rotate,
    /// The value goes out of the history.
    Purge,
    /// A scan finds it nowhere.
    Rescan,
    /// People are told.
    Notify,
    /// The report is written.
    PostMortem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    Open,
    UnderWay,
    Done,
    Skipped,
    Failed,
}

/// Something that shows what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What it is of: two of one name are one, and the later counts. So a step that is done again says nothing twice.
    pub of: String,
    pub text: String,
    #[serde(with = "rfc3339", default)]
    pub at: Timestamp,
}

/// A line of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKind>,
    pub text: String,
}

/// Where an incident is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Open,
    /// All steps are done or skipped: it can be closed.
    Settled,
    Closed,
}

impl StepKind {
    pub const ALL: [Self; 6] =
        [Self::Revoke, Self::Rotate, Self::Purge, Self::Rescan, Self::Notify, Self::PostMortem];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Rotate => "rotate",
            Self::Purge => "purge",
            Self::Rescan => "rescan",
            Self::Notify => "notify",
            Self::PostMortem => "post-mortem",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl StepState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::UnderWay => "under way",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing is left to be done.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }
}

impl LeakState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Grace => "in its grace",
            Self::Replaced => "replaced",
            Self::Deleted => "deleted",
            Self::Destroyed => "destroyed",
            Self::Unknown => "unknown",
        }
    }
}

impl Progress {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
            Self::Closed => "closed",
        }
    }
}

impl Incident {
    pub fn progress(&self) -> Progress {
        match (&self.closed, self.next()) {
            (Some(_), _) => Progress::Closed,
            (None, None) => Progress::Settled,
            (None, Some(_)) => Progress::Open,
        }
    }

    /// The step to be done next.
    pub fn next(&self) -> Option<&Step> {
        self.steps.iter().find(|step| !step.state.is_settled())
    }

    /// What a webhook is told. No value is in it, for none is in an incident.
    pub fn message(&self) -> serde_json::Value {
        let secrets: Vec<serde_json::Value> = self
            .facts
            .secrets
            .iter()
            .map(|secret| json!({ "name": secret.name, "field": secret.field, "version": secret.version }))
            .collect();
        let steps: serde_json::Map<String, serde_json::Value> = self
            .steps
            .iter()
            .map(|step| (step.kind.as_str().to_owned(), step.state.as_str().into()))
            .collect();
        json!({
            "version": 1,
            "type": "incident.notice",
            "id": self.id,
            "title": self.title,
            "state": self.progress().as_str(),
            "opened": self.opened.rfc3339(),
            "exposed_since": self.exposed_since().map(|since| since.rfc3339()),
            "secrets": secrets,
            "steps": steps,
        })
    }

    pub fn step(&self, kind: StepKind) -> Option<&Step> {
        self.steps.iter().find(|step| step.kind == kind)
    }

    /// Since when it could have been read by others: the earliest commit that holds it, of those on a remote if any is.
    pub fn exposed_since(&self) -> Option<Timestamp> {
        let earliest = |pushed: bool| {
            let seen = self.facts.findings.iter().filter(|seen| !pushed || !seen.remotes.is_empty());
            seen.filter_map(|seen| seen.date).min()
        };
        earliest(true).or_else(|| earliest(false))
    }
}

/// A time as text.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use strongroom_secret::Timestamp;

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time.rfc3339())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse_rfc3339(&text).ok_or_else(|| D::Error::custom("a time must be in RFC 3339"))
    }
}

mod rfc3339_maybe {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use strongroom_secret::Timestamp;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_str(&time.rfc3339()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        match Timestamp::parse_rfc3339(&text) {
            Some(time) => Ok(Some(time)),
            None => Err(D::Error::custom("a time must be in RFC 3339")),
        }
    }
}
