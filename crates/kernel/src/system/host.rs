//! The program and the machine: `sys/host-info`, `sys/loggers`, `sys/in-flight-req`, `sys/version-history`.

use super::fields::{field, method};
use super::in_root_namespace;
use crate::call::Call;
use crate::error::Error;
use crate::in_flight::Running;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use crate::surroundings::{LOGGERS, LogLevel};
use crate::versions;
use serde_json::{Map, Value, json};

const LEVEL: Field = field("level", FieldKind::Text, "trace, debug, info, warn or error.");

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "host-info",
        summary: "The machine that the server runs on: processors, memory, disks.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::Read, Run::Read(host_info), "Read it.")],
        exists: None,
    },
    Route {
        pattern: "loggers",
        summary: "How much is written to the server's log, until its next start.",
        access: Access::Token,
        fields: &[LEVEL],
        methods: &[
            method(Operation::Read, Run::Read(levels), "Read the level of every logger."),
            method(Operation::Write, Run::Read(set_levels), "Set all of them."),
            method(Operation::Delete, Run::Read(revert_levels), "Set all of them as they were at the start."),
        ],
        exists: None,
    },
    Route {
        pattern: "loggers/{name}",
        summary: "How much one part of the server writes to its log, until its next start.",
        access: Access::Token,
        fields: &[field("name", FieldKind::Text, "One of those that `sys/loggers` names."), LEVEL],
        methods: &[
            method(Operation::Read, Run::Read(level), "Read its level."),
            method(Operation::Write, Run::Read(set_level), "Set its level."),
            method(Operation::Delete, Run::Read(revert_level), "Set it as it was at the start."),
        ],
        exists: None,
    },
    Route {
        pattern: "in-flight-req",
        summary: "The requests that are being served, without what they carry.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::Read, Run::Read(in_flight), "List them.")],
        exists: None,
    },
    Route {
        pattern: "version-history/?",
        summary: "Which versions of the program have served this store.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::List, Run::Read(version_history), "List them.")],
        exists: None,
    },
];

fn host_info(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root_namespace(call)?;
    let mut map = (call.kernel.surroundings.host)();
    if map.is_empty() {
        return Err(Error::invalid("nothing is known of the machine that this server runs on"));
    }
    map.insert("timestamp".to_owned(), call.now.rfc3339().into());
    Ok(Response::data(map))
}

fn levels(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root_namespace(call)?;
    let levels = call.kernel.surroundings.log.levels();
    Ok(Response::data(
        levels.into_iter().map(|(name, level)| (name.to_owned(), level.as_str().into())).collect(),
    ))
}

fn level(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = logger(call)?;
    let levels = call.kernel.surroundings.log.levels();
    let level = levels.get(name.as_str()).map_or("", |level| level.as_str());
    Ok(Response::data(Map::from_iter([(name, level.into())])))
}

fn set_levels(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root_namespace(call)?;
    call.kernel.surroundings.log.set(None, Some(wanted_level(call)?));
    Ok(Response::default())
}

fn set_level(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = logger(call)?;
    call.kernel.surroundings.log.set(Some(&name), Some(wanted_level(call)?));
    Ok(Response::default())
}

fn revert_levels(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root_namespace(call)?;
    call.kernel.surroundings.log.set(None, None);
    Ok(Response::default())
}

fn revert_level(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = logger(call)?;
    call.kernel.surroundings.log.set(Some(&name), None);
    Ok(Response::default())
}

fn logger(call: &Call<'_>) -> Result<String, Error> {
    in_root_namespace(call)?;
    let name = call.capture("name");
    if !LOGGERS.iter().any(|(known, _)| *known == name) {
        let known: Vec<&str> = LOGGERS.iter().map(|(known, _)| *known).collect();
        return Err(Error::invalid(format!("logger {name:?} not found: there are {}", known.join(", "))));
    }
    Ok(name.to_owned())
}

fn wanted_level(call: &Call<'_>) -> Result<LogLevel, Error> {
    let text = call.fields().required_text("level")?;
    LogLevel::parse(&text).ok_or_else(|| {
        Error::invalid(format!("invalid level provided: {text:?} is not trace, debug, info, warn or error"))
    })
}

fn in_flight(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root_namespace(call)?;
    let (kernel, now) = (call.kernel, call.now);
    let shown = kernel.in_flight.all().into_iter().map(|Running { started, request }| {
        let address = request.client.address.map(|address| format!("{address}:{}", request.client.port));
        let facts = json!({
            "start_time": started.rfc3339(),
            "running_seconds": now.since(started).as_secs_f64(),
            "client_remote_address": address.unwrap_or_default(),
            "request_path": format!("/v1/{}", request.path.as_str()),
            "namespace_path": request.namespace,
            "request_method": verb(request.operation),
        });
        (request.id.clone(), facts)
    });
    Ok(Response::plain(Value::Object(shown.collect())))
}

/// The operation as HTTP says it.
fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Read | Operation::Help => "GET",
        Operation::Write => "PUT",
        Operation::Patch => "PATCH",
        Operation::Delete => "DELETE",
        Operation::List => "LIST",
        Operation::Scan => "SCAN",
    }
}

fn version_history(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root_namespace(call)?;
    let installed = versions::read(&mut call.tx)?.installed;
    let mut before = Value::Null;
    let mut keys = Vec::new();
    let mut key_info = Map::new();
    for entry in installed {
        // A version that came back counts from its first day, as in Vault.
        if !key_info.contains_key(&entry.version) {
            keys.push(entry.version.clone());
            let facts = json!({
                "previous_version": before,
                "timestamp_installed": entry.since.rfc3339(),
                "build_date": "",
            });
            key_info.insert(entry.version.clone(), facts);
        }
        before = entry.version.into();
    }
    let Response { data, .. } = Response::keys(keys)?;
    let mut response = Response { data, ..Response::default() };
    if let crate::request::Data::Map(map) = &mut response.data {
        map.insert("key_info".to_owned(), key_info.into());
    }
    Ok(response)
}
