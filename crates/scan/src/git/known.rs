use super::oid::ObjectId;
use super::pack::Pack;
use std::collections::BTreeSet;

/// What was looked at before: packs by their checksum, loose objects by their id.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub(crate) packs: BTreeSet<ObjectId>,
    pub(crate) loose: BTreeSet<ObjectId>,
}

impl Known {
    pub(crate) fn has_pack(&self, pack: &Pack) -> bool {
        !self.packs.is_empty() && pack.checksum().is_ok_and(|checksum| self.packs.contains(&checksum))
    }

    pub(crate) fn has_loose(&self, id: &ObjectId) -> bool {
        self.loose.contains(id)
    }
}
