//! `identity/entity` and `identity/lookup/entity`.

use super::shown;
use super::store::{self, AliasRecord, EntityRecord};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Error;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Entities that one request removes.
const DELETED_MAX: usize = 1000;

pub(super) const fn field(name: &'static str, kind: FieldKind, description: &'static str) -> Field {
    Field { name, kind, description }
}

pub(super) const fn method(operation: Operation, run: Run, summary: &'static str) -> Method {
    Method { operation, run, summary }
}

const FIELDS: &[Field] = &[
    field("id", FieldKind::Text, "The id of an entity that is to be changed."),
    field("name", FieldKind::Text, "Its name; made up unless said."),
    field("metadata", FieldKind::Map, "Texts, for policies with templates and for people."),
    field("policies", FieldKind::List, "Policies that it brings to every token of its own."),
    field("disabled", FieldKind::Boolean, "Whether its tokens are refused."),
];

const LOOKUP: &[Field] = &[
    field("id", FieldKind::Text, "The id of the entity."),
    field("name", FieldKind::Text, "The name of the entity."),
    field("alias_id", FieldKind::Text, "The id of an alias."),
    field("alias_name", FieldKind::Text, "The name of an alias."),
    field("alias_mount_accessor", FieldKind::Text, "The accessor of the alias's mount."),
];

const MERGE: &[Field] = &[
    field("from_entity_ids", FieldKind::List, "Entities that become part of the other."),
    field("to_entity_id", FieldKind::Text, "The entity that remains."),
    field("conflicting_alias_ids_to_keep", FieldKind::List, "Of two aliases at one mount, which remains."),
    field("force", FieldKind::Boolean, "Let the remaining entity's aliases win."),
];

#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "entity", summary: "Make or change an entity.", access: Access::Token, fields: FIELDS, exists: None,
        methods: &[method(Operation::Write, Run::Write(write), "Make or change it.")],
    },
    Route {
        pattern: "entity/id/?", summary: "All entities, by id.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(list_ids), "List the ids.")],
    },
    Route {
        pattern: "entity/id/{id}", summary: "An entity, by id.", access: Access::Token, fields: FIELDS, exists: None,
        methods: &[
            method(Operation::Read, Run::Read(read_by_id), "Read it."),
            method(Operation::Write, Run::Write(write_by_id), "Change it."),
            method(Operation::Delete, Run::Write(delete_by_id), "Remove it and its aliases."),
        ],
    },
    Route {
        pattern: "entity/name/?", summary: "All entities, by name.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(list_names), "List the names.")],
    },
    Route {
        pattern: "entity/name/{name}", summary: "An entity, by name.", access: Access::Token, fields: FIELDS, exists: None,
        methods: &[
            method(Operation::Read, Run::Read(read_by_name), "Read it."),
            method(Operation::Write, Run::Write(write_by_name), "Make or change it."),
            method(Operation::Delete, Run::Write(delete_by_name), "Remove it and its aliases."),
        ],
    },
    Route {
        pattern: "entity/merge", summary: "Make one entity of several.", access: Access::Token, fields: MERGE, exists: None,
        methods: &[method(Operation::Write, Run::Write(merge), "Merge them.")],
    },
    Route {
        pattern: "entity/batch-delete", summary: "Remove several entities.", access: Access::Token,
        fields: &[field("entity_ids", FieldKind::List, "The ids.")], exists: None,
        methods: &[method(Operation::Write, Run::Write(delete_several), "Remove them and their aliases.")],
    },
    Route {
        pattern: "lookup/entity", summary: "Find an entity by what is known of it.", access: Access::Token, fields: LOOKUP, exists: None,
        methods: &[method(Operation::Write, Run::Read(lookup), "Find it.")],
    },
];

fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let namespace = call.namespace.id();
    let name = call.fields().text("name")?.unwrap_or_default();
    if let Some(id) = call.fields().text("id")?.filter(|id| !id.is_empty()) {
        let known = store::entity(&mut call.tx, namespace, &id)?;
        let known = known.ok_or_else(|| Error::invalid("entity not found"))?;
        return save(call, Some(known), &name);
    }
    let known = match name.as_str() {
        "" => None,
        name => store::entity_by_name(&mut call.tx, namespace, name)?,
    };
    save(call, known, &name)
}

fn write_by_id(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = call.capture("id").to_owned();
    let known = store::entity(&mut call.tx, call.namespace.id(), &id)?.ok_or_else(Error::not_found)?;
    let name = call.fields().text("name")?.unwrap_or_default();
    save(call, Some(known), &name)
}

fn write_by_name(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let known = store::entity_by_name(&mut call.tx, call.namespace.id(), &name)?;
    save(call, known, &name)
}

/// Writes what the request says of an entity, which may be new.
fn save(call: &mut Call<'_>, known: Option<EntityRecord>, name: &str) -> Result<Response, Error> {
    let is_new = known.is_none();
    let mut entity = match known {
        Some(entity) => entity,
        None => store::new_entity(call.kernel.entropy(), call.namespace.id(), name, call.now),
    };
    let fields = &call.request.fields;
    if let Some(metadata) = shown::metadata(fields, "metadata")? {
        entity.metadata = metadata;
    }
    if let Some(policies) = shown::policies(fields)? {
        entity.policies = policies;
    }
    if let Some(is_disabled) = fields.boolean("disabled")? {
        entity.is_disabled = is_disabled;
    }
    entity.updated = call.now;
    let before = entity.name.clone();
    if !name.is_empty() {
        let holder = store::entity_by_name(&mut call.tx, entity.namespace, name)?;
        if holder.is_some_and(|holder| holder.id != entity.id) {
            return Err(Error::invalid("entity name is already in use"));
        }
        name.clone_into(&mut entity.name);
    }
    if is_new || before != entity.name {
        store::name_entity(&mut call.tx, &entity, (!is_new).then_some(before.as_str()))?;
    }
    store::save_entity(&mut call.tx, &entity)?;
    if !is_new {
        call.tx.after_commit(Effect::Identity);
        return Ok(Response::default());
    }
    Ok(shown::data(json!({ "aliases": Value::Null, "id": entity.id, "name": entity.name })))
}

fn read_by_id(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = call.capture("id").to_owned();
    let entity = store::entity(&mut call.tx, call.namespace.id(), &id)?.ok_or_else(Error::not_found)?;
    shown::entity(call, &entity)
}

fn read_by_name(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let entity =
        store::entity_by_name(&mut call.tx, call.namespace.id(), &name)?.ok_or_else(Error::not_found)?;
    shown::entity(call, &entity)
}

fn delete_by_id(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = call.capture("id").to_owned();
    delete(call, &id)?;
    Ok(Response::default())
}

fn delete(call: &mut Call<'_>, id: &str) -> Result<(), Error> {
    match store::entity(&mut call.tx, call.namespace.id(), id)? {
        Some(entity) => store::delete_entity(&mut call.tx, &entity),
        None => Ok(()),
    }
}

fn delete_by_name(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    if let Some(entity) = store::entity_by_name(&mut call.tx, call.namespace.id(), &name)? {
        store::delete_entity(&mut call.tx, &entity)?;
    }
    Ok(Response::default())
}

fn delete_several(call: &mut Call<'_>) -> Result<Response, Error> {
    let ids = call.fields().list("entity_ids")?.unwrap_or_default();
    if ids.is_empty() {
        return Err(Error::invalid("missing entity ids to delete"));
    }
    if ids.len() > DELETED_MAX {
        return Err(Error::invalid(format!("at most {DELETED_MAX} entities are removed at once")));
    }
    for id in ids {
        delete(call, &id)?;
    }
    Ok(Response::default())
}

fn list_ids(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut entries = BTreeMap::new();
    for entity in store::all_entities(&mut call.tx, call.namespace.id())? {
        let mut about = json!({ "name": entity.name });
        if !entity.aliases.is_empty()
            && let Some(map) = about.as_object_mut()
        {
            let aliases = entity.aliases.iter().map(|alias| shown::alias_summary(call, alias)).collect();
            map.insert("aliases".to_owned(), Value::Array(aliases));
        }
        entries.insert(entity.id, about);
    }
    shown::listed(call, entries)
}

fn list_names(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut names: Vec<String> = store::all_entities(&mut call.tx, call.namespace.id())?
        .into_iter()
        .map(|entity| entity.name)
        .collect();
    names.sort_unstable();
    Response::keys(crate::tokens::page(call.fields(), names)?)
}

fn lookup(call: &mut Call<'_>) -> Result<Response, Error> {
    let namespace = call.namespace.id();
    let fields = call.fields();
    let text = |name: &str| Ok::<_, Error>(fields.text(name)?.filter(|text| !text.is_empty()));
    let (id, name, alias_id) = (text("id")?, text("name")?, text("alias_id")?);
    let (alias_name, accessor) = (text("alias_name")?, text("alias_mount_accessor")?);
    let tx = &mut call.tx;
    let found = match (id, name, alias_id, alias_name, accessor) {
        (Some(id), ..) => store::entity(tx, namespace, &id)?,
        (None, Some(name), ..) => store::entity_by_name(tx, namespace, &name)?,
        (None, None, Some(alias_id), ..) => match store::owner_of_alias(tx, namespace, &alias_id)? {
            Some(owner) if !owner.is_group => store::entity(tx, namespace, &owner.owner)?,
            _ => None,
        },
        (None, None, None, Some(alias), Some(accessor)) => {
            match store::entity_of_alias(tx, namespace, &accessor, &alias)? {
                Some(id) => store::entity(tx, namespace, &id)?,
                None => None,
            }
        }
        _ => return Err(Error::invalid("query parameters not supplied")),
    };
    match found {
        Some(entity) => shown::entity(call, &entity),
        None => Ok(Response::default()),
    }
}

fn merge(call: &mut Call<'_>) -> Result<Response, Error> {
    let fields = call.fields();
    let to = fields.text("to_entity_id")?.unwrap_or_default();
    let from = fields.list("from_entity_ids")?.unwrap_or_default();
    let keep = fields.list("conflicting_alias_ids_to_keep")?.unwrap_or_default();
    let force = fields.boolean("force")?.unwrap_or(false);
    if to.is_empty() {
        return Err(Error::invalid("missing entity id to merge to"));
    }
    if from.is_empty() {
        return Err(Error::invalid("missing entity ids to merge from"));
    }
    if from.contains(&to) {
        return Err(Error::invalid("to_entity_id should not be present in from_entity_ids"));
    }
    let namespace = call.namespace.id();
    let mut into = store::entity(&mut call.tx, namespace, &to)?
        .ok_or_else(|| Error::invalid("entity id to merge to is invalid"))?;
    for id in from {
        let part = store::entity(&mut call.tx, namespace, &id)?
            .ok_or_else(|| Error::invalid("entity id to merge from is invalid"))?;
        absorb(call, &mut into, part, &keep, force)?;
    }
    into.updated = call.now;
    store::save_entity(&mut call.tx, &into)?;
    call.tx.after_commit(Effect::Identity);
    Ok(Response::default())
}

/// Makes one entity part of another: its aliases, policies, metadata and groups, and its id.
fn absorb(
    call: &mut Call<'_>,
    into: &mut EntityRecord,
    mut part: EntityRecord,
    keep: &[String],
    force: bool,
) -> Result<(), Error> {
    let namespace = into.namespace;
    store::delete_entity(&mut call.tx, &part)?;
    for mut alias in std::mem::take(&mut part.aliases) {
        let rival = into.aliases.iter().position(|own| own.mount_accessor == alias.mount_accessor);
        if let Some(at) = rival {
            let loses = conflict(into.aliases.get(at), &alias, keep, force)?;
            if loses == Loser::Newcomer {
                continue;
            }
            let gone = into.aliases.remove(at);
            store::drop_alias(&mut call.tx, namespace, &gone)?;
        }
        alias.merged_from.push(part.id.clone());
        alias.updated = call.now;
        store::index_alias(&mut call.tx, namespace, &into.id, &alias)?;
        into.aliases.push(alias);
    }
    for membership in std::mem::take(&mut part.groups) {
        store::join(&mut call.tx, into, &membership.group, &membership.mount_accessor)?;
    }
    into.policies.extend(part.policies);
    into.policies.sort_unstable();
    into.policies.dedup();
    for (key, value) in part.metadata {
        into.metadata.entry(key).or_insert(value);
    }
    for id in part.merged_ids.iter().chain([&part.id]) {
        store::note_merged(&mut call.tx, namespace, id, &into.id)?;
        into.merged_ids.push(id.clone());
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Loser {
    Newcomer,
    Own,
}

/// Which of two aliases at one mount goes.
fn conflict(
    own: Option<&AliasRecord>,
    newcomer: &AliasRecord,
    keep: &[String],
    force: bool,
) -> Result<Loser, Error> {
    let keeps_own = own.is_some_and(|own| keep.contains(&own.id));
    match (keeps_own, keep.contains(&newcomer.id)) {
        (true, false) => Ok(Loser::Newcomer),
        (false, true) => Ok(Loser::Own),
        (false, false) if force => Ok(Loser::Newcomer),
        (true, true) => Err(Error::invalid("conflicting_alias_ids_to_keep names two aliases of one mount")),
        (false, false) => Err(Error::invalid(format!(
            "conflicting entity aliases at mount {}: name the one to be kept in conflicting_alias_ids_to_keep",
            newcomer.mount_accessor
        ))),
    }
}
