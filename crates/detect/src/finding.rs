use std::ops::Range;
use strongroom_secret::SecretBytes;

/// How likely a finding is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    Low,
    Medium,
    /// The token has a form that hardly anything else has.
    High,
    /// A checksum or structure inside the token was verified.
    Verified,
}

impl Confidence {
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Verified];

    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Verified => "verified",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|confidence| confidence.name().eq_ignore_ascii_case(name))
    }
}

/// Where a match is. Lines and columns from 1; a column counts bytes, and the end is the last byte of the match.
/// All 0 for a finding of the path alone. [`crate::Mode::Compatible`] counts as gitleaks does: columns are one higher on
/// every line but a fragment's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub start_line: u64,
    pub start_column: u64,
    pub end_line: u64,
    pub end_column: u64,
}

/// One secret, found by one rule.
#[derive(Debug)]
pub struct Finding {
    /// Index into [`crate::RuleSet::rules`].
    pub rule: usize,
    pub place: Place,
    /// The bytes of `Fragment::text` that the match stands in (of the encoded text, if it was decoded).
    pub span: Range<usize>,
    /// The bytes of `Fragment::text` that the secret stands in (of the encoded text, if it was decoded).
    pub secret_span: Range<usize>,
    pub secret: SecretBytes,
    /// What the rule matched, the secret within.
    pub matched: SecretBytes,
    /// The whole line or lines it stands in.
    pub line: SecretBytes,
    /// Shannon's entropy of the secret, in bits for each character.
    pub entropy: f64,
    pub confidence: Confidence,
    /// What it was decoded from, outermost first: `base64`, `hex`, `percent`, `unicode`.
    pub decoded_from: Vec<&'static str>,
    /// The rule's tags, and what was learnt on the way (`decoded:base64`, `decode-depth:1`).
    pub tags: Vec<String>,
    /// What was read from the secret's structure and is no secret itself: `aws-account:…`.
    pub notes: Vec<String>,
    /// Of a value that is known: which.
    pub known: Option<Box<KnownValue>>,
    /// What the rule's `required` rules found nearby.
    pub required: Vec<RequiredFinding>,
}

/// A known value that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownValue {
    /// Its fingerprint's tag in hex: the server that made the index knows it by that.
    pub tag: String,
    /// `whole`, `line`, …
    pub form: &'static str,
    /// The address of the server that knows what it is.
    pub server: Option<String>,
    /// Met with a part of the tag: the server has to confirm it.
    pub is_cut: bool,
    /// What the server says of it: the answer of `sys/fingerprints/resolve`.
    pub resolved: Option<serde_json::Value>,
}

/// A part of a finding of several rules.
#[derive(Debug)]
pub struct RequiredFinding {
    /// Index into [`crate::RuleSet::rules`].
    pub rule: usize,
    pub place: Place,
    pub span: Range<usize>,
    pub secret: SecretBytes,
    pub matched: SecretBytes,
    pub line: SecretBytes,
}
