use super::Policy;
use super::capability::{Capability, CapabilitySet, Operation};
use super::index::{RuleIndex, RuleTable};
use super::parameters::{Breach, Constraints};
use super::pattern::{Pattern, RenderError};
use super::rule::PathRule;
use super::template::TemplateContext;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;
use strongroom_secret::{MountPath, NamespacePath, PolicyName, Timestamp};
use thiserror::Error;

/// What a set of policies allows one identity. Compiled once, immutable.
#[derive(Debug, Default)]
pub struct Acl {
    /// Where the root policy holds: in each of these and all below.
    roots: Vec<NamespacePath>,
    pub(super) rules: Vec<CompiledRule>,
    table: RuleTable,
    pub(super) dropped: Vec<DroppedRule>,
    valid_until: Option<Timestamp>,
}

/// All rules of one path, merged.
#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) pattern: Pattern,
    pub(super) capabilities: CapabilitySet,
    pub(super) constraints: Constraints,
    pub(super) sources: Vec<Source>,
}

/// Where a part of a rule comes from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) policy: PolicyName,
    pub(super) namespace: NamespacePath,
    /// As written.
    pub(super) path: Box<str>,
    pub(super) line: u32,
    pub(super) capabilities: CapabilitySet,
}

/// A rule that does not apply to this identity.
#[derive(Debug, Clone)]
pub(super) struct DroppedRule {
    pub(super) source: Source,
    pub(super) reason: DropReason,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum DropReason {
    Expired(Timestamp),
    Template(RenderError),
}

/// What is asked of an `Acl`.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'a> {
    pub namespace: &'a NamespacePath,
    /// Below the namespace, without a leading slash.
    pub path: &'a str,
    pub operation: Operation,
    pub privilege: Privilege,
    /// The request's body or query, its names as the backend will see them.
    pub parameters: Option<&'a Map<String, Value>>,
    /// The lifetime of the wrapping token, where the answer is to be wrapped.
    pub wrap_ttl: Option<Duration>,
    pub now: Timestamp,
}

/// Whether the path is one of those that need `sudo` besides the operation's own capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Privilege {
    #[default]
    Ordinary,
    Sudo,
}

impl<'a> AccessRequest<'a> {
    /// A request without parameters on an ordinary path.
    pub fn new(namespace: &'a NamespacePath, path: &'a str, operation: Operation, now: Timestamp) -> Self {
        Self {
            namespace,
            path,
            operation,
            privilege: Privilege::Ordinary,
            parameters: None,
            wrap_ttl: None,
            now,
        }
    }
}

#[derive(Debug)]
pub enum Decision<'acl> {
    Allowed(Grant<'acl>),
    Denied(Denial),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Stale,
    Root,
    /// The root policy counts alone, as in Vault: outside of its namespace there is nothing.
    OutsideRootNamespace,
    ByRules,
}

/// A permission and its conditions.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'acl> {
    /// By the root policy.
    pub root: bool,
    /// Whether the rule contains `sudo`; true for the root policy.
    pub sudo: bool,
    /// The page size a list must be held to.
    pub page_limit: Option<u64>,
    capability: Option<Capability>,
    sources: &'acl [Source],
}

/// Why not. Parameters are named, never their values.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Denial {
    #[error("no rule matches the path")]
    NoRule,
    #[error("the rule for the path denies it")]
    ExplicitDeny,
    #[error("the rule for the path lacks the capability \"{0}\"")]
    Lacks(Capability),
    #[error("the rule for the path bounds the wrapping TTL, and the request is outside of it or not wrapped")]
    WrappingTtl,
    #[error("the rule for the path requires the parameter {0:?}")]
    ParameterMissing(Box<str>),
    #[error("the rule for the path denies the parameter {0:?}, or this value of it")]
    ParameterDenied(Box<str>),
    #[error("the rule for the path does not allow the parameter {0:?}, or not this value of it")]
    ParameterNotAllowed(Box<str>),
    /// The requested page is larger than the rule allows, or not a number.
    #[error("the rule for the path bounds the page size, and \"limit\" is outside of it")]
    PageLimit,
    #[error("the root policy of the token holds in another namespace")]
    OutsideRootNamespace,
    /// Compile again.
    #[error("a rule of the token's policies has expired")]
    Stale,
}

impl Decision<'_> {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }
}

impl<'acl> Grant<'acl> {
    /// The policies that grant the operation, with their namespaces, for the audit log. Empty for the root policy.
    pub fn policies(&self) -> impl Iterator<Item = (&'acl PolicyName, &'acl NamespacePath)> {
        let capability = self.capability;
        let grants =
            move |source: &&Source| capability.is_some_and(|wanted| source.capabilities.contains(wanted));
        self.sources.iter().filter(grants).map(|source| (&source.policy, &source.namespace))
    }
}

impl Acl {
    /// Merges policies, each with the namespace it is stored in, for one identity. Rules that have expired at
    /// `now`, or whose templates have no usable value, are left out.
    pub fn compile(
        policies: &[(&Policy, &NamespacePath)],
        identity: &TemplateContext,
        now: Timestamp,
    ) -> Self {
        let mut acl = Self::default();
        let mut by_pattern: HashMap<Pattern, usize> = HashMap::new();
        for (policy, namespace) in policies {
            if is_over(policy.expiration(), now) {
                continue;
            }
            acl.note_expiration(policy.expiration());
            if policy.is_root() {
                acl.roots.push((*namespace).clone());
            }
            for rule in policy.rules() {
                let source = Source {
                    policy: policy.name().clone(),
                    namespace: (*namespace).clone(),
                    path: rule.path.clone(),
                    line: rule.position.line,
                    capabilities: rule.capabilities,
                };
                match rule.template.render(namespace, identity, rule.effect()) {
                    _ if is_over(rule.expiration, now) => {
                        let reason = DropReason::Expired(rule.expiration.unwrap_or_default());
                        acl.dropped.push(DroppedRule { source, reason });
                    }
                    Err(error) => {
                        acl.dropped.push(DroppedRule { source, reason: DropReason::Template(error) })
                    }
                    Ok(pattern) => {
                        acl.note_expiration(rule.expiration);
                        acl.add(&mut by_pattern, pattern, rule, source);
                    }
                }
            }
        }
        acl.table = RuleTable::build(acl.rules.iter().map(|rule| &rule.pattern));
        acl
    }

    /// The first moment at which something in here expires. After it the Acl refuses; compile it again before.
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.valid_until
    }

    /// Whether this Acl still stands for its policies.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        !is_over(self.valid_until, now)
    }

    /// Whether the root policy holds in a namespace.
    pub fn is_root_in(&self, namespace: &NamespacePath) -> bool {
        self.roots.iter().any(|root| namespace.is_within(root))
    }

    /// Decides on a request.
    pub fn check(&self, request: &AccessRequest<'_>) -> Decision<'_> {
        match self.decide(request) {
            Ok(grant) => Decision::Allowed(grant),
            Err(denial) => Decision::Denied(denial),
        }
    }

    /// What may be done on a path, in the order of names as Vault's `sys/capabilities` answers it: `["root"]` for
    /// the root policy, `["deny"]` if nothing.
    pub fn capabilities(&self, namespace: &NamespacePath, path: &str, now: Timestamp) -> Vec<Capability> {
        match self.standing(namespace, now) {
            Standing::Root => return vec![Capability::Root],
            Standing::Stale | Standing::OutsideRootNamespace => return vec![Capability::Deny],
            Standing::ByRules => {}
        }
        let full = full_path(namespace, path, Spelling::AsGiven);
        let found = if full.ends_with('/') { self.table.find_folder(&full) } else { self.table.find(&full) };
        let set =
            found.and_then(|index| self.rules.get(index)).map(|rule| rule.capabilities).unwrap_or_default();
        if set.is_deny() || set.is_empty() { vec![Capability::Deny] } else { set.iter().collect() }
    }

    /// Whether the rule for a request contains `sudo`, whatever else the rule asks.
    pub fn has_sudo(&self, request: &AccessRequest<'_>) -> bool {
        match self.standing(request.namespace, request.now) {
            Standing::Root => true,
            Standing::Stale | Standing::OutsideRootNamespace => false,
            Standing::ByRules => {
                self.find(request).is_some_and(|rule| rule.capabilities.contains(Capability::Sudo))
            }
        }
    }

    /// Whether anything at or below a mount is granted: then its existence may be shown.
    pub fn reaches_mount(&self, namespace: &NamespacePath, mount: &MountPath, now: Timestamp) -> bool {
        match self.standing(namespace, now) {
            Standing::Root => return true,
            Standing::Stale | Standing::OutsideRootNamespace => return false,
            Standing::ByRules => {}
        }
        let folder = full_path(namespace, mount.as_str(), Spelling::AsGiven);
        let grants = |rule: &CompiledRule| !rule.capabilities.is_deny() && !rule.capabilities.is_empty();
        self.rules.iter().any(|rule| grants(rule) && rule.pattern.reaches_below(&folder))
    }

    /// The merged rules, for `sys/internal/ui/resultant-acl`: the path from the root namespace on (`+` for any
    /// segment), whether anything may follow it, and its capabilities.
    pub fn resultant(&self) -> impl Iterator<Item = (String, bool, Vec<Capability>)> {
        self.rules
            .iter()
            .map(|rule| (rule.pattern.text(), rule.pattern.glob, rule.capabilities.iter().collect()))
    }

    /// How a namespace is decided on, before any path.
    pub(super) fn standing(&self, namespace: &NamespacePath, now: Timestamp) -> Standing {
        if !self.is_valid(now) {
            Standing::Stale
        } else if self.is_root_in(namespace) {
            Standing::Root
        } else if self.roots.is_empty() {
            Standing::ByRules
        } else {
            Standing::OutsideRootNamespace
        }
    }

    fn decide(&self, request: &AccessRequest<'_>) -> Result<Grant<'_>, Denial> {
        let unbound = Grant { root: false, sudo: false, page_limit: None, capability: None, sources: &[] };
        match self.standing(request.namespace, request.now) {
            Standing::Stale => return Err(Denial::Stale),
            Standing::Root => return Ok(Grant { root: true, sudo: true, ..unbound }),
            Standing::OutsideRootNamespace => return Err(Denial::OutsideRootNamespace),
            Standing::ByRules => {}
        }
        let Some(capability) = request.operation.required_capability() else { return Ok(unbound) };
        let rule = self.find(request).ok_or(Denial::NoRule)?;
        rule.check_capabilities(capability, request.privilege)?;
        let page_limit = rule.check_constraints(request)?;
        let sudo = rule.capabilities.contains(Capability::Sudo);
        Ok(Grant { root: false, sudo, page_limit, capability: Some(capability), sources: &rule.sources })
    }

    /// The rule that decides on a request.
    pub(super) fn find(&self, request: &AccessRequest<'_>) -> Option<&CompiledRule> {
        let index = if request.operation.is_folder_operation() {
            self.table.find_folder(&full_path(request.namespace, request.path, Spelling::Folder))
        } else {
            self.table.find(&full_path(request.namespace, request.path, Spelling::AsGiven))
        };
        index.and_then(|index: RuleIndex| self.rules.get(index))
    }

    fn add(
        &mut self,
        by_pattern: &mut HashMap<Pattern, usize>,
        pattern: Pattern,
        rule: &PathRule,
        source: Source,
    ) {
        if let Some(merged) = by_pattern.get(&pattern).and_then(|index| self.rules.get_mut(*index)) {
            return merged.merge(rule, source);
        }
        by_pattern.insert(pattern.clone(), self.rules.len());
        let constraints = rule.constraints.clone();
        self.rules.push(CompiledRule {
            pattern,
            capabilities: rule.capabilities,
            constraints,
            sources: vec![source],
        });
    }

    fn note_expiration(&mut self, expiration: Option<Timestamp>) {
        self.valid_until = match (self.valid_until, expiration) {
            (Some(known), Some(expiration)) => Some(known.min(expiration)),
            (known, expiration) => known.or(expiration),
        };
    }
}

impl CompiledRule {
    fn merge(&mut self, rule: &PathRule, source: Source) {
        self.sources.push(source);
        if self.capabilities.is_deny() {
            return;
        }
        if rule.capabilities.is_deny() {
            self.capabilities = CapabilitySet::DENY;
            self.constraints = Constraints::default();
            return;
        }
        self.capabilities = self.capabilities.union(rule.capabilities);
        self.constraints.merge(&rule.constraints);
    }

    fn check_capabilities(&self, capability: Capability, privilege: Privilege) -> Result<(), Denial> {
        if self.capabilities.is_deny() {
            return Err(Denial::ExplicitDeny);
        }
        if !self.capabilities.contains(capability) {
            return Err(Denial::Lacks(capability));
        }
        if privilege == Privilege::Sudo && !self.capabilities.contains(Capability::Sudo) {
            return Err(Denial::Lacks(Capability::Sudo));
        }
        Ok(())
    }

    /// The page size, if the rule bounds it.
    fn check_constraints(&self, request: &AccessRequest<'_>) -> Result<Option<u64>, Denial> {
        self.constraints.check_wrapping(request.wrap_ttl)?;
        if request.operation.checks_parameters() {
            self.constraints.check_parameters(request.parameters)?;
        }
        if request.operation.is_folder_operation() {
            return Ok(self.constraints.check_page(request.parameters)?);
        }
        Ok(None)
    }
}

impl From<Breach> for Denial {
    fn from(breach: Breach) -> Self {
        match breach {
            Breach::WrappingTtl => Self::WrappingTtl,
            Breach::ParameterMissing(name) => Self::ParameterMissing(name),
            Breach::ParameterDenied(name) => Self::ParameterDenied(name),
            Breach::ParameterNotAllowed(name) => Self::ParameterNotAllowed(name),
            Breach::PageLimit => Self::PageLimit,
        }
    }
}

fn is_over(expiration: Option<Timestamp>, now: Timestamp) -> bool {
    expiration.is_some_and(|expiration| now > expiration)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    AsGiven,
    Folder,
}

/// A path from the root namespace on, as rules are compiled.
pub(super) fn full_path<'a>(namespace: &NamespacePath, path: &'a str, spelling: Spelling) -> Cow<'a, str> {
    let path = path.trim_start_matches('/');
    let slash = if spelling == Spelling::Folder && !path.ends_with('/') { "/" } else { "" };
    if namespace.is_root() && slash.is_empty() {
        return Cow::Borrowed(path);
    }
    Cow::Owned([namespace.as_str(), path, slash].concat())
}
