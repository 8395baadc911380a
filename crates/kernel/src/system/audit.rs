//! `sys/audit` and `sys/audit-hash`: the audit devices of the server.

use crate::audit::{AuditTableEntry, Broker, DeviceConfig, DeviceHealth};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use crate::transaction::{Intent, Key, Record, Table, Tx};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use strongroom_secret::MountPath;

const AUDIT_DEVICES: Table = Table(40);

impl Record for AuditTableEntry {}

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "audit",
        summary: "List the audit devices.",
        access: Access::Sudo,
        fields: &[],
        methods: &[Method { operation: Operation::Read, run: Run::Read(list), summary: "List the devices." }],
        exists: None,
    },
    Route {
        pattern: "audit/{path..}",
        summary: "Enable and disable an audit device. Nothing is answered before its record is written to one.",
        access: Access::Sudo,
        fields: &[
            Field { name: "path", kind: FieldKind::Text, description: "The name of the device." },
            Field { name: "type", kind: FieldKind::Text, description: "file, syslog, socket or http." },
            Field { name: "description", kind: FieldKind::Text, description: "What it is for." },
            Field {
                name: "options",
                kind: FieldKind::Map,
                description: "What the type needs, as file_path.",
            },
            Field { name: "local", kind: FieldKind::Boolean, description: "Of this node alone." },
        ],
        methods: &[
            Method { operation: Operation::Write, run: Run::Heavy(enable), summary: "Enable a device." },
            Method { operation: Operation::Delete, run: Run::Heavy(disable), summary: "Disable a device." },
        ],
        exists: None,
    },
    Route {
        pattern: "audit-hash/{path..}",
        summary: "The hash by which audit records show a value.",
        access: Access::Token,
        fields: &[
            Field { name: "path", kind: FieldKind::Text, description: "The name of the device." },
            Field { name: "input", kind: FieldKind::Text, description: "The value." },
        ],
        methods: &[Method { operation: Operation::Write, run: Run::Read(hash), summary: "Hash a value." }],
        exists: None,
    },
    Route {
        pattern: "audit-key",
        summary: "The public key that verifies the checkpoints of audit logs, and the ids it has in them.",
        access: Access::Token,
        fields: &[],
        methods: &[Method { operation: Operation::Read, run: Run::Read(key), summary: "Read the key." }],
        exists: None,
    },
];

fn device_key(tx: &Tx<'_>, path: &str) -> Key {
    let table = tx.table(kernel_space(ROOT_NAMESPACE), AUDIT_DEVICES);
    tx.name_key(&table, path)
}

/// The enabled devices as they are stored.
pub(crate) fn audit_entries(tx: &mut Tx<'_>) -> Result<Vec<AuditTableEntry>, Error> {
    let table = tx.table(kernel_space(ROOT_NAMESPACE), AUDIT_DEVICES);
    tx.records(&table)
}

pub(super) fn in_root(call: &Call<'_>) -> Result<(), Error> {
    match call.namespace.path().is_root() {
        true => Ok(()),
        false => Err(Error::invalid("audit devices belong to the root namespace")),
    }
}

fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root(call)?;
    let health = call.kernel.broker().map(|broker| broker.health()).unwrap_or_default();
    let mut map = Map::new();
    for entry in audit_entries(&mut call.tx)? {
        let device = health.iter().find(|device| device.path == entry.path);
        let mut shown = json!({
            "path": entry.path,
            "type": entry.kind,
            "description": entry.description,
            "options": shown_options(&entry.options),
            "local": entry.local,
        });
        if let (Some(map), Some(device)) = (shown.as_object_mut(), device) {
            map.insert("health".into(), health_of(device));
            if let Some(failure) = &device.failure {
                map.insert("failure".into(), json!(failure));
            }
        }
        map.insert(entry.path.clone(), shown);
    }
    Ok(Response::data(map).flattened())
}

/// How a device is, with the last line that it wrote: noted down elsewhere, it shows whether a log was cut off.
fn health_of(device: &DeviceHealth) -> Value {
    json!({
        "healthy": device.healthy,
        "since": device.since.rfc3339(),
        "records_written": device.records_written,
        "records_dropped": device.records_dropped,
        "records_waiting": device.records_waiting,
        "last_line": device.last_line.map(|line| {
            json!({ "sequence": line.sequence, "hash": hex::encode(line.hash) })
        }),
    })
}

/// The options without what may be a credential: the values of headers, and a user in an address.
fn shown_options(options: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut shown = options.clone();
    if let Some(headers) = shown.get_mut("headers") {
        let names: Map<String, Value> = serde_json::from_str::<Map<String, Value>>(headers)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, _)| (name, "(hidden)".into()))
            .collect();
        *headers = Value::Object(names).to_string();
    }
    if let Some(uri) = shown.get_mut("uri")
        && let Some((scheme, rest)) = uri.split_once("://")
        && let Some((_, host)) = rest.split('/').next().unwrap_or_default().rsplit_once('@')
    {
        let path = rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default();
        *uri = format!("{scheme}://{host}{path}");
    }
    shown
}

fn enable(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root(call)?;
    let path = MountPath::parse(call.capture("path"))?.to_string();
    let fields = call.fields();
    let mut options: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in fields.text_map("options")?.unwrap_or_default() {
        if let Value::String(text) = value {
            options.insert(name, text);
        }
    }
    // The older spelling of the file device's one option.
    if let Some(path) = options.remove("path") {
        options.entry("file_path".to_owned()).or_insert(path);
    }
    let entry = AuditTableEntry {
        version: 1,
        kind: fields.required_text("type")?,
        description: fields.text("description")?.unwrap_or_default(),
        local: fields.boolean("local")?.unwrap_or_default(),
        options,
        created: call.now,
        path: path.clone(),
    };
    let key = device_key(&call.tx, &path);
    if call.tx.get(&key)?.is_some() {
        return Err(Error::invalid("path already in use"));
    }
    let config = DeviceConfig::parse(&entry.kind, &entry.options)?;
    let broker = call.kernel.broker().ok_or_else(Error::sealed)?;
    // An attempt whose commit failed may have left its device running.
    stop_unlisted(&broker, &audit_entries(&mut call.tx)?);
    broker.enable(&path, config)?;
    call.tx.put_record(&key, &entry)?;
    call.tx.after_commit(Effect::AuditDevices);
    Ok(Response::default())
}

/// Stops the devices that are not in the stored table.
fn stop_unlisted(broker: &Broker, entries: &[AuditTableEntry]) {
    for device in broker.health() {
        if !entries.iter().any(|entry| entry.path == device.path)
            && let Err(error) = broker.disable(&device.path)
        {
            tracing::warn!(path = %device.path, %error, "an audit device does not stop");
        }
    }
}

impl Kernel {
    /// Makes the running devices those of the stored table.
    pub(crate) fn reconcile_audit(&self) {
        let (Some(broker), Ok(open)) = (self.broker(), self.opened()) else { return };
        match self.begin(&open.keys, Intent::Read).and_then(|mut tx| audit_entries(&mut tx)) {
            Ok(entries) => stop_unlisted(&broker, &entries),
            Err(error) => tracing::error!(?error, "the audit devices cannot be read"),
        }
    }
}

fn disable(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root(call)?;
    let path = MountPath::parse(call.capture("path"))?.to_string();
    let key = device_key(&call.tx, &path);
    if call.tx.get(&key)?.is_some() {
        call.tx.delete(&key)?;
        call.tx.after_commit(Effect::AuditDevices);
    }
    Ok(Response::default())
}

fn hash(call: &mut Call<'_>) -> Result<Response, Error> {
    let path = MountPath::parse(call.capture("path"))?.to_string();
    let input =
        call.fields().text("input")?.ok_or_else(|| Error::invalid("the \"input\" parameter is empty"))?;
    let broker = call.kernel.broker().ok_or_else(Error::sealed)?;
    let hash = broker.hash(&path, &input)?;
    Ok(Response::data(Map::from_iter([("hash".to_owned(), json!(hash))])))
}

fn key(call: &mut Call<'_>) -> Result<Response, Error> {
    let (id, key) = crate::audit_trail::signing_key(call.tx.keys());
    let public = hex::encode(key.verifying_key().as_bytes());
    Ok(Response::data(Map::from_iter([
        ("key_id".to_owned(), json!(id)),
        ("public_key".to_owned(), json!(public)),
        ("algorithm".to_owned(), json!("ed25519")),
    ])))
}
