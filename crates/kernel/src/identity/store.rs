//! How entities and groups are stored. An entity's record holds its aliases and names its groups, so that a login and a
//! request read it alone; the members of a group are rows of their own, so that logins do not rewrite the group.

use crate::effect::Effect;
use crate::error::Error;
use crate::namespaces::kernel_space;
use crate::topology::Topology;
use crate::transaction::{Key, Record, Table, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use strongroom_crypto::token::uuid_v4;
use strongroom_secret::{Entropy, Timestamp};

const ENTITIES: Table = Table(20);
const ENTITY_NAMES: Table = Table(21);
/// By mount accessor and name.
const ALIASES: Table = Table(22);
const ALIAS_IDS: Table = Table(23);
const GROUPS: Table = Table(24);
const GROUP_NAMES: Table = Table(25);
/// By mount accessor and name.
const GROUP_ALIASES: Table = Table(26);
const GROUP_MEMBERS: Table = Table(27);
/// Ids of entities that were merged into others.
const MERGED: Table = Table(28);

/// Somebody or something that logs in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EntityRecord {
    pub id: String,
    pub namespace: u64,
    pub name: String,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub policies: Vec<String>,
    #[serde(default)]
    pub is_disabled: bool,
    pub created: Timestamp,
    pub updated: Timestamp,
    #[serde(default)]
    pub merged_ids: Vec<String>,
    #[serde(default)]
    pub aliases: Vec<AliasRecord>,
    #[serde(default)]
    pub groups: Vec<Membership>,
}

impl Record for EntityRecord {}

/// A name under which an auth mount knows an entity, or a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AliasRecord {
    pub id: String,
    pub name: String,
    pub mount_accessor: String,
    /// From the auth method.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// From the API.
    #[serde(default)]
    pub custom_metadata: BTreeMap<String, String>,
    pub created: Timestamp,
    pub updated: Timestamp,
    #[serde(default)]
    pub merged_from: Vec<String>,
}

/// That an entity is in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Membership {
    pub group: GroupPlace,
    /// For an external group, the mount whose logins say who is in it.
    #[serde(default)]
    pub mount_accessor: String,
}

/// Where a group is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct GroupPlace {
    pub namespace: u64,
    pub id: String,
}

/// Several entities and groups.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct GroupRecord {
    pub id: String,
    pub namespace: u64,
    pub name: String,
    pub kind: GroupKind,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub policies: Vec<String>,
    #[serde(default)]
    pub member_groups: Vec<GroupPlace>,
    #[serde(default)]
    pub parents: Vec<GroupPlace>,
    #[serde(default)]
    pub alias: Option<AliasRecord>,
    pub created: Timestamp,
    pub updated: Timestamp,
    #[serde(default)]
    pub modify_index: u64,
}

impl Record for GroupRecord {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum GroupKind {
    /// Its members are named by API.
    Internal,
    /// Its members are those whom an auth method says are in it.
    External,
}

impl GroupKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
        }
    }
}

impl GroupRecord {
    pub(super) fn place(&self) -> GroupPlace {
        GroupPlace { namespace: self.namespace, id: self.id.clone() }
    }
}

/// What an alias belongs to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AliasOwner {
    /// The entity's id, or the group's.
    pub owner: String,
    pub is_group: bool,
}

impl Record for AliasOwner {}

fn named(tx: &Tx<'_>, namespace: u64, table: Table, name: &str) -> Key {
    tx.name_key(&tx.table(kernel_space(namespace), table), name)
}

/// Names are found whatever their case.
fn by_name(tx: &Tx<'_>, namespace: u64, table: Table, name: &str) -> Key {
    named(tx, namespace, table, &name.to_lowercase())
}

fn by_factors(tx: &Tx<'_>, namespace: u64, table: Table, accessor: &str, name: &str) -> Key {
    tx.name_key(&named(tx, namespace, table, accessor), &name.to_lowercase())
}

/// Text stored as it is: an id under a name.
fn id_at(tx: &mut Tx<'_>, key: &Key) -> Result<Option<String>, Error> {
    Ok(tx.get(key)?.map(|bytes| String::from_utf8_lossy(bytes.expose()).into_owned()))
}

/// An entity to look at.
pub(super) fn shared_entity(
    tx: &mut Tx<'_>,
    namespace: u64,
    id: &str,
) -> Result<Option<Arc<EntityRecord>>, Error> {
    let key = named(tx, namespace, ENTITIES, id);
    tx.shared_record(&key)
}

/// An entity to change.
pub(super) fn entity(tx: &mut Tx<'_>, namespace: u64, id: &str) -> Result<Option<EntityRecord>, Error> {
    Ok(shared_entity(tx, namespace, id)?.map(Arc::unwrap_or_clone))
}

pub(super) fn entity_by_name(
    tx: &mut Tx<'_>,
    namespace: u64,
    name: &str,
) -> Result<Option<EntityRecord>, Error> {
    let key = by_name(tx, namespace, ENTITY_NAMES, name);
    match id_at(tx, &key)? {
        Some(id) => entity(tx, namespace, &id),
        None => Ok(None),
    }
}

/// The entity of an id, in a namespace or one around it; or the one that it was merged into.
pub(super) fn shared_entity_around(
    tx: &mut Tx<'_>,
    topology: &Topology,
    namespace: u64,
    id: &str,
) -> Result<Option<Arc<EntityRecord>>, Error> {
    for place in around(topology, namespace) {
        if let Some(found) = shared_entity(tx, place, id)? {
            return Ok(Some(found));
        }
        let key = named(tx, place, MERGED, id);
        if let Some(into) = id_at(tx, &key)? {
            return shared_entity(tx, place, &into);
        }
    }
    Ok(None)
}

/// The same, to change it.
pub(super) fn entity_around(
    tx: &mut Tx<'_>,
    topology: &Topology,
    namespace: u64,
    id: &str,
) -> Result<Option<EntityRecord>, Error> {
    Ok(shared_entity_around(tx, topology, namespace, id)?.map(Arc::unwrap_or_clone))
}

/// A namespace and those around it.
fn around(topology: &Topology, namespace: u64) -> Vec<u64> {
    let mut places = vec![namespace];
    let mut path = topology.namespace_by_id(namespace).and_then(|namespace| namespace.path().parent());
    while let Some(outer) = path {
        places.extend(topology.namespace(&outer).map(|namespace| namespace.id()));
        path = outer.parent();
    }
    places
}

pub(super) fn all_entities(tx: &mut Tx<'_>, namespace: u64) -> Result<Vec<EntityRecord>, Error> {
    let table = tx.table(kernel_space(namespace), ENTITIES);
    tx.records(&table)
}

/// Writes an entity, without its name and its aliases, which have rows of their own.
pub(super) fn save_entity(tx: &mut Tx<'_>, record: &EntityRecord) -> Result<(), Error> {
    let key = named(tx, record.namespace, ENTITIES, &record.id);
    tx.put_record(&key, record)
}

/// Gives an entity its name in place of the one it had.
pub(super) fn name_entity(tx: &mut Tx<'_>, record: &EntityRecord, before: Option<&str>) -> Result<(), Error> {
    if let Some(before) = before {
        let key = by_name(tx, record.namespace, ENTITY_NAMES, before);
        tx.delete(&key)?;
    }
    let key = by_name(tx, record.namespace, ENTITY_NAMES, &record.name);
    tx.put(&key, record.id.clone().into_bytes())
}

/// Writes the rows by which an entity's alias is found.
pub(super) fn index_alias(
    tx: &mut Tx<'_>,
    namespace: u64,
    owner: &str,
    alias: &AliasRecord,
) -> Result<(), Error> {
    let owner = AliasOwner { owner: owner.to_owned(), is_group: false };
    let key = by_factors(tx, namespace, ALIASES, &alias.mount_accessor, &alias.name);
    tx.put_record(&key, &owner)?;
    let key = named(tx, namespace, ALIAS_IDS, &alias.id);
    tx.put_record(&key, &owner)
}

pub(super) fn drop_alias(tx: &mut Tx<'_>, namespace: u64, alias: &AliasRecord) -> Result<(), Error> {
    let key = by_factors(tx, namespace, ALIASES, &alias.mount_accessor, &alias.name);
    tx.delete(&key)?;
    let key = named(tx, namespace, ALIAS_IDS, &alias.id);
    tx.delete(&key)
}

/// The id of the entity that a mount knows by a name.
pub(super) fn entity_of_alias(
    tx: &mut Tx<'_>,
    namespace: u64,
    accessor: &str,
    name: &str,
) -> Result<Option<String>, Error> {
    let key = by_factors(tx, namespace, ALIASES, accessor, name);
    Ok(tx.shared_record::<AliasOwner>(&key)?.map(|owner| owner.owner.clone()))
}

/// What the alias of an id belongs to.
pub(super) fn owner_of_alias(tx: &mut Tx<'_>, namespace: u64, id: &str) -> Result<Option<AliasOwner>, Error> {
    let key = named(tx, namespace, ALIAS_IDS, id);
    tx.record(&key)
}

/// Removes an entity with its aliases and memberships.
pub(super) fn delete_entity(tx: &mut Tx<'_>, record: &EntityRecord) -> Result<(), Error> {
    for alias in &record.aliases {
        drop_alias(tx, record.namespace, alias)?;
    }
    for membership in &record.groups {
        let key = member_key(tx, &membership.group, &record.id);
        tx.delete(&key)?;
    }
    let key = by_name(tx, record.namespace, ENTITY_NAMES, &record.name);
    tx.delete(&key)?;
    let key = named(tx, record.namespace, ENTITIES, &record.id);
    tx.delete(&key)?;
    super::mfa::forget_entity(tx, record.namespace, &record.id)?;
    tx.after_commit(Effect::Identity);
    Ok(())
}

/// Notes that an entity is now another: tokens may still name it.
pub(super) fn note_merged(tx: &mut Tx<'_>, namespace: u64, from: &str, to: &str) -> Result<(), Error> {
    let key = named(tx, namespace, MERGED, from);
    tx.put(&key, to.as_bytes().to_vec())
}

/// A new entity, not stored yet.
pub(super) fn new_entity(entropy: &dyn Entropy, namespace: u64, name: &str, now: Timestamp) -> EntityRecord {
    let id = uuid_v4(entropy);
    let name = if name.is_empty() { random_name(entropy, "entity") } else { name.to_owned() };
    EntityRecord {
        id,
        namespace,
        name,
        metadata: BTreeMap::new(),
        policies: Vec::new(),
        is_disabled: false,
        created: now,
        updated: now,
        merged_ids: Vec::new(),
        aliases: Vec::new(),
        groups: Vec::new(),
    }
}

pub(super) fn random_name(entropy: &dyn Entropy, kind: &str) -> String {
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes);
    format!("{kind}_{}", hex::encode(bytes))
}

pub(super) fn new_alias(entropy: &dyn Entropy, accessor: &str, name: &str, now: Timestamp) -> AliasRecord {
    AliasRecord {
        id: uuid_v4(entropy),
        name: name.to_owned(),
        mount_accessor: accessor.to_owned(),
        metadata: BTreeMap::new(),
        custom_metadata: BTreeMap::new(),
        created: now,
        updated: now,
        merged_from: Vec::new(),
    }
}

/// Texts of a JSON map; other values as their JSON text.
pub(super) fn texts(map: &Map<String, Value>) -> BTreeMap<String, String> {
    map.iter()
        .map(|(key, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (key.clone(), text)
        })
        .collect()
}

pub(super) fn group(tx: &mut Tx<'_>, namespace: u64, id: &str) -> Result<Option<GroupRecord>, Error> {
    let key = named(tx, namespace, GROUPS, id);
    tx.record(&key)
}

pub(super) fn group_by_name(
    tx: &mut Tx<'_>,
    namespace: u64,
    name: &str,
) -> Result<Option<GroupRecord>, Error> {
    let key = by_name(tx, namespace, GROUP_NAMES, name);
    match id_at(tx, &key)? {
        Some(id) => group(tx, namespace, &id),
        None => Ok(None),
    }
}

/// The group of an id, in a namespace or one around it.
pub(super) fn group_around(
    tx: &mut Tx<'_>,
    topology: &Topology,
    namespace: u64,
    id: &str,
) -> Result<Option<GroupRecord>, Error> {
    for place in around(topology, namespace) {
        if let Some(found) = group(tx, place, id)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

pub(super) fn all_groups(tx: &mut Tx<'_>, namespace: u64) -> Result<Vec<GroupRecord>, Error> {
    let table = tx.table(kernel_space(namespace), GROUPS);
    tx.records(&table)
}

pub(super) fn save_group(tx: &mut Tx<'_>, record: &GroupRecord) -> Result<(), Error> {
    let key = named(tx, record.namespace, GROUPS, &record.id);
    tx.put_record(&key, record)?;
    tx.after_commit(Effect::Identity);
    Ok(())
}

pub(super) fn name_group(tx: &mut Tx<'_>, record: &GroupRecord, before: Option<&str>) -> Result<(), Error> {
    if let Some(before) = before {
        let key = by_name(tx, record.namespace, GROUP_NAMES, before);
        tx.delete(&key)?;
    }
    let key = by_name(tx, record.namespace, GROUP_NAMES, &record.name);
    tx.put(&key, record.id.clone().into_bytes())
}

pub(super) fn group_of_alias(
    tx: &mut Tx<'_>,
    namespace: u64,
    accessor: &str,
    name: &str,
) -> Result<Option<String>, Error> {
    let key = by_factors(tx, namespace, GROUP_ALIASES, accessor, name);
    id_at(tx, &key)
}

pub(super) fn index_group_alias(
    tx: &mut Tx<'_>,
    namespace: u64,
    group: &str,
    alias: &AliasRecord,
) -> Result<(), Error> {
    let key = by_factors(tx, namespace, GROUP_ALIASES, &alias.mount_accessor, &alias.name);
    tx.put(&key, group.as_bytes().to_vec())?;
    let key = named(tx, namespace, ALIAS_IDS, &alias.id);
    tx.put_record(&key, &AliasOwner { owner: group.to_owned(), is_group: true })
}

pub(super) fn drop_group_alias(tx: &mut Tx<'_>, namespace: u64, alias: &AliasRecord) -> Result<(), Error> {
    let key = by_factors(tx, namespace, GROUP_ALIASES, &alias.mount_accessor, &alias.name);
    tx.delete(&key)?;
    let key = named(tx, namespace, ALIAS_IDS, &alias.id);
    tx.delete(&key)
}

fn member_key(tx: &Tx<'_>, group: &GroupPlace, entity: &str) -> Key {
    tx.name_key(&named(tx, group.namespace, GROUP_MEMBERS, &group.id), entity)
}

/// The ids of the entities that are directly in a group.
pub(super) fn member_ids(tx: &mut Tx<'_>, group: &GroupPlace) -> Result<Vec<String>, Error> {
    let folder = named(tx, group.namespace, GROUP_MEMBERS, &group.id);
    tx.children(&folder)
}

/// Puts an entity into a group; its record is to be saved by the caller.
pub(super) fn join(
    tx: &mut Tx<'_>,
    entity: &mut EntityRecord,
    group: &GroupPlace,
    mount_accessor: &str,
) -> Result<(), Error> {
    if entity.groups.iter().any(|membership| membership.group == *group) {
        return Ok(());
    }
    entity.groups.push(Membership { group: group.clone(), mount_accessor: mount_accessor.to_owned() });
    let key = member_key(tx, group, &entity.id);
    tx.put(&key, entity.namespace.to_be_bytes().to_vec())?;
    tx.after_commit(Effect::Identity);
    Ok(())
}

/// Takes an entity out of a group; its record is to be saved by the caller.
pub(super) fn leave(tx: &mut Tx<'_>, entity: &mut EntityRecord, group: &GroupPlace) -> Result<(), Error> {
    entity.groups.retain(|membership| membership.group != *group);
    let key = member_key(tx, group, &entity.id);
    tx.delete(&key)?;
    tx.after_commit(Effect::Identity);
    Ok(())
}

/// Removes a group, and its place in its members and in the groups around it.
pub(super) fn delete_group(tx: &mut Tx<'_>, topology: &Topology, record: &GroupRecord) -> Result<(), Error> {
    let place = record.place();
    for id in member_ids(tx, &place)? {
        if let Some(mut member) = entity_around(tx, topology, record.namespace, &id)? {
            leave(tx, &mut member, &place)?;
            save_entity(tx, &member)?;
        }
    }
    for below in &record.member_groups {
        if let Some(mut below) = group(tx, below.namespace, &below.id)? {
            below.parents.retain(|parent| *parent != place);
            save_group(tx, &below)?;
        }
    }
    for above in &record.parents {
        if let Some(mut above) = group(tx, above.namespace, &above.id)? {
            above.member_groups.retain(|member| *member != place);
            save_group(tx, &above)?;
        }
    }
    if let Some(alias) = &record.alias {
        drop_group_alias(tx, record.namespace, alias)?;
    }
    let key = by_name(tx, record.namespace, GROUP_NAMES, &record.name);
    tx.delete(&key)?;
    let key = named(tx, record.namespace, GROUPS, &record.id);
    tx.delete(&key)?;
    tx.after_commit(Effect::Identity);
    Ok(())
}

/// The owners of the aliases at a mount: ids of entities, and of groups.
pub(super) fn owners_at_mount(
    tx: &mut Tx<'_>,
    namespace: u64,
    accessor: &str,
) -> Result<(Vec<String>, Vec<String>), Error> {
    let folder = named(tx, namespace, ALIASES, accessor);
    let entities = tx.records::<AliasOwner>(&folder)?.into_iter().map(|owner| owner.owner).collect();
    let folder = named(tx, namespace, GROUP_ALIASES, accessor);
    let mut groups = Vec::new();
    tx.entries(&folder, &mut |_, id| {
        groups.push(String::from_utf8_lossy(id).into_owned());
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((entities, groups))
}
