//! From a manifest to values: providers are asked in the order of the environment, what is composed is put together, and
//! every value is checked against its declaration.
//!
//! Local providers are asked one after the other, each for what is still missing. Remote ones are then asked all at once,
//! each for what no local provider before it has.

mod ask;
mod opened;

pub use opened::Opened;

use crate::compose::{FillError, Template};
use crate::manifest::{Delivery, Environment, GroupRule, Manifest, Problem, ProblemKind, Secret};
use crate::provider::{ErrorKind, Found, ProviderError};
use crate::value_type::ValueType;
use ask::{Answer, Asker};
use std::collections::{BTreeMap, BTreeSet};
use strongroom_secret::{SecretBytes, Timestamp};

/// What to resolve, and how.
pub struct Request<'a> {
    pub selection: Selection<'a>,
    pub depth: Depth,
    /// Versions to insist on, by secret and provider.
    pub pins: Option<&'a dyn Fn(&str, &str) -> Option<String>>,
    pub now: Timestamp,
}

#[derive(Clone, Copy)]
pub enum Selection<'a> {
    All,
    Scope(&'a str),
    Names(&'a [String]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Stop at the first provider that has a secret.
    First,
    /// Ask all, to show what is overridden.
    Every,
}

/// What came of it. Values are there even if there are problems: who uses them looks at the problems first.
#[derive(Debug, Default)]
pub struct Resolution {
    pub secrets: BTreeMap<String, Resolved>,
    pub problems: Vec<Problem>,
    /// The providers that were asked, as people know them.
    pub asked: Vec<String>,
}

#[derive(Debug)]
pub struct Resolved {
    pub value: SecretBytes,
    pub source: Source,
    /// What providers further down the order have (only with `Depth::Every`).
    pub overridden: Vec<Candidate>,
}

#[derive(Debug)]
pub enum Source {
    Provider(Candidate),
    Default,
    /// Of these secrets.
    Composed(Vec<String>),
}

/// What is known of a value that a provider has.
#[derive(Debug)]
pub struct Candidate {
    /// The provider's name in the manifest.
    pub provider: String,
    /// Its value is taken out: `Resolved` holds it.
    pub found: Found,
}

impl Resolution {
    pub fn value(&self, name: &str) -> Option<&SecretBytes> {
        self.secrets.get(name).map(|resolved| &resolved.value)
    }

    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }
}

impl Resolved {
    /// Where the value comes from, for people.
    pub fn origin(&self) -> String {
        match &self.source {
            Source::Provider(candidate) => candidate.found.origin.clone(),
            Source::Default => "the default in the manifest".to_owned(),
            Source::Composed(names) => format!("composed of {}", names.join(", ")),
        }
    }

    pub fn candidate(&self) -> Option<&Candidate> {
        match &self.source {
            Source::Provider(candidate) => Some(candidate),
            _ => None,
        }
    }
}

/// Resolves the selected secrets and whatever they are composed of.
pub fn resolve(
    manifest: &Manifest,
    environment: &Environment,
    opened: &Opened,
    request: &Request<'_>,
) -> Resolution {
    let wanted = wanted(manifest, request.selection);
    let asker = Asker { manifest, environment, opened, request };
    let mut answers = asker.ask(&wanted);
    let mut resolver = Resolver { manifest, environment, opened, request, resolution: Resolution::default() };
    resolver.resolution.asked = asker.places();
    resolver.failures(&answers);
    let mut unanswered = BTreeSet::new();
    for secret in &wanted {
        let answer = answers.remove(&secret.name).unwrap_or_default();
        if !answer.errors.is_empty() {
            unanswered.insert(secret.name.as_str());
        }
        resolver.take(secret, answer);
    }
    resolver.compose(&wanted, &unanswered);
    for secret in &wanted {
        if !unanswered.contains(secret.name.as_str()) {
            resolver.check(secret);
        }
    }
    if matches!(request.selection, Selection::All) {
        resolver.groups(&unanswered);
    }
    resolver.resolution
}

/// The selected secrets with all that they are composed of, in the order of the manifest.
fn wanted<'m>(manifest: &'m Manifest, selection: Selection<'_>) -> Vec<&'m Secret> {
    let mut open: Vec<&Secret> = match selection {
        Selection::All => return manifest.secrets.iter().collect(),
        Selection::Scope(scope) => {
            manifest.secrets.iter().filter(|secret| manifest.in_scope(scope, &secret.name)).collect()
        }
        Selection::Names(names) => names.iter().filter_map(|name| manifest.secret(name)).collect(),
    };
    let mut names: BTreeSet<&str> = BTreeSet::new();
    while let Some(secret) = open.pop() {
        if names.insert(&secret.name) {
            let parts = secret.compose.iter().flat_map(Template::names);
            open.extend(parts.filter_map(|name| manifest.secret(name)));
        }
    }
    manifest.secrets.iter().filter(|secret| names.contains(secret.name.as_str())).collect()
}

struct Resolver<'a> {
    manifest: &'a Manifest,
    environment: &'a Environment,
    opened: &'a Opened,
    request: &'a Request<'a>,
    resolution: Resolution,
}

impl Resolver<'_> {
    /// One problem for each thing that went wrong at a provider, however many secrets it concerns.
    fn failures(&mut self, answers: &BTreeMap<String, Answer>) {
        let mut groups: Vec<(&str, &ProviderError, Vec<&str>)> = Vec::new();
        let failed =
            answers.iter().flat_map(|(name, answer)| answer.errors.iter().map(move |error| (name, error)));
        for (name, (provider, error)) in failed {
            let same =
                groups.iter_mut().find(|(of, known, _)| of == provider && known.message == error.message);
            match same {
                Some((.., names)) => names.push(name),
                None => groups.push((provider, error, vec![name])),
            }
        }
        let problems =
            groups.into_iter().map(|(provider, error, names)| self.failure(provider, error, &names));
        let problems: Vec<Problem> = problems.collect();
        self.resolution.problems.extend(problems);
    }

    fn failure(&self, provider: &str, error: &ProviderError, names: &[&str]) -> Problem {
        let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = names.len().checked_sub(5).filter(|more| *more > 0);
        let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
        let message = format!("{provider}: {} (asked for {shown}{more})", error.message);
        let mut problem = Problem::error(kind_of(error.kind), message)
            .looked(error.looked.iter().cloned())
            .maybe_hint(error.hint.clone());
        if let Some(declaration) = self.manifest.providers.get(provider)
            && declaration.place.end > 0
        {
            problem = problem.at(self.manifest.location(declaration.place));
        }
        problem
    }

    /// The first value found, or the default.
    fn take(&mut self, secret: &Secret, answer: Answer) {
        if !answer.errors.is_empty() {
            return;
        }
        let mut found = answer.found.into_iter();
        let resolved = match found.next() {
            Some((provider, mut first)) => {
                let value = std::mem::take(&mut first.value);
                let overridden = found.map(|(provider, found)| Candidate { provider, found }).collect();
                Resolved { value, source: Source::Provider(Candidate { provider, found: first }), overridden }
            }
            None => match secret.default_in(self.environment) {
                Some(text) => Resolved {
                    value: SecretBytes::new(text.as_bytes().to_vec()),
                    source: Source::Default,
                    overridden: Vec::new(),
                },
                None => return,
            },
        };
        self.resolution.secrets.insert(secret.name.clone(), resolved);
    }

    /// Composes what has parts, parts first. There is no circle: the manifest would not have loaded.
    fn compose(&mut self, wanted: &[&Secret], unanswered: &BTreeSet<&str>) {
        let mut open: Vec<&Secret> = wanted
            .iter()
            .filter(|secret| secret.compose.is_some() && !self.resolution.secrets.contains_key(&secret.name))
            .copied()
            .collect();
        while !open.is_empty() {
            let waiting: BTreeSet<String> = open.iter().map(|secret| secret.name.clone()).collect();
            let (ready, rest): (Vec<&Secret>, Vec<&Secret>) = open.into_iter().partition(|secret| {
                secret.compose.iter().flat_map(Template::names).all(|part| !waiting.contains(part))
            });
            if ready.is_empty() {
                return;
            }
            for secret in ready {
                self.compose_one(secret, unanswered);
            }
            open = rest;
        }
    }

    fn compose_one(&mut self, secret: &Secret, unanswered: &BTreeSet<&str>) {
        let Some(template) = &secret.compose else { return };
        match template.fill(|name| self.resolution.value(name)) {
            Ok(value) => {
                let mut parts: Vec<String> = template.names().map(str::to_owned).collect();
                parts.dedup();
                let resolved = Resolved { value, source: Source::Composed(parts), overridden: Vec::new() };
                self.resolution.secrets.insert(secret.name.clone(), resolved);
            }
            Err(errors) => {
                for error in errors {
                    let own = match &error {
                        // A part that must have a value is missing itself, and is said to be.
                        FillError::Missing(part) => {
                            let part_secret = self.manifest.secret(part);
                            !unanswered.contains(part.as_str())
                                && !part_secret.is_some_and(|part| part.is_required_in(self.environment))
                        }
                        FillError::NotText(_) => true,
                    };
                    if own && secret.is_required_in(self.environment) {
                        let message = format!("{} cannot be composed: {error}", secret.name);
                        self.problem(secret, ProblemKind::Missing, message);
                    }
                }
            }
        }
    }

    fn check(&mut self, secret: &Secret) {
        let Some(resolved) = self.resolution.secrets.get(&secret.name) else {
            if secret.compose.is_none() && secret.is_required_in(self.environment) {
                self.missing(secret);
            }
            return;
        };
        let origin = resolved.origin();
        let mut problems = Vec::new();
        let raw = secret.delivery == Delivery::File
            && secret.value_type == ValueType::String
            && std::str::from_utf8(resolved.value.expose()).is_err();
        let empty = resolved.value.expose().is_empty();
        if empty && is_wanted_full(secret, self.environment) {
            let message = format!("{} ({origin}) is empty", secret.name);
            let problem =
                Problem::error(ProblemKind::Invalid, message).at(self.manifest.location(secret.place)).hint(
                    "give it a value, or declare it with optional = true, or with min = 0 if it may be empty",
                );
            self.resolution.problems.push(problem);
        } else if !raw && (!empty || secret.is_required_in(self.environment)) {
            problems = secret.value_type.problems(&secret.constraints, resolved.value.expose());
        }
        if secret.delivery == Delivery::Variable && resolved.value.expose().contains(&0) {
            problems.push("holds a NUL byte, which no variable can (as = \"file\" may)".to_owned());
        }
        let expires = resolved.candidate().and_then(|candidate| candidate.found.expires);
        for problem in problems {
            self.problem(secret, ProblemKind::Invalid, format!("{} ({origin}) {problem}", secret.name));
        }
        if expires.is_some_and(|expires| expires <= self.request.now) {
            self.problem(secret, ProblemKind::Expired, format!("{} ({origin}) has expired", secret.name));
        }
    }

    fn missing(&mut self, secret: &Secret) {
        let (name, environment) = (&secret.name, &self.environment.name);
        let message = format!("{name} has no value in the environment {environment:?}");
        let places: Vec<String> =
            self.opened.in_order(self.environment).map(|(_, provider)| provider.place()).collect();
        let flag =
            if self.manifest.environments.len() > 1 { format!(" -E {environment}") } else { String::new() };
        let example = secret.example.as_ref().map(|example| format!(" (a value looks like {example:?})"));
        let hint = format!("strongroom set {name}{flag}{}", example.unwrap_or_default());
        let problem = Problem::error(ProblemKind::Missing, message).at(self.manifest.location(secret.place));
        self.resolution.problems.push(problem.looked(places).hint(hint));
    }

    fn groups(&mut self, unanswered: &BTreeSet<&str>) {
        for group in &self.manifest.groups {
            if group.members.iter().any(|name| unanswered.contains(name.as_str())) {
                continue;
            }
            let present =
                group.members.iter().filter(|name| self.resolution.secrets.contains_key(*name)).count();
            let fine = match group.rule {
                GroupRule::ExactlyOne => present == 1,
                GroupRule::AtLeastOne => present >= 1,
                GroupRule::Together => present == 0 || present == group.members.len(),
            };
            if !fine {
                let rule = match group.rule {
                    GroupRule::ExactlyOne => "exactly one",
                    GroupRule::AtLeastOne => "at least one",
                    GroupRule::Together => "all or none",
                };
                let members = group.members.join(", ");
                let message = format!(
                    "group {}: {rule} of {members} must have a value, and {present} have",
                    group.name
                );
                let location = self.manifest.location(group.place);
                self.resolution.problems.push(Problem::error(ProblemKind::Missing, message).at(location));
            }
        }
    }

    fn problem(&mut self, secret: &Secret, kind: ProblemKind, message: String) {
        let problem = Problem::error(kind, message).at(self.manifest.location(secret.place));
        self.resolution.problems.push(problem);
    }
}

/// An empty text where a value must be is a value that was forgotten: CI systems give unset secrets so.
fn is_wanted_full(secret: &Secret, environment: &Environment) -> bool {
    secret.is_required_in(environment) && secret.constraints.min.is_none()
}

/// The exit codes of a provider's errors are those of problems.
pub(crate) fn kind_of(kind: ErrorKind) -> ProblemKind {
    match kind {
        ErrorKind::Settings | ErrorKind::Unsupported => ProblemKind::Manifest,
        ErrorKind::Malformed => ProblemKind::Provider,
        ErrorKind::Authentication | ErrorKind::Denied => ProblemKind::Denied,
        ErrorKind::Unreachable => ProblemKind::Unreachable,
        ErrorKind::Integrity => ProblemKind::Integrity,
    }
}

#[cfg(test)]
mod tests;
