//! `identity/group`, `identity/group-alias` and `identity/lookup/group`.

use super::entities::{field, method};
use super::shown;
use super::store::{self, AliasRecord, GroupKind, GroupPlace, GroupRecord};
use crate::call::Call;
use crate::error::Error;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use strongroom_crypto::token::uuid_v4;

const FIELDS: &[Field] = &[
    field("id", FieldKind::Text, "The id of a group that is to be changed."),
    field("name", FieldKind::Text, "Its name; made up unless said."),
    field("type", FieldKind::Text, "internal or external."),
    field("metadata", FieldKind::Map, "Texts, for policies with templates and for people."),
    field("policies", FieldKind::List, "Policies that it brings to the tokens of its members."),
    field("member_entity_ids", FieldKind::List, "Entities in it."),
    field("member_group_ids", FieldKind::List, "Groups in it."),
];

const ALIAS_FIELDS: &[Field] = &[
    field("id", FieldKind::Text, "The id of an alias that is to be changed."),
    field("name", FieldKind::Text, "The name of the group at the mount."),
    field("mount_accessor", FieldKind::Text, "The accessor of the auth mount."),
    field("canonical_id", FieldKind::Text, "The external group; a new one unless said."),
];

const LOOKUP: &[Field] = &[
    field("id", FieldKind::Text, "The id of the group."),
    field("name", FieldKind::Text, "The name of the group."),
    field("alias_id", FieldKind::Text, "The id of its alias."),
    field("alias_name", FieldKind::Text, "The name of its alias."),
    field("alias_mount_accessor", FieldKind::Text, "The accessor of the alias's mount."),
];

#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "group", summary: "Make or change a group.", access: Access::Token, fields: FIELDS, exists: None,
        methods: &[method(Operation::Write, Run::Write(write), "Make or change it.")],
    },
    Route {
        pattern: "group/id/?", summary: "All groups, by id.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(list_ids), "List the ids.")],
    },
    Route {
        pattern: "group/id/{id}", summary: "A group, by id.", access: Access::Token, fields: FIELDS, exists: None,
        methods: &[
            method(Operation::Read, Run::Read(read_by_id), "Read it."),
            method(Operation::Write, Run::Write(write_by_id), "Change it."),
            method(Operation::Delete, Run::Write(delete_by_id), "Remove it."),
        ],
    },
    Route {
        pattern: "group/name/?", summary: "All groups, by name.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(list_names), "List the names.")],
    },
    Route {
        pattern: "group/name/{name}", summary: "A group, by name.", access: Access::Token, fields: FIELDS, exists: None,
        methods: &[
            method(Operation::Read, Run::Read(read_by_name), "Read it."),
            method(Operation::Write, Run::Write(write_by_name), "Make or change it."),
            method(Operation::Delete, Run::Write(delete_by_name), "Remove it."),
        ],
    },
    Route {
        pattern: "group-alias", summary: "Make or change the alias of an external group.", access: Access::Token, fields: ALIAS_FIELDS, exists: None,
        methods: &[method(Operation::Write, Run::Write(write_alias), "Make or change it.")],
    },
    Route {
        pattern: "group-alias/id/?", summary: "All aliases of groups.", access: Access::Token, fields: &[], exists: None,
        methods: &[method(Operation::List, Run::Read(list_aliases), "List the ids.")],
    },
    Route {
        pattern: "group-alias/id/{id}", summary: "An alias of a group, by id.", access: Access::Token, fields: ALIAS_FIELDS, exists: None,
        methods: &[
            method(Operation::Read, Run::Read(read_alias), "Read it."),
            method(Operation::Write, Run::Write(write_alias), "Change it."),
            method(Operation::Delete, Run::Write(delete_alias), "Remove it."),
        ],
    },
    Route {
        pattern: "lookup/group", summary: "Find a group by what is known of it.", access: Access::Token, fields: LOOKUP, exists: None,
        methods: &[method(Operation::Write, Run::Read(lookup), "Find it.")],
    },
];

fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let namespace = call.namespace.id();
    let name = call.fields().text("name")?.unwrap_or_default();
    if let Some(id) = call.fields().text("id")?.filter(|id| !id.is_empty()) {
        let known = store::group(&mut call.tx, namespace, &id)?;
        let known = known.ok_or_else(|| Error::invalid("invalid group id"))?;
        return save(call, Some(known), &name);
    }
    let known = match name.as_str() {
        "" => None,
        name => store::group_by_name(&mut call.tx, namespace, name)?,
    };
    save(call, known, &name)
}

fn write_by_id(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = call.capture("id").to_owned();
    let known = store::group(&mut call.tx, call.namespace.id(), &id)?.ok_or_else(Error::not_found)?;
    let name = call.fields().text("name")?.unwrap_or_default();
    save(call, Some(known), &name)
}

fn write_by_name(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let known = store::group_by_name(&mut call.tx, call.namespace.id(), &name)?;
    save(call, known, &name)
}

fn kind(call: &Call<'_>) -> Result<Option<GroupKind>, Error> {
    match call.fields().text("type")?.as_deref() {
        None | Some("") => Ok(None),
        Some("internal") => Ok(Some(GroupKind::Internal)),
        Some("external") => Ok(Some(GroupKind::External)),
        Some(other) => Err(Error::invalid(format!("invalid group type {other:?}"))),
    }
}

/// Writes what the request says of a group, which may be new.
fn save(call: &mut Call<'_>, known: Option<GroupRecord>, name: &str) -> Result<Response, Error> {
    let is_new = known.is_none();
    let asked = kind(call)?;
    let mut group = match known {
        Some(group) if asked.is_some_and(|kind| kind != group.kind) => {
            return Err(Error::invalid("group type cannot be changed"));
        }
        Some(group) => group,
        None => blank(call, name, asked.unwrap_or(GroupKind::Internal)),
    };
    if let Some(metadata) = shown::metadata(call.fields(), "metadata")? {
        group.metadata = metadata;
    }
    if let Some(policies) = shown::policies(call.fields())? {
        group.policies = policies;
    }
    rename(call, &mut group, name, is_new)?;
    group.updated = call.now;
    group.modify_index += 1;
    let entities = call.fields().list("member_entity_ids")?;
    let groups = call.fields().list("member_group_ids")?;
    if group.kind == GroupKind::External
        && entities.as_ref().or(groups.as_ref()).is_some_and(|ids| !ids.is_empty())
    {
        return Err(Error::invalid("member entities and groups can't be set manually for external groups"));
    }
    if let Some(ids) = groups.filter(|_| group.kind == GroupKind::Internal) {
        set_groups(call, &mut group, &ids)?;
    }
    store::save_group(&mut call.tx, &group)?;
    if let Some(ids) = entities.filter(|_| group.kind == GroupKind::Internal) {
        set_entities(call, &group, ids)?;
    }
    if is_new {
        Ok(shown::data(json!({ "id": group.id, "name": group.name })))
    } else {
        Ok(Response::default())
    }
}

fn blank(call: &Call<'_>, name: &str, kind: GroupKind) -> GroupRecord {
    let entropy = call.kernel.entropy();
    GroupRecord {
        id: uuid_v4(entropy),
        namespace: call.namespace.id(),
        name: if name.is_empty() { store::random_name(entropy, "group") } else { name.to_owned() },
        kind,
        metadata: BTreeMap::new(),
        policies: Vec::new(),
        member_groups: Vec::new(),
        parents: Vec::new(),
        alias: None,
        created: call.now,
        updated: call.now,
        modify_index: 0,
    }
}

fn rename(call: &mut Call<'_>, group: &mut GroupRecord, name: &str, is_new: bool) -> Result<(), Error> {
    let before = group.name.clone();
    if !name.is_empty() {
        let holder = store::group_by_name(&mut call.tx, group.namespace, name)?;
        if holder.is_some_and(|holder| holder.id != group.id) {
            return Err(Error::invalid("group name is already in use"));
        }
        name.clone_into(&mut group.name);
    }
    if is_new || before != group.name {
        store::name_group(&mut call.tx, group, (!is_new).then_some(before.as_str()))?;
    }
    Ok(())
}

/// Makes these the groups directly in a group.
fn set_groups(call: &mut Call<'_>, group: &mut GroupRecord, ids: &[String]) -> Result<(), Error> {
    let place = group.place();
    let mut wanted = BTreeSet::new();
    for id in ids {
        let member = store::group_around(&mut call.tx, call.topology, group.namespace, id)?
            .ok_or_else(|| Error::invalid(format!("invalid member group ID {id:?}")))?;
        if member.id == group.id || contains(call, &member, &place)? {
            return Err(Error::invalid(format!("cyclic relationship detected for member group ID {id:?}")));
        }
        wanted.insert(member.place());
    }
    let before: BTreeSet<GroupPlace> = group.member_groups.iter().cloned().collect();
    for (change, is_member) in
        before.difference(&wanted).map(|p| (p, false)).chain(wanted.difference(&before).map(|p| (p, true)))
    {
        let Some(mut member) = store::group(&mut call.tx, change.namespace, &change.id)? else { continue };
        member.parents.retain(|parent| *parent != place);
        if is_member {
            member.parents.push(place.clone());
        }
        store::save_group(&mut call.tx, &member)?;
    }
    group.member_groups = wanted.into_iter().collect();
    Ok(())
}

/// Whether a group is in another, directly or through others.
fn contains(call: &mut Call<'_>, outer: &GroupRecord, inner: &GroupPlace) -> Result<bool, Error> {
    let mut waiting = outer.member_groups.clone();
    let mut seen: BTreeSet<GroupPlace> = waiting.iter().cloned().collect();
    while let Some(place) = waiting.pop() {
        if place == *inner {
            return Ok(true);
        }
        let Some(group) = store::group(&mut call.tx, place.namespace, &place.id)? else { continue };
        waiting.extend(group.member_groups.into_iter().filter(|member| seen.insert(member.clone())));
    }
    Ok(false)
}

/// Makes these the entities directly in a group.
fn set_entities(call: &mut Call<'_>, group: &GroupRecord, ids: Vec<String>) -> Result<(), Error> {
    let place = group.place();
    let before: BTreeSet<String> = store::member_ids(&mut call.tx, &place)?.into_iter().collect();
    let wanted: BTreeSet<String> = ids.into_iter().collect();
    for id in wanted.difference(&before) {
        let mut entity = store::entity_around(&mut call.tx, call.topology, group.namespace, id)?
            .ok_or_else(|| Error::invalid(format!("invalid entity ID {id:?}")))?;
        store::join(&mut call.tx, &mut entity, &place, "")?;
        store::save_entity(&mut call.tx, &entity)?;
    }
    for id in before.difference(&wanted) {
        if let Some(mut entity) = store::entity_around(&mut call.tx, call.topology, group.namespace, id)? {
            store::leave(&mut call.tx, &mut entity, &place)?;
            store::save_entity(&mut call.tx, &entity)?;
        }
    }
    Ok(())
}

fn read_by_id(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = call.capture("id").to_owned();
    let group = store::group(&mut call.tx, call.namespace.id(), &id)?.ok_or_else(Error::not_found)?;
    shown::group(call, &group)
}

fn read_by_name(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let group =
        store::group_by_name(&mut call.tx, call.namespace.id(), &name)?.ok_or_else(Error::not_found)?;
    shown::group(call, &group)
}

fn delete_by_id(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = call.capture("id").to_owned();
    if let Some(group) = store::group(&mut call.tx, call.namespace.id(), &id)? {
        store::delete_group(&mut call.tx, call.topology, &group)?;
    }
    Ok(Response::default())
}

fn delete_by_name(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    if let Some(group) = store::group_by_name(&mut call.tx, call.namespace.id(), &name)? {
        store::delete_group(&mut call.tx, call.topology, &group)?;
    }
    Ok(Response::default())
}

fn list_ids(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut entries = BTreeMap::new();
    for group in store::all_groups(&mut call.tx, call.namespace.id())? {
        let members = store::member_ids(&mut call.tx, &group.place())?.len();
        let mut about = json!({
            "name": group.name,
            "num_member_entities": members,
            "num_parent_groups": group.parents.len(),
        });
        if let (Some(map), Some(alias)) = (about.as_object_mut(), &group.alias) {
            map.insert("alias".to_owned(), shown::alias_summary(call, alias));
        }
        entries.insert(group.id, about);
    }
    shown::listed(call, entries)
}

fn list_names(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut names: Vec<String> =
        store::all_groups(&mut call.tx, call.namespace.id())?.into_iter().map(|group| group.name).collect();
    names.sort_unstable();
    Response::keys(crate::tokens::page(call.fields(), names)?)
}

/// The group that the alias of an id belongs to.
fn by_alias_id(call: &mut Call<'_>, id: &str) -> Result<Option<(GroupRecord, AliasRecord)>, Error> {
    let namespace = call.namespace.id();
    let owner = store::owner_of_alias(&mut call.tx, namespace, id)?.filter(|owner| owner.is_group);
    let Some(owner) = owner else { return Ok(None) };
    let group = store::group(&mut call.tx, namespace, &owner.owner)?;
    Ok(group.and_then(|group| group.alias.clone().map(|alias| (group, alias))))
}

fn write_alias(call: &mut Call<'_>) -> Result<Response, Error> {
    let namespace = call.namespace.id();
    let known = named_alias(call)?;
    let text = |call: &Call<'_>, name: &str| -> Result<Option<String>, Error> {
        Ok(call.fields().text(name)?.filter(|text| !text.is_empty()))
    };
    let alias = known.as_ref().map(|(_, alias)| alias.clone());
    let name = text(call, "name")?.or_else(|| alias.as_ref().map(|alias| alias.name.clone()));
    let name = name.ok_or_else(|| Error::invalid("missing alias name"))?;
    let accessor = text(call, "mount_accessor")?.or_else(|| alias.as_ref().map(|a| a.mount_accessor.clone()));
    let accessor = accessor.ok_or_else(|| Error::invalid("missing mount_accessor"))?;
    shown::require_mount(call, &accessor)?;
    let holder = store::group_of_alias(&mut call.tx, namespace, &accessor, &name)?;
    let holder = match holder {
        Some(id) => store::group(&mut call.tx, namespace, &id)?,
        None => None,
    };
    if let (Some(holder), Some((group, _))) = (&holder, &known)
        && holder.id != group.id
    {
        return Err(Error::invalid("group alias with combination of mount accessor and name already exists"));
    }
    let current = known.map(|(group, _)| group).or(holder);
    let target = match text(call, "canonical_id")? {
        Some(id) => Some(
            store::group(&mut call.tx, namespace, &id)?.ok_or_else(|| Error::invalid("invalid group ID"))?,
        ),
        None => current.clone(),
    };
    let mut alias = current
        .as_ref()
        .and_then(|group| group.alias.clone())
        .unwrap_or_else(|| store::new_alias(call.kernel.entropy(), &accessor, &name, call.now));
    // It is taken from where it is, and whatever the target had is gone.
    for mut group in current.into_iter().filter(|group| target.as_ref().is_none_or(|t| t.id != group.id)) {
        if let Some(gone) = group.alias.take() {
            store::drop_group_alias(&mut call.tx, namespace, &gone)?;
        }
        store::save_group(&mut call.tx, &group)?;
    }
    let mut group = match target {
        Some(group) => group,
        None => {
            let group = blank(call, "", GroupKind::External);
            store::name_group(&mut call.tx, &group, None)?;
            group
        }
    };
    if group.kind == GroupKind::Internal {
        return Err(Error::invalid("alias can't be set on an internal group"));
    }
    if let Some(gone) = group.alias.take() {
        store::drop_group_alias(&mut call.tx, namespace, &gone)?;
    }
    (alias.name, alias.mount_accessor, alias.updated) = (name, accessor, call.now);
    store::index_group_alias(&mut call.tx, namespace, &group.id, &alias)?;
    let answer = json!({ "canonical_id": group.id, "id": alias.id });
    group.alias = Some(alias);
    group.modify_index += 1;
    group.updated = call.now;
    store::save_group(&mut call.tx, &group)?;
    Ok(shown::data(answer))
}

/// The alias whose id the request names, with its group; None where it names none.
fn named_alias(call: &mut Call<'_>) -> Result<Option<(GroupRecord, AliasRecord)>, Error> {
    let in_path = Some(call.capture("id").to_owned()).filter(|id| !id.is_empty());
    let id = match in_path {
        Some(id) => Some(id),
        None => call.fields().text("id")?.filter(|id| !id.is_empty()),
    };
    match id {
        Some(id) => by_alias_id(call, &id)?.ok_or_else(|| Error::invalid("invalid group alias ID")).map(Some),
        None => Ok(None),
    }
}

fn read_alias(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = call.capture("id").to_owned();
    let (group, alias) = by_alias_id(call, &id)?.ok_or_else(Error::not_found)?;
    let mut value = shown::group_alias(call, &alias, &group.id);
    if let Some(map) = value.as_object_mut() {
        map.insert("namespace_id".to_owned(), json!(shown::text_id(call, group.namespace)));
    }
    Ok(shown::data(value))
}

fn delete_alias(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = call.capture("id").to_owned();
    if let Some((mut group, alias)) = by_alias_id(call, &id)? {
        store::drop_group_alias(&mut call.tx, group.namespace, &alias)?;
        group.alias = None;
        store::save_group(&mut call.tx, &group)?;
    }
    Ok(Response::default())
}

fn list_aliases(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut entries: BTreeMap<String, Value> = BTreeMap::new();
    for group in store::all_groups(&mut call.tx, call.namespace.id())? {
        if let Some(alias) = &group.alias {
            entries.insert(alias.id.clone(), shown::listed_alias(call, alias, &group.id));
        }
    }
    shown::listed(call, entries)
}

fn lookup(call: &mut Call<'_>) -> Result<Response, Error> {
    let namespace = call.namespace.id();
    let fields = call.fields();
    let text = |name: &str| Ok::<_, Error>(fields.text(name)?.filter(|text| !text.is_empty()));
    let (id, name, alias_id) = (text("id")?, text("name")?, text("alias_id")?);
    let (alias_name, accessor) = (text("alias_name")?, text("alias_mount_accessor")?);
    let found = match (id, name, alias_id, alias_name, accessor) {
        (Some(id), ..) => store::group(&mut call.tx, namespace, &id)?,
        (None, Some(name), ..) => store::group_by_name(&mut call.tx, namespace, &name)?,
        (None, None, Some(alias_id), ..) => by_alias_id(call, &alias_id)?.map(|(group, _)| group),
        (None, None, None, Some(alias), Some(accessor)) => {
            match store::group_of_alias(&mut call.tx, namespace, &accessor, &alias)? {
                Some(id) => store::group(&mut call.tx, namespace, &id)?,
                None => None,
            }
        }
        _ => return Err(Error::invalid("query parameters not supplied")),
    };
    match found {
        Some(group) => shown::group(call, &group),
        None => Ok(Response::default()),
    }
}
