//! Version 2: numbered versions that are deleted softly, metadata beside them, check-and-set, and secrets that end.

mod config;
mod data;
mod expiry;
mod fingerprints;
mod metadata;
mod rotation;
mod row;
mod subkeys;
mod upgrade;
mod versions;

use super::enable;
use crate::listing::{AFTER, LIMIT};
use crate::routing::{delete, field, list, patch, read, scan, write};
use strongroom_kernel::{Access, Backend, Class, Field, FieldKind, Route};

pub(crate) static V2: Backend = Backend {
    version: Some("2"),
    memory: || std::sync::Arc::new(config::Memory::default()),
    enable,
    upgrade: Some(upgrade::piece),
    secrets: Some(&rotation::FUNCTIONS),
    fingerprints: Some(&fingerprints::FUNCTIONS),
    ..Backend::new("kv", Class::Secret, "Keeps versions of values under paths.", &[ROUTES])
};

const PATH: Field = field("path", FieldKind::Text, "Where the secret is kept.");
const VERSION: Field =
    field("version", FieldKind::Integer, "The version to read; the current one by default.");
const VERSIONS: Field = field("versions", FieldKind::List, "The numbers of the versions.");
const MAX_VERSIONS: Field =
    field("max_versions", FieldKind::Integer, "How many versions are kept of a secret; 10 by default.");
const CAS_REQUIRED: Field =
    field("cas_required", FieldKind::Boolean, "Writes must say which version they replace (`options.cas`).");
const METADATA_CAS_REQUIRED: Field = field(
    "metadata_cas_required",
    FieldKind::Boolean,
    "Changes of metadata must say which revision they replace (`metadata_cas`).",
);
const DELETE_VERSION_AFTER: Field =
    field("delete_version_after", FieldKind::Duration, "New versions are deleted after this time.");

/// `data/` comes first: it is what most requests are for.
const ROUTES: &[Route] = &[
    Route {
        pattern: "data/{path..}",
        summary: "Read and write a secret.",
        access: Access::Token,
        fields: &[
            PATH,
            VERSION,
            field(
                "label",
                FieldKind::Text,
                "Of a secret that is rotated: `current`, `previous` or `pending`.",
            ),
            field("data", FieldKind::Map, "The secret's content."),
            field(
                "options",
                FieldKind::Map,
                "`cas`: the version that the write replaces, 0 for none. `expires_at`: when the secret ends.",
            ),
        ],
        methods: &[
            read(data::read, "Read a version."),
            write(data::write, "Write a new version."),
            patch(data::patch, "Write a new version from the current one and a merge patch (RFC 7396)."),
            delete(data::delete, "Delete the current version, so that it can be brought back."),
        ],
        exists: Some(data::exists),
    },
    Route {
        pattern: "metadata/?",
        summary: "List the secrets.",
        access: Access::Token,
        fields: &[AFTER, LIMIT],
        methods: &[
            list(metadata::list, "List the names."),
            scan(metadata::scan, "List the paths at every depth."),
        ],
        exists: None,
    },
    Route {
        pattern: "metadata/{path..}",
        summary: "What is known of a secret, and its settings.",
        access: Access::Token,
        fields: &[
            PATH,
            MAX_VERSIONS,
            CAS_REQUIRED,
            METADATA_CAS_REQUIRED,
            DELETE_VERSION_AFTER,
            field(
                "metadata_cas",
                FieldKind::Integer,
                "The revision of the metadata that the change replaces.",
            ),
            field("custom_metadata", FieldKind::Map, "Texts that describe the secret."),
            field("expires_at", FieldKind::Time, "From then on the secret reads as deleted. Empty: never."),
            field("expire_notice", FieldKind::Duration, "How long before the end reads begin to warn."),
            AFTER,
            LIMIT,
        ],
        methods: &[
            read(metadata::read, "Read the metadata."),
            write(metadata::write, "Change the settings; fields that are not given stay."),
            patch(metadata::patch, "Change the settings of a secret that exists; custom metadata is merged."),
            delete(metadata::delete, "Remove the secret with all its versions."),
            list(metadata::list, "List the names below a folder."),
            scan(metadata::scan, "List the paths below a folder at every depth."),
        ],
        exists: Some(data::exists),
    },
    Route {
        pattern: "delete/{path..}",
        summary: "Delete versions, so that they can be brought back.",
        access: Access::Token,
        fields: &[PATH, VERSIONS],
        methods: &[write(versions::delete, "Delete versions.")],
        exists: None,
    },
    Route {
        pattern: "undelete/{path..}",
        summary: "Bring deleted versions back.",
        access: Access::Token,
        fields: &[PATH, VERSIONS],
        methods: &[write(versions::undelete, "Bring versions back.")],
        exists: None,
    },
    Route {
        pattern: "destroy/{path..}",
        summary: "Remove the content of versions for good.",
        access: Access::Token,
        fields: &[PATH, VERSIONS],
        methods: &[write(versions::destroy, "Destroy versions.")],
        exists: None,
    },
    Route {
        pattern: "subkeys/{path..}",
        summary: "The names in a secret, without its values.",
        access: Access::Token,
        fields: &[PATH, VERSION, field("depth", FieldKind::Integer, "How deep to look; 0 is all the way.")],
        methods: &[read(subkeys::read, "Read the names.")],
        exists: None,
    },
    Route {
        pattern: "config",
        summary: "What holds for every secret of this mount.",
        access: Access::Token,
        fields: &[MAX_VERSIONS, CAS_REQUIRED, METADATA_CAS_REQUIRED, DELETE_VERSION_AFTER],
        methods: &[read(config::read, "Read the settings."), write(config::write, "Change the settings.")],
        exists: None,
    },
    Route {
        pattern: "expiring",
        summary: "The secrets that end soon, or have ended.",
        access: Access::Token,
        fields: &[field("within", FieldKind::Duration, "How far to look ahead; 30 days by default.")],
        methods: &[
            read(expiry::expiring, "List them, the next to end first."),
            list(expiry::expiring, "List them, the next to end first."),
        ],
        exists: None,
    },
];
