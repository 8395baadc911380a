//! `sys/mounts`, `sys/auth` and `sys/remount`: which secrets engine or auth method stands where.

use super::fields::{field, method};
use super::mount_config;
use crate::backend::Class;
use crate::call::Call;
use crate::error::Error;
use crate::fingerprints;
use crate::grants::mount_ttls;
use crate::mounts::{self, Mount, MountRecord, MountTable};
use crate::namespaces::{NAMESPACES, NamespaceRecord, ROOT_NAMESPACE, kernel_space};
use crate::removal::remove_mount;
use crate::request::{Fields, Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use crate::system::{is_own_mount, new_mount};
use crate::topology::mount_path;
use crate::transaction::{Key, Record, Table, Tx};
use crate::upgrade::{self, UPGRADING};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use strongroom_crypto::token::uuid_v4;
use strongroom_secret::MountPath;

/// Mounts of one namespace. All of them stand in one row.
const MOUNTS_MAX: usize = 4_000;
const MOVES: Table = Table(13);
const MOVES_REMEMBERED: usize = 100;
/// First segments that belong to the server.
const RESERVED: [&str; 5] = ["sys", "auth", "audit", "identity", "cubbyhole"];

const MOUNT_FIELDS: &[Field] = &[
    field("path", FieldKind::Text, "Where it stands."),
    field("type", FieldKind::Text, "What to mount there, as `kv` or `approle`."),
    field("description", FieldKind::Text, "A description for people."),
    field("config", FieldKind::Map, "Settings, as for tune."),
    field("options", FieldKind::Map, "Options of the type, as `version` of kv."),
    field("local", FieldKind::Boolean, "Kept for clients; there is no replication that it could leave out."),
    field("seal_wrap", FieldKind::Boolean, "Kept for clients; everything stands behind the barrier."),
    field("external_entropy_access", FieldKind::Boolean, "Kept for clients."),
    field("plugin_name", FieldKind::Text, "The type, where `type` is `plugin`."),
];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "mounts/?",
        summary: "The secrets engines of this namespace.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::Read, Run::Read(list_secret), "List them with their settings.")],
        exists: None,
    },
    Route {
        pattern: "mounts/{path..}",
        summary: "A secrets engine, or with `/tune` its settings.",
        access: Access::Token,
        fields: MOUNT_FIELDS,
        methods: &[
            method(Operation::Read, Run::Read(read_secret), "Read it."),
            method(Operation::Write, Run::Write(write_secret), "Mount it, or tune it."),
            method(Operation::Delete, Run::Write(disable_secret), "Disable it and remove all its data."),
        ],
        exists: None,
    },
    Route {
        pattern: "auth/?",
        summary: "The auth methods of this namespace.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::Read, Run::Read(list_auth), "List them with their settings.")],
        exists: None,
    },
    Route {
        pattern: "auth/{path..}",
        summary: "An auth method, or with `/tune` its settings.",
        access: Access::Sudo,
        fields: MOUNT_FIELDS,
        methods: &[
            method(Operation::Read, Run::Read(read_auth), "Read it."),
            method(Operation::Write, Run::Write(write_auth), "Enable it, or tune it."),
            method(
                Operation::Delete,
                Run::Write(disable_auth),
                "Disable it, remove its data and revoke its tokens.",
            ),
        ],
        exists: None,
    },
    Route {
        pattern: "remount",
        summary: "Move a mount.",
        access: Access::Sudo,
        fields: &[
            field("from", FieldKind::Text, "Where it stands, with `auth/` for an auth method."),
            field("to", FieldKind::Text, "Where it shall stand."),
        ],
        methods: &[method(Operation::Write, Run::Write(remount), "Move it at once, with all its data.")],
        exists: None,
    },
    Route {
        pattern: "remount/status/{id}",
        summary: "What became of a move.",
        access: Access::Token,
        fields: &[field("id", FieldKind::Text, "The `migration_id` of the move.")],
        methods: &[method(Operation::Read, Run::Read(move_status), "Read the status.")],
        exists: None,
    },
];

fn list_secret(call: &mut Call<'_>) -> Result<Response, Error> {
    list(call, Class::Secret)
}

fn list_auth(call: &mut Call<'_>) -> Result<Response, Error> {
    list(call, Class::Auth)
}

fn read_secret(call: &mut Call<'_>) -> Result<Response, Error> {
    read(call, Class::Secret)
}

fn read_auth(call: &mut Call<'_>) -> Result<Response, Error> {
    read(call, Class::Auth)
}

fn write_secret(call: &mut Call<'_>) -> Result<Response, Error> {
    write(call, Class::Secret)
}

fn write_auth(call: &mut Call<'_>) -> Result<Response, Error> {
    write(call, Class::Auth)
}

fn disable_secret(call: &mut Call<'_>) -> Result<Response, Error> {
    disable(call, Class::Secret)
}

fn disable_auth(call: &mut Call<'_>) -> Result<Response, Error> {
    disable(call, Class::Auth)
}

/// A mount as the lists show it. An auth method's own lists leave its `auth/` out.
pub(super) fn entry(mount: &MountRecord) -> Value {
    json!({
        "accessor": mount.accessor,
        "config": mount_config::shown(mount),
        "deprecation_status": "supported",
        "description": mount.description,
        "external_entropy_access": mount.external_entropy_access,
        "local": mount.local,
        "options": if mount.options.is_empty() { Value::Null } else { mount.options.clone().into() },
        "plugin_version": "",
        "running_plugin_version": "",
        "running_sha256": "",
        "seal_wrap": mount.seal_wrap,
        "type": mount.kind,
        "uuid": mount.uuid,
    })
}

/// A mount's path as the lists of its class show it.
pub(super) fn shown_path(mount: &MountRecord) -> &str {
    match mount.class {
        Class::Secret => &mount.path,
        Class::Auth => mount.path.strip_prefix("auth/").unwrap_or(&mount.path),
    }
}

fn list(call: &mut Call<'_>, class: Class) -> Result<Response, Error> {
    let table = mounts::read_table(&mut call.tx, call.namespace.id())?;
    let map = table
        .live()
        .filter(|mount| mount.class == class)
        .map(|mount| (shown_path(mount).to_owned(), entry(mount)))
        .collect();
    Ok(Response::data(map).flattened())
}

/// What a path below `sys/mounts` or `sys/auth` names.
enum Target {
    Mount(String),
    Tuning(String),
}

fn target(call: &Call<'_>, class: Class) -> Result<Target, Error> {
    let path = call.capture("path");
    let bare = path.strip_suffix('/').unwrap_or(path);
    let (path, is_tuning) = match bare.strip_suffix("/tune") {
        Some(path) => (path, true),
        None => (bare, false),
    };
    let path = mount_path(class, MountPath::parse(path)?.as_str());
    Ok(if is_tuning { Target::Tuning(path) } else { Target::Mount(path) })
}

/// The `vault` command tunes auth methods below `sys/mounts/auth/` as well.
fn can_be_tuned_as(mount: &MountRecord, class: Class) -> bool {
    mount.class == class || class == Class::Secret
}

fn no_mount(class: Class, path: &str) -> Error {
    Error::invalid(match class {
        Class::Secret => format!("No secret engine mount at {path}"),
        Class::Auth => format!("No auth engine at {}", path.strip_prefix("auth/").unwrap_or(path)),
    })
}

fn read(call: &mut Call<'_>, class: Class) -> Result<Response, Error> {
    let target = target(call, class)?;
    let table = mounts::read_table(&mut call.tx, call.namespace.id())?;
    let find = |path: &str| {
        table.find(path).filter(|mount| mount.class == class).ok_or_else(|| no_mount(class, path))
    };
    let value = match &target {
        Target::Mount(path) => entry(find(path)?),
        Target::Tuning(path) => {
            let record = table
                .find(path)
                .filter(|mount| can_be_tuned_as(mount, class))
                .ok_or_else(|| no_mount(class, path))?;
            let ttls = mount_ttls(call.kernel, &*instance(call, record.clone())?);
            mount_config::tuning(record, ttls)
        }
    };
    match value {
        Value::Object(map) => Ok(Response::data(map).flattened()),
        _ => Err(Error::internal("a mount is shown as an object")),
    }
}

fn write(call: &mut Call<'_>, class: Class) -> Result<Response, Error> {
    match target(call, class)? {
        Target::Mount(path) => enable(call, class, path),
        Target::Tuning(path) => tune(call, class, &path),
    }
}

/// A type and its options under the names of today: some are known by others as well.
fn kind_of(fields: &Fields, options: &mut Map<String, Value>) -> Result<String, Error> {
    let kind = match fields.text("type")?.filter(|kind| kind != "plugin") {
        Some(kind) => kind,
        None => fields.text("plugin_name")?.unwrap_or_default(),
    };
    let (kind, version) = match kind.as_str() {
        "" => return Err(Error::invalid("backend type must be specified as a string")),
        "kv-v1" | "generic" => ("kv", "1"),
        "kv-v2" => ("kv", "2"),
        kind => (kind, ""),
    };
    if !version.is_empty() {
        options.insert("version".to_owned(), version.into());
    }
    Ok(kind.to_owned())
}

fn enable(call: &mut Call<'_>, class: Class, path: String) -> Result<Response, Error> {
    let request = call.request;
    let fields = &request.fields;
    let mut options = fields.text_map("options")?.unwrap_or_default();
    let kind = kind_of(fields, &mut options)?;
    let namespace = call.namespace.id();
    let mut table = mounts::read_table(&mut call.tx, namespace)?;
    check_place(call, &table, class, &path, None)?;
    let description = fields.text("description")?.unwrap_or_default();
    let mut record = new_mount(call.entropy(), class, path, &kind, &description);
    record.local = fields.boolean("local")?.unwrap_or_default();
    record.seal_wrap = fields.boolean("seal_wrap")?.unwrap_or_default();
    record.external_entropy_access = fields.boolean("external_entropy_access")?.unwrap_or_default();
    if let Some(config) = fields.map("config")? {
        mount_config::apply(&mut record, &Fields(config))?;
    }
    record.options = options;
    record.options = run_enable(call, record.clone())?;
    table.mounts.push(record);
    mounts::write_table(&mut call.tx, namespace, &table)?;
    Ok(Response::default())
}

/// A mount that requests do not know of (yet).
fn instance(call: &Call<'_>, record: MountRecord) -> Result<Arc<Mount>, Error> {
    let registry = &call.kernel.registry;
    let backend = registry.find(record.class, &record.kind, &record.options).ok_or_else(|| {
        let kinds = registry.kinds(record.class);
        match record.options.get("version").filter(|_| kinds.contains(&record.kind.as_str())) {
            Some(version) => Error::invalid(format!("{} has no version {version}", record.kind)),
            None => Error::invalid(format!("plugin not found in the catalog: {}", record.kind)),
        }
    })?;
    Ok(Arc::new(Mount { record, namespace: call.namespace.id(), backend, memory: (backend.memory)() }))
}

/// Lets the backend write its initial records; returns the options as it wants them.
fn run_enable(call: &mut Call<'_>, record: MountRecord) -> Result<Map<String, Value>, Error> {
    let mut options = record.options.clone();
    let mount = instance(call, record)?;
    let enable = mount.backend.enable;
    let system = std::mem::replace(&mut call.mount, mount);
    let enabled = enable(call, &mut options);
    call.mount = system;
    enabled.map(|()| options)
}

/// Whether a mount may stand at a path. `moved` is the mount that leaves its own place for it.
fn check_place(
    call: &mut Call<'_>,
    table: &MountTable,
    class: Class,
    path: &str,
    moved: Option<u64>,
) -> Result<(), Error> {
    let first = path.split('/').next().unwrap_or_default();
    if class == Class::Secret && RESERVED.contains(&first) {
        return Err(Error::invalid(format!("cannot mount at {path:?}: the path belongs to the server")));
    }
    if table.mounts.len() >= MOUNTS_MAX {
        return Err(Error::invalid(format!("a namespace has at most {MOUNTS_MAX} mounts")));
    }
    let conflict = table
        .live()
        .filter(|mount| Some(mount.id) != moved)
        .find(|mount| mount.path.starts_with(path) || path.starts_with(&mount.path));
    if let Some(mount) = conflict {
        return Err(Error::invalid(format!("path is already in use at {}", shown_path(mount))));
    }
    match class {
        Class::Secret => check_namespaces(call, path),
        Class::Auth => Ok(()),
    }
}

/// A namespace below this one must stay reachable by its path.
fn check_namespaces(call: &mut Call<'_>, path: &str) -> Result<(), Error> {
    let records = call.tx.table(kernel_space(ROOT_NAMESPACE), NAMESPACES);
    let here = call.namespace.path().as_str();
    for record in call.tx.records::<NamespaceRecord>(&records)? {
        let below = record.path.as_str().strip_prefix(here).filter(|below| !below.is_empty());
        if below.is_some_and(|below| below.starts_with(path) || path.starts_with(below)) {
            return Err(Error::invalid(format!("path is already in use by the namespace {}", record.path)));
        }
    }
    Ok(())
}

fn tune(call: &mut Call<'_>, class: Class, path: &str) -> Result<Response, Error> {
    let request = call.request;
    let namespace = call.namespace.id();
    let mut table = mounts::read_table(&mut call.tx, namespace)?;
    let record = table
        .find_mut(path)
        .filter(|mount| can_be_tuned_as(mount, class))
        .ok_or_else(|| no_mount(class, path))?;
    if let Some(description) = request.fields.text("description")? {
        record.description = description;
    }
    mount_config::apply(record, &request.fields)?;
    if let Some(options) = request.fields.text_map("options")? {
        change_options(call, record, options)?;
    }
    let is_upgrading = record.is_upgrading;
    mounts::write_table(&mut call.tx, namespace, &table)?;
    let response = Response::default();
    Ok(if is_upgrading { response.with_warning(UPGRADING) } else { response })
}

/// Another version is another implementation with other records: data is upgraded in the background, and never goes back.
fn change_options(
    call: &mut Call<'_>,
    record: &mut MountRecord,
    options: Map<String, Value>,
) -> Result<(), Error> {
    if is_own_mount(&record.path) {
        return Err(Error::invalid(format!("the options of {} cannot be changed", record.path)));
    }
    let before = instance(call, record.clone())?;
    let mut changed = record.clone();
    changed.options.extend(options);
    let after = instance(call, changed.clone())?;
    let space = call.tx.space(before.space());
    if !std::ptr::eq(before.backend, after.backend) && fingerprints::holds_other_data(&mut call.tx, &space)? {
        let (from, to) = (before.backend, after.backend);
        if record.is_upgrading || !upgrade::is_possible(from, to) {
            return Err(Error::invalid(format!(
                "cannot {} mount from version {:?}: {} holds data in it. Mount the other version at another path and \
                 copy the data",
                if to.version < from.version { "downgrade" } else { "change" },
                from.version.unwrap_or_default(),
                record.path
            )));
        }
        record.is_upgrading = true;
        upgrade::begin(&mut call.tx, before.space())?;
    }
    record.options = run_enable(call, changed)?;
    Ok(())
}

fn disable(call: &mut Call<'_>, class: Class) -> Result<Response, Error> {
    let Target::Mount(path) = target(call, class)? else {
        return Err(Error::unsupported_operation());
    };
    if is_own_mount(&path) {
        return Err(Error::invalid(format!("{path} is the server's own and cannot be disabled")));
    }
    let namespace = call.namespace.id();
    let mut table = mounts::read_table(&mut call.tx, namespace)?;
    let Some(record) = table.find_mut(&path) else { return Ok(Response::default()) };
    record.is_tainted = true;
    let record = record.clone();
    mounts::write_table(&mut call.tx, namespace, &table)?;
    // What is left after the first batch is removed by Kernel::clean_up.
    if let Ok(mount) = instance(call, record) {
        remove_mount(call.kernel, &mut call.tx, &mount)?;
    }
    Ok(Response::default())
}

/// The last moves, the newest last.
#[derive(Default, Serialize, Deserialize)]
struct Moves {
    moves: Vec<Move>,
}

#[derive(Serialize, Deserialize)]
struct Move {
    id: String,
    from: String,
    to: String,
}

impl Record for Moves {}

fn moves_key(tx: &Tx<'_>, namespace: u64) -> Key {
    tx.table(kernel_space(namespace), MOVES)
}

fn remount(call: &mut Call<'_>) -> Result<Response, Error> {
    let path = |name: &str| -> Result<(Class, String), Error> {
        let path = MountPath::parse(&call.fields().required_text(name)?)?;
        let class = if path.as_str().starts_with("auth/") { Class::Auth } else { Class::Secret };
        Ok((class, path.as_str().to_owned()))
    };
    let ((class, from), (class_to, to)) = (path("from")?, path("to")?);
    if class != class_to || to == "auth/" {
        return Err(Error::invalid("an auth method stays below auth/, and a secrets engine outside of it"));
    }
    if is_own_mount(&from) {
        return Err(Error::invalid(format!("{from} is the server's own and cannot be moved")));
    }
    let namespace = call.namespace.id();
    let mut table = mounts::read_table(&mut call.tx, namespace)?;
    let id = table.find(&from).ok_or_else(|| Error::invalid(format!("no matching mount at {from:?}")))?.id;
    check_place(call, &table, class, &to, Some(id))?;
    if let Some(record) = table.find_mut(&from) {
        record.path.clone_from(&to);
        record.former_paths.retain(|path| *path != to);
        record.former_paths.push(from.clone());
    }
    mounts::write_table(&mut call.tx, namespace, &table)?;
    let migration = uuid_v4(call.entropy());
    let key = moves_key(&call.tx, namespace);
    let mut moves: Moves = call.tx.record(&key)?.unwrap_or_default();
    moves.moves.push(Move { id: migration.clone(), from, to });
    let surplus = moves.moves.len().saturating_sub(MOVES_REMEMBERED);
    moves.moves.drain(..surplus);
    call.tx.put_record(&key, &moves)?;
    Ok(Response::data(Map::from_iter([("migration_id".to_owned(), migration.into())])).flattened())
}

fn move_status(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = moves_key(&call.tx, call.namespace.id());
    let moves: Moves = call.tx.record(&key)?.unwrap_or_default();
    let id = call.capture("id");
    let found = moves.moves.iter().find(|done| done.id == id).ok_or_else(Error::not_found)?;
    let info = json!({ "source_mount": found.from, "target_mount": found.to, "status": "success" });
    Ok(Response::data(Map::from_iter([
        ("migration_id".to_owned(), found.id.clone().into()),
        ("migration_info".to_owned(), info),
    ])))
}
