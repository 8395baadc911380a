//! The SOPS file format: values, selectors, the MAC and the metadata, over the documents beside it.
//!
//! Bytes become an [`Encrypted`] file; a [`Cipher`] (the data key, which [`unwrap_data_key`] finds) makes it [`Opened`];
//! [`Opened::encrypt`] makes bytes again. A file in clear is a [`Draft`]. Nothing here reads files or speaks to anybody.
//!
//! The format is that of sops 3.13 (getsops/sops), in which every file also goes back.

mod cipher;
mod crypt;
mod edit;
mod env;
mod file;
mod groups;
mod merge;
mod metadata;
mod restricted;
mod seal;
mod selector;
mod source;
mod tree;
mod value;

pub use cipher::{Cipher, CipherError, DATA_KEY_BYTES, is_encrypted};
pub use crypt::{CryptError, CryptReason, MacScope};
pub use edit::{Changed, EditError, Location, parse_path, path_text};
pub use file::{Draft, EncryptError, Encrypted, OpenError, Opened, SealPolicy, Verification};
pub use groups::{DataKeyError, Refusal, Whom, Wrapped, new_data_key, unwrap_data_key, wrap_data_key};
pub use merge::{Conflict, ConflictKind, MergePlan, plan_merge};
pub use metadata::{
    AwsKmsKey, AzureKey, MasterKey, Metadata, MetadataError, Recipient, RecipientKind, TransitKey, VERSION,
};
pub use restricted::{Part, RestrictedError, RestrictedValue, is_restricted};
pub use seal::SealState;
pub use selector::{Selector, SelectorError, SelectorKind, UNENCRYPTED_SUFFIX};
pub use source::{
    FILE_BYTES_MAX, Format, SourceError, emit_node, emit_plain, refuse_reserved_keys as refuse_reserved,
};
pub use tree::{Comment, Element, Item, Map, Node, Placement, Tree, find};
pub use value::{Value, ValueError};

pub use crate::document::{Indent, Step};
