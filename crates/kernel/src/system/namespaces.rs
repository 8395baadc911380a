//! `sys/namespaces`: tenants below this namespace. Paths are relative to the namespace of the request.

use super::fields::{field, method};
use crate::backend::Class;
use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Error, ErrorKind};
use crate::mounts::{self, MountTable, mounts_key};
use crate::namespaces::{NAMESPACES, NamespaceRecord, ROOT_NAMESPACE, kernel_space, namespace_key};
use crate::removal::{Removal, remove_namespace};
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use crate::system::own_mounts;
use serde_json::{Map, Value, json};
use strongroom_crypto::token::random_base62;
use strongroom_secret::NamespacePath;
use subtle::ConstantTimeEq;

/// Namespaces of a server.
const NAMESPACES_MAX: usize = 10_000;
const TEXT_ID_CHARACTERS: usize = 6;
const UNLOCK_KEY_CHARACTERS: usize = 32;
const METADATA_ENTRIES_MAX: usize = 64;

const PATH: Field = field("path", FieldKind::Text, "The namespace, relative to that of the request.");
const METADATA: Field = field("custom_metadata", FieldKind::Map, "Texts by name, for people and programs.");
const UNLOCK_KEY: Field = field("unlock_key", FieldKind::Text, "What locking answered.");

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "namespaces/?",
        summary: "The namespaces below this one.",
        access: Access::Token,
        fields: &[],
        methods: &[
            method(Operation::List, Run::Read(list), "List those directly below."),
            method(Operation::Scan, Run::Read(scan), "List all, at any depth."),
        ],
        exists: None,
    },
    Route {
        pattern: "namespaces/api-lock/lock",
        summary: "Lock this namespace and those below it.",
        access: Access::Sudo,
        fields: &[],
        methods: &[method(Operation::Write, Run::Write(lock), "Lock it; answers the key that unlocks it.")],
        exists: None,
    },
    Route {
        pattern: "namespaces/api-lock/lock/{path..}",
        summary: "Lock a namespace and those below it.",
        access: Access::Sudo,
        fields: &[PATH],
        methods: &[method(Operation::Write, Run::Write(lock), "Lock it; answers the key that unlocks it.")],
        exists: None,
    },
    Route {
        pattern: "namespaces/api-lock/unlock",
        summary: "Unlock this namespace.",
        access: Access::Token,
        fields: &[UNLOCK_KEY],
        methods: &[method(Operation::Write, Run::Write(unlock), "Unlock it.")],
        exists: None,
    },
    Route {
        pattern: "namespaces/api-lock/unlock/{path..}",
        summary: "Unlock a namespace.",
        access: Access::Token,
        fields: &[PATH, UNLOCK_KEY],
        methods: &[method(Operation::Write, Run::Write(unlock), "Unlock it.")],
        exists: None,
    },
    Route {
        pattern: "namespaces/{path..}",
        summary: "A namespace.",
        access: Access::Token,
        fields: &[PATH, METADATA],
        methods: &[
            method(Operation::List, Run::Read(list), "List those directly below it."),
            method(Operation::Scan, Run::Read(scan), "List all below it, at any depth."),
            method(Operation::Read, Run::Read(read), "Read it."),
            method(Operation::Write, Run::Write(write), "Make it, or replace its metadata."),
            method(Operation::Patch, Run::Write(patch), "Change single entries of its metadata."),
            method(Operation::Delete, Run::Write(delete), "Remove it and everything in it."),
        ],
        exists: None,
    },
];

/// The namespace that the request is about, from the root on.
fn target(call: &Call<'_>) -> Result<NamespacePath, Error> {
    Ok(call.namespace.path().join(&NamespacePath::parse(call.capture("path"))?)?)
}

fn records(call: &mut Call<'_>) -> Result<Vec<NamespaceRecord>, Error> {
    let table = call.tx.table(kernel_space(ROOT_NAMESPACE), NAMESPACES);
    call.tx.records(&table)
}

fn find(call: &mut Call<'_>, path: &NamespacePath) -> Result<Option<NamespaceRecord>, Error> {
    Ok(records(call)?.into_iter().find(|record| record.path == *path))
}

/// A namespace below that of the request, which must be there.
fn required(call: &mut Call<'_>) -> Result<NamespaceRecord, Error> {
    let path = target(call)?;
    find(call, &path)?.filter(|record| !record.is_tainted).ok_or_else(Error::not_found)
}

fn shown(record: &NamespaceRecord, from: &NamespacePath) -> Map<String, Value> {
    let path = record.path.as_str();
    Map::from_iter([
        ("id".to_owned(), record.text_id.clone().into()),
        ("path".to_owned(), path.strip_prefix(from.as_str()).unwrap_or(path).into()),
        ("custom_metadata".to_owned(), record.custom_metadata.clone().into()),
        ("tainted".to_owned(), record.is_tainted.into()),
        ("locked".to_owned(), record.lock_key_tag.is_some().into()),
    ])
}

fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    children(call, |below| below.matches('/').count() == 1)
}

fn scan(call: &mut Call<'_>) -> Result<Response, Error> {
    children(call, |_| true)
}

fn children(call: &mut Call<'_>, is_wanted: fn(&str) -> bool) -> Result<Response, Error> {
    let from = target(call)?;
    let mut info = Map::new();
    for record in records(call)? {
        let below = record.path.as_str().strip_prefix(from.as_str()).unwrap_or_default();
        if !below.is_empty() && is_wanted(below) {
            info.insert(below.to_owned(), Value::Object(shown(&record, &from)));
        }
    }
    let keys: Vec<&String> = info.keys().collect();
    if keys.is_empty() {
        return Err(Error::not_found());
    }
    let keys = json!(keys);
    Ok(Response::data(Map::from_iter([("keys".to_owned(), keys), ("key_info".to_owned(), info.into())])))
}

fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let record = required(call)?;
    Ok(Response::data(shown(&record, call.namespace.path())))
}

fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let path = target(call)?;
    let metadata = checked(call.fields().text_map("custom_metadata")?.unwrap_or_default())?;
    let record = match find(call, &path)? {
        Some(record) if record.is_tainted => {
            return Err(Error::invalid(format!("namespace {path} is being deleted: try again later")));
        }
        Some(record) => NamespaceRecord { custom_metadata: metadata, ..record },
        None => create(call, path, metadata)?,
    };
    save(call, &record)?;
    Ok(Response::data(shown(&record, call.namespace.path())))
}

fn checked(metadata: Map<String, Value>) -> Result<Map<String, Value>, Error> {
    if metadata.len() > METADATA_ENTRIES_MAX {
        return Err(Error::invalid(format!("custom_metadata has at most {METADATA_ENTRIES_MAX} entries")));
    }
    Ok(metadata)
}

fn save(call: &mut Call<'_>, record: &NamespaceRecord) -> Result<(), Error> {
    let key = namespace_key(&call.tx, record.id);
    call.tx.put_record(&key, record)?;
    call.tx.after_commit(Effect::Topology);
    Ok(())
}

fn create(
    call: &mut Call<'_>,
    path: NamespacePath,
    metadata: Map<String, Value>,
) -> Result<NamespaceRecord, Error> {
    let (Some(parent), false) = (path.parent(), path == *call.namespace.path()) else {
        return Err(Error::invalid("a namespace needs a name"));
    };
    let name = path.as_str().strip_prefix(parent.as_str()).unwrap_or_default();
    if name == "api-lock/" {
        return Err(Error::invalid("namespace name \"api-lock\" is reserved"));
    }
    let all = records(call)?;
    if all.len() >= NAMESPACES_MAX {
        return Err(Error::invalid(format!("a server has at most {NAMESPACES_MAX} namespaces")));
    }
    let parent_id = match parent.is_root() {
        true => ROOT_NAMESPACE,
        false => all
            .iter()
            .find(|record| record.path == parent && !record.is_tainted)
            .map(|record| record.id)
            .ok_or_else(|| Error::invalid(format!("parent namespace {parent} does not exist")))?,
    };
    refuse_mount_in_the_way(&mounts::read_table(&mut call.tx, parent_id)?, name)?;
    let (id, text_id) = fresh_ids(call, &all);
    let key = mounts_key(&call.tx, id);
    let table = own_mounts(call.entropy());
    call.tx.put_record(&key, &table)?;
    Ok(NamespaceRecord {
        id,
        text_id,
        path,
        custom_metadata: metadata,
        is_tainted: false,
        lock_key_tag: None,
    })
}

fn refuse_mount_in_the_way(table: &MountTable, name: &str) -> Result<(), Error> {
    let mount =
        table.live().filter(|mount| mount.class == Class::Secret).find(|mount| mount.path.starts_with(name));
    match mount {
        Some(mount) => Err(Error::invalid(format!("path is already in use by the mount {}", mount.path))),
        None => Ok(()),
    }
}

fn fresh_ids(call: &Call<'_>, all: &[NamespaceRecord]) -> (u64, String) {
    loop {
        let mut id = [0; 8];
        call.entropy().fill(&mut id);
        let id = u64::from_be_bytes(id);
        let text_id = random_base62(call.entropy(), TEXT_ID_CHARACTERS).expose().to_owned();
        let is_taken = all.iter().any(|record| record.id == id || record.text_id == text_id);
        if id != ROOT_NAMESPACE && !is_taken {
            return (id, text_id);
        }
    }
}

fn patch(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut record = required(call)?;
    for (name, value) in call.fields().map("custom_metadata")?.unwrap_or_default() {
        match value {
            Value::Null => drop(record.custom_metadata.remove(&name)),
            Value::String(_) => drop(record.custom_metadata.insert(name, value)),
            _ => return Err(Error::invalid("custom_metadata holds texts")),
        }
    }
    record.custom_metadata = checked(record.custom_metadata)?;
    save(call, &record)?;
    Ok(Response::data(shown(&record, call.namespace.path())))
}

fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let path = target(call)?;
    if path == *call.namespace.path() {
        return Err(Error::invalid("a namespace cannot delete itself"));
    }
    let all = records(call)?;
    let Some(record) = all.iter().find(|record| record.path == path) else { return Ok(Response::default()) };
    if all.iter().any(|other| other.path != path && other.path.is_within(&path)) {
        return Err(Error::invalid(format!(
            "cannot delete namespace {path} while there are namespaces below it"
        )));
    }
    let record = NamespaceRecord { is_tainted: true, ..record.clone() };
    save(call, &record)?;
    let namespace = call.topology.namespace_by_id(record.id).cloned();
    let removal = match &namespace {
        Some(namespace) => remove_namespace(call.kernel, &mut call.tx, namespace)?,
        None => Removal::More,
    };
    Ok(match removal {
        Removal::Done => Response::default(),
        // The rest goes with Kernel::clean_up.
        Removal::More | Removal::Waiting => {
            Response::data(Map::from_iter([("status".to_owned(), "in-progress".into())]))
        }
    })
}

fn lock_tag(call: &Call<'_>, key: &str) -> String {
    let keys = call.tx.keys();
    hex::encode(keys.tokens.start().with(b"namespace lock\0").with(key.as_bytes()).finish())
}

fn lock(call: &mut Call<'_>) -> Result<Response, Error> {
    if target(call)?.is_root() {
        return Err(Error::invalid("the root namespace cannot be locked"));
    }
    let mut record = required(call)?;
    if record.lock_key_tag.is_some() {
        return Err(Error::invalid(format!("namespace {} is locked already", record.path)));
    }
    let key = random_base62(call.entropy(), UNLOCK_KEY_CHARACTERS);
    record.lock_key_tag = Some(lock_tag(call, key.expose()));
    save(call, &record)?;
    Ok(Response::data(Map::from_iter([("unlock_key".to_owned(), key.expose().into())])))
}

fn unlock(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut record = required(call)?;
    let Some(tag) = &record.lock_key_tag else {
        return Err(Error::invalid(format!("namespace {} is not locked", record.path)));
    };
    let presented = call.fields().text("unlock_key")?.unwrap_or_default();
    let is_right = bool::from(lock_tag(call, &presented).as_bytes().ct_eq(tag.as_bytes()));
    // Who may do anything in the namespace above gets through without the key.
    let is_root = record
        .path
        .parent()
        .is_some_and(|parent| call.caller.as_ref().is_some_and(|caller| caller.acl.is_root_in(&parent)));
    let may_unlock = is_right || (is_root && presented.is_empty());
    if !may_unlock {
        return Err(Error::new(ErrorKind::Denied, "the unlock key is wrong"));
    }
    record.lock_key_tag = None;
    save(call, &record)?;
    Ok(Response::default())
}
