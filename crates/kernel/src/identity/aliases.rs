//! `identity/entity-alias`: the names under which auth mounts know an entity.

use super::entities::{field, method};
use super::shown;
use super::store::{self, AliasRecord, EntityRecord};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Error;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use serde_json::json;
use std::collections::BTreeMap;

const FIELDS: &[Field] = &[
    field("id", FieldKind::Text, "The id of an alias that is to be changed."),
    field("name", FieldKind::Text, "The name at the mount."),
    field("mount_accessor", FieldKind::Text, "The accessor of the auth mount."),
    field("canonical_id", FieldKind::Text, "The entity; a new one unless said."),
    field("entity_id", FieldKind::Text, "The former name of canonical_id."),
    field("custom_metadata", FieldKind::Map, "Texts, for policies with templates and for people."),
];

#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "entity-alias", summary: "Make or change an alias of an entity.", access: Access::Token, fields: FIELDS, exists: None,
        methods: &[method(Operation::Write, Run::Write(write), "Make or change it.")],
    },
    Route {
        pattern: "entity-alias/id/?", summary: "All aliases of entities.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(list), "List the ids.")],
    },
    Route {
        pattern: "entity-alias/id/{id}", summary: "An alias of an entity, by id.", access: Access::Token, fields: FIELDS, exists: None,
        methods: &[
            method(Operation::Read, Run::Read(read), "Read it."),
            method(Operation::Write, Run::Write(write_by_id), "Change it."),
            method(Operation::Delete, Run::Write(delete), "Remove it."),
        ],
    },
];

/// An alias and the entity it belongs to.
fn find(call: &mut Call<'_>, id: &str) -> Result<Option<(EntityRecord, AliasRecord)>, Error> {
    let namespace = call.namespace.id();
    let owner = store::owner_of_alias(&mut call.tx, namespace, id)?.filter(|owner| !owner.is_group);
    let Some(owner) = owner else { return Ok(None) };
    let Some(entity) = store::entity(&mut call.tx, namespace, &owner.owner)? else { return Ok(None) };
    let alias = entity.aliases.iter().find(|alias| alias.id == id).cloned();
    Ok(alias.map(|alias| (entity, alias)))
}

fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    if let Some(id) = call.fields().text("id")?.filter(|id| !id.is_empty()) {
        let known = find(call, &id)?.ok_or_else(|| Error::invalid("invalid entity alias ID"))?;
        return change(call, known);
    }
    let name = call.fields().required_text("name").map_err(|_| Error::invalid("missing alias name"))?;
    let accessor = call
        .fields()
        .required_text("mount_accessor")
        .map_err(|_| Error::invalid("missing mount_accessor"))?;
    shown::require_mount(call, &accessor)?;
    if let Some(owner) = store::entity_of_alias(&mut call.tx, call.namespace.id(), &accessor, &name)?
        && let Some(entity) = store::entity(&mut call.tx, call.namespace.id(), &owner)?
    {
        let is_it = |alias: &&AliasRecord| {
            alias.mount_accessor == accessor && alias.name.to_lowercase() == name.to_lowercase()
        };
        if let Some(alias) = entity.aliases.iter().find(is_it).cloned() {
            return change(call, (entity, alias));
        }
    }
    let mut alias = store::new_alias(call.kernel.entropy(), &accessor, &name, call.now);
    if let Some(custom) = shown::metadata(call.fields(), "custom_metadata")? {
        alias.custom_metadata = custom;
    }
    let mut entity = match canonical_id(call)? {
        Some(id) => store::entity(&mut call.tx, call.namespace.id(), &id)?
            .ok_or_else(|| Error::invalid("invalid canonical ID"))?,
        None => {
            let entity = store::new_entity(call.kernel.entropy(), call.namespace.id(), "", call.now);
            store::name_entity(&mut call.tx, &entity, None)?;
            entity
        }
    };
    give(call, &mut entity, alias.clone())?;
    Ok(shown::data(json!({ "canonical_id": entity.id, "id": alias.id })))
}

fn canonical_id(call: &Call<'_>) -> Result<Option<String>, Error> {
    let id = match call.fields().text("canonical_id")? {
        Some(id) => Some(id),
        None => call.fields().text("entity_id")?,
    };
    Ok(id.filter(|id| !id.is_empty()))
}

/// Gives an entity an alias, and stores both. It may have one at each mount.
fn give(call: &mut Call<'_>, entity: &mut EntityRecord, alias: AliasRecord) -> Result<(), Error> {
    if entity.aliases.iter().any(|own| own.mount_accessor == alias.mount_accessor) {
        return Err(Error::invalid("entity already has an alias at this mount"));
    }
    store::index_alias(&mut call.tx, entity.namespace, &entity.id, &alias)?;
    entity.aliases.push(alias);
    store::save_entity(&mut call.tx, entity)?;
    call.tx.after_commit(Effect::Identity);
    Ok(())
}

fn write_by_id(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = call.capture("id").to_owned();
    let known = find(call, &id)?.ok_or_else(Error::not_found)?;
    change(call, known)
}

/// Changes an alias: its name, its mount, its entity or its metadata.
fn change(call: &mut Call<'_>, known: (EntityRecord, AliasRecord)) -> Result<Response, Error> {
    let (mut entity, mut alias) = known;
    let namespace = entity.namespace;
    store::drop_alias(&mut call.tx, namespace, &alias)?;
    entity.aliases.retain(|own| own.id != alias.id);
    if let Some(name) = call.fields().text("name")?.filter(|name| !name.is_empty()) {
        alias.name = name;
    }
    if let Some(accessor) = call.fields().text("mount_accessor")?.filter(|accessor| !accessor.is_empty()) {
        shown::require_mount(call, &accessor)?;
        alias.mount_accessor = accessor;
    }
    if let Some(custom) = shown::metadata(call.fields(), "custom_metadata")? {
        alias.custom_metadata = custom;
    }
    alias.updated = call.now;
    let other = store::entity_of_alias(&mut call.tx, namespace, &alias.mount_accessor, &alias.name)?;
    if other.is_some() {
        return Err(Error::invalid("alias with combination of mount accessor and name already exists"));
    }
    let id = alias.id.clone();
    let mut target = match canonical_id(call)?.filter(|id| *id != entity.id) {
        None => entity,
        Some(other) => {
            store::save_entity(&mut call.tx, &entity)?;
            store::entity(&mut call.tx, namespace, &other)?
                .ok_or_else(|| Error::invalid("invalid canonical ID"))?
        }
    };
    give(call, &mut target, alias)?;
    Ok(shown::data(json!({ "canonical_id": target.id, "id": id })))
}

fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = call.capture("id").to_owned();
    let (entity, alias) = find(call, &id)?.ok_or_else(Error::not_found)?;
    let mut value = shown::alias(call, &alias, &entity.id);
    if let Some(map) = value.as_object_mut() {
        map.insert("namespace_id".to_owned(), json!(shown::text_id(call, entity.namespace)));
    }
    Ok(shown::data(value))
}

fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = call.capture("id").to_owned();
    if let Some((mut entity, alias)) = find(call, &id)? {
        store::drop_alias(&mut call.tx, entity.namespace, &alias)?;
        entity.aliases.retain(|own| own.id != id);
        store::save_entity(&mut call.tx, &entity)?;
        call.tx.after_commit(Effect::Identity);
    }
    Ok(Response::default())
}

fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut entries = BTreeMap::new();
    for entity in store::all_entities(&mut call.tx, call.namespace.id())? {
        for alias in &entity.aliases {
            entries.insert(alias.id.clone(), shown::listed_alias(call, alias, &entity.id));
        }
    }
    shown::listed(call, entries)
}
