//! SOPS files in the world: the keys that open them, the `.sops.yaml` that governs them, and the verbs.
//!
//! Bytes in, bytes out: [`open`] is all that a reader of one file needs.

pub mod config;
mod error;
mod keys;
mod merge;
pub mod recipients;
mod restricted;
mod verbs;

pub use error::SopsError;
pub use keys::{Conversation, DecryptionOrder, Keys, NewIdentity, vault_client};
pub use merge::{Merged, merge};
pub use restricted::{Restriction, restrict, restrict_by_rules};
pub use strongroom_formats::sops::RestrictedValue;
pub use verbs::{
    Difference, KeyChange, NewFile, change_keys, differences, encrypt, open, open_as_it_is, open_for_edit,
    open_new, regroup, rotate, update_keys, with_new_keys,
};
