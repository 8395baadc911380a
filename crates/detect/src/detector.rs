use crate::{Finding, Fragment, RuleSet};

/// Rules, made ready to be looked for. Shared by all threads.
#[derive(Debug)]
pub struct Detector {
    rules: RuleSet,
}

/// What one thread needs while it looks: buffers and caches, kept from fragment to fragment.
#[derive(Debug, Default)]
pub struct Scratch {}

impl Detector {
    pub fn new(rules: RuleSet) -> Self {
        Self { rules }
    }

    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// All findings in a fragment, in the order of the text.
    pub fn scan(&self, _fragment: &Fragment<'_>, _scratch: &mut Scratch) -> Vec<Finding> {
        Vec::new()
    }
}
