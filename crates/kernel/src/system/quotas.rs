//! `sys/quotas`: limits of rates and of leases. They are managed in the root namespace, for all of them.

use super::fields::{field, method};
use crate::call::Call;
use crate::error::Error;
use crate::namespaces::ROOT_NAMESPACE;
use crate::quotas::{self, Limit, QuotaRecord, Scope};
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use serde_json::{Map, Value, json};
use std::time::Duration;
use strongroom_secret::{NamespacePath, RequestPath};

const QUOTAS_MAX: usize = 1_000;

const NAME: Field = field("name", FieldKind::Text, "The quota's name.");
const PATH: Field =
    field("path", FieldKind::Text, "Namespace, mount and path that it covers; empty for the whole server.");
const ROLE: Field = field("role", FieldKind::Text, "Cover only logins with this role.");
const INHERITABLE: Field = field("inheritable", FieldKind::Boolean, "Cover namespaces below as well.");

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "quotas/config",
        summary: "Settings of all quotas.",
        access: Access::Token,
        fields: &[field("rate_limit_exempt_paths", FieldKind::List, "Paths that are never limited.")],
        methods: &[
            method(Operation::Read, Run::Read(read_config), "Read them."),
            method(Operation::Write, Run::Write(write_config), "Change them."),
        ],
        exists: None,
    },
    Route {
        pattern: "quotas/rate-limit/?",
        summary: "The rate limits.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::List, Run::Read(list_rates), "List their names.")],
        exists: None,
    },
    Route {
        pattern: "quotas/rate-limit/{name}",
        summary: "How many requests one client may make.",
        access: Access::Token,
        fields: &[
            NAME,
            PATH,
            ROLE,
            INHERITABLE,
            field("rate", FieldKind::Any, "Requests in each interval, more than zero."),
            field("interval", FieldKind::Duration, "The interval; a second by default."),
            field(
                "block_interval",
                FieldKind::Duration,
                "How long a client beyond it is refused; not at all by default.",
            ),
        ],
        methods: &[
            method(Operation::Read, Run::Read(read_rate), "Read it."),
            method(Operation::Write, Run::Write(write_rate), "Make or replace it."),
            method(Operation::Delete, Run::Write(delete_rate), "Remove it."),
        ],
        exists: None,
    },
    Route {
        pattern: "quotas/lease-count/?",
        summary: "The limits of leases.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::List, Run::Read(list_counts), "List their names.")],
        exists: None,
    },
    Route {
        pattern: "quotas/lease-count/{name}",
        summary: "How many leases and tokens there may be.",
        access: Access::Token,
        fields: &[
            NAME,
            PATH,
            ROLE,
            INHERITABLE,
            field("max_leases", FieldKind::Integer, "As many, and no more."),
        ],
        methods: &[
            method(Operation::Read, Run::Read(read_count), "Read it."),
            method(Operation::Write, Run::Write(write_count), "Make or replace it."),
            method(Operation::Delete, Run::Write(delete_count), "Remove it."),
        ],
        exists: None,
    },
];

const RATE: &str = "rate-limit";
const COUNT: &str = "lease-count";

fn list_rates(call: &mut Call<'_>) -> Result<Response, Error> {
    list(call, RATE)
}

fn list_counts(call: &mut Call<'_>) -> Result<Response, Error> {
    list(call, COUNT)
}

fn read_rate(call: &mut Call<'_>) -> Result<Response, Error> {
    read(call, RATE)
}

fn read_count(call: &mut Call<'_>) -> Result<Response, Error> {
    read(call, COUNT)
}

fn delete_rate(call: &mut Call<'_>) -> Result<Response, Error> {
    delete(call, RATE)
}

fn delete_count(call: &mut Call<'_>) -> Result<Response, Error> {
    delete(call, COUNT)
}

fn require_root(call: &Call<'_>) -> Result<(), Error> {
    match call.namespace.id() {
        ROOT_NAMESPACE => Ok(()),
        _ => Err(Error::invalid("quotas are managed in the root namespace")),
    }
}

fn list(call: &mut Call<'_>, kind: &str) -> Result<Response, Error> {
    require_root(call)?;
    let table = quotas::read_table(&mut call.tx)?;
    let of_kind = table.quotas.into_iter().filter(|quota| quota.limit.type_name() == kind);
    let mut names: Vec<String> = of_kind.map(|quota| quota.name).collect();
    names.sort_unstable();
    Response::keys(names)
}

fn is_named(quota: &QuotaRecord, kind: &str, name: &str) -> bool {
    quota.limit.type_name() == kind && quota.name == name
}

fn read(call: &mut Call<'_>, kind: &str) -> Result<Response, Error> {
    require_root(call)?;
    let table = quotas::read_table(&mut call.tx)?;
    let name = call.capture("name");
    let quota = table.quotas.iter().find(|quota| is_named(quota, kind, name)).ok_or_else(Error::not_found)?;
    let mut map = Map::from_iter([
        ("name".to_owned(), json!(quota.name)),
        ("path".to_owned(), json!(quota.path)),
        ("role".to_owned(), json!(quota.scope.role)),
        ("type".to_owned(), json!(kind)),
    ]);
    if quota.scope.is_inheritable {
        map.insert("inheritable".to_owned(), true.into());
    }
    match &quota.limit {
        Limit::RateLimit { rate, interval, block } => {
            map.insert("rate".to_owned(), number(*rate));
            map.insert("interval".to_owned(), interval.as_secs().into());
            map.insert("block_interval".to_owned(), block.as_secs().into());
        }
        Limit::LeaseCount { leases_max } => {
            map.insert("max_leases".to_owned(), (*leases_max).into());
            map.insert("counter".to_owned(), call.kernel.quotas.leases_of(quota.id).into());
        }
    }
    Ok(Response::data(map))
}

/// A whole number where it is one.
fn number(rate: f64) -> Value {
    if rate.fract() == 0.0 && rate < 9e15 { json!(rate as u64) } else { json!(rate) }
}

fn write_rate(call: &mut Call<'_>) -> Result<Response, Error> {
    let fields = call.fields();
    let rate: Option<f64> = match fields.value("rate") {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let rate = rate
        .filter(|rate| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| Error::invalid("'rate' is invalid: it must be greater than zero"))?;
    let interval = fields.duration("interval")?.filter(|interval| !interval.is_zero());
    let limit = Limit::RateLimit {
        rate,
        interval: interval.unwrap_or(Duration::from_secs(1)),
        block: fields.duration("block_interval")?.unwrap_or_default(),
    };
    write(call, limit)
}

fn write_count(call: &mut Call<'_>) -> Result<Response, Error> {
    let leases_max = call
        .fields()
        .count("max_leases")?
        .filter(|leases| *leases > 0)
        .ok_or_else(|| Error::invalid("'max_leases' is invalid: it must be greater than zero"))?;
    write(call, Limit::LeaseCount { leases_max })
}

fn write(call: &mut Call<'_>, limit: Limit) -> Result<Response, Error> {
    require_root(call)?;
    let (path, mut scope) = scope(call)?;
    scope.role = call.fields().text("role")?.unwrap_or_default();
    scope.is_inheritable = call.fields().boolean("inheritable")?.unwrap_or_default();
    if !scope.role.is_empty() && !scope.mount.starts_with("auth/") {
        return Err(Error::invalid("a role can be named for an auth method alone"));
    }
    let (kind, name) = (limit.type_name(), call.capture("name").to_owned());
    let mut table = quotas::read_table(&mut call.tx)?;
    let rival = table
        .quotas
        .iter()
        .find(|quota| quota.scope == scope && quota.limit.type_name() == kind && quota.name != name);
    if let Some(rival) = rival {
        return Err(Error::invalid(format!(
            "quota rule with similar properties exists under the name {:?}",
            rival.name
        )));
    }
    let mut id = [0; 8];
    call.entropy().fill(&mut id);
    let is_full = table.quotas.len() >= QUOTAS_MAX;
    match table.quotas.iter_mut().find(|quota| is_named(quota, kind, &name)) {
        Some(quota) => *quota = QuotaRecord { path, scope, limit, ..quota.clone() },
        None if is_full => {
            return Err(Error::invalid(format!("a server has at most {QUOTAS_MAX} quotas")));
        }
        None => table.quotas.push(QuotaRecord { id: u64::from_be_bytes(id), name, path, scope, limit }),
    }
    quotas::write_table(&mut call.tx, &table)?;
    Ok(Response::default())
}

/// What the path covers: a namespace, a mount in one, or a part of a mount.
fn scope(call: &Call<'_>) -> Result<(String, Scope), Error> {
    let path = call.fields().text("path")?.unwrap_or_default();
    let path = path.strip_prefix('/').unwrap_or(&path);
    if path.is_empty() {
        return Ok((String::new(), Scope::default()));
    }
    let missing = || Error::invalid(format!("no mount or namespace at path {path:?}"));
    if let Ok(namespace) = NamespacePath::parse(path)
        && let Some(namespace) = call.topology.namespace(&namespace)
    {
        let scope = Scope { namespace: Some(namespace.id()), ..Scope::default() };
        return Ok((path.to_owned(), scope));
    }
    let (namespace, rest) = call.topology.resolve(&NamespacePath::root(), &RequestPath::parse(path)?)?;
    let mount = namespace.mount_of(rest.as_str()).ok_or_else(missing)?;
    let below = rest.as_str().strip_prefix(mount.path()).unwrap_or_default();
    let scope = Scope {
        namespace: Some(namespace.id()),
        mount: mount.path().to_owned(),
        below: below.to_owned(),
        ..Scope::default()
    };
    Ok((path.to_owned(), scope))
}

fn delete(call: &mut Call<'_>, kind: &str) -> Result<Response, Error> {
    require_root(call)?;
    let name = call.capture("name").to_owned();
    let mut table = quotas::read_table(&mut call.tx)?;
    table.quotas.retain(|quota| !is_named(quota, kind, &name));
    quotas::write_table(&mut call.tx, &table)?;
    Ok(Response::default())
}

fn read_config(call: &mut Call<'_>) -> Result<Response, Error> {
    require_root(call)?;
    let table = quotas::read_table(&mut call.tx)?;
    Ok(Response::data(Map::from_iter([
        ("enable_rate_limit_audit_logging".to_owned(), false.into()),
        ("enable_rate_limit_response_headers".to_owned(), false.into()),
        ("rate_limit_exempt_paths".to_owned(), json!(table.exempt_paths)),
    ])))
}

fn write_config(call: &mut Call<'_>) -> Result<Response, Error> {
    require_root(call)?;
    for name in ["enable_rate_limit_audit_logging", "enable_rate_limit_response_headers"] {
        if call.fields().boolean(name)?.unwrap_or_default() {
            return Err(Error::invalid(format!("{name} is not supported")));
        }
    }
    if let Some(paths) = call.fields().list("rate_limit_exempt_paths")? {
        let mut table = quotas::read_table(&mut call.tx)?;
        table.exempt_paths = paths;
        quotas::write_table(&mut call.tx, &table)?;
    }
    Ok(Response::default())
}
