//! Credentials that change by plan: generate, stage, apply, verify, promote, notify, and at the end of the grace retire.

mod account;

pub use account::{Account, AccountAction, AccountFunctions, AccountNotice, Accounts, EffectError};
