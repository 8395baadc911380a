//! What is stored of a honey.

use crate::notices::Recipient;
use crate::transaction::Record;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strongroom_secret::Timestamp;

/// Uses that are kept of one honey; the others are counted.
const USES_KEPT_MAX: usize = 50;

/// A planted fake.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Planted {
    pub name: String,
    pub kind: Kind,
    pub note: String,
    /// Tags by which it is found in memory, in hex.
    pub tags: Vec<String>,
    pub created: Timestamp,
    pub author: String,
    pub recipient: Option<Recipient>,
    /// Whether a use opens an incident.
    pub opens_incident: bool,
    /// The newest incident that it opened.
    pub incident: Option<String>,
    pub uses: u64,
    /// The newest last.
    pub last_uses: Vec<Use>,
    /// When somebody was last told, and what did not get through.
    pub told: Option<Timestamp>,
    pub not_told: String,
}

impl Record for Planted {}

/// What the fake looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Kind {
    /// A secret of a KV mount, as `secret/app/old-db`.
    Kv {
        path: String,
    },
    Token,
    /// A secret-id that no role has.
    SecretId,
    /// A user of a userpass mount who is not there.
    User {
        mount: String,
        user: String,
    },
    /// Any other value: found where one is presented to be validated.
    Value,
}

/// Somebody used it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Use {
    pub time: Timestamp,
    /// `read`, `token`, `secret-id`, `login`, `validate`.
    pub how: String,
    pub operation: String,
    pub namespace: String,
    pub path: String,
    pub from: String,
    pub who: String,
    pub accessor: String,
    pub entity: String,
    pub request: String,
}

impl Planted {
    pub(super) fn add(&mut self, used: Use) {
        self.uses = self.uses.saturating_add(1);
        if self.last_uses.len() >= USES_KEPT_MAX {
            self.last_uses.remove(0);
        }
        self.last_uses.push(used);
    }

    /// For people and programs; neither tags nor keys.
    pub(super) fn shown(&self) -> Map<String, Value> {
        let mut map = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("note".to_owned(), json!(self.note)),
            ("created".to_owned(), json!(self.created.rfc3339())),
            ("author".to_owned(), json!(self.author)),
            ("webhook".to_owned(), json!(self.recipient.as_ref().map(|recipient| &recipient.target.url))),
            ("opens_incident".to_owned(), json!(self.opens_incident)),
            ("incident".to_owned(), json!(self.incident)),
            ("uses".to_owned(), json!(self.uses)),
            ("last_used".to_owned(), json!(self.last_uses.last().map(|used| used.time.rfc3339()))),
            ("told".to_owned(), json!(self.told.map(|at| at.rfc3339()))),
            ("not_told".to_owned(), json!(self.not_told)),
        ]);
        if let Ok(Value::Object(kind)) = serde_json::to_value(&self.kind) {
            map.extend(kind);
        }
        map
    }
}

impl Use {
    pub(super) fn shown(&self) -> Value {
        json!({
            "time": self.time.rfc3339(),
            "how": self.how,
            "operation": self.operation,
            "namespace": self.namespace,
            "path": self.path,
            "from": self.from,
            "who": self.who,
            "accessor": self.accessor,
            "entity": self.entity,
            "request_id": self.request,
        })
    }
}
