//! The kernel's own routes: `sys/`, and beside it in every namespace `auth/token/`, `identity/` and `cubbyhole/`.

mod audit;
mod audit_search;
mod config;
mod explain;
mod fields;
mod generate_root;
mod host;
mod init;
mod internal_ui;
mod keys;
mod leases;
mod metrics;
mod mfa;
mod mount_config;
mod mounts;
mod namespaces;
mod openapi;
mod outbox;
pub(crate) mod password_policies;
mod policies;
mod quotas;
mod rekey;
mod snapshot;
mod status;
pub mod tools;
mod wrapping;

use crate::backend::{Backend, Class};
use crate::call::Call;
use crate::cubbyhole;
use crate::error::Error;
use crate::identity;
use crate::kernel::Kernel;
use crate::mounts::{MountConfig, MountRecord, MountTable, mounts_key};
use crate::namespaces::{ROOT_NAMESPACE, root_record};
use crate::request::{Request, Response};
use crate::route::{self, Route, Run};
use crate::tokens::{self, NewToken, TokenEntry};
use crate::transaction::Tx;
use crate::versions;
use serde_json::Map;
use std::collections::HashMap;
use strongroom_crypto::token::uuid_v4;
use strongroom_secret::{Entropy, SecretString, Timestamp};

pub(crate) use audit::audit_entries;
pub(crate) use explain::explain_text;
pub(crate) use generate_root::GenerateRoot;
pub(crate) use keys::start_term;
pub(crate) use openapi::{MOUNT_HELP, help};
pub(crate) use password_policies::password_policy_text;
pub(crate) use rekey::{Rekey, Target};

const TABLES: &[&[Route]] = &[
    audit::ROUTES,
    audit_search::ROUTES,
    config::ROUTES,
    explain::ROUTES,
    crate::fingerprints::ROUTES,
    host::ROUTES,
    init::ROUTES,
    keys::ROUTES,
    rekey::ROUTES,
    rekey::RECOVERY_ROUTES,
    rekey::ROTATE_ROUTES,
    rekey::ROTATE_RECOVERY_ROUTES,
    generate_root::ROUTES,
    snapshot::ROUTES,
    internal_ui::ROUTES,
    leases::ROUTES,
    mounts::ROUTES,
    metrics::ROUTES,
    mfa::ROUTES,
    namespaces::ROUTES,
    openapi::ROUTES,
    outbox::ROUTES,
    password_policies::ROUTES,
    policies::ROUTES,
    wrapping::ROUTES,
    quotas::ROUTES,
    crate::honey::ROUTES,
    crate::incident::ROUTES,
    crate::rotation::ROUTES,
    status::ROUTES,
    tools::ROUTES,
];

static SYSTEM: Backend = Backend::new("system", Class::Secret, "The server's own settings.", TABLES);
static CUBBYHOLE: Backend =
    Backend::new("cubbyhole", Class::Secret, "A place of its own for every token.", &[cubbyhole::ROUTES]);
static IDENTITY: Backend =
    Backend::new("identity", Class::Secret, "Who is behind the tokens.", identity::TABLES);
static TOKEN: Backend = Backend::new("token", Class::Auth, "Token based credentials.", tokens::TABLES);

/// The backends that every namespace has.
pub(crate) fn backends() -> Vec<&'static Backend> {
    vec![&SYSTEM, &CUBBYHOLE, &IDENTITY, &TOKEN]
}

/// Where the kernel's own backends stand in every namespace. They cannot be moved or disabled.
const OWN_MOUNTS: [(&str, &str, Class, &str); 4] = [
    ("sys/", "system", Class::Secret, "system endpoints used for control, policy and debugging"),
    ("identity/", "identity", Class::Secret, "identity store"),
    ("cubbyhole/", "cubbyhole", Class::Secret, "per-token private secret storage"),
    ("auth/token/", "token", Class::Auth, "token based credentials"),
];

/// Whether a mount is one of the kernel's own.
pub(crate) fn is_own_mount(path: &str) -> bool {
    OWN_MOUNTS.iter().any(|(own, ..)| *own == path)
}

/// The mount table of a new namespace.
pub(crate) fn own_mounts(entropy: &dyn Entropy) -> MountTable {
    let mounts = OWN_MOUNTS
        .into_iter()
        .map(|(path, kind, class, description)| new_mount(entropy, class, path.to_owned(), kind, description))
        .collect();
    MountTable { mounts }
}

/// A mount with a fresh id.
pub(crate) fn new_mount(
    entropy: &dyn Entropy,
    class: Class,
    path: String,
    kind: &str,
    description: &str,
) -> MountRecord {
    let mut id = [0; 8];
    entropy.fill(&mut id);
    let id = u64::from_be_bytes(id);
    let class_prefix = if class == Class::Auth { "auth_" } else { "" };
    MountRecord {
        id,
        uuid: uuid_v4(entropy),
        accessor: format!("{class_prefix}{kind}_{:08x}", id >> 32),
        class,
        path,
        kind: kind.to_owned(),
        description: description.to_owned(),
        config: MountConfig::default(),
        options: Map::new(),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
        is_tainted: false,
        is_upgrading: false,
        former_paths: Vec::new(),
    }
}

/// Writes what a new server starts with: its own mounts and a root token, which is returned.
pub(crate) fn first_records(
    kernel: &Kernel,
    tx: &mut Tx<'_>,
    now: Timestamp,
    id: Option<SecretString>,
) -> Result<SecretString, Error> {
    let table = own_mounts(kernel.entropy());
    let key = mounts_key(tx, ROOT_NAMESPACE);
    tx.put_record(&key, &table)?;
    versions::note(tx, &kernel.settings().program_version, now)?;
    root_token(kernel, tx, now, id)
}

/// Makes a root token, random or with a given id.
pub(crate) fn root_token(
    kernel: &Kernel,
    tx: &mut Tx<'_>,
    now: Timestamp,
    id: Option<SecretString>,
) -> Result<SecretString, Error> {
    let entry = TokenEntry {
        policies: vec!["root".to_owned()],
        display_name: "root".to_owned(),
        ..tokens::blank(ROOT_NAMESPACE, "auth/token/root", now)
    };
    let root = crate::namespaces::Namespace {
        record: root_record(),
        mounts: HashMap::new(),
        retiring: Vec::new(),
        locked_by: None,
    };
    Ok(tokens::create(tx, kernel.entropy(), &root, NewToken { entry, id })?.token)
}

/// Refuses what concerns the whole server, not one namespace.
pub(crate) fn in_root_namespace(call: &Call<'_>) -> Result<(), Error> {
    match call.namespace.id() {
        ROOT_NAMESPACE => Ok(()),
        _ => Err(Error::invalid("this concerns the whole server: ask in the root namespace")),
    }
}

/// The handler of a path that works without keys, if the request is for one.
pub(crate) fn bare_handler(
    request: &Request,
) -> Option<fn(&std::sync::Arc<Kernel>, &Request) -> Result<Response, Error>> {
    let rest = request.path.as_str().strip_prefix("sys/")?;
    let (route, _) = route::find(TABLES, rest)?;
    match route.method(request.operation)?.run {
        Run::Bare(handler) => Some(handler),
        _ => None,
    }
}
