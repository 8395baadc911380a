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

/// Where a match is. Lines and columns from 1; a column counts bytes, and the end is the last byte of the match.
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
    pub span: std::ops::Range<usize>,
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
}
