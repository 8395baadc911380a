//! How the server is: `sys/health`, `sys/leader`, `sys/ha-status`, and what it consists of.

use super::fields::{field, method};
use crate::backend::Class;
use crate::call::Call;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::request::{Operation, Request, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const HEALTH_FIELDS: &[Field] = &[
    field("standbyok", FieldKind::Boolean, "Kept for clients: every node serves."),
    field("activecode", FieldKind::Integer, "The status of a node that serves, in place of 200."),
    field("sealedcode", FieldKind::Integer, "The status while sealed, in place of 503."),
    field("uninitcode", FieldKind::Integer, "The status before initialisation, in place of 501."),
];
const KIND: Field = field("type", FieldKind::Text, "`auth` or `secret`.");

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "health",
        summary: "Whether the server serves: 200; 501 before initialisation, 503 while sealed.",
        access: Access::Open,
        fields: HEALTH_FIELDS,
        methods: &[method(Operation::Read, Run::Bare(health), "Read the health.")],
        exists: None,
    },
    Route {
        pattern: "leader",
        summary: "Which node leads. None does: all of them serve.",
        access: Access::Open,
        fields: &[],
        methods: &[method(Operation::Read, Run::Bare(leader), "Read it.")],
        exists: None,
    },
    Route {
        pattern: "step-down",
        summary: "Kept for clients: every node serves, so none steps down.",
        access: Access::Sudo,
        fields: &[],
        methods: &[method(Operation::Write, Run::Read(|_| Ok(Response::default())), "Nothing to do.")],
        exists: None,
    },
    Route {
        pattern: "ha-status",
        summary: "The nodes of the server that this one knows of.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::Read, Run::Read(ha_status), "List them.")],
        exists: None,
    },
    Route {
        pattern: "config/state/sanitized",
        summary: "The configuration in force, without secrets.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::Read, Run::Read(configuration), "Read it.")],
        exists: None,
    },
    Route {
        pattern: "experiments",
        summary: "Features that are on trial: none.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::Read, Run::Read(experiments), "List them.")],
        exists: None,
    },
    Route {
        pattern: "plugins/catalog/?",
        summary: "The secrets engines and auth methods of this server. All are built in.",
        access: Access::Token,
        fields: &[],
        methods: &[
            method(Operation::Read, Run::Read(catalog), "List all."),
            method(Operation::List, Run::Read(catalog), "List all."),
        ],
        exists: None,
    },
    Route {
        pattern: "plugins/catalog/{type}/?",
        summary: "The secrets engines, or the auth methods.",
        access: Access::Token,
        fields: &[KIND],
        methods: &[method(Operation::List, Run::Read(catalog_of_type), "List them.")],
        exists: None,
    },
    Route {
        pattern: "plugins/catalog/{type}/{name}",
        summary: "One of them.",
        access: Access::Token,
        fields: &[KIND, field("name", FieldKind::Text, "As it is named in `sys/mounts`.")],
        methods: &[method(Operation::Read, Run::Read(catalog_entry), "Read it.")],
        exists: None,
    },
    Route {
        pattern: "locked-users",
        summary: "Users whose logins are not looked at, after too many that failed.",
        access: Access::Token,
        fields: &[field("mount_accessor", FieldKind::Text, "Only those of this auth mount.")],
        methods: &[method(Operation::Read, Run::Read(locked_users), "List them.")],
        exists: None,
    },
    Route {
        pattern: "locked-users/{mount_accessor}/unlock/{alias_identifier}",
        summary: "Look at a user's logins again.",
        access: Access::Token,
        fields: &[
            field("mount_accessor", FieldKind::Text, "The auth mount."),
            field("alias_identifier", FieldKind::Text, "The user's name there."),
        ],
        methods: &[method(Operation::Write, Run::Read(unlock_user), "Unlock the user.")],
        exists: None,
    },
];

fn health(kernel: &Arc<Kernel>, request: &Request) -> Result<Response, Error> {
    let record = kernel.seal_record()?;
    let is_sealed = kernel.is_sealed();
    let (name, status) = match (&record, is_sealed) {
        (None, _) => ("uninitcode", 501),
        (Some(_), true) => ("sealedcode", 503),
        (Some(_), false) => ("activecode", 200),
    };
    let asked = request.fields.count(name)?;
    let status = asked
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (200..600).contains(code))
        .unwrap_or(status);
    let settings = kernel.settings();
    let mut body = json!({
        "initialized": record.is_some(),
        "sealed": is_sealed,
        "standby": false,
        "performance_standby": false,
        "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled",
        "server_time_utc": kernel.now().nanoseconds() / 1_000_000_000,
        "version": settings.version,
        "enterprise": false,
        "echo_duration_ms": 0,
        "clock_skew_ms": 0,
    });
    if let (Some(map), Some(record), false) = (body.as_object_mut(), record, is_sealed) {
        map.insert("cluster_name".to_owned(), settings.cluster_name.clone().into());
        map.insert("cluster_id".to_owned(), json!(record.cluster_id));
        let devices = kernel.broker().map(|broker| broker.health()).unwrap_or_default();
        let failing: Vec<String> =
            devices.into_iter().filter(|device| !device.healthy).map(|device| device.path).collect();
        // Ours: an audit device that fails is the first thing to know of a server that refuses requests.
        if !failing.is_empty() {
            map.insert("audit_devices_unhealthy".to_owned(), json!(failing));
        }
        // Ours as well: something may be left in another server that nobody here has a lease of.
        let (_, failing) = kernel.outbox.counts();
        if failing > 0 {
            map.insert("outbox_failing".to_owned(), json!(failing));
        }
        let failing = kernel.outbox.failing_chores();
        if failing > 0 {
            map.insert("chores_failing".to_owned(), json!(failing));
        }
        let paused = kernel.count_paused_rotations().unwrap_or_default();
        if paused > 0 {
            map.insert("rotations_paused".to_owned(), json!(paused));
        }
    }
    Ok(Response { status: Some(status), ..Response::plain(body) })
}

fn leader(kernel: &Arc<Kernel>, _: &Request) -> Result<Response, Error> {
    Ok(Response::plain(json!({
        "ha_enabled": false,
        "is_self": !kernel.is_sealed(),
        "active_time": "0001-01-01T00:00:00Z",
        "leader_address": kernel.settings().api_address,
        "leader_cluster_address": "",
        "performance_standby": false,
        "performance_standby_last_remote_wal": 0,
    })))
}

fn ha_status(call: &mut Call<'_>) -> Result<Response, Error> {
    let settings = call.kernel.settings();
    let nodes = json!([{
        "hostname": settings.cluster_name,
        "api_address": settings.api_address,
        "cluster_address": "",
        "active_node": true,
        "last_echo": null,
        "version": settings.version,
    }]);
    Ok(Response::data(Map::from_iter([("nodes".to_owned(), nodes)])).flattened())
}

fn configuration(call: &mut Call<'_>) -> Result<Response, Error> {
    let settings = call.kernel.settings();
    Ok(Response::data(Map::from_iter([
        ("api_addr".to_owned(), json!(settings.api_address)),
        ("cluster_name".to_owned(), json!(settings.cluster_name)),
        ("default_lease_ttl".to_owned(), json!(settings.default_lease_ttl.as_secs())),
        ("max_lease_ttl".to_owned(), json!(settings.max_lease_ttl.as_secs())),
        ("storage".to_owned(), json!({ "type": settings.storage_type })),
        ("seals".to_owned(), json!([{ "type": call.kernel.seal.kind(), "disabled": false }])),
    ])))
}

fn experiments(_: &mut Call<'_>) -> Result<Response, Error> {
    Ok(Response::data(Map::from_iter([
        ("available".to_owned(), json!([])),
        ("enabled".to_owned(), json!([])),
    ])))
}

const CLASSES: [(Class, &str); 2] = [(Class::Auth, "auth"), (Class::Secret, "secret")];

fn catalog(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut map = Map::from_iter([("database".to_owned(), json!([]))]);
    let mut detailed = Vec::new();
    for (class, name) in CLASSES {
        let kinds = call.kernel.registry.kinds(class);
        detailed.extend(kinds.iter().map(|kind| {
            let mut entry = catalog_fields(call, kind);
            entry.insert("type".to_owned(), name.into());
            Value::Object(entry)
        }));
        map.insert(name.to_owned(), json!(kinds));
    }
    map.insert("detailed".to_owned(), detailed.into());
    Ok(Response::data(map))
}

fn catalog_fields(call: &Call<'_>, kind: &str) -> Map<String, Value> {
    Map::from_iter([
        ("name".to_owned(), kind.into()),
        ("builtin".to_owned(), true.into()),
        ("version".to_owned(), format!("v{}+builtin", call.kernel.settings().version).into()),
        ("deprecation_status".to_owned(), "supported".into()),
    ])
}

fn class(call: &Call<'_>) -> Result<Class, Error> {
    let asked = call.capture("type");
    CLASSES
        .into_iter()
        .find(|(_, name)| *name == asked)
        .map(|(class, _)| class)
        .ok_or_else(|| Error::invalid("the type is \"auth\" or \"secret\""))
}

fn catalog_of_type(call: &mut Call<'_>) -> Result<Response, Error> {
    let kinds = call.kernel.registry.kinds(class(call)?);
    Response::keys(kinds.into_iter().map(str::to_owned).collect())
}

fn catalog_entry(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name");
    if !call.kernel.registry.kinds(class(call)?).contains(&name) {
        return Err(Error::not_found());
    }
    let mut map = catalog_fields(call, name);
    map.extend([
        ("command".to_owned(), json!("")),
        ("args".to_owned(), json!([])),
        ("sha256".to_owned(), json!("")),
    ]);
    Ok(Response::data(map))
}

fn locked_users(call: &mut Call<'_>) -> Result<Response, Error> {
    let wanted = call.fields().text("mount_accessor")?.unwrap_or_default();
    let now = call.kernel.clock.monotonic();
    let mut total = 0;
    let mut by_namespace = Vec::new();
    for namespace in call.topology.namespaces() {
        if !namespace.path().is_within(call.namespace.path()) {
            continue;
        }
        let mut here = 0;
        let mut mounts = Vec::new();
        for mount in namespace.mounts.values() {
            let accessor = &mount.record.accessor;
            if mount.record.class != Class::Auth || !(wanted.is_empty() || wanted == *accessor) {
                continue;
            }
            let config = mount.record.config.user_lockout.unwrap_or_default();
            let users = call.kernel.lockouts.locked(accessor, &config, now);
            if !users.is_empty() {
                here += users.len();
                mounts.push(json!({
                    "mount_accessor": accessor, "counts": users.len(), "alias_identifiers": users,
                }));
            }
        }
        if here > 0 {
            total += here;
            by_namespace.push(json!({
                "namespace_id": namespace.record.text_id,
                "namespace_path": namespace.path(),
                "counts": here,
                "mount_accessors": mounts,
            }));
        }
    }
    Ok(Response::data(Map::from_iter([
        ("total".to_owned(), total.into()),
        ("by_namespace".to_owned(), by_namespace.into()),
    ])))
}

fn unlock_user(call: &mut Call<'_>) -> Result<Response, Error> {
    let accessor = call.capture("mount_accessor");
    let is_below = call
        .topology
        .namespaces()
        .filter(|namespace| namespace.path().is_within(call.namespace.path()))
        .any(|namespace| namespace.mounts.values().any(|mount| mount.record.accessor == accessor));
    if !is_below {
        return Err(Error::invalid("no auth mount has this accessor"));
    }
    call.kernel.lockouts.unlock(accessor, call.capture("alias_identifier"));
    Ok(Response::default())
}
