//! What a rotation by plan asks of a database: set an account's password, log in with it, tell who listens.

use super::connections::{self, Connection, text_of};
use super::pools::Reach;
use super::static_roles::statements_for;
use super::wire::{Engine, Link, Trouble};
use std::sync::Arc;
use std::time::Duration;
use strongroom_kernel::rotation::{Account, AccountFunctions, Accounts, EffectError};
use strongroom_kernel::{Call, Deadline, Error};

pub(super) static ACCOUNTS: AccountFunctions = AccountFunctions {
    // Whoever may change the password of the account that makes the others may change any.
    policy_path: |connection| format!("rotate-root/{connection}"),
    open,
};

fn open(call: &mut Call<'_>, connection: &str) -> Result<Accounts, Error> {
    let connection = Arc::new(connections::named(call, connection)?);
    let reach = connection.reach(call)?;
    text_of(&connection.password)?;
    let clock = call.clock();
    let deadline = move |limit: Duration| Deadline::new(clock.clone(), limit);
    let (for_apply, for_verify, for_notice) = (deadline.clone(), deadline.clone(), deadline);
    let (to_apply, to_verify, to_notify) = (reach.clone(), reach.clone(), reach);
    Ok(Accounts {
        apply: Box::new(move |account, limit| apply(&connection, &to_apply, account, &for_apply(limit))),
        verify: Box::new(move |account, limit| {
            to_verify
                .verify(account.username, account.password, &for_verify(limit))
                .map_err(|trouble| effect(&to_verify, trouble.without(&[account.password])))
        }),
        notify: Box::new(move |channel, text, limit| notify(&to_notify, channel, text, &for_notice(limit))),
    })
}

fn apply(
    connection: &Connection,
    reach: &Reach,
    account: &Account<'_>,
    deadline: &Deadline,
) -> Result<(), EffectError> {
    let filled = statements_for(connection, &[], account.username, account.password)
        .map_err(|error| EffectError::Refused(error.messages.join("; ")))?;
    reach
        .run(account.username, &filled, deadline)
        .map_err(|trouble| effect(reach, trouble.without(&[account.password])))
}

fn notify(reach: &Reach, channel: &str, text: &str, deadline: &Deadline) -> Result<(), EffectError> {
    if reach.engine != Engine::Postgres {
        return Err(EffectError::Refused("only PostgreSQL has channels to tell somebody by".to_owned()));
    }
    let channel = channel.replace('"', "\"\"");
    let quoted = text.replace('\'', "''");
    if text.contains('\\') || text.contains('\0') || channel.contains('\0') {
        return Err(EffectError::Refused("a notice has no backslashes".to_owned()));
    }
    let statement = format!("NOTIFY \"{channel}\", '{quoted}'");
    let told = reach.with_link(deadline, |link| match link {
        Link::Postgres(link) => link.query(&statement, deadline).map(drop),
        Link::Mysql(_) | Link::Redis(_) => Ok(()),
    });
    told.map_err(|trouble| effect(reach, trouble))
}

fn effect(reach: &Reach, trouble: Trouble) -> EffectError {
    let text = reach.error(&trouble).messages.join("; ");
    match trouble {
        Trouble::Refused(_) | Trouble::LoginRefused(_) => EffectError::Refused(text),
        Trouble::Unreachable(_) | Trouble::Unclear(_) => EffectError::Unclear(text),
    }
}
