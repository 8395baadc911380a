//! `creds/:name`: an account for a time. It is made by an errand, and its lease takes it away again.

use super::connections::{self, Connection, TIME_LIMIT};
use super::names::{self, Filling};
use super::pools::Reach;
use super::roles::{self, Role};
use super::statements::{self, Account};
use super::wire::{Engine, Trouble};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use strongroom_kernel::{
    Call, Deadline, Errand, Error, Failure, Intent, IntentDraft, LeaseGrant, LeaseRecord, Outward, Renewal,
    Response,
};
use strongroom_secret::{SecretString, Timestamp};

/// The database itself ends an account so much later than its lease, which takes it away.
const END_MARGIN: Duration = Duration::from_secs(60);

/// What taking an account away takes, in its lease and its intent.
#[derive(Clone, Serialize, Deserialize)]
struct Made {
    username: String,
    db_name: String,
    role: String,
    /// As the role had them, for the time after the role.
    revocation_statements: Vec<String>,
    rollback_statements: Vec<String>,
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Outward, Error> {
    let role_name = call.capture("name").to_owned();
    let role = roles::stored(call, &role_name)?
        .ok_or_else(|| Error::invalid(format!("unknown role: {role_name}")))?;
    let connection = connections::allowed(call, &role.db_name, &role_name)?;
    let display_name = call.require_caller()?.token.display_name.clone();
    let filling = Filling {
        display_name: &display_name,
        role_name: &role_name,
        now: call.now,
        entropy: call.entropy(),
    };
    let username = names::name(connection.template()?, &filling)?;
    let policy =
        if role.password_policy.is_empty() { &connection.password_policy } else { &role.password_policy };
    let password = names::password(call, policy)?;
    let ttl = call.bounded_ttl(role.default_ttl, role.max_ttl);
    let made = Made {
        username: username.clone(),
        db_name: role.db_name.clone(),
        role: role_name,
        revocation_statements: role.revocation.clone(),
        rollback_statements: role.rollback.clone(),
    };
    let internal = internal_of(&made)?;
    let statements = creation(&connection, &role, &username, &password, call.now.plus(ttl + END_MARGIN))?;
    let reach = connection.reach(call)?;
    let intent = IntentDraft { kind: "create account", subject: username.clone(), payload: internal.clone() };
    Ok(Outward::Errand(Errand {
        intent: Some(intent),
        lane: connection.lane(),
        time_limit: TIME_LIMIT,
        action: Box::new(move |deadline| {
            refuse_existing(&reach, &username, deadline)?;
            reach
                .run(&username, &statements, deadline)
                .map_err(|trouble| reach.failure(trouble, &[&password]))?;
            Ok(Box::new(move |_| {
                let data = Map::from_iter([
                    ("username".to_owned(), Value::from(username.clone())),
                    ("password".to_owned(), Value::from(password.expose())),
                ]);
                let ttl_max = Some(role.max_ttl);
                let lease =
                    LeaseGrant { ttl: Some(ttl), ttl_max, renewable: true, internal: internal.clone() };
                Ok(Response { lease: Some(lease), ..Response::data(data) })
            }))
        }),
    }))
}

/// Where statements are no transaction, what was half made is dropped again; an account that was there before must not
/// be. Redis would change it without a word.
fn refuse_existing(reach: &Reach, username: &str, deadline: &Deadline) -> Result<(), Failure> {
    if reach.engine == Engine::Postgres {
        return Ok(());
    }
    let exists =
        reach.has_account(username, deadline).map_err(|trouble| Failure::Untouched(reach.error(&trouble)))?;
    match exists {
        true => Err(Failure::Untouched(Error::invalid(format!(
            "the database {:?} has an account {username:?} already",
            reach.name
        )))),
        false => Ok(()),
    }
}

fn internal_of(made: &Made) -> Result<Value, Error> {
    serde_json::to_value(made)
        .map_err(|error| Error::internal(format!("an account cannot be noted: {error}")))
}

fn creation(
    connection: &Connection,
    role: &Role,
    username: &str,
    password: &SecretString,
    end: Timestamp,
) -> Result<Vec<SecretString>, Error> {
    let engine = connection.engine()?;
    let texts = match engine {
        Engine::Redis => statements::redis_creation(&role.creation)?,
        Engine::Postgres | Engine::Mysql => role.creation.clone(),
    };
    let account = Account { name: username, password: Some(password), expiration: Some(end) };
    statements::fill(engine, &connection.with_persistence(texts), &account, connection.escaping())
}

fn made_of(internal: &Value) -> Result<Made, Error> {
    Made::deserialize(internal)
        .map_err(|error| Error::internal(format!("an account's notes cannot be read: {error}")))
}

pub(super) fn renew(call: &mut Call<'_>, lease: &LeaseRecord) -> Result<Renewal, Error> {
    let made = made_of(&lease.internal)?;
    let role = roles::stored(call, &made.role)?.ok_or_else(|| {
        Error::invalid(format!("the role {:?} is gone: its leases cannot be renewed", made.role))
    })?;
    Ok(Renewal { ttl: role.default_ttl, ttl_max: Some(role.max_ttl) })
}

/// Moves the account's own end behind that of its renewed lease.
pub(super) fn extend(call: &mut Call<'_>, lease: &LeaseRecord, end: Timestamp) -> Result<Outward, Error> {
    let made = made_of(&lease.internal)?;
    let connection = connections::named(call, &made.db_name)?;
    let engine = connection.engine()?;
    let texts = match roles::stored(call, &made.role)?.map(|role| role.renewal) {
        Some(given) if !given.is_empty() => given,
        _ => statements::default_renewal(engine),
    };
    if texts.is_empty() {
        return Ok(Outward::nothing());
    }
    let account = Account { name: &made.username, password: None, expiration: Some(end.plus(END_MARGIN)) };
    let filled = statements::fill(engine, &texts, &account, connection.escaping())?;
    Ok(errand(&connection, connection.reach(call)?, made.username, filled))
}

/// Takes away what a lease stands for.
pub(super) fn revoke(call: &mut Call<'_>, lease: &LeaseRecord) -> Result<Outward, Error> {
    let made = made_of(&lease.internal)?;
    let given = match roles::stored(call, &made.role)? {
        Some(role) => role.revocation,
        None => made.revocation_statements.clone(),
    };
    take_away(call, made, given)
}

/// Takes away what may have been made before something failed.
pub(super) fn undo(call: &mut Call<'_>, intent: &Intent) -> Result<Outward, Error> {
    let made = made_of(&intent.payload)?;
    let given = [&made.rollback_statements, &made.revocation_statements];
    let given = given.into_iter().find(|statements| !statements.is_empty()).cloned().unwrap_or_default();
    take_away(call, made, given)
}

fn take_away(call: &mut Call<'_>, made: Made, given: Vec<String>) -> Result<Outward, Error> {
    let connection = connections::named(call, &made.db_name)?;
    let engine = connection.engine()?;
    let is_default = given.is_empty();
    let texts = if is_default { statements::default_revocation(engine) } else { given };
    let account = Account { name: &made.username, password: None, expiration: None };
    let texts = connection.with_persistence(texts);
    let fill = |texts: &[String]| statements::fill(engine, texts, &account, connection.escaping());
    let filled = fill(&texts)?;
    let locked_out = statements::lock_out(engine).map(|text| fill(&[text.to_owned()])).transpose()?;
    let (reach, lane) = (connection.reach(call)?, connection.lane());
    Ok(Outward::Errand(Errand {
        intent: None,
        lane,
        time_limit: TIME_LIMIT,
        action: Box::new(move |deadline| {
            if let Err(trouble) = reach.run(&made.username, &filled, deadline) {
                // Statements of an operator's own may not allow for an account that is gone already. It is asked for
                // under the same lock as it would be made: nobody makes it any longer.
                let is_gone = !is_default && matches!(reach.has_account(&made.username, deadline), Ok(false));
                if !is_gone {
                    if matches!(trouble, Trouble::Refused(_)) {
                        lock_out(&reach, &made.username, locked_out.as_deref(), deadline);
                    }
                    return Err(reach.failure(trouble, &[]));
                }
            }
            Ok(Box::new(|_| Ok(Response::default())))
        }),
    }))
}

/// An account that cannot be taken away is to be of no use at least. Whether that works changes nothing of the failure.
fn lock_out(reach: &Reach, username: &str, statements: Option<&[SecretString]>, deadline: &Deadline) {
    let Some(statements) = statements else { return };
    if let Err(trouble) = reach.run(username, statements, deadline) {
        tracing::warn!(%username, reason = trouble.text(), "an account that cannot be taken away cannot be locked");
    }
}

fn errand(connection: &Connection, reach: Reach, username: String, filled: Vec<SecretString>) -> Outward {
    Outward::Errand(Errand {
        intent: None,
        lane: connection.lane(),
        time_limit: TIME_LIMIT,
        action: Box::new(move |deadline| {
            reach
                .run(&username, &filled, deadline)
                .map_err(|trouble| Failure::Unclear(reach.error(&trouble)))?;
            Ok(Box::new(|_| Ok(Response::default())))
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_account_is_noted_under_names_that_stay() {
        let made = Made {
            username: "v-app".to_owned(),
            db_name: "db".to_owned(),
            role: "app".to_owned(),
            revocation_statements: vec!["DROP".to_owned()],
            rollback_statements: Vec::new(),
        };
        let noted = internal_of(&made).unwrap();
        let expected = json!({
            "username": "v-app",
            "db_name": "db",
            "role": "app",
            "revocation_statements": ["DROP"],
            "rollback_statements": [],
        });
        assert_eq!(noted, expected);
        assert_eq!(made_of(&expected).unwrap().role, "app");
    }
}
