use crate::{Finding, Fragment, RuleSet};

/// Rules, made ready to be looked for. Shared by all threads.
#[derive(Debug)]
pub struct Detector {
    rules: RuleSet,
    options: Options,
}

/// How to look.
#[derive(Debug, Clone)]
pub struct Options {
    pub mode: Mode,
    /// How often what was decoded is decoded again; 0: nothing is decoded. gitleaks: 5.
    pub decode_depth_max: usize,
    pub inline_ignores: InlineIgnores,
    /// [`Mode::Compatible`] skips fragments of more megabytes (`--max-target-megabytes`); 0: none.
    pub megabytes_max: usize,
    /// Paths that are not looked at: the configuration itself, a baseline.
    pub skipped_paths: Vec<String>,
}

/// Whose behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Ours: windows around keywords, columns that are right, confidence, everything that lowers noise.
    Native,
    /// gitleaks', in every detail.
    Compatible,
}

/// Comments in a line that say that what stands there is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InlineIgnores {
    /// Those of the mode: gitleaks' alone, or of all scanners.
    Honoured,
    /// None: everything is reported (`--ignore-gitleaks-allow`).
    Disregarded,
}

impl Options {
    pub fn native() -> Self {
        Self {
            mode: Mode::Native,
            decode_depth_max: 5,
            inline_ignores: InlineIgnores::Honoured,
            megabytes_max: 0,
            skipped_paths: Vec::new(),
        }
    }

    pub fn compatible() -> Self {
        Self { mode: Mode::Compatible, ..Self::native() }
    }
}

/// What one thread needs while it looks: buffers and caches, kept from fragment to fragment.
#[derive(Debug, Default)]
pub struct Scratch {}

impl Detector {
    pub fn new(rules: RuleSet, options: Options) -> Self {
        Self { rules, options }
    }

    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether nothing in a file of this path is looked at, so that it need not be read.
    pub fn skips_path(&self, _path: &str) -> bool {
        false
    }

    /// Two pieces of a text that is too large for one fragment have to share this many bytes, so that nothing that fits into them is
    /// lost at the seam. A finding within what they share comes twice.
    pub fn overlap(&self) -> usize {
        16 * 1024
    }

    /// All findings in a fragment, in the order of the text.
    pub fn scan(&self, _fragment: &Fragment<'_>, _scratch: &mut Scratch) -> Vec<Finding> {
        Vec::new()
    }
}
