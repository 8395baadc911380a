//! Why a request is allowed or not, and what would allow it.

use super::acl::{
    AccessRequest, Acl, CompiledRule, Decision, Denial, DropReason, DroppedRule, Privilege, Source, Spelling,
    Standing, full_path,
};
use super::capability::{Capability, CapabilitySet, Operation};
use super::kv::{KvPath, KvPlace};
use super::lexer::escape;
use serde::Serialize;
use std::fmt;
use strongroom_secret::{MountPath, format_duration};

/// What is known of the mount that a request goes to.
#[derive(Debug, Clone, Copy, Default)]
pub enum MountHint<'a> {
    /// A path that looks like KV v2 is taken for one, and the hint says so.
    #[default]
    Unknown,
    KvV2(&'a MountPath),
    Other,
}

/// A decision, told to a person. Parameters are named, never their values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub allowed: bool,
    pub namespace: String,
    pub path: String,
    pub operation: Operation,
    pub reason: String,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleReport>,
    /// Rules that match too and are less specific; the most specific first.
    pub overridden: Vec<RuleReport>,
    /// Rules that do not match but begin like the path; the nearest first.
    pub near_misses: Vec<RuleReport>,
    /// Rules that do not apply to this identity at this time.
    pub left_out: Vec<LeftOut>,
    pub hints: Vec<String>,
    /// The smallest rule that would allow the request, in a policy of the request's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// A rule, merged from all policies that have one for the same path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleReport {
    /// From the root namespace on, templates filled in.
    pub path: String,
    pub capabilities: CapabilitySet,
    pub sources: Vec<SourceReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    pub policy: String,
    pub namespace: String,
    /// As written.
    pub path: String,
    pub line: u32,
    pub capabilities: CapabilitySet,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    #[serde(flatten)]
    pub source: SourceReport,
    pub reason: String,
}

const RULES_TOLD_MAX: usize = 3;
const LEFT_OUT_TOLD_MAX: usize = 20;

impl Acl {
    /// Decides on a request as [`Acl::check`] does, and says why.
    pub fn explain(&self, request: &AccessRequest<'_>, mount: MountHint<'_>) -> Explanation {
        let decision = self.check(request);
        let spelling =
            if request.operation.is_folder_operation() { Spelling::Folder } else { Spelling::AsGiven };
        let path = full_path(request.namespace, request.path, spelling);
        let asked = Asked { acl: self, request, path: &path, rule: self.find(request), mount };
        let reason = match &decision {
            Decision::Allowed(grant) if grant.root => "the root policy allows everything".to_owned(),
            Decision::Allowed(_) if request.operation.required_capability().is_none() => {
                "the operation needs no permission".to_owned()
            }
            Decision::Allowed(_) => "the rule for the path allows it".to_owned(),
            Decision::Denied(denial) => denial.to_string(),
        };
        let (hints, suggestion) = match &decision {
            Decision::Allowed(_) => (Vec::new(), None),
            Decision::Denied(denial) => (asked.hints(denial), asked.suggestion(denial)),
        };
        let by_rules = self.standing(request.namespace, request.now) == Standing::ByRules;
        Explanation {
            allowed: decision.is_allowed(),
            namespace: request.namespace.to_string(),
            path: request.path.to_owned(),
            operation: request.operation,
            reason,
            rule: asked.rule.filter(|_| by_rules).map(CompiledRule::report),
            overridden: if by_rules { asked.overridden() } else { Vec::new() },
            near_misses: if decision.is_allowed() || !by_rules { Vec::new() } else { asked.near_misses() },
            left_out: asked.left_out(),
            hints,
            suggestion,
        }
    }
}

struct Asked<'a> {
    acl: &'a Acl,
    request: &'a AccessRequest<'a>,
    /// From the root namespace on.
    path: &'a str,
    /// The rule that decides.
    rule: Option<&'a CompiledRule>,
    mount: MountHint<'a>,
}

impl Asked<'_> {
    fn is_decisive(&self, rule: &CompiledRule) -> bool {
        self.rule.is_some_and(|decisive| std::ptr::eq(decisive, rule))
    }

    fn is_matching(&self, rule: &CompiledRule) -> bool {
        let bare = self.path.strip_suffix('/').filter(|_| self.request.operation.is_folder_operation());
        rule.pattern.matches(self.path) || bare.is_some_and(|bare| rule.pattern.matches(bare))
    }

    fn overridden(&self) -> Vec<RuleReport> {
        let others = self.acl.rules.iter().filter(|rule| self.is_matching(rule) && !self.is_decisive(rule));
        let mut others: Vec<&CompiledRule> = others.collect();
        others.sort_by_cached_key(|rule| std::cmp::Reverse(rule.pattern.specificity()));
        others.into_iter().take(RULES_TOLD_MAX).map(CompiledRule::report).collect()
    }

    /// Rules that were left out and could have matched: the path begins as they do, up to their first template or
    /// wildcard.
    fn left_out(&self) -> Vec<LeftOut> {
        let could_match = |rule: &&DroppedRule| {
            let written = &rule.source.path;
            let literal = written.split(['{', '*', '+']).next().unwrap_or_default();
            self.path.starts_with(&*full_path(&rule.source.namespace, literal, Spelling::AsGiven))
        };
        let rules = self.acl.dropped.iter().filter(could_match);
        rules.take(LEFT_OUT_TOLD_MAX).map(DroppedRule::report).collect()
    }

    fn near_misses(&self) -> Vec<RuleReport> {
        let namespace_depth = self.request.namespace.as_str().matches('/').count();
        let mut near: Vec<(usize, &CompiledRule)> = self
            .acl
            .rules
            .iter()
            .filter(|rule| !self.is_matching(rule))
            .map(|rule| (rule.pattern.segments_in_common(self.path), rule))
            .filter(|(common, _)| *common > namespace_depth)
            .collect();
        near.sort_by_key(|(common, _)| std::cmp::Reverse(*common));
        near.into_iter().take(RULES_TOLD_MAX).map(|(_, rule)| rule.report()).collect()
    }

    fn hints(&self, denial: &Denial) -> Vec<String> {
        let mut hints = Vec::new();
        match denial {
            Denial::NoRule | Denial::Lacks(_) => {
                hints.extend(self.kv_hints());
                hints.extend(self.boundary_hints());
                hints.extend(self.namespace_hint());
            }
            Denial::ExplicitDeny => hints.extend(self.deny_hint()),
            Denial::WrappingTtl => hints.extend(self.wrapping_hint()),
            _ => {}
        }
        hints
    }

    /// Rules that end just before the path, or begin just below it.
    fn boundary_hints(&self) -> Vec<String> {
        let mut hints = Vec::new();
        let below = format!("{}/", self.path.trim_end_matches('/'));
        for rule in self.acl.rules.iter().filter(|rule| !self.is_matching(rule)) {
            let (pattern, text) = (&rule.pattern, rule.pattern.rule_text());
            if pattern.glob && pattern.matches(&below) {
                hints.push(format!("path {text:?} matches only below \"{below}\", not the path itself"));
            }
            if !pattern.glob
                && !text.is_empty()
                && self.path.starts_with(&format!("{}/", text.trim_end_matches('/')))
            {
                let glob = format!("{}/*", text.trim_end_matches('/'));
                hints.push(format!(
                    "path {text:?} matches that path alone; {glob:?} would match what lies below it"
                ));
            }
        }
        hints.truncate(RULES_TOLD_MAX);
        hints
    }

    fn namespace_hint(&self) -> Option<String> {
        let capability = self.request.operation.required_capability()?;
        let here = self.request.namespace;
        let elsewhere =
            self.acl.rules.iter().flat_map(|rule| rule.sources.iter().map(move |source| (rule, source)));
        elsewhere
            .filter(|(rule, source)| source.namespace != *here && rule.capabilities.contains(capability))
            .find(|(rule, source)| {
                rule.pattern.matches(&full_path(&source.namespace, self.request.path, Spelling::AsGiven))
            })
            .map(|(_, source)| {
                let there = namespace_name(source.namespace.as_str());
                format!(
                    "the same path is granted in {there}, by {source}; the request is for {}",
                    namespace_name(here.as_str())
                )
            })
    }

    fn deny_hint(&self) -> Option<String> {
        let deny = self.rule?.sources.iter().find(|source| source.capabilities.is_deny())?;
        Some(if self.exact_rule_text().is_some() {
            format!("{deny} denies this; only a more specific rule would be an exception to it")
        } else {
            format!("{deny} denies exactly this path: no other rule can allow it")
        })
    }

    fn wrapping_hint(&self) -> Option<String> {
        let constraints = &self.rule?.constraints;
        Some(match (constraints.wrapping_ttl_min, constraints.wrapping_ttl_max) {
            (Some(min), Some(max)) if max < min => {
                let (min, max) = (format_duration(min), format_duration(max));
                format!("merged rules ask for at least {min} and at most {max}: no request can satisfy both")
            }
            (Some(min), Some(max)) => {
                format!("ask for a wrapped answer of {} to {}", format_duration(min), format_duration(max))
            }
            (Some(min), None) => format!("ask for a wrapped answer of at least {}", format_duration(min)),
            (None, Some(max)) => format!("ask for a wrapped answer of at most {}", format_duration(max)),
            (None, None) => return None,
        })
    }

    fn kv_path(&self) -> Option<KvPath<'_>> {
        match self.mount {
            MountHint::Unknown => KvPath::guess(self.request.path),
            MountHint::KvV2(mount) => KvPath::split(self.request.path, mount),
            MountHint::Other => None,
        }
    }

    fn kv_hints(&self) -> Vec<String> {
        let Some(kv) = self.kv_path() else { return Vec::new() };
        let certain = matches!(self.mount, MountHint::KvV2(_));
        let (mount, name) = (kv.mount, kv.name);
        let mut hints = Vec::new();
        if kv.place.is_none() {
            let place = KvPlace::of(self.request.operation).folder();
            hints.push(format!("{mount:?} is KV v2: the path for this is \"{mount}{place}{name}\""));
        }
        for path in kv.other_paths() {
            let full = full_path(self.request.namespace, &path, Spelling::AsGiven);
            let rule = self.acl.rules.iter().find(|rule| {
                !rule.capabilities.is_deny() && rule.pattern.matches(&full) && !self.is_matching(rule)
            });
            if let (Some(source), Some(place)) = (rule.and_then(|rule| rule.sources.first()), kv.place) {
                let condition = if certain { String::new() } else { format!("if {mount:?} is KV v2: ") };
                let (folder, use_) = (place.folder(), place.purpose());
                hints.push(format!(
                    "{condition}{source} is for \"{path}\"; {use_} through \"{mount}{folder}{name}\""
                ));
            }
        }
        hints
    }

    /// The path as a rule of the request's namespace would name it; None if such a rule could not lift the denial,
    /// or the path cannot be written as a rule.
    fn exact_rule_text(&self) -> Option<String> {
        let path = match self.kv_path() {
            Some(kv) if kv.place.is_none() => {
                format!("{}{}{}", kv.mount, KvPlace::of(self.request.operation).folder(), kv.name)
            }
            _ => self.path.strip_prefix(self.request.namespace.as_str())?.to_owned(),
        };
        let wildcard =
            path.ends_with('*') || path.contains("+*") || path.split('/').any(|segment| segment == "+");
        let unwritable = wildcard || path.contains("{{") || path.contains("}}") || path.is_empty();
        let denied_exactly = self.rule.is_some_and(|rule| rule.capabilities.is_deny() && self.is_exact(rule));
        (!unwritable && !denied_exactly).then_some(path)
    }

    /// Whether a rule has the very path of the request.
    fn is_exact(&self, rule: &CompiledRule) -> bool {
        !rule.pattern.glob && !rule.pattern.has_segment_wildcards() && rule.pattern.text() == self.path
    }

    fn suggestion(&self, denial: &Denial) -> Option<String> {
        if !matches!(denial, Denial::NoRule | Denial::Lacks(_) | Denial::ExplicitDeny) {
            return None;
        }
        let mut capabilities = CapabilitySet::EMPTY.with(self.request.operation.required_capability()?);
        if self.request.privilege == Privilege::Sudo {
            capabilities = capabilities.with(Capability::Sudo);
        }
        // A new rule takes the place of a broader one, so it must repeat what that one grants.
        let replaced = self.rule.filter(|rule| !rule.capabilities.is_deny() && !self.is_exact(rule));
        capabilities = capabilities.union(replaced.map(|rule| rule.capabilities).unwrap_or_default());
        let names: Vec<String> = capabilities.iter().map(|capability| format!("\"{capability}\"")).collect();
        let path = escape(&self.exact_rule_text()?);
        Some(format!("path {path} {{\n  capabilities = [{}]\n}}\n", names.join(", ")))
    }
}

impl CompiledRule {
    fn report(&self) -> RuleReport {
        RuleReport {
            path: self.pattern.rule_text(),
            capabilities: self.capabilities,
            sources: self.sources.iter().map(Source::report).collect(),
        }
    }
}

impl Source {
    fn report(&self) -> SourceReport {
        SourceReport {
            policy: self.policy.to_string(),
            namespace: self.namespace.to_string(),
            path: self.path.to_string(),
            line: self.line,
            capabilities: self.capabilities,
        }
    }
}

impl DroppedRule {
    fn report(&self) -> LeftOut {
        let reason = match &self.reason {
            DropReason::Expired(expiration) => format!("it expired at {expiration}"),
            DropReason::Template(error) => error.to_string(),
        };
        LeftOut { source: self.source.report(), reason }
    }
}

fn namespace_name(path: &str) -> String {
    if path.is_empty() { "the root namespace".to_owned() } else { format!("namespace {path:?}") }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.report(), f)
    }
}

impl fmt::Display for SourceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "path {:?} (policy {:?}, line {}", self.path, self.policy, self.line)?;
        if !self.namespace.is_empty() {
            write!(f, ", namespace {:?}", self.namespace)?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for RuleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.capabilities.iter().map(Capability::name).collect();
        write!(f, "[{}]", names.join(", "))?;
        self.sources.iter().try_for_each(|source| write!(f, " {source}"))
    }
}

/// Several lines for a person, without a line end at the end.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allowed { "allowed" } else { "denied" };
        write!(f, "{verdict}: {} on {:?}", self.operation, self.path)?;
        if !self.namespace.is_empty() {
            write!(f, " in namespace {:?}", self.namespace)?;
        }
        write!(f, "\nbecause {}", self.reason)?;
        for (title, rules) in [
            ("rule", self.rule.as_slice()),
            ("also matching, but less specific", &self.overridden),
            ("not matching, but near", &self.near_misses),
        ] {
            rules.iter().try_for_each(|rule| write!(f, "\n{title}: {rule}"))?;
        }
        for left_out in &self.left_out {
            write!(f, "\nleft out: {}: {}", left_out.source, left_out.reason)?;
        }
        self.hints.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "\nthis rule would allow it:\n{}", suggestion.trim_end()),
            None => Ok(()),
        }
    }
}

impl KvPlace {
    /// Where KV v2 has the operation on a secret.
    fn of(operation: Operation) -> Self {
        if operation.is_folder_operation() { Self::Metadata } else { Self::Data }
    }
}
