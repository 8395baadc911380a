//! Accounts that exist, and whose passwords change by a period: one account, or two that take turns. A new password is
//! stored as pending before the database learns of it, set, proven by a login, and only then the present one. Whatever
//! dies in between, the next attempt sets the same pending password again.

use super::connections::{self, Connection, TIME_LIMIT, forget_due, make_due, text_of};
use super::pools::Reach;
use super::statements::{self, Account};
use super::wire::Trouble;
use super::{DUE, STATIC_ROLES, names, roles};
use crate::answer::object;
use crate::listing::page;
use crate::secret_serde;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_kernel::rotation::next_by_cron;
use strongroom_kernel::{
    Call, ChoreHold, ChoreWatch, Deadline, DueChores, Errand, Error, Failure, Key, LANE_WIDTH_MAX, Lane,
    Outward, Record, Response,
};
use strongroom_secret::{SecretBytes, SecretString, Timestamp};

const PERIOD_MIN: Duration = Duration::from_secs(5);
const WINDOW_MIN: Duration = Duration::from_secs(3600);
/// After the first attempt that failed; then twice as long, and so on.
const RETRY_DELAY: Duration = Duration::from_secs(10);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(3600);
/// While an attempt is under way, and after its process died.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);
/// For a look at which of two passwords counts.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// A static role as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StaticRole {
    name: String,
    db_name: String,
    rotation_statements: Vec<String>,
    period: Duration,
    /// A cron line in UTC; empty for a period.
    schedule: String,
    window: Duration,
    password_policy: String,
    /// One, or two that take turns.
    accounts: Vec<StoredAccount>,
    active: usize,
    pending: Option<Pending>,
    last_rotation: Option<Timestamp>,
    /// When the chore comes up next.
    due: Timestamp,
    failures: u32,
    last_error: String,
    /// How often the password was changed.
    #[serde(default)]
    rotations: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredAccount {
    username: String,
    /// Empty while it is not known.
    #[serde(with = "secret_serde")]
    password: SecretBytes,
}

/// What is being set.
#[derive(Serialize, Deserialize)]
struct Pending {
    account: usize,
    #[serde(with = "secret_serde")]
    password: SecretBytes,
}

impl Record for StaticRole {}

impl StaticRole {
    fn chore(&self) -> String {
        format!("static/{}", self.name)
    }

    /// When a role that was changed at `at` is to be changed again.
    fn next_after(&self, at: Timestamp) -> Result<Timestamp, Error> {
        match self.schedule.as_str() {
            "" => Ok(at.plus(self.period)),
            schedule => next_of(schedule, at),
        }
    }

    /// The account whose password is to be changed: the one that is not in use, where there are two.
    fn idle(&self) -> usize {
        if self.accounts.len() > 1 { 1 - self.active.min(1) } else { 0 }
    }

    fn present(&self) -> Option<&StoredAccount> {
        self.accounts.get(self.active).filter(|account| !account.password.expose().is_empty())
    }
}

fn key(call: &Call<'_>, name: &str) -> Key {
    call.tx.name_key(&call.table(STATIC_ROLES), name)
}

fn stored(call: &mut Call<'_>, name: &str) -> Result<Option<StaticRole>, Error> {
    let key = key(call, name);
    call.tx.record(&key)
}

fn named(call: &mut Call<'_>, name: &str) -> Result<StaticRole, Error> {
    stored(call, name)?.ok_or_else(|| Error::invalid(format!("unknown role: {name}")))
}

/// Writes a role, and when its chore comes up.
fn save(call: &mut Call<'_>, role: &mut StaticRole, due: Timestamp) -> Result<(), Error> {
    forget_due(call, Some(role.due), &role.chore())?;
    role.due = due;
    make_due(call, due, &role.chore())?;
    let key = key(call, &role.name);
    call.tx.put_record(&key, role)
}

/// What is due, static roles and root passwords.
pub(super) fn due(call: &mut Call<'_>, limit: usize) -> Result<DueChores, Error> {
    let table = call.table(DUE);
    let now = call.now;
    let mut found = DueChores::default();
    call.tx.entries(&table, &mut |rest, value| {
        let at = rest.first_chunk::<8>().and_then(|at| i64::try_from(u64::from_be_bytes(*at)).ok());
        let at = at
            .map(Timestamp::from_nanoseconds)
            .ok_or_else(|| Error::internal("a row of what is due is short"))?;
        if at > now || found.names.len() >= limit {
            found.next = Some(at);
            return Ok(ControlFlow::Break(()));
        }
        found.names.extend(String::from_utf8(value.to_vec()));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// Begins to change a password, or goes on with it.
pub(super) fn begin(call: &mut Call<'_>, name: &str) -> Result<Outward, Error> {
    let Some(mut role) = stored(call, name)? else { return Ok(Outward::nothing()) };
    if is_too_late(&role, call.now)? {
        let next = role.next_after(call.now)?;
        tracing::warn!(role = name, "a rotation missed its window and waits for the next one");
        save(call, &mut role, next)?;
        return Ok(Outward::nothing());
    }
    let connection = connections::allowed(call, &role.db_name, name)?;
    if role.pending.is_none() {
        let policy =
            if role.password_policy.is_empty() { &connection.password_policy } else { &role.password_policy };
        let password = names::password(call, policy)?;
        let password = SecretBytes::new(password.expose().as_bytes().to_vec());
        role.pending = Some(Pending { account: role.idle(), password });
    }
    let due = call.now.plus(ATTEMPT_MAX);
    save(call, &mut role, due)?;
    rotation(call, &connection, &role)
}

/// Whether a rotation by schedule that has not begun is past its window.
fn is_too_late(role: &StaticRole, now: Timestamp) -> Result<bool, Error> {
    let is_by_schedule = !role.schedule.is_empty() && !role.window.is_zero() && role.pending.is_none();
    Ok(is_by_schedule && role.last_rotation.is_some() && now.since(role.due) > role.window)
}

/// The errand that makes the pending password the present one.
fn rotation(call: &mut Call<'_>, connection: &Connection, role: &StaticRole) -> Result<Outward, Error> {
    let gone = || Error::internal("a rotation without its password");
    let pending = role.pending.as_ref().ok_or_else(gone)?;
    let account = role.accounts.get(pending.account).ok_or_else(gone)?;
    let password = text_of(&pending.password)?;
    let change = Change {
        set: statements_for(connection, &role.rotation_statements, &account.username, &password)?,
        username: account.username.clone(),
        before: match account.password.expose().is_empty() {
            true => None,
            false => {
                let before = text_of(&account.password)?;
                let set = statements_for(connection, &role.rotation_statements, &account.username, &before)?;
                Some((before, set))
            }
        },
        password,
    };
    let (reach, name) = (connection.reach(call)?, role.name.clone());
    let marker = pending.password.duplicate();
    Ok(Outward::Errand(Errand {
        intent: None,
        lane: connection.lane(),
        time_limit: TIME_LIMIT,
        action: Box::new(move |deadline| {
            change.make(&reach, deadline)?;
            Ok(Box::new(move |call| promote(call, &name, &marker).map(|()| Response::default())))
        }),
    }))
}

pub(super) fn statements_for(
    connection: &Connection,
    given: &[String],
    username: &str,
    password: &SecretString,
) -> Result<Vec<SecretString>, Error> {
    let engine = connection.engine()?;
    let texts = if given.is_empty() { statements::default_rotation(engine) } else { given.to_vec() };
    let account = Account { name: username, password: Some(password), expiration: None };
    statements::fill(engine, &connection.with_persistence(texts), &account, connection.escaping())
}

/// A password of an account that exists, before and after.
pub(super) struct Change {
    pub username: String,
    pub password: SecretString,
    pub set: Vec<SecretString>,
    /// The present password, and how it would be set again.
    pub before: Option<(SecretString, Vec<SecretString>)>,
}

impl Change {
    /// Sets the new password and logs in with it. If that login is refused, the old one is set again.
    pub(super) fn make(&self, reach: &Reach, deadline: &Deadline) -> Result<(), Failure> {
        let secrets = [&self.password];
        reach.run(&self.username, &self.set, deadline).map_err(|trouble| reach.failure(trouble, &secrets))?;
        let Err(trouble) = reach.verify(&self.username, &self.password, deadline) else { return Ok(()) };
        let is_refused = matches!(trouble, Trouble::LoginRefused(_));
        let trouble = trouble.without(&secrets);
        let mut text = format!("the new password of {:?} does not log in: {}", self.username, trouble.text());
        if let (true, Some((before, set))) = (is_refused, &self.before) {
            match reach.run(&self.username, set, deadline) {
                Ok(()) => text.push_str("; the one before is set again"),
                Err(trouble) => {
                    let trouble = trouble.without(&[before]);
                    text.push_str(&format!("; the one before cannot be set again: {}", trouble.text()));
                }
            }
        }
        Err(Failure::Unclear(Error::new(strongroom_kernel::ErrorKind::Unavailable, text)))
    }
}

/// The pending password counts from now on.
fn promote(call: &mut Call<'_>, name: &str, marker: &SecretBytes) -> Result<(), Error> {
    let Some(mut role) = stored(call, name)? else { return Ok(()) };
    // Two attempts at once set the same password; the first of them has promoted it.
    let Some(pending) = role.pending.take_if(|pending| *pending.password.expose() == *marker.expose()) else {
        return Ok(());
    };
    if let Some(account) = role.accounts.get_mut(pending.account) {
        account.password = pending.password;
    }
    role.active = pending.account;
    role.last_rotation = Some(call.now);
    role.rotations += 1;
    role.failures = 0;
    role.last_error.clear();
    call.chore_is_done(&role.chore());
    let next = role.next_after(call.now)?;
    save(call, &mut role, next)
}

/// Notes that it did not work; the old password stays, and the attempt is made again later.
pub(super) fn failed(call: &mut Call<'_>, name: &str, error: &Error) -> Result<(), Error> {
    let Some(mut role) = stored(call, name)? else {
        return forget_due(call, Some(call.now), &format!("static/{name}"));
    };
    let delay = RETRY_DELAY.saturating_mul(2_u32.saturating_pow(role.failures.min(16))).min(RETRY_DELAY_MAX);
    role.failures = role.failures.saturating_add(1);
    role.last_error = error.messages.join("; ").chars().take(512).collect();
    let due = call.now.plus(delay);
    save(call, &mut role, due)
}

pub(super) fn rotate(call: &mut Call<'_>) -> Result<Outward, Error> {
    let name = call.capture("name").to_owned();
    let mut role = named(call, &name)?;
    let Some(hold) = call.hold_chore(&role.chore()) else {
        let before = role.rotations;
        return joined(call, &role, move |_, role| match role.rotations > before {
            true => Ok(Response::default()),
            false => Err(under_way()),
        });
    };
    // Asked for by somebody, it is not bound to a window: it has begun.
    if role.pending.is_none() {
        let connection = connections::allowed(call, &role.db_name, &name)?;
        let policy =
            if role.password_policy.is_empty() { &connection.password_policy } else { &role.password_policy };
        let password = names::password(call, policy)?;
        role.pending = Some(Pending {
            account: role.idle(),
            password: SecretBytes::new(password.expose().as_bytes().to_vec()),
        });
        let due = call.now.plus(ATTEMPT_MAX);
        save(call, &mut role, due)?;
    }
    Ok(held(begin(call, &name)?, hold))
}

/// One rotation at a time: a second one would take the first one's password for refused, and set an old one again.
pub(super) fn held(outward: Outward, hold: ChoreHold) -> Outward {
    match outward {
        Outward::Errand(errand) => Outward::Errand(errand.then(move |_, response| {
            // Dropped with the errand.
            let _hold = &hold;
            Ok(response)
        })),
        answer @ Outward::Answer(_) => answer,
    }
}

/// Waits for the rotation that is under way, and answers by what came of it.
fn joined(
    call: &Call<'_>,
    role: &StaticRole,
    answer: impl Fn(&Call<'_>, &StaticRole) -> Result<Response, Error> + Send + Sync + 'static,
) -> Result<Outward, Error> {
    let (watch, name) = (call.watch_chore(&role.chore()), role.name.clone());
    Ok(Outward::Errand(waiting(watch, &role.db_name, move |call| {
        let role = named(call, &name)?;
        answer(call, &role)
    })))
}

/// An errand that waits for a chore, beside the lane in which that is done.
pub(super) fn waiting(
    watch: ChoreWatch,
    connection: &str,
    conclude: impl Fn(&mut Call<'_>) -> Result<Response, Error> + Send + Sync + 'static,
) -> Errand {
    Errand {
        intent: None,
        lane: Lane { name: format!("{connection} (waiting)"), width: LANE_WIDTH_MAX },
        time_limit: TIME_LIMIT,
        action: Box::new(move |deadline| {
            watch.wait(deadline);
            Ok(Box::new(conclude))
        }),
    }
}

pub(super) fn under_way() -> Error {
    let text = "the rotation that was under way has not succeeded: read the role, and try again";
    Error::new(strongroom_kernel::ErrorKind::Unavailable, text)
}

/// The present password. That of a role that is new is set first.
pub(super) fn credentials(call: &mut Call<'_>) -> Result<Outward, Error> {
    let name = call.capture("name").to_owned();
    let role = named(call, &name)?;
    connections::allowed(call, &role.db_name, &name)?;
    if let Some(present) = role.present() {
        let Some(pending) = role.pending.as_ref().filter(|pending| pending.account == role.active) else {
            return answer(call, &role, None).map(Outward::Answer);
        };
        let (username, pending) = (present.username.clone(), text_of(&pending.password)?);
        return while_it_changes(call, role, username, pending);
    }
    let Some(hold) = call.hold_chore(&role.chore()) else {
        return joined(call, &role, |call, role| answer(call, role, None));
    };
    match held(begin(call, &name)?, hold) {
        Outward::Errand(errand) => Ok(Outward::Errand(errand.then(move |call, _| {
            let role = named(call, &name)?;
            answer(call, &role, None)
        }))),
        Outward::Answer(_) => Err(Error::invalid("the role's password is not known: rotate it")),
    }
}

/// Between the moment in which the database takes a new password and the commit that says so, the pending one is what
/// counts: whoever asks then is told which of the two logs in.
fn while_it_changes(
    call: &mut Call<'_>,
    role: StaticRole,
    username: String,
    pending: SecretString,
) -> Result<Outward, Error> {
    let connection = connections::named(call, &role.db_name)?;
    let (reach, lane, clock) = (connection.reach(call)?, connection.lane(), call.clock());
    Ok(Outward::Errand(Errand {
        intent: None,
        lane,
        time_limit: TIME_LIMIT,
        action: Box::new(move |_| {
            // A database that does not answer is no reason not to say what is known.
            let is_set = reach.verify(&username, &pending, &Deadline::new(clock, LOOK_MAX)).is_ok();
            Ok(Box::new(move |call| answer(call, &role, is_set.then_some(&pending))))
        }),
    }))
}

/// With what is set already, though it is not yet the role's.
fn answer(call: &Call<'_>, role: &StaticRole, set: Option<&SecretString>) -> Result<Response, Error> {
    let account =
        role.present().ok_or_else(|| Error::invalid("the role's password is not known: rotate it"))?;
    let password = set.map_or_else(|| text_of(&account.password), |set| Ok(set.duplicate()))?;
    let next = match role.pending {
        // It is about to change, or long due.
        Some(_) => Duration::ZERO,
        None => role.due.since(call.now),
    };
    let mut data = json!({
        "username": account.username,
        "password": password.expose(),
        "last_vault_rotation": role.last_rotation.map(Timestamp::rfc3339),
        "ttl": next.as_secs(),
    });
    add_schedule(&mut data, role);
    Ok(object(data))
}

fn add_schedule(data: &mut Value, role: &StaticRole) {
    let Some(data) = data.as_object_mut() else { return };
    match role.schedule.as_str() {
        "" => drop(data.insert("rotation_period".to_owned(), json!(role.period.as_secs()))),
        schedule => {
            data.insert("rotation_schedule".to_owned(), json!(schedule));
            data.insert("rotation_window".to_owned(), json!(role.window.as_secs()));
        }
    }
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let name = call.capture("name").to_owned();
    Ok(stored(call, &name)?.is_some())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(STATIC_ROLES);
    let names = call.tx.children(&table)?;
    page(call, names)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let role = stored(call, &name)?.ok_or_else(Error::not_found)?;
    let usernames: Vec<&str> = role.accounts.iter().map(|account| account.username.as_str()).collect();
    let mut data = json!({
        "db_name": role.db_name,
        "username": role.accounts.get(role.active).map(|account| &account.username),
        "rotation_statements": role.rotation_statements,
        "credential_type": "password",
        "credential_config": roles::credential_config(&role.password_policy),
        "last_vault_rotation": role.last_rotation.map(Timestamp::rfc3339),
        "next_vault_rotation": role.due.rfc3339(),
        "is_rotating": role.pending.is_some(),
        "failed_attempts": role.failures,
        "last_error": role.last_error,
    });
    if let (Some(data), true) = (data.as_object_mut(), usernames.len() > 1) {
        data.insert("usernames".to_owned(), json!(usernames));
    }
    add_schedule(&mut data, &role);
    Ok(object(data))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    if let Some(role) = stored(call, &name)? {
        forget_due(call, Some(role.due), &role.chore())?;
        let key = key(call, &name);
        call.tx.delete(&key)?;
    }
    Ok(Response::default())
}

/// Makes or changes a static role. A new one is kept once the database has said that its accounts exist.
pub(super) fn write(call: &mut Call<'_>) -> Result<Outward, Error> {
    let name = call.capture("name").to_owned();
    let known = stored(call, &name)?;
    let is_new = known.is_none();
    let mut role = known.unwrap_or_else(|| blank(&name, call.now));
    change(call, &mut role)?;
    let connection = connections::allowed(call, &role.db_name, &name)?;
    if !is_new {
        // A shorter period counts from the last change.
        let due = match (&role.pending, role.last_rotation) {
            (None, Some(last)) => role.next_after(last)?,
            _ => role.due,
        };
        save(call, &mut role, due)?;
        return Ok(Outward::nothing());
    }
    let imported = imported(call, &role)?;
    let usernames: Vec<String> = role.accounts.iter().map(|account| account.username.clone()).collect();
    let ask = move |reach: &Reach, deadline: &Deadline| {
        for username in &usernames {
            if !reach.has_account(username, deadline)? {
                return Err(Trouble::Refused(format!("there is no account {username:?}")));
            }
        }
        Ok(())
    };
    let reach = connection.reach(call)?;
    let made = parking_lot::Mutex::new(role);
    Ok(connections::asked(connection.lane(), reach, ask, move |call| {
        if stored(call, &name)?.is_some() {
            return Err(Error::invalid("the role was made by somebody else meanwhile"));
        }
        let mut role = made.lock();
        let due = match &imported {
            // Its password is not known, so it is changed at once.
            None => call.now,
            Some(password) => {
                if let Some(account) = role.accounts.first_mut() {
                    account.password = password.duplicate();
                }
                role.next_after(call.now)?
            }
        };
        save(call, &mut role, due)?;
        Ok(Response::default())
    }))
}

/// The password that a role begins with, where it is not to be changed at once.
fn imported(call: &Call<'_>, role: &StaticRole) -> Result<Option<SecretBytes>, Error> {
    if !call.fields().boolean("skip_import_rotation")?.unwrap_or(false) {
        return Ok(None);
    }
    if role.accounts.len() > 1 {
        return Err(Error::invalid("two accounts that take turns begin with a rotation"));
    }
    let password = call.fields().text("password")?.unwrap_or_default();
    Ok(Some(SecretBytes::new(password.into_bytes())))
}

fn blank(name: &str, now: Timestamp) -> StaticRole {
    StaticRole {
        name: name.to_owned(),
        db_name: String::new(),
        rotation_statements: Vec::new(),
        period: Duration::ZERO,
        schedule: String::new(),
        window: Duration::ZERO,
        password_policy: String::new(),
        accounts: Vec::new(),
        active: 0,
        pending: None,
        last_rotation: None,
        due: now,
        failures: 0,
        last_error: String::new(),
        rotations: 0,
    }
}

fn change(call: &mut Call<'_>, role: &mut StaticRole) -> Result<(), Error> {
    if let Some(policy) = roles::password_policy(call)? {
        role.password_policy = policy;
    }
    let fields = call.fields();
    if let Some(name) = fields.text("db_name")? {
        if !role.db_name.is_empty() && role.db_name != name {
            return Err(Error::invalid("db_name of a static role cannot be changed: make another one"));
        }
        role.db_name = name;
    }
    let usernames = match (fields.list("usernames")?, fields.text("username")?) {
        (Some(two), None) if two.len() == 2 && two.first() != two.last() => Some(two),
        (None, Some(one)) => Some(vec![one]),
        (None, None) => None,
        _ => return Err(Error::invalid("give username, or usernames with two different names")),
    };
    if let Some(usernames) = usernames {
        usernames.iter().try_for_each(|name| statements::check_username(name))?;
        let is_same =
            |role: &StaticRole| role.accounts.iter().map(|account| &account.username).eq(usernames.iter());
        if !role.accounts.is_empty() && !is_same(role) {
            return Err(Error::invalid("cannot update static account username: make another role"));
        }
        if role.accounts.is_empty() {
            let account = |username| StoredAccount { username, password: SecretBytes::new(Vec::new()) };
            role.accounts = usernames.into_iter().map(account).collect();
        }
    }
    if role.db_name.is_empty() || role.accounts.is_empty() {
        return Err(Error::invalid("db_name and username (or usernames) must be given"));
    }
    if let Some(given) = statements::of_field(fields, "rotation_statements")? {
        role.rotation_statements = given;
    }
    change_schedule(call, role)
}

fn change_schedule(call: &Call<'_>, role: &mut StaticRole) -> Result<(), Error> {
    let fields = call.fields();
    let period = fields.duration("rotation_period")?;
    let schedule = fields.text("rotation_schedule")?.filter(|schedule| !schedule.is_empty());
    match (period, schedule) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("rotation_period and rotation_schedule exclude each other"));
        }
        (Some(period), None) if period < PERIOD_MIN => {
            return Err(Error::invalid("rotation_period must be 5 seconds or more"));
        }
        (Some(period), None) => (role.period, role.schedule) = (period, String::new()),
        (None, Some(schedule)) => {
            next_of(&schedule, call.now)?;
            (role.period, role.schedule) = (Duration::ZERO, schedule);
        }
        (None, None) if role.period.is_zero() && role.schedule.is_empty() => {
            return Err(Error::invalid("one of rotation_period and rotation_schedule must be given"));
        }
        (None, None) => {}
    }
    if let Some(window) = fields.duration("rotation_window")? {
        if role.schedule.is_empty() {
            return Err(Error::invalid("rotation_window goes with rotation_schedule"));
        }
        if window < WINDOW_MIN {
            return Err(Error::invalid("rotation_window must be 1 hour or more"));
        }
        role.window = window;
    }
    Ok(())
}

fn next_of(schedule: &str, after: Timestamp) -> Result<Timestamp, Error> {
    next_by_cron(schedule, after).map_err(|mut error| {
        let text = error.messages.join("; ");
        error.messages = vec![format!("rotation_schedule must be a cron line: {text}")];
        error
    })
}
