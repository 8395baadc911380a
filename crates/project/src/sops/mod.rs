//! SOPS files in the world: the keys that open them, the `.sops.yaml` that governs them, and the verbs.
//!
//! Bytes in, bytes out: [`open`] is all that a reader of one file needs.

pub mod config;
mod error;
mod keys;
pub mod recipients;
mod verbs;

pub use error::SopsError;
pub use keys::{Conversation, DecryptionOrder, Keys};
pub use verbs::{
    Difference, KeyChange, NewFile, SealWish, change_keys, differences, encrypt, open, open_for_edit, rotate,
    update_keys,
};
