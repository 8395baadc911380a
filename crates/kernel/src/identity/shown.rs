//! Entities, aliases and groups as answers show them. Field names:
//! <https://developer.hashicorp.com/vault/api-docs/secret/identity>

use super::store::{self, AliasRecord, EntityRecord, GroupKind, GroupRecord};
use crate::call::Call;
use crate::error::Error;
use crate::mounts::Mount;
use crate::request::{Fields, Response};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const METADATA_ENTRIES_MAX: usize = 64;
const METADATA_KEY_BYTES_MAX: usize = 128;
const METADATA_VALUE_BYTES_MAX: usize = 512;

pub(super) fn data(value: Value) -> Response {
    match value {
        Value::Object(map) => Response::data(map),
        _ => Response::default(),
    }
}

/// A list that says a little of each entry.
pub(super) fn listed(call: &Call<'_>, entries: BTreeMap<String, Value>) -> Result<Response, Error> {
    let keys = crate::tokens::page(call.fields(), entries.keys().cloned().collect())?;
    if keys.is_empty() {
        return Err(Error::not_found());
    }
    let about: Map<String, Value> =
        entries.into_iter().filter(|(key, _)| keys.binary_search(key).is_ok()).collect();
    Ok(data(json!({ "keys": keys, "key_info": about })))
}

/// The metadata that a request names; None to leave it as it is.
pub(super) fn metadata(fields: &Fields, name: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
    let Some(map) = fields.text_map(name)? else { return Ok(None) };
    let map = store::texts(&map);
    let fits = |(key, value): (&String, &String)| {
        !key.is_empty() && key.len() <= METADATA_KEY_BYTES_MAX && value.len() <= METADATA_VALUE_BYTES_MAX
    };
    if map.len() > METADATA_ENTRIES_MAX || !map.iter().all(fits) {
        return Err(Error::invalid(format!(
            "metadata has at most {METADATA_ENTRIES_MAX} entries, with names of up to {METADATA_KEY_BYTES_MAX} bytes and values of up to {METADATA_VALUE_BYTES_MAX}"
        )));
    }
    Ok(Some(map))
}

/// The policies that a request names; None to leave them as they are.
pub(super) fn policies(fields: &Fields) -> Result<Option<Vec<String>>, Error> {
    let Some(names) = fields.list("policies")? else { return Ok(None) };
    let names = crate::tokens::policy_names(&names)?;
    if names.iter().any(|name| name == "root") {
        return Err(Error::invalid("policies cannot contain root"));
    }
    Ok(Some(names))
}

/// The auth mount of an accessor, in the call's namespace.
pub(super) fn mount(call: &Call<'_>, accessor: &str) -> Option<Arc<Mount>> {
    call.namespace.mounts.values().find(|mount| mount.record.accessor == accessor).cloned()
}

pub(super) fn require_mount(call: &Call<'_>, accessor: &str) -> Result<Arc<Mount>, Error> {
    mount(call, accessor).ok_or_else(|| Error::invalid(format!("invalid mount accessor {accessor:?}")))
}

/// A value, or null where it is empty.
fn or_null<T: serde::Serialize>(value: T, is_empty: bool) -> Value {
    if is_empty { Value::Null } else { json!(value) }
}

fn place(call: &Call<'_>, alias: &AliasRecord) -> (String, String) {
    mount(call, &alias.mount_accessor)
        .map(|mount| (mount.path().to_owned(), mount.record.kind.clone()))
        .unwrap_or_default()
}

/// An alias in a list.
pub(super) fn alias_summary(call: &Call<'_>, alias: &AliasRecord) -> Value {
    let (path, kind) = place(call, alias);
    json!({
        "id": alias.id,
        "mount_accessor": alias.mount_accessor,
        "mount_path": path,
        "mount_type": kind,
        "name": alias.name,
    })
}

/// The alias of an entity.
pub(super) fn alias(call: &Call<'_>, alias: &AliasRecord, entity_id: &str) -> Value {
    let (path, kind) = place(call, alias);
    json!({
        "canonical_id": entity_id,
        "creation_time": alias.created.rfc3339(),
        "custom_metadata": alias.custom_metadata,
        "id": alias.id,
        "last_update_time": alias.updated.rfc3339(),
        "local": false,
        "merged_from_canonical_ids": or_null(&alias.merged_from, alias.merged_from.is_empty()),
        "metadata": or_null(&alias.metadata, alias.metadata.is_empty()),
        "mount_accessor": alias.mount_accessor,
        "mount_path": path,
        "mount_type": kind,
        "name": alias.name,
    })
}

/// The alias of a group.
pub(super) fn group_alias(call: &Call<'_>, alias: &AliasRecord, group_id: &str) -> Value {
    let (path, kind) = place(call, alias);
    json!({
        "canonical_id": group_id,
        "creation_time": alias.created.rfc3339(),
        "id": alias.id,
        "last_update_time": alias.updated.rfc3339(),
        "merged_from_canonical_ids": Value::Null,
        "metadata": or_null(&alias.metadata, alias.metadata.is_empty()),
        "mount_accessor": alias.mount_accessor,
        "mount_path": path,
        "mount_type": kind,
        "name": alias.name,
    })
}

/// An alias in the list of all.
pub(super) fn listed_alias(call: &Call<'_>, alias: &AliasRecord, owner: &str) -> Value {
    let (path, kind) = place(call, alias);
    json!({
        "canonical_id": owner,
        "custom_metadata": or_null(&alias.custom_metadata, alias.custom_metadata.is_empty()),
        "local": false,
        "metadata": or_null(&alias.metadata, alias.metadata.is_empty()),
        "mount_accessor": alias.mount_accessor,
        "mount_path": path,
        "mount_type": kind,
        "name": alias.name,
    })
}

pub(super) fn text_id(call: &Call<'_>, namespace: u64) -> String {
    call.topology.namespace_by_id(namespace).map(|n| n.record.text_id.clone()).unwrap_or_default()
}

pub(super) fn entity(call: &mut Call<'_>, record: &EntityRecord) -> Result<Response, Error> {
    let direct: Vec<String> = record.groups.iter().map(|membership| membership.group.id.clone()).collect();
    let all: Vec<String> =
        super::groups_of(&mut call.tx, record)?.into_iter().map(|group| group.id).collect();
    let inherited: Vec<&String> = all.iter().filter(|id| !direct.contains(id)).collect();
    let aliases: Vec<Value> = record.aliases.iter().map(|one| alias(call, one, &record.id)).collect();
    Ok(data(json!({
        "aliases": aliases,
        "creation_time": record.created.rfc3339(),
        "direct_group_ids": direct,
        "disabled": record.is_disabled,
        "group_ids": all,
        "id": record.id,
        "inherited_group_ids": inherited,
        "last_update_time": record.updated.rfc3339(),
        "merged_entity_ids": or_null(&record.merged_ids, record.merged_ids.is_empty()),
        "metadata": or_null(&record.metadata, record.metadata.is_empty()),
        "name": record.name,
        "namespace_id": text_id(call, record.namespace),
        "policies": record.policies,
    })))
}

pub(super) fn group(call: &mut Call<'_>, record: &GroupRecord) -> Result<Response, Error> {
    let members = store::member_ids(&mut call.tx, &record.place())?;
    let ids = |places: &[store::GroupPlace]| places.iter().map(|place| place.id.clone()).collect::<Vec<_>>();
    let no_members = record.kind == GroupKind::External && members.is_empty();
    let alias = match &record.alias {
        Some(alias) => group_alias(call, alias, &record.id),
        None => json!({}),
    };
    Ok(data(json!({
        "alias": alias,
        "creation_time": record.created.rfc3339(),
        "id": record.id,
        "last_update_time": record.updated.rfc3339(),
        "member_entity_ids": or_null(&members, no_members),
        "member_group_ids": or_null(ids(&record.member_groups), record.member_groups.is_empty()),
        "metadata": or_null(&record.metadata, record.metadata.is_empty()),
        "modify_index": record.modify_index,
        "name": record.name,
        "namespace_id": text_id(call, record.namespace),
        "parent_group_ids": or_null(ids(&record.parents), record.parents.is_empty()),
        "policies": or_null(&record.policies, record.policies.is_empty()),
        "type": record.kind.as_str(),
    })))
}
