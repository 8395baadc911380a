//! Assignments: the entities and groups that may use a client.

use super::super::super::shown::data;
use super::records::{ALLOW_ALL, ASSIGNMENTS, Assignment, CLIENTS, Client};
use super::records::{assignment, find, name_of, names, remove, save};
use crate::call::Call;
use crate::error::Error;
use crate::policy::TemplateContext;
use crate::request::Response;
use serde_json::json;
use std::collections::BTreeSet;

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut all = names(&mut call.tx, call.namespace.id(), ASSIGNMENTS)?;
    all.push(ALLOW_ALL.to_owned());
    all.sort_unstable();
    Response::keys(crate::tokens::page(call.fields(), all)?)
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let name = call.capture("name").to_owned();
    Ok(assignment(call, &name)?.is_some())
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let found = assignment(call, &name)?.ok_or_else(Error::not_found)?;
    Ok(data(json!({ "entity_ids": found.entity_ids, "group_ids": found.group_ids })))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = name_of(call)?;
    if name == ALLOW_ALL {
        return Err(Error::invalid(format!("modification of assignment {name:?} not allowed")));
    }
    let mut record = find::<Assignment>(call, ASSIGNMENTS, &name)?.unwrap_or_default();
    for (field, ids) in [("entity_ids", &mut record.entity_ids), ("group_ids", &mut record.group_ids)] {
        if let Some(given) = call.fields().list(field)? {
            let given: BTreeSet<String> = given.iter().map(|id| id.to_lowercase()).collect();
            *ids = given.into_iter().collect();
        }
    }
    save(call, ASSIGNMENTS, &name, &record)?;
    Ok(Response::default())
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    if name == ALLOW_ALL {
        return Err(Error::invalid(format!("deletion of assignment {name:?} not allowed")));
    }
    let mut users = Vec::new();
    for client in names(&mut call.tx, call.namespace.id(), CLIENTS)? {
        let record = find::<Client>(call, CLIENTS, &client)?;
        if record.is_some_and(|record| record.assignments.contains(&name)) {
            users.push(client);
        }
    }
    if !users.is_empty() {
        return Err(Error::invalid(format!(
            "unable to delete assignment {name:?} because it is currently referenced by these clients: {}",
            users.join(", ")
        )));
    }
    remove(call, ASSIGNMENTS, &name)?;
    Ok(Response::default())
}

/// Whether somebody may use a client: by themselves, or by a group around them.
pub(super) fn includes(
    call: &mut Call<'_>,
    client: &Client,
    entity_id: &str,
    context: &TemplateContext,
) -> Result<bool, Error> {
    for name in &client.assignments {
        let Some(assignment) = assignment(call, name)? else { continue };
        let is_in = |ids: &[String], id: &str| ids.iter().any(|allowed| allowed == "*" || allowed == id);
        if is_in(&assignment.entity_ids, entity_id)
            || context.groups.iter().any(|group| is_in(&assignment.group_ids, &group.id))
        {
            return Ok(true);
        }
    }
    Ok(false)
}
