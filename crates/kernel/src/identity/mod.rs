//! Identity: who is behind the tokens. Entities join the names by which auth methods know somebody, and groups join
//! entities; both carry policies.

mod aliases;
mod ended;
mod entities;
mod groups;
pub(crate) mod mfa;
pub(crate) mod oidc;
mod shown;
mod store;

use crate::effect::Effect;
use crate::error::Error;
use crate::mounts::Mount;
use crate::policy::{AliasContext, EntityContext, GroupContext, TemplateContext};
use crate::request::LoginGrant;
use crate::route::Route;
use crate::topology::Topology;
use crate::transaction::Tx;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{EntityRecord, GroupPlace, GroupRecord};
use strongroom_secret::{Entropy, Timestamp};

/// Groups that one entity may be in, with those around them.
const GROUPS_MAX: usize = 4096;

/// The tables of the backend at `identity/`.
pub(crate) const TABLES: &[&[Route]] =
    &[entities::ROUTES, aliases::ROUTES, groups::ROUTES, mfa::ROUTES, oidc::ROUTES, oidc::provider::ROUTES];

/// What a request needs to know of its caller's entity.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    pub entity_id: String,
    pub is_disabled: bool,
    /// Per namespace (by id) the policies of the entity and of its groups.
    pub policies: Vec<(u64, Vec<String>)>,
    /// For policies with templates.
    pub context: TemplateContext,
}

impl Identity {
    /// The names of the policies it brings in one namespace, sorted.
    pub fn policies_in(&self, namespace: u64) -> Vec<String> {
        let mut names: Vec<String> = self
            .policies
            .iter()
            .filter(|(id, _)| *id == namespace)
            .flat_map(|(_, names)| names.clone())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The identity of an entity; None if there is none of this id.
pub(crate) fn load(
    tx: &mut Tx<'_>,
    topology: &Topology,
    namespace: u64,
    entity_id: &str,
) -> Result<Option<Identity>, Error> {
    let Some(entity) = store::shared_entity_around(tx, topology, namespace, entity_id)? else {
        return Ok(None);
    };
    let groups = groups_of(tx, &entity)?;
    let mut policies: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    policies.entry(entity.namespace).or_default().extend(entity.policies.iter().cloned());
    for group in &groups {
        policies.entry(group.namespace).or_default().extend(group.policies.iter().cloned());
    }
    let context = TemplateContext {
        entity: Some(entity_context(&entity)),
        groups: groups.into_iter().filter_map(|group| group_context(topology, group)).collect(),
    };
    Ok(Some(Identity {
        entity_id: entity.id.clone(),
        is_disabled: entity.is_disabled,
        policies: policies.into_iter().map(|(id, names)| (id, names.into_iter().collect())).collect(),
        context,
    }))
}

/// The ids and names of a namespace's entities.
pub(crate) fn entities_in(tx: &mut Tx<'_>, namespace: u64) -> Result<Vec<(String, String)>, Error> {
    let entities = store::all_entities(tx, namespace)?;
    Ok(entities.into_iter().map(|entity| (entity.id.clone(), entity.name.clone())).collect())
}

/// The names of the policies that an entity and its groups bring in one namespace, sorted.
pub(crate) fn policy_names(
    tx: &mut Tx<'_>,
    topology: &Topology,
    namespace: u64,
    entity_id: &str,
) -> Result<Vec<String>, Error> {
    let Some(entity) = store::shared_entity_around(tx, topology, namespace, entity_id)? else {
        return Ok(Vec::new());
    };
    let groups = groups_of(tx, &entity)?;
    let mut names: Vec<String> = groups
        .into_iter()
        .filter(|group| group.namespace == namespace)
        .flat_map(|group| group.policies)
        .chain(entity.policies.iter().filter(|_| entity.namespace == namespace).cloned())
        .collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The groups that an entity is in, directly or through others.
fn groups_of(tx: &mut Tx<'_>, entity: &EntityRecord) -> Result<Vec<GroupRecord>, Error> {
    let mut waiting: Vec<GroupPlace> =
        entity.groups.iter().map(|membership| membership.group.clone()).collect();
    let mut seen: BTreeSet<GroupPlace> = waiting.iter().cloned().collect();
    let mut groups = Vec::new();
    while let Some(place) = waiting.pop() {
        let Some(group) = store::group(tx, place.namespace, &place.id)? else { continue };
        for parent in &group.parents {
            if seen.len() < GROUPS_MAX && seen.insert(parent.clone()) {
                waiting.push(parent.clone());
            }
        }
        groups.push(group);
    }
    Ok(groups)
}

fn entity_context(entity: &EntityRecord) -> EntityContext {
    let aliases = entity
        .aliases
        .iter()
        .map(|alias| AliasContext {
            mount_accessor: alias.mount_accessor.clone(),
            id: alias.id.clone(),
            name: alias.name.clone(),
            metadata: alias.metadata.clone(),
            custom_metadata: alias.custom_metadata.clone(),
        })
        .collect();
    EntityContext {
        id: entity.id.clone(),
        name: entity.name.clone(),
        metadata: entity.metadata.clone(),
        aliases,
    }
}

fn group_context(topology: &Topology, group: GroupRecord) -> Option<GroupContext> {
    let namespace = topology.namespace_by_id(group.namespace)?.path().clone();
    Some(GroupContext { id: group.id, name: group.name, namespace, metadata: group.metadata })
}

/// The entity of somebody who logged in: found by the alias at this mount, or made. Updates the alias's metadata and
/// the external groups that the method named. Returns its id.
pub(crate) fn on_login(
    tx: &mut Tx<'_>,
    entropy: &dyn Entropy,
    mount: &Mount,
    grant: &LoginGrant,
    now: Timestamp,
) -> Result<String, Error> {
    let (namespace, accessor) = (mount.namespace, mount.record.accessor.as_str());
    let known = match store::entity_of_alias(tx, namespace, accessor, &grant.alias)? {
        Some(id) => store::shared_entity(tx, namespace, &id)?,
        None => None,
    };
    let metadata = store::texts(&grant.alias_metadata);
    let mut is_changed = known.is_none();
    let mut entity = match known {
        Some(entity) => entity,
        None => Arc::new(first_login(tx, entropy, mount, &grant.alias, now)?),
    };
    if entity.is_disabled {
        return Err(Error::denied().with_detail("the entity of this login is disabled"));
    }
    let wanted = grant.alias.to_lowercase();
    let is_stale = |alias: &store::AliasRecord| {
        alias.mount_accessor == accessor && alias.metadata != metadata && alias.name.to_lowercase() == wanted
    };
    if let Some(at) = entity.aliases.iter().position(is_stale)
        && let Some(alias) = Arc::make_mut(&mut entity).aliases.get_mut(at)
    {
        alias.metadata = metadata;
        alias.updated = now;
        if !is_changed {
            tx.after_commit(Effect::Identity);
        }
        is_changed = true;
    }
    is_changed |= follow_groups(tx, &mut entity, mount, &grant.group_aliases)?;
    if is_changed {
        store::save_entity(tx, &entity)?;
    }
    Ok(entity.id.clone())
}

/// Makes the entity of somebody who was never here. Nobody's permissions depend on it yet.
fn first_login(
    tx: &mut Tx<'_>,
    entropy: &dyn Entropy,
    mount: &Mount,
    name: &str,
    now: Timestamp,
) -> Result<EntityRecord, Error> {
    let mut entity = store::new_entity(entropy, mount.namespace, "", now);
    let alias = store::new_alias(entropy, &mount.record.accessor, name, now);
    store::name_entity(tx, &entity, None)?;
    store::index_alias(tx, mount.namespace, &entity.id, &alias)?;
    entity.aliases.push(alias);
    Ok(entity)
}

/// Makes the entity's external groups of this mount those that the method named; whether that changed anything.
fn follow_groups(
    tx: &mut Tx<'_>,
    entity: &mut Arc<EntityRecord>,
    mount: &Mount,
    aliases: &[String],
) -> Result<bool, Error> {
    let accessor = mount.record.accessor.as_str();
    let mut named = BTreeSet::new();
    for alias in aliases {
        if let Some(id) = store::group_of_alias(tx, mount.namespace, accessor, alias)? {
            named.insert(GroupPlace { namespace: mount.namespace, id });
        }
    }
    let before: BTreeSet<GroupPlace> = entity
        .groups
        .iter()
        .filter(|membership| membership.mount_accessor == accessor)
        .map(|membership| membership.group.clone())
        .collect();
    for gone in before.difference(&named) {
        store::leave(tx, Arc::make_mut(entity), gone)?;
    }
    for new in named.difference(&before) {
        store::join(tx, Arc::make_mut(entity), new, accessor)?;
    }
    Ok(before != named)
}

/// Removes the aliases by which a mount that is gone knew anybody.
pub(crate) fn forget_mount(tx: &mut Tx<'_>, namespace: u64, accessor: &str) -> Result<(), Error> {
    let (entities, groups) = store::owners_at_mount(tx, namespace, accessor)?;
    for id in entities {
        let Some(mut entity) = store::entity(tx, namespace, &id)? else { continue };
        let (gone, kept) = entity.aliases.into_iter().partition(|alias| alias.mount_accessor == accessor);
        let gone: Vec<store::AliasRecord> = gone;
        entity.aliases = kept;
        for alias in &gone {
            store::drop_alias(tx, namespace, alias)?;
        }
        let external: Vec<GroupPlace> = entity
            .groups
            .iter()
            .filter(|membership| membership.mount_accessor == accessor)
            .map(|membership| membership.group.clone())
            .collect();
        for group in external {
            store::leave(tx, &mut entity, &group)?;
        }
        store::save_entity(tx, &entity)?;
        tx.after_commit(Effect::Identity);
    }
    for id in groups {
        let Some(mut group) = store::group(tx, namespace, &id)? else { continue };
        if let Some(alias) = group.alias.take() {
            store::drop_group_alias(tx, namespace, &alias)?;
        }
        store::save_group(tx, &group)?;
    }
    Ok(())
}
