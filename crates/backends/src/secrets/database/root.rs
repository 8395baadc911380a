//! The password of the account that makes the others: changed the same way, with itself.

use super::connections::{self, Connection, TIME_LIMIT, forget_due, make_due, text_of};
use super::names;
use super::static_roles::{Change, held, statements_for, under_way, waiting};
use std::time::Duration;
use strongroom_kernel::{Call, Errand, Error, Outward, Response};
use strongroom_secret::SecretBytes;

const RETRY_DELAY: Duration = Duration::from_secs(60);

pub(super) fn rotate(call: &mut Call<'_>) -> Result<Outward, Error> {
    let name = call.capture("name").to_owned();
    let connection = connections::named(call, &name)?;
    if connection.username.is_empty() || connection.password.expose().is_empty() {
        return Err(Error::invalid(
            "username and password must be fields of the connection, and not part of its URL, to be changed",
        ));
    }
    let Some(hold) = call.hold_chore(&format!("root/{name}")) else {
        let watch = call.watch_chore(&format!("root/{name}"));
        return Ok(Outward::Errand(waiting(watch, &connection.name, move |call| match connections::named(
            call, &name,
        )?
        .pending_password
        .expose()
        .is_empty()
        {
            true => Ok(Response::default()),
            false => Err(under_way()),
        })));
    };
    Ok(held(start(call, connection)?, hold))
}

/// Goes on with a change that was begun.
pub(super) fn begin(call: &mut Call<'_>, name: &str) -> Result<Outward, Error> {
    match connections::stored(call, name)? {
        Some(connection) if !connection.pending_password.expose().is_empty() => start(call, connection),
        Some(mut connection) => {
            forget_due(call, connection.pending_due.take(), &format!("root/{name}"))?;
            connections::save(call, &connection)?;
            Ok(Outward::nothing())
        }
        None => Ok(Outward::nothing()),
    }
}

fn start(call: &mut Call<'_>, mut connection: Connection) -> Result<Outward, Error> {
    if connection.pending_password.expose().is_empty() {
        let password = names::password(call, &connection.password_policy)?;
        connection.pending_password = SecretBytes::new(password.expose().as_bytes().to_vec());
    }
    put_off(call, &mut connection)?;
    let (present, pending) = (text_of(&connection.password)?, text_of(&connection.pending_password)?);
    let given = &connection.root_rotation_statements;
    let change = Change {
        set: statements_for(&connection, given, &connection.username, &pending)?,
        before: Some((
            present.duplicate(),
            statements_for(&connection, given, &connection.username, &present)?,
        )),
        username: connection.username.clone(),
        password: pending,
    };
    let (reach, name) = (connection.reach(call)?, connection.name.clone());
    let marker = connection.pending_password.duplicate();
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

fn put_off(call: &mut Call<'_>, connection: &mut Connection) -> Result<(), Error> {
    let chore = format!("root/{}", connection.name);
    forget_due(call, connection.pending_due, &chore)?;
    let due = call.now.plus(RETRY_DELAY);
    connection.pending_due = Some(due);
    make_due(call, due, &chore)?;
    connections::save(call, connection)
}

fn promote(call: &mut Call<'_>, name: &str, marker: &SecretBytes) -> Result<(), Error> {
    let Some(mut connection) = connections::stored(call, name)? else { return Ok(()) };
    if *connection.pending_password.expose() != *marker.expose() {
        return Ok(());
    }
    connection.password = marker.duplicate();
    connection.pending_password = SecretBytes::new(Vec::new());
    connection.last_rotation = Some(call.now);
    call.chore_is_done(&format!("root/{name}"));
    forget_due(call, connection.pending_due.take(), &format!("root/{name}"))?;
    connections::save(call, &connection)
}

pub(super) fn failed(call: &mut Call<'_>, name: &str) -> Result<(), Error> {
    match connections::stored(call, name)? {
        Some(mut connection) => put_off(call, &mut connection),
        None => Ok(()),
    }
}
