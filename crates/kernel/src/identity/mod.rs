//! Identity: who is behind the tokens. Entities join the names by which auth methods know somebody, and groups join
//! entities; both carry policies.

use crate::error::Error;
use crate::mounts::Mount;
use crate::policy::TemplateContext;
use crate::request::LoginGrant;
use crate::topology::Topology;
use crate::transaction::Tx;
use strongroom_secret::{Entropy, Timestamp};

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
    _tx: &mut Tx<'_>,
    _topology: &Topology,
    _namespace: u64,
    _entity_id: &str,
) -> Result<Option<Identity>, Error> {
    Ok(None)
}

/// The entity of somebody who logged in: found by the alias at this mount, or made. Updates the alias's metadata and
/// the external groups that the method named. Returns its id.
pub(crate) fn on_login(
    _tx: &mut Tx<'_>,
    _entropy: &dyn Entropy,
    _mount: &Mount,
    _grant: &LoginGrant,
    _now: Timestamp,
) -> Result<String, Error> {
    Ok(String::new())
}

/// Removes the aliases by which a mount that is gone knew anybody.
pub(crate) fn forget_mount(_tx: &mut Tx<'_>, _namespace: u64, _accessor: &str) -> Result<(), Error> {
    Ok(())
}
