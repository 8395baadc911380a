//! Tokens: making, finding, renewing and revoking them.
//!
//! A token is stored as a keyed hash. Its accessor follows from it by another keyed hash, and its row is found by a hash
//! of the accessor, so that one row serves both look-ups. The token's lease is part of the row.

mod creation;
mod entry;
mod expiry;
mod revocation;
mod roles;
mod routes;
mod settings;
mod store;

pub use entry::{Parent, TokenEntry, TokenKind, TokenRow, TokenSettings, TokenType};
pub(crate) use expiry::{Due, ExpiryKind, due, expiry_key};
pub(crate) use revocation::{is_cut_off, remove_cut_off};
pub(crate) use routes::{TABLES, page};
pub(crate) use settings::policy_names;
pub use settings::{cidr, cidr_text};
pub(crate) use store::look_alike;
pub(crate) use store::{
    Children, batch_entry, below_path, blank, by_accessor, create, entries_of, find_row, namespace_suffix,
    orphans_below, read, revoke_tree, row_of_token, take_use,
};
pub use store::{Created, NewToken};
