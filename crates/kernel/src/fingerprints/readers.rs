//! Who may read a secret: by the same decisions as requests are judged by.

use crate::call::Call;
use crate::caller;
use crate::error::Error;
use crate::identity;
use crate::namespaces::Namespace;
use crate::policies;
use crate::policy::{AccessRequest, Acl, Operation};
use crate::tokens::{self, TokenEntry};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use strongroom_secret::{NamespacePath, PolicyName, Timestamp};

/// Looked at, at the most; beyond it the answer says that it is not complete.
const TOKENS_MAX: usize = 20_000;
const ENTITIES_MAX: usize = 5_000;
/// Named in an answer, at the most.
const SHOWN_MAX: usize = 100;

/// Everybody who could read something, each with what they may do.
pub(super) struct Readers {
    policies: Vec<(String, Acl)>,
    holders: Vec<Holder>,
    entities: Vec<(String, String, Arc<Acl>)>,
    is_complete: bool,
}

/// Tokens that may do the same, and are of the same entity and name.
struct Holder {
    entry: TokenEntry,
    tokens: u64,
    acl: Arc<Acl>,
}

impl Readers {
    /// Of the call's namespace and those around it, whose policies and tokens reach into it.
    pub(super) fn of_namespace(call: &mut Call<'_>) -> Result<Self, Error> {
        let around: Vec<Arc<Namespace>> = call
            .topology
            .namespaces()
            .filter(|other| call.namespace.path().is_within(other.path()))
            .cloned()
            .collect();
        let mut readers =
            Self { policies: Vec::new(), holders: Vec::new(), entities: Vec::new(), is_complete: true };
        for namespace in &around {
            readers.take_policies(call, namespace)?;
            readers.take_tokens(call, namespace)?;
            readers.take_entities(call, namespace)?;
        }
        Ok(readers)
    }

    fn take_policies(&mut self, call: &mut Call<'_>, namespace: &Namespace) -> Result<(), Error> {
        for name in policies::list(&mut call.tx, namespace.id())? {
            let Ok(parsed) = PolicyName::parse(&name) else { continue };
            let acl = policies::alone(&mut call.tx, namespace, &parsed, call.now)?;
            let shown = [namespace.path().as_str(), &name].concat();
            self.policies.extend(acl.map(|acl| (shown, acl)));
        }
        Ok(())
    }

    fn take_tokens(&mut self, call: &mut Call<'_>, namespace: &Namespace) -> Result<(), Error> {
        let (now, mut seen) = (call.now, 0);
        let mut groups: HashMap<(String, String, Vec<String>), (TokenEntry, u64)> = HashMap::new();
        tokens::entries_of(&mut call.tx, namespace.id(), &mut |_, entry| {
            seen += 1;
            if seen > TOKENS_MAX {
                return ControlFlow::Break(());
            }
            if !entry.is_expired(now) && !entry.is_wrapping {
                let key = (entry.display_name.clone(), entry.entity_id.clone(), entry.policies.clone());
                groups.entry(key).or_insert((entry, 0)).1 += 1;
            }
            ControlFlow::Continue(())
        })?;
        self.is_complete &= seen <= TOKENS_MAX;
        for (entry, tokens) in groups.into_values() {
            // A token whose mount is gone is refused, and reads nothing.
            let built = caller::build(call.kernel, &mut call.tx, call.topology, entry.clone(), None, now);
            self.holders.extend(built.ok().map(|caller| Holder { entry, tokens, acl: caller.acl }));
        }
        Ok(())
    }

    fn take_entities(&mut self, call: &mut Call<'_>, namespace: &Namespace) -> Result<(), Error> {
        let mut entities = identity::entities_in(&mut call.tx, namespace.id())?;
        self.is_complete &= entities.len() <= ENTITIES_MAX;
        entities.truncate(ENTITIES_MAX);
        for (id, name) in entities {
            let entry = TokenEntry { entity_id: id.clone(), ..tokens::blank(namespace.id(), "", call.now) };
            let built = caller::build(call.kernel, &mut call.tx, call.topology, entry, None, call.now);
            let acting =
                built.ok().filter(|caller| !caller.identity.as_ref().is_some_and(|it| it.is_disabled));
            self.entities.extend(acting.map(|caller| (id, name, caller.acl)));
        }
        Ok(())
    }

    /// Who may read at a path of a namespace.
    pub(super) fn shown(&self, namespace: &NamespacePath, path: &str, now: Timestamp) -> Value {
        let wanted = AccessRequest::new(namespace, path, Operation::Read, now);
        let reads = |acl: &Acl| acl.check(&wanted).is_allowed();
        let policies: Vec<&str> =
            self.policies.iter().filter(|(_, acl)| reads(acl)).map(|(name, _)| name.as_str()).collect();
        let entities: BTreeMap<&str, &str> = self
            .entities
            .iter()
            .filter(|(.., acl)| reads(acl))
            .map(|(id, name, _)| (id.as_str(), name.as_str()))
            .collect();
        let mut holders: Vec<&Holder> = self.holders.iter().filter(|holder| reads(&holder.acl)).collect();
        holders.sort_by(|a, b| a.entry.display_name.cmp(&b.entry.display_name));
        let tokens: u64 = holders.iter().map(|holder| holder.tokens).sum();
        // A person or machine with an entity counts once, whether it is logged in or not.
        let with_tokens: BTreeSet<&str> = holders
            .iter()
            .map(|holder| holder.entry.entity_id.as_str())
            .filter(|id| !id.is_empty())
            .collect();
        let without = holders.iter().filter(|holder| holder.entry.entity_id.is_empty());
        let names: BTreeSet<&str> = without.map(|holder| holder.entry.display_name.as_str()).collect();
        let known = entities.keys().copied().chain(with_tokens).collect::<BTreeSet<_>>().len();
        let shown = holders.iter().take(SHOWN_MAX).map(|holder| {
            json!({
                "display_name": holder.entry.display_name,
                "entity_id": holder.entry.entity_id,
                "policies": holder.entry.policies,
                "path": holder.entry.path,
                "tokens": holder.tokens,
            })
        });
        json!({
            "count": known + names.len(),
            "policies": policies,
            "entities": entities.into_values().take(SHOWN_MAX).collect::<Vec<_>>(),
            "tokens": tokens,
            "holders": shown.collect::<Vec<_>>(),
            "is_complete": self.is_complete && holders.len() <= SHOWN_MAX,
        })
    }
}
