//! `sys/rotation/plans/`.

use super::{asker, planned};
use crate::call::Call;
use crate::error::Error;
use crate::policy::{AccessRequest, Operation};
use crate::request::{Fields, Response};
use crate::rotation::outside::open_accounts;
use crate::rotation::plan::{
    ATTEMPTS_DEFAULT, GRACE_DEFAULT, Generator, Notice, PAUSE_AFTER_DEFAULT, Place, Plan, TIMEOUT_DEFAULT,
    Target, VALIDATE_FAILURES_DEFAULT, WebhookKey, check_field,
};
use crate::rotation::schedule::Schedule;
use crate::rotation::{Rotation, parse, store};
use serde_json::json;
use std::time::Duration;
use strongroom_crypto::token::{decode_base64, uuid_v4};
use strongroom_secret::{SecretBytes, SecretString, parse_duration};

const LISTED_MAX: usize = 100_000;
const WEBHOOK_KEY_BYTES: usize = 32;
const GRACE_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let prefix = call.capture("path").trim_matches('/').to_owned();
    let mut names = Vec::new();
    match call.namespace.mount_of(&prefix).cloned() {
        Some(mount) => {
            let below = prefix.strip_prefix(mount.path().trim_end_matches('/')).unwrap_or_default();
            names = store::children(&mut call.tx, call.namespace.id(), mount.record.id, below)?;
        }
        // Above mounts: their own paths.
        None => {
            let start = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
            for mount in call.namespace.mounts.values() {
                let Some(rest) = mount.path().strip_prefix(&start) else { continue };
                if !store::paths(&mut call.tx, call.namespace.id(), mount.record.id, 1)?.is_empty() {
                    names.push(rest.split_inclusive('/').next().unwrap_or(rest).to_owned());
                }
            }
        }
    }
    names.truncate(LISTED_MAX);
    names.sort_unstable();
    names.dedup();
    Response::keys(names)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let (place, plan) = planned(call)?;
    Ok(Response::data(plan.shown(&place.shown(call))))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let place = Place::named(call, call.capture("path"))?;
    may_write_secret(call, &place)?;
    let mut state = store::read_state(&mut call.tx, &place)?;
    if let Some(active) = state.active.as_ref().filter(|_| state.paused.is_none()) {
        return Err(Error::invalid(format!(
            "a rotation is under way (step {}): its plan can be changed when it is done, or after \
             sys/rotation/rollback/",
            active.step.as_str()
        )));
    }
    let before = store::read_plan(&mut call.tx, &place)?;
    let before_schedule = before.as_ref().map(|plan| plan.schedule.clone());
    let mut plan = before.map_or_else(|| new_plan(call), Ok)?;
    let had_key = plan.webhook_key.is_some();
    change(call, &mut plan)?;
    check(call, &plan)?;
    if plan.uses_webhooks() && plan.webhook_key.is_none() {
        let mut key = vec![0; WEBHOOK_KEY_BYTES];
        call.entropy().fill(&mut key);
        plan.webhook_key = Some(WebhookKey(SecretBytes::new(key)));
    }
    plan.updated = call.now;
    plan.author = asker(call);
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    if before_schedule.as_ref() != Some(&plan.schedule) {
        state.plan_next(&plan, now);
    }
    // Who changes a plan has seen to it.
    state.paused = None;
    state.failures = 0;
    if let Some(active) = &mut state.active {
        let step = active.step;
        active.go_to(step, now);
    }
    store::save_plan(&mut call.tx, &place, &plan)?;
    store::save_state(&mut call.tx, &place, &plan, &mut state, now)?;
    let mut shown = plan.shown(&place.shown(call));
    // Told this once.
    if let Some(key) = plan.webhook_key.as_ref().filter(|_| !had_key) {
        shown.insert("webhook_key".to_owned(), json!(key.text()));
    }
    let mut response = Response::data(shown);
    response.warnings = warnings(&plan);
    Ok(response)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let place = Place::named(call, call.capture("path"))?;
    let Some(plan) = store::read_plan(&mut call.tx, &place)? else { return Ok(Response::default()) };
    let state = store::read_state(&mut call.tx, &place)?;
    if state.active.is_some() && state.paused.is_none() {
        return Err(Error::invalid(
            "a rotation is under way: remove the plan when it is done, or after sys/rotation/rollback/",
        ));
    }
    store::remove(&mut call.tx, &place, &plan, &state)?;
    let warning = "versions in their grace are no longer valid, and are not retired where they were applied";
    match state.grace.is_empty() {
        true => Ok(Response::default()),
        false => Ok(Response::default().with_warning(warning)),
    }
}

/// Who writes a plan writes the secret in time: they need to be allowed to.
fn may_write_secret(call: &mut Call<'_>, place: &Place) -> Result<(), Error> {
    let below = place.act(call, |_, functions| Ok((functions.policy_path)(&place.path)))?;
    let mount = crate::mounts::by_id(call.topology, place.namespace, place.mount);
    let path = format!("{}{below}", mount.as_ref().map_or("", |mount| mount.path()));
    may_update(call, &path)
}

fn may_update(call: &Call<'_>, path: &str) -> Result<(), Error> {
    let caller = call.require_caller()?;
    let wanted = AccessRequest::new(call.namespace.path(), path, Operation::Update, call.now);
    match caller.acl.check(&wanted).is_allowed() {
        true => Ok(()),
        false => {
            let mut error = Error::denied();
            error
                .messages
                .push(format!("a plan changes more than itself: update on {path} is needed as well"));
            Err(error)
        }
    }
}

/// A plan of which nothing was said yet.
fn new_plan(call: &Call<'_>) -> Result<Plan, Error> {
    if !call.fields().has("generate") {
        return Err(Error::invalid(
            "missing generate: what makes the new value, as password, \"token bytes=32\", uuid, ed25519",
        ));
    }
    Ok(Plan {
        id: uuid_v4(call.entropy()),
        field: None,
        schedule: Schedule::default(),
        on_leak: true,
        grace: GRACE_DEFAULT,
        leak_grace: Duration::ZERO,
        generate: Generator::Uuid,
        apply: Target::None,
        verify: Target::None,
        notify: Vec::new(),
        timeout: TIMEOUT_DEFAULT,
        attempts: ATTEMPTS_DEFAULT,
        pause_after: PAUSE_AFTER_DEFAULT,
        validate_failures_per_minute: VALIDATE_FAILURES_DEFAULT,
        webhook_key: None,
        created: call.now,
        updated: call.now,
        author: String::new(),
    })
}

const KNOWN: [&str; 18] = [
    "path",
    "field",
    "every",
    "cron",
    "at",
    "after_reads",
    "on_leak",
    "grace",
    "leak_grace",
    "generate",
    "apply",
    "verify",
    "notify",
    "timeout",
    "attempts",
    "pause_after",
    "validate_failures_per_minute",
    "webhook_key",
];

/// Takes what the request says.
fn change(call: &Call<'_>, plan: &mut Plan) -> Result<(), Error> {
    let fields = call.fields();
    if let Some(unknown) = fields.0.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(Error::invalid(format!("unknown field {unknown:?}: known are {}", KNOWN.join(", "))));
    }
    if let Some(field) = fields.text("field")? {
        if !field.is_empty() {
            check_field("field", &field)?;
        }
        plan.field = Some(field).filter(|field| !field.is_empty());
    }
    plan.schedule.change(fields, call.now)?;
    if let Some(on_leak) = fields.boolean("on_leak")? {
        plan.on_leak = on_leak;
    }
    plan.grace = duration(fields, "grace", plan.grace, Duration::ZERO..=GRACE_MAX)?;
    plan.leak_grace = duration(fields, "leak_grace", plan.leak_grace, Duration::ZERO..=GRACE_MAX)?;
    let waits = Duration::from_secs(1)..=Duration::from_secs(600);
    plan.timeout = duration(fields, "timeout", plan.timeout, waits)?;
    if let Some(generate) = fields.value("generate") {
        plan.generate = parse::generator(generate)?;
    }
    if let Some(apply) = fields.value("apply") {
        plan.apply = parse::target("apply", apply)?;
        if !fields.has("verify") {
            // The obvious proof of a password is a login.
            plan.verify = match &plan.apply {
                Target::Database(_) => plan.apply.clone(),
                _ => Target::None,
            };
        }
    }
    if let Some(verify) = fields.value("verify") {
        plan.verify = match (verify.as_str(), &plan.apply) {
            (Some("database" | "login"), Target::Database(_)) => plan.apply.clone(),
            _ => parse::target("verify", verify)?,
        };
    }
    if let Some(notify) = fields.value("notify") {
        plan.notify = parse::notices(notify)?;
    }
    plan.attempts = count(fields, "attempts", plan.attempts, 1..=100)?;
    plan.pause_after = count(fields, "pause_after", plan.pause_after, 1..=1000)?;
    let failures = plan.validate_failures_per_minute;
    plan.validate_failures_per_minute =
        count(fields, "validate_failures_per_minute", failures, 0..=1_000_000)?;
    change_key(fields, plan)
}

fn change_key(fields: &Fields, plan: &mut Plan) -> Result<(), Error> {
    if let Some(key) = webhook_key(fields)? {
        plan.webhook_key = Some(key);
    }
    Ok(())
}

/// The key that a request brings for webhooks.
pub(crate) fn webhook_key(fields: &Fields) -> Result<Option<WebhookKey>, Error> {
    let Some(text) = fields.text("webhook_key")?.map(SecretString::new) else { return Ok(None) };
    let key = text.expose().strip_prefix("whsec_").and_then(decode_base64);
    let key = key.filter(|key| (24..=64).contains(&key.expose().len()));
    let key = key.ok_or_else(|| Error::invalid("webhook_key must be whsec_ and 24 to 64 bytes in base64"))?;
    Ok(Some(WebhookKey(key)))
}

fn duration(
    fields: &Fields,
    name: &str,
    present: Duration,
    bounds: std::ops::RangeInclusive<Duration>,
) -> Result<Duration, Error> {
    let given = match fields.value(name).and_then(serde_json::Value::as_str) {
        Some("") => None,
        Some(text) => {
            Some(parse_duration(text).map_err(|error| Error::invalid(format!("field {name:?}: {error}")))?)
        }
        None => fields.duration(name)?,
    };
    match given {
        Some(given) if !bounds.contains(&given) => Err(Error::invalid(format!(
            "{name} must be between {}s and {}s",
            bounds.start().as_secs(),
            bounds.end().as_secs()
        ))),
        given => Ok(given.unwrap_or(present)),
    }
}

fn count(
    fields: &Fields,
    name: &str,
    present: u32,
    bounds: std::ops::RangeInclusive<u32>,
) -> Result<u32, Error> {
    match fields.count(name)? {
        None => Ok(present),
        Some(given) => u32::try_from(given).ok().filter(|given| bounds.contains(given)).ok_or_else(|| {
            Error::invalid(format!("{name} must be between {} and {}", bounds.start(), bounds.end()))
        }),
    }
}

/// Looks at what the plan names: it has to be there, and its writer has to be allowed to use it.
fn check(call: &mut Call<'_>, plan: &Plan) -> Result<(), Error> {
    if let Generator::Password { policy: Some(name) } = &plan.generate {
        crate::system::password_policy_text(call, name)?;
    }
    if let Generator::Key { public_field, .. } = &plan.generate
        && plan.field.as_ref() == Some(public_field)
    {
        return Err(Error::invalid("generate: public_field must be another field than the plan's"));
    }
    let of_targets = [&plan.apply, &plan.verify].into_iter().filter_map(|target| match target {
        Target::Database(target) => Some((&target.mount, &target.connection)),
        _ => None,
    });
    let of_notices = plan.notify.iter().filter_map(|notice| match notice {
        Notice::Database { mount, connection, .. } => Some((mount, connection)),
        _ => None,
    });
    let mut connections: Vec<(&String, &String)> = of_targets.chain(of_notices).collect();
    connections.sort_unstable();
    connections.dedup();
    for (mount, connection) in connections {
        let found = call.namespace.mount_of(mount).filter(|found| found.path() == mount).cloned();
        let functions = found.and_then(|found| found.backend.account);
        let functions = functions.ok_or_else(|| {
            Error::invalid(format!("{mount} is no mount with accounts that could be changed"))
        })?;
        may_update(call, &format!("{mount}{}", (functions.policy_path)(connection)))?;
        open_accounts(call, mount, connection)?;
    }
    let is_account = |target: &Target| matches!(target, Target::Database(_));
    if plan.field.is_none() && (is_account(&plan.apply) || is_account(&plan.verify)) {
        return Err(Error::invalid("an account's password is one field of the secret: say which, as field"));
    }
    Ok(())
}

fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    let is_single = matches!(&plan.apply, Target::Database(target) if target.accounts.is_empty());
    if is_single && !plan.grace.is_zero() {
        warnings.push(
            "an account has one password: in the database the old one ends when the new one is applied. With two \
             accounts that take turns (accounts=a,b) the old one works until its grace is over"
                .to_owned(),
        );
    }
    if plan.apply != Target::None && plan.verify == Target::None {
        warnings.push("nothing is verified: a new value counts as soon as it is applied".to_owned());
    }
    warnings
}
