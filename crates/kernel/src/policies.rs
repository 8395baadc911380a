//! Stored policies, and the compiled form that requests are judged by.

use crate::effect::Effect;
use crate::error::Error;
use crate::namespaces::{Namespace, kernel_space};
use crate::policy::{Acl, Policy, TemplateContext};
use crate::transaction::{Key, Record, Table, Tx};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use strongroom_secret::{NamespacePath, PolicyName, Timestamp};

const POLICIES: Table = Table(9);
/// Compiled sets beyond this number push all others out: sets are few, users many.
const COMPILED_MAX: usize = 4096;

/// A policy as it is stored: the text is the truth.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PolicyRecord {
    pub name: String,
    pub text: String,
    pub version: u64,
    pub modified: Timestamp,
    /// After this it grants nothing.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// A write must name the current version.
    #[serde(default)]
    pub cas_required: bool,
}

impl Record for PolicyRecord {}

fn policy_key(tx: &Tx<'_>, namespace: u64, name: &PolicyName) -> Key {
    let table = tx.table(kernel_space(namespace), POLICIES);
    tx.name_key(&table, name.as_str())
}

/// The stored policy. The built-in ones are found until they are overwritten.
pub(crate) fn read(
    tx: &mut Tx<'_>,
    namespace: u64,
    name: &PolicyName,
) -> Result<Option<PolicyRecord>, Error> {
    let key = policy_key(tx, namespace, name);
    let stored = tx.record(&key)?;
    Ok(stored.or_else(|| built_in(name)))
}

fn built_in(name: &PolicyName) -> Option<PolicyRecord> {
    let text = match name.as_str() {
        "default" => Policy::DEFAULT_TEXT,
        "response-wrapping" => Policy::RESPONSE_WRAPPING_TEXT,
        _ => return None,
    };
    Some(PolicyRecord {
        name: name.to_string(),
        text: text.to_owned(),
        version: 0,
        modified: Timestamp::EPOCH,
        expires: None,
        cas_required: false,
    })
}

/// The names of all policies of a namespace, with the built-in ones, sorted.
pub(crate) fn list(tx: &mut Tx<'_>, namespace: u64) -> Result<Vec<String>, Error> {
    let table = tx.table(kernel_space(namespace), POLICIES);
    let mut names: Vec<String> =
        tx.records::<PolicyRecord>(&table)?.into_iter().map(|record| record.name).collect();
    names.push("default".to_owned());
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

pub(crate) fn write(tx: &mut Tx<'_>, namespace: u64, record: &PolicyRecord) -> Result<(), Error> {
    let name = PolicyName::parse(&record.name)?;
    let key = policy_key(tx, namespace, &name);
    tx.put_record(&key, record)?;
    tx.after_commit(Effect::Policies);
    Ok(())
}

pub(crate) fn delete(tx: &mut Tx<'_>, namespace: u64, name: &PolicyName) -> Result<(), Error> {
    let key = policy_key(tx, namespace, name);
    tx.delete(&key)?;
    tx.after_commit(Effect::Policies);
    Ok(())
}

/// What one policy grants by itself, to somebody without identity.
pub(crate) fn alone(
    tx: &mut Tx<'_>,
    namespace: &Namespace,
    name: &PolicyName,
    now: Timestamp,
) -> Result<Option<Acl>, Error> {
    let Some(record) = read(tx, namespace.id(), name)? else { return Ok(None) };
    let policy = parse(name, &record)?;
    Ok(Some(Acl::compile(&[(&policy, namespace.path())], &TemplateContext::default(), now)))
}

/// Parsed policies and compiled sets, good for one epoch: any change of a policy starts another.
#[derive(Default)]
pub(crate) struct PolicyCache {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    epoch: u64,
    parsed: HashMap<(u64, PolicyName), Option<Arc<Policy>>>,
    compiled: HashMap<SetKey, Arc<Acl>>,
}

/// What decides over a compiled set that callers share. Sets whose rules speak of the caller's identity are shared by
/// those without one alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SetKey {
    policies: Vec<(u64, PolicyName)>,
    has_entity: bool,
}

impl PolicyCache {
    pub(crate) fn epoch(&self) -> u64 {
        self.inner.read().epoch
    }

    /// Forgets everything.
    pub(crate) fn advance(&self) {
        let mut inner = self.inner.write();
        let epoch = inner.epoch + 1;
        *inner = Inner { epoch, ..Inner::default() };
    }

    /// The compiled form of a set of policies, each named in its namespace. Unknown names grant nothing.
    pub(crate) fn compile(
        &self,
        tx: &mut Tx<'_>,
        names: Vec<(Arc<Namespace>, PolicyName)>,
        identity: &TemplateContext,
        now: Timestamp,
    ) -> Result<Arc<Acl>, Error> {
        let key = SetKey {
            policies: names.iter().map(|(namespace, name)| (namespace.id(), name.clone())).collect(),
            has_entity: identity.entity.is_some(),
        };
        let epoch = tx.marks().policies;
        {
            let inner = self.inner.read();
            if inner.epoch == epoch
                && let Some(acl) = inner.compiled.get(&key)
                && acl.is_valid(now)
            {
                return Ok(acl.clone());
            }
        }
        let mut policies: Vec<(Arc<Policy>, NamespacePath)> = Vec::with_capacity(names.len());
        for (namespace, name) in names {
            if let Some(policy) = self.parsed(tx, namespace.id(), name, epoch)? {
                policies.push((policy, namespace.path().clone()));
            }
        }
        let is_shared =
            identity.entity.is_none() || !policies.iter().any(|(policy, _)| policy.is_templated());
        let borrowed: Vec<_> = policies.iter().map(|(policy, namespace)| (&**policy, namespace)).collect();
        let acl = Arc::new(Acl::compile(&borrowed, identity, now));
        if is_shared {
            let mut inner = self.inner.write();
            if inner.epoch == epoch {
                if inner.compiled.len() >= COMPILED_MAX {
                    inner.compiled.clear();
                }
                inner.compiled.insert(key, acl.clone());
            }
        }
        Ok(acl)
    }

    /// Whether there is a policy of this name.
    pub(crate) fn exists(&self, tx: &mut Tx<'_>, namespace: u64, name: PolicyName) -> Result<bool, Error> {
        let epoch = tx.marks().policies;
        Ok(self.parsed(tx, namespace, name, epoch)?.is_some())
    }

    fn parsed(
        &self,
        tx: &mut Tx<'_>,
        namespace: u64,
        name: PolicyName,
        epoch: u64,
    ) -> Result<Option<Arc<Policy>>, Error> {
        let key = (namespace, name);
        {
            let inner = self.inner.read();
            if inner.epoch == epoch
                && let Some(policy) = inner.parsed.get(&key)
            {
                return Ok(policy.clone());
            }
        }
        let policy = match read(tx, namespace, &key.1)? {
            Some(record) => Some(Arc::new(parse(&key.1, &record)?)),
            None if key.1.is_root() => Some(Arc::new(Policy::root())),
            None => None,
        };
        let mut inner = self.inner.write();
        if inner.epoch == epoch {
            inner.parsed.insert(key, policy.clone());
        }
        Ok(policy)
    }
}

/// Stored texts were checked when they were written; one that no longer parses grants nothing and says so.
fn parse(name: &PolicyName, record: &PolicyRecord) -> Result<Policy, Error> {
    Policy::parse(name.clone(), &record.text)
        .map(|policy| policy.with_expiration(record.expires))
        .map_err(|error| Error::internal(format!("the stored policy {name} cannot be read: {error}")))
}
