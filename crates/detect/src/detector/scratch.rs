use super::place::Lines;
use crate::prefilter::KeywordId;
use crate::window::Progress;

/// What one thread needs while it looks: buffers and caches, kept from fragment to fragment.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The detector that the caches are for.
    serial: u64,
    pub(super) states: Vec<RuleState>,
    /// Where keywords are in the text that was looked at last, in its order.
    pub(crate) hits: Vec<(usize, KeywordId)>,
    pub(super) lines: Lines,
}

/// What is known of a rule while a fragment is looked at.
#[derive(Debug, Default)]
pub(super) struct RuleState {
    pub progress: Progress,
    /// Whether the rule looks into this fragment, once that was asked.
    is_wanted: Option<bool>,
}

impl RuleState {
    /// The same fragment, decoded once more.
    pub(super) fn next_text(&mut self) {
        self.progress.restart();
    }

    pub(super) fn is_wanted(&mut self, ask: impl FnOnce() -> bool) -> bool {
        *self.is_wanted.get_or_insert_with(ask)
    }
}

impl Scratch {
    pub(super) fn begin(&mut self, serial: u64, rule_count: usize) {
        if self.serial != serial || self.states.len() != rule_count {
            self.states.clear();
            self.states.resize_with(rule_count, RuleState::default);
            self.serial = serial;
        }
        self.states.iter_mut().for_each(|state| state.is_wanted = None);
        self.lines.forget();
    }
}
