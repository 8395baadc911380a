use crate::filter::Filter;
use crate::pattern::Pattern;
use crate::structure::Structure;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What to look for, in the order of the configuration.
#[derive(Debug, Default)]
pub struct RuleSet {
    pub title: String,
    pub description: String,
    pub rules: Vec<Rule>,
    /// Apply to the findings of all rules. Those with `targetRules` are with their rules instead.
    pub allowlists: Vec<Arc<Allowlist>>,
    /// betterleaks: true for a fragment's attributes: it is skipped before anything is looked for.
    pub prefilter: Option<Filter>,
    /// betterleaks: true for a finding of any rule: it is dropped.
    pub filter: Option<Filter>,
}

impl RuleSet {
    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.rules.iter().position(|rule| rule.id == id)
    }

    pub fn rule(&self, index: usize) -> Option<&Rule> {
        self.rules.get(index)
    }
}

/// One kind of secret. The words are those of gitleaks' and betterleaks' configuration; the last ones are our own.
#[derive(Debug)]
pub struct Rule {
    pub id: String,
    pub description: String,
    /// Without one, the rule finds files by their path alone.
    pub regex: Option<Pattern>,
    /// Only files whose path matches are looked at.
    pub path: Option<Pattern>,
    /// The group of `regex` that holds the secret; 0: the first group that is not empty, or the whole match.
    pub secret_group: usize,
    /// A secret whose entropy is not above it is dropped. 0: none is.
    pub entropy: f64,
    /// In small letters. One of them has to stand in the text for the rule to be tried at all; none: always.
    pub keywords: Vec<String>,
    pub tags: Vec<String>,
    pub allowlists: Vec<Arc<Allowlist>>,
    /// All of these have to be found nearby as well.
    pub required: Vec<Required>,
    /// It serves as a part of others alone, and reports nothing itself.
    pub skip_report: bool,
    /// betterleaks: of two findings of the same secret the one of the more specific rule stays. 100 if nothing is said.
    pub specificity: i64,
    /// betterleaks: secrets that consist of word pieces are dropped.
    pub token_efficiency: bool,
    /// betterleaks: true for a finding: it is dropped.
    pub filter: Option<Filter>,
    pub severity: Severity,
    /// How sure a finding is when nothing else speaks for or against it; `None`: guessed from the rule's form.
    pub confidence: Option<crate::Confidence>,
    /// What can be verified offline inside the secret (`structure = "github"`).
    pub structure: Option<Structure>,
    /// What to do when such a secret leaked, in a sentence or two.
    pub remediation: String,
    /// Where the form is documented, and where such a secret is revoked.
    pub references: Vec<String>,
    /// Texts in which the rule finds something, for `scan rules check`.
    pub examples: Vec<String>,
    /// Texts in which it finds nothing.
    pub counterexamples: Vec<String>,
    /// The path under which the examples are looked at, for a rule with a `path`.
    pub example_path: String,
    /// Where the rule was written: file and line, for messages.
    pub origin: Origin,
}

/// What gitleaks' rules have when they say nothing.
pub const SPECIFICITY_USUAL: i64 = 100;

impl Rule {
    /// A rule of which everything else is as if nothing was said.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            description: String::new(),
            regex: None,
            path: None,
            secret_group: 0,
            entropy: 0.0,
            keywords: Vec::new(),
            tags: Vec::new(),
            allowlists: Vec::new(),
            required: Vec::new(),
            skip_report: false,
            specificity: SPECIFICITY_USUAL,
            token_efficiency: false,
            filter: None,
            severity: Severity::default(),
            confidence: None,
            structure: None,
            remediation: String::new(),
            references: Vec::new(),
            examples: Vec::new(),
            counterexamples: Vec::new(),
            example_path: String::new(),
            origin: Origin::default(),
        }
    }

    /// gitleaks lets rules with this word in their id yield to others.
    pub fn is_generic(&self) -> bool {
        self.id.to_lowercase().contains("generic")
    }
}

/// How bad it is when such a secret gets out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Info,
    Low,
    Medium,
    #[default]
    High,
    Critical,
}

impl Severity {
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name().eq_ignore_ascii_case(name))
    }
}

/// A place in a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The name that the configuration was read under.
    pub file: Arc<str>,
    /// From 1; 0 if not known.
    pub line: u32,
}

/// Another rule that has to find something nearby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    pub rule_id: String,
    pub within_lines: Option<u64>,
    pub within_columns: Option<u64>,
}

/// What is not a finding after all.
#[derive(Debug, Default)]
pub struct Allowlist {
    pub description: String,
    pub condition: Condition,
    /// In small letters, without spaces around.
    pub commits: BTreeSet<String>,
    pub paths: Vec<Pattern>,
    pub target: Target,
    pub regexes: Vec<Pattern>,
    /// In small letters.
    pub stopwords: Vec<String>,
}

/// Whether one criterion of an allowlist suffices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    Any,
    All,
}

/// What an allowlist's expressions are tried on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Target {
    #[default]
    Secret,
    Match,
    Line,
}
