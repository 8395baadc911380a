//! What all kinds that reach a service have in common: their limits.

use super::settings::{Checked, Rule, Shape};
use crate::surroundings::Surroundings;
use crate::web::{Limits, Web};
use std::sync::Arc;
use std::time::Duration;

pub(super) const RULES: &[Rule] = &[
    Rule::optional("timeout", Shape::Duration, "for a request with all its repetitions; 30s"),
    Rule::optional("retries", Shape::Number, "how often a request is repeated where that may help; 4"),
    Rule::optional("concurrency", Shape::Number, "requests under way at once; 16"),
    Rule::optional(
        "cache",
        Shape::Duration,
        "how long a value is used again without asking, kept encrypted on disk; not at all",
    ),
    Rule::optional(
        "stale",
        Shape::Duration,
        "with `cache`: how much longer it is used while the service does not answer; not at all",
    ),
    Rule::optional(
        "authorities",
        Shape::Text,
        "PEM file of the authorities to trust, instead of the system's",
    ),
];

/// Never more threads for one provider.
const CONCURRENCY_MAX: i64 = 64;
const RETRIES_MAX: i64 = 20;

pub(super) fn limits(settings: &Checked<'_>, surroundings: &Surroundings) -> Limits {
    let mut limits = Limits::default();
    if let Some(total) = settings.duration("timeout") {
        limits.total = total.max(Duration::from_millis(1));
        limits.connect = limits.connect.min(limits.total);
        limits.stall = limits.stall.min(limits.total);
    }
    if let Some(retries) = settings.number("retries") {
        limits.repetitions_max = u32::try_from(retries.clamp(0, RETRIES_MAX)).unwrap_or_default();
    }
    if let Some(concurrency) = settings.number("concurrency") {
        limits.concurrency = usize::try_from(concurrency.clamp(1, CONCURRENCY_MAX)).unwrap_or(1);
    }
    limits.authorities = settings.text("authorities").map(|path| surroundings.path(path));
    limits
}

pub(super) fn web(settings: &Checked<'_>, surroundings: &Arc<Surroundings>) -> Arc<Web> {
    Arc::new(Web::new(Arc::clone(surroundings), limits(settings, surroundings)))
}
