//! `tidy`: what is over is removed, asked for or by itself, a piece at a time.

use super::store::{self, damaged};
use super::{revocation, settings};
use crate::answer::object;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_crypto::x509::ReadCertificate;
use strongroom_kernel::{Call, Error, Fields, Record, Response, Tidied};
use strongroom_secret::Timestamp;

/// Where settings and state are kept.
const AUTO: &str = "auto-tidy";
const STATE: &str = "tidy-state";
/// Certificates that are looked at in one piece.
const CERTIFICATES_PER_PIECE: usize = 1000;
/// Serial numbers are walked through by their first byte.
const BUCKETS: u16 = 256;

/// What is to be removed, and how long after its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
struct Plan {
    tidy_cert_store: bool,
    tidy_revoked_certs: bool,
    tidy_revoked_cert_issuer_associations: bool,
    tidy_expired_issuers: bool,
    safety_buffer: Duration,
    issuer_safety_buffer: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            tidy_cert_store: false,
            tidy_revoked_certs: false,
            tidy_revoked_cert_issuer_associations: false,
            tidy_expired_issuers: false,
            safety_buffer: Duration::from_secs(72 * 3600),
            issuer_safety_buffer: Duration::from_secs(365 * 24 * 3600),
        }
    }
}

impl Plan {
    fn change(&mut self, fields: &Fields) -> Result<(), Error> {
        let revoked = fields.boolean("tidy_revoked_certs")?.or(fields.boolean("tidy_revocation_list")?);
        self.tidy_revoked_certs = revoked.unwrap_or(self.tidy_revoked_certs);
        let flags = [
            ("tidy_cert_store", &mut self.tidy_cert_store),
            ("tidy_revoked_cert_issuer_associations", &mut self.tidy_revoked_cert_issuer_associations),
            ("tidy_expired_issuers", &mut self.tidy_expired_issuers),
        ];
        for (name, flag) in flags {
            *flag = fields.boolean(name)?.unwrap_or(*flag);
        }
        self.safety_buffer = fields.duration("safety_buffer")?.unwrap_or(self.safety_buffer);
        self.issuer_safety_buffer =
            fields.duration("issuer_safety_buffer")?.unwrap_or(self.issuer_safety_buffer);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        !(self.tidy_cert_store
            || self.tidy_revoked_certs
            || self.tidy_revoked_cert_issuer_associations
            || self.tidy_expired_issuers)
    }
}

/// What happens by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
struct Auto {
    enabled: bool,
    interval: Duration,
    plan: Plan,
}

impl Default for Auto {
    fn default() -> Self {
        Self { enabled: false, interval: Duration::from_secs(12 * 3600), plan: Plan::default() }
    }
}

impl Record for Auto {}

/// The run under way, or the last one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    plan: Plan,
    /// `Inactive`, `Running`, `Finished` or `Cancelled`.
    state: String,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
    next_bucket: u16,
    certificates_deleted: u64,
    revocations_deleted: u64,
    issuers_deleted: u64,
}

impl Record for State {}

const RUNNING: &str = "Running";

pub(super) fn start(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut plan = Plan::default();
    plan.change(call.fields())?;
    let accepted = Response { status: Some(202), ..Response::default() };
    if plan.is_empty() {
        return Ok(accepted.with_warning(
            "Manual tidy requested but no tidy operations were set. Enable at least one tidy operation to be run \
             (tidy_cert_store / tidy_revoked_certs / tidy_revoked_cert_issuer_associations / tidy_expired_issuers).",
        ));
    }
    let state: State = settings::tidy_settings(call, STATE)?;
    if state.state == RUNNING {
        return Ok(accepted.with_warning("Tidy operation already in progress."));
    }
    begin(call, plan)?;
    work(call)?;
    Ok(accepted.with_warning(
        "Tidy operation successfully started. Any information from the operation will be shown by tidy-status.",
    ))
}

fn begin(call: &mut Call<'_>, plan: Plan) -> Result<(), Error> {
    let state = State { plan, state: RUNNING.to_owned(), started: Some(call.now), ..State::default() };
    settings::set_tidy_settings(call, STATE, &state)
}

pub(super) fn cancel(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut state: State = settings::tidy_settings(call, STATE)?;
    if state.state != RUNNING {
        return Err(Error::invalid("tidy operation cannot be cancelled as none is currently running"));
    }
    "Cancelled".clone_into(&mut state.state);
    state.finished = Some(call.now);
    settings::set_tidy_settings(call, STATE, &state)?;
    status(call)
}

pub(super) fn status(call: &mut Call<'_>) -> Result<Response, Error> {
    let state: State = settings::tidy_settings(call, STATE)?;
    let time = |at: Option<Timestamp>| at.map(Timestamp::rfc3339);
    Ok(object(json!({
        "state": if state.state.is_empty() { "Inactive" } else { &state.state },
        "time_started": time(state.started),
        "time_finished": time(state.finished),
        "tidy_cert_store": state.plan.tidy_cert_store,
        "tidy_revoked_certs": state.plan.tidy_revoked_certs,
        "tidy_revoked_cert_issuer_associations": state.plan.tidy_revoked_cert_issuer_associations,
        "tidy_expired_issuers": state.plan.tidy_expired_issuers,
        "safety_buffer": state.plan.safety_buffer.as_secs(),
        "issuer_safety_buffer": state.plan.issuer_safety_buffer.as_secs(),
        "cert_store_deleted_count": state.certificates_deleted,
        "revoked_cert_deleted_count": state.revocations_deleted,
        "expired_issuers_deleted_count": state.issuers_deleted,
        "error": null,
    })))
}

pub(super) fn read_auto(call: &mut Call<'_>) -> Result<Response, Error> {
    let auto: Auto = settings::tidy_settings(call, AUTO)?;
    Ok(object(json!({
        "enabled": auto.enabled,
        "interval_duration": auto.interval.as_secs(),
        "tidy_cert_store": auto.plan.tidy_cert_store,
        "tidy_revoked_certs": auto.plan.tidy_revoked_certs,
        "tidy_revoked_cert_issuer_associations": auto.plan.tidy_revoked_cert_issuer_associations,
        "tidy_expired_issuers": auto.plan.tidy_expired_issuers,
        "safety_buffer": auto.plan.safety_buffer.as_secs(),
        "issuer_safety_buffer": auto.plan.issuer_safety_buffer.as_secs(),
    })))
}

pub(super) fn write_auto(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut auto: Auto = settings::tidy_settings(call, AUTO)?;
    let fields = call.fields();
    auto.enabled = fields.boolean("enabled")?.unwrap_or(auto.enabled);
    auto.interval = fields.duration("interval_duration")?.unwrap_or(auto.interval);
    auto.plan.change(fields)?;
    if auto.enabled && auto.plan.is_empty() {
        return Err(Error::invalid("auto-tidy enabled but no tidy operations were requested"));
    }
    settings::set_tidy_settings(call, AUTO, &auto)?;
    read_auto(call)
}

/// A piece of what is under way, or due by itself; called by the server's maintenance.
pub(super) fn tidy(call: &mut Call<'_>) -> Result<Tidied, Error> {
    revocation::keep_current(call)?;
    let of_acme = super::acme::tidy(call)?;
    let state: State = settings::tidy_settings(call, STATE)?;
    if state.state != RUNNING {
        let auto: Auto = settings::tidy_settings(call, AUTO)?;
        let last = state.started.unwrap_or(Timestamp::EPOCH);
        if !auto.enabled || call.now < last.plus(auto.interval) {
            return Ok(of_acme);
        }
        begin(call, auto.plan)?;
    }
    work(call)
}

/// Goes through some of the certificates; the last piece sees to the issuers.
fn work(call: &mut Call<'_>) -> Result<Tidied, Error> {
    let mut state: State = settings::tidy_settings(call, STATE)?;
    let mut looked_at = 0;
    while state.next_bucket < BUCKETS && looked_at < CERTIFICATES_PER_PIECE {
        looked_at += bucket(call, &mut state)?;
        state.next_bucket += 1;
    }
    let is_done = state.next_bucket >= BUCKETS;
    if is_done {
        tidy_issuers(call, &mut state)?;
        "Finished".clone_into(&mut state.state);
        state.finished = Some(call.now);
    }
    settings::set_tidy_settings(call, STATE, &state)?;
    Ok(if is_done { Tidied::All } else { Tidied::More })
}

/// Removes what is over among the certificates whose number starts with one byte; says how many there were.
fn bucket(call: &mut Call<'_>, state: &mut State) -> Result<usize, Error> {
    let mut over = Vec::new();
    let mut count = 0;
    let end = call.now.minus(state.plan.safety_buffer);
    let first = u8::try_from(state.next_bucket).unwrap_or(u8::MAX);
    store::visit_certificates(call, first, &mut |serial, certificate| {
        count += 1;
        if certificate.not_after() < end {
            over.push(serial.to_vec());
        }
        ControlFlow::Continue(())
    })?;
    let issuers: Vec<_> = store::issuers(call)?.into_iter().map(|issuer| issuer.id).collect();
    for serial in over {
        match store::revocation(call, &serial)? {
            Some(_) if state.plan.tidy_revoked_certs => {
                store::remove_revocation(call, &serial)?;
                store::remove_certificate(call, &serial)?;
                state.revocations_deleted += 1;
            }
            None if state.plan.tidy_cert_store => {
                store::remove_certificate(call, &serial)?;
                state.certificates_deleted += 1;
            }
            _ => {}
        }
    }
    if state.plan.tidy_revoked_cert_issuer_associations {
        forget_lost_issuers(call, first, &issuers)?;
    }
    Ok(count)
}

/// Revocations whose issuer is gone no longer name it.
fn forget_lost_issuers(call: &mut Call<'_>, first: u8, issuers: &[String]) -> Result<(), Error> {
    for mut record in store::revocations(call)? {
        if record.serial.first() == Some(&first)
            && !record.issuer.is_empty()
            && !issuers.contains(&record.issuer)
        {
            record.issuer.clear();
            store::put_revocation(call, &record)?;
        }
    }
    Ok(())
}

fn tidy_issuers(call: &mut Call<'_>, state: &mut State) -> Result<(), Error> {
    if !state.plan.tidy_expired_issuers {
        return Ok(());
    }
    let end = call.now.minus(state.plan.issuer_safety_buffer);
    let default = settings::defaults(call)?.issuer;
    for issuer in store::issuers(call)? {
        let certificate = ReadCertificate::from_der(&issuer.der).map_err(damaged)?;
        if certificate.not_after() < end && issuer.id != default {
            store::remove_issuer(call, &issuer.id)?;
            state.issuers_deleted += 1;
        }
    }
    store::relink(call)
}
