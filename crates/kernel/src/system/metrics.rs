//! `sys/metrics`.

use super::fields::{field, method};
use crate::call::Call;
use crate::error::Error;
use crate::request::{Data, Operation, Request, Response};
use crate::route::{Access, FieldKind, Route, Run};

pub(super) const ROUTES: &[Route] = &[Route {
    pattern: "metrics",
    summary: "What the server did since its start.",
    access: Access::Token,
    fields: &[field("format", FieldKind::Text, "`prometheus`; Vault's JSON without it.")],
    methods: &[method(Operation::Read, Run::Read(metrics), "Read all metrics.")],
    exists: None,
}];

#[derive(PartialEq, Eq)]
enum Format {
    Json,
    Prometheus,
}

fn metrics(call: &mut Call<'_>) -> Result<Response, Error> {
    let format = match call.fields().text("format")?.as_deref() {
        Some("prometheus") => Format::Prometheus,
        None | Some("") if accepts_prometheus(call.request) => Format::Prometheus,
        None | Some("" | "json") => Format::Json,
        Some(other) => {
            return Err(Error::invalid(format!(
                "unknown metrics format {other:?}: \"prometheus\" and \"json\" are known"
            )));
        }
    };
    let kernel = call.kernel;
    let uptime = kernel.clock.monotonic().saturating_sub(kernel.started);
    let mounts: usize = call.topology.namespaces().map(|namespace| namespace.mounts.len()).sum();
    let failing =
        kernel.broker().map_or(0, |broker| broker.health().iter().filter(|device| !device.healthy).count());
    let (pending, failing_intents) = kernel.outbox.counts();
    let (acting, waiting) = kernel.outward.counts();
    let paused = crate::rotation::count_paused(&mut call.tx)?;
    let count =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed) as f64;
    let gauges = [
        ("strongroom_sealed", "Whether the server is sealed.", f64::from(u8::from(kernel.is_sealed()))),
        ("vault_core_unsealed", "The same under Vault's name.", f64::from(u8::from(!kernel.is_sealed()))),
        ("strongroom_uptime_seconds", "Time since the start.", uptime.as_secs_f64()),
        ("strongroom_namespaces", "Namespaces.", call.topology.namespaces().count() as f64),
        ("strongroom_mounts", "Mounts of all namespaces.", mounts as f64),
        ("strongroom_rotations_paused", "Rotation plans that wait for somebody to act.", paused as f64),
        ("strongroom_audit_devices_unhealthy", "Audit devices that fail.", failing as f64),
        ("strongroom_outbox_unfinished", "Effects outside the store that are to be undone.", pending as f64),
        ("strongroom_outbox_failing", "Those of them that could not be undone yet.", failing_intents as f64),
        (
            "strongroom_chores_failing",
            "What mounts do outside by themselves (passwords that change) and could not do the last time.",
            kernel.outbox.failing_chores() as f64,
        ),
        ("strongroom_outward_running", "Errands that act outside the store.", acting as f64),
        ("strongroom_outward_waiting", "Errands that wait for a thread.", waiting as f64),
        ("strongroom_honey_uses", "Uses of honey since the start.", count(&kernel.honey.uses)),
        ("strongroom_honey_uses_lost", "Those of them that could not be kept.", count(&kernel.honey.lost)),
        (
            "strongroom_notices_delivered",
            "Webhooks of honey and incidents that got through.",
            count(&kernel.notices.delivered),
        ),
        ("strongroom_notices_failed", "Attempts that did not.", count(&kernel.notices.failed)),
    ];
    if format == Format::Json {
        return Ok(Response::plain(kernel.metrics.json(&gauges, uptime, call.now)));
    }
    let body = kernel.metrics.prometheus(&gauges).into_bytes();
    Ok(Response {
        data: Data::Bytes { content_type: "text/plain; version=0.0.4", body },
        ..Response::default()
    })
}

/// A scraper that was told nothing of `format` asks for its own by the header.
fn accepts_prometheus(request: &Request) -> bool {
    let accepted = request.headers.iter().find(|(name, _)| name == "accept");
    accepted.is_some_and(|(_, kinds)| {
        kinds.contains("application/openmetrics-text") || kinds.contains("prometheus")
    })
}
