//! What an engine that knows accounts elsewhere does for a rotation: `Backend::account`. It is named by a plan as a mount
//! and a connection of it.

use crate::call::Call;
use crate::error::Error;
use std::time::Duration;
use strongroom_secret::SecretString;

/// How accounts behind a connection are reached.
pub struct AccountFunctions {
    /// Below the mount, the path that somebody must be allowed to `update` who writes a plan that uses this connection.
    pub policy_path: fn(connection: &str) -> String,
    /// Reads from the store what reaching the connection takes, as the mount would (`call.mount` is the engine's). It does
    /// nothing outside: that is done later, by what it returns, without a transaction. An unknown connection is an
    /// `Error::invalid` that names it.
    pub open: fn(call: &mut Call<'_>, connection: &str) -> Result<Accounts, Error>,
}

/// The accounts behind one connection. Each function waits for the peer for at most the time it is given, and makes sure
/// that nothing it started takes effect after that (a statement timeout on the peer's side): a change that lands late would
/// undo what was done since.
pub struct Accounts {
    /// Makes the password the account's. Doing it again changes nothing.
    pub apply: Box<AccountAction>,
    /// Logs in with the password. Nothing of the account changes.
    pub verify: Box<AccountAction>,
    /// Tells whoever listens on a channel (PostgreSQL's NOTIFY). The text is no secret.
    pub notify: Box<AccountNotice>,
}

pub type AccountAction = dyn Fn(&Account<'_>, Duration) -> Result<(), EffectError> + Send;
/// Of a channel and a text.
pub type AccountNotice = dyn Fn(&str, &str, Duration) -> Result<(), EffectError> + Send;

/// An account, and what its password is to be or is.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    pub username: &'a str,
    pub password: &'a SecretString,
}

/// Why something outside was not done. The text is shown to operators: never a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectError {
    /// The peer said no: the same again would come to the same.
    Refused(String),
    /// There was no answer, or none that says whether it was done.
    Unclear(String),
}

impl EffectError {
    pub fn text(&self) -> &str {
        match self {
            Self::Refused(text) | Self::Unclear(text) => text,
        }
    }
}
