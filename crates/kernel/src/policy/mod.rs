//! Policies: Vault's language, and the decision on every request.
//!
//! A policy's text is parsed once into rules ([`Policy`]); the policies of a token are compiled once for its
//! identity ([`Acl`]); a request is then a few look-ups ([`Acl::check`]). Reference:
//! <https://developer.hashicorp.com/vault/docs/concepts/policies>, with OpenBao's expiring rules, `scan` and
//! `pagination_limit` in addition: <https://openbao.org/docs/concepts/policies/>.

mod acl;
mod capability;
mod explain;
mod format;
mod index;
mod kv;
mod lexer;
mod parameters;
mod password;
mod pattern;
mod problem;
mod rule;
mod syntax;
mod template;

pub use acl::{AccessRequest, Acl, Decision, Denial, Grant, Privilege};
pub use capability::{Capability, CapabilitySet, Operation};
pub use explain::{Explanation, LeftOut, MountHint, RuleReport, SourceReport};
pub use format::format;
pub use password::PasswordPolicy;
pub use problem::{PolicyError, Position, Problem};
pub(crate) use template::fill;
pub use template::{AliasContext, EntityContext, GroupContext, TemplateContext};

use problem::Problems;
use rule::{PathRule, Reader};
use std::fmt;
use strongroom_secret::limits::POLICY_TEXT_BYTES_MAX;
use strongroom_secret::{PolicyName, Timestamp};

/// A policy: its text as written, and what it says.
#[derive(Clone, PartialEq)]
pub struct Policy {
    name: PolicyName,
    text: Box<str>,
    kind: Kind,
    rules: Vec<PathRule>,
    warnings: Vec<Problem>,
    expiration: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Root,
    Rules,
}

impl Policy {
    /// Reads HCL, or JSON where the text begins with `{`. The name `root` is refused: that policy has no text.
    pub fn parse(name: PolicyName, text: &str) -> Result<Self, PolicyError> {
        let mut reader =
            Reader { rules: Vec::new(), problems: Problems::default(), warnings: Problems::default() };
        let start = Position { line: 1, column: 1 };
        if name.is_root() {
            reader.problems.push(Problem::new(start, "cannot update \"root\" policy"));
        } else if text.len() > POLICY_TEXT_BYTES_MAX {
            let message = format!("policy is too long: the limit is {POLICY_TEXT_BYTES_MAX} bytes");
            reader.problems.push(Problem::new(start, message));
        } else {
            let items = syntax::parse(text, &mut reader.problems);
            reader.read(&items);
        }
        let Reader { rules, problems, warnings } = reader;
        let warnings = warnings.into_vec();
        problems.or(Self { name, text: text.into(), kind: Kind::Rules, rules, warnings, expiration: None })
    }

    /// The built-in policy that may do anything in its namespace and below.
    pub fn root() -> Self {
        Self {
            name: PolicyName::root(),
            text: "".into(),
            kind: Kind::Root,
            rules: Vec::new(),
            warnings: Vec::new(),
            expiration: None,
        }
    }

    /// The text of the policy `default`, which every token has unless it was made without.
    pub const DEFAULT_TEXT: &str = include_str!("default.hcl");

    /// The text of the policy `response-wrapping`, the only one of a wrapping token.
    pub const RESPONSE_WRAPPING_TEXT: &str = include_str!("response_wrapping.hcl");

    /// With an end: after this moment the policy does not count.
    #[must_use]
    pub fn with_expiration(mut self, expiration: Option<Timestamp>) -> Self {
        self.expiration = expiration;
        self
    }

    pub fn name(&self) -> &PolicyName {
        &self.name
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn expiration(&self) -> Option<Timestamp> {
        self.expiration
    }

    pub fn is_root(&self) -> bool {
        self.kind == Kind::Root
    }

    /// Whether what it grants depends on the identity.
    pub fn is_templated(&self) -> bool {
        self.rules.iter().any(|rule| rule.template.is_templated())
    }

    /// The paths of its rules as written, without leading slashes, in the order of the text.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &*rule.path)
    }

    /// What is valid but probably not meant.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    fn rules(&self) -> &[PathRule] {
        &self.rules
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}
