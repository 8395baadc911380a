//! `sys/policy`, `sys/policies/acl` and `sys/capabilities`.

use super::fields::{field, method};
use crate::call::Call;
use crate::caller::{self, Caller};
use crate::error::{Error, ErrorKind};
use crate::namespaces::ROOT_NAMESPACE;
use crate::policies::{self, PolicyRecord};
use crate::policy::Policy;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use crate::tokens;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use strongroom_crypto::token::decode_base64;
use strongroom_secret::{PolicyName, Timestamp};

const NAME: Field = field("name", FieldKind::Text, "The policy's name.");
const WRITE_FIELDS: &[Field] = &[
    NAME,
    field("policy", FieldKind::Text, "The text, in HCL or JSON; base64 of it is taken as well."),
    field("cas", FieldKind::Integer, "Write only over this version; -1: only if there is none."),
    field("cas_required", FieldKind::Boolean, "Later writes must name the version that they replace."),
    field("expiration", FieldKind::Time, "After this moment the policy grants nothing."),
    field("ttl", FieldKind::Duration, "The same, from now on."),
];
const CAPABILITIES_FIELDS: &[Field] = &[
    field("path", FieldKind::List, "The paths; an old name of `paths`."),
    field("paths", FieldKind::List, "The paths to be asked about."),
    field("token", FieldKind::Text, "The token to be asked about."),
    field("accessor", FieldKind::Text, "The accessor of the token to be asked about."),
];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "policy/?",
        summary: "The policies of this namespace.",
        access: Access::Token,
        fields: &[],
        methods: &[
            method(Operation::Read, Run::Read(list_all), "List their names."),
            method(Operation::List, Run::Read(list_all), "List their names."),
        ],
        exists: None,
    },
    Route {
        pattern: "policy/{name..}",
        summary: "A policy, in the form of old clients.",
        access: Access::Token,
        fields: WRITE_FIELDS,
        methods: &[
            method(Operation::Read, Run::Read(read_rules), "Read its text."),
            method(Operation::Write, Run::Write(write), "Replace its text."),
            method(Operation::Delete, Run::Write(delete), "Remove it."),
        ],
        exists: None,
    },
    Route {
        pattern: "policies/acl/?",
        summary: "The policies of this namespace.",
        access: Access::Token,
        fields: &[],
        methods: &[
            method(Operation::List, Run::Read(list), "List their names."),
            method(Operation::Read, Run::Read(list), "List their names."),
        ],
        exists: None,
    },
    Route {
        pattern: "policies/detailed/acl/?",
        summary: "The policies of this namespace, with what is known of them.",
        access: Access::Token,
        fields: &[],
        methods: &[
            method(Operation::List, Run::Read(list_detailed), "List them."),
            method(Operation::Read, Run::Read(list_detailed), "List them."),
        ],
        exists: None,
    },
    Route {
        pattern: "policies/detailed/acl/{name..}",
        summary: "A policy, with what is known of it.",
        access: Access::Token,
        fields: &[NAME],
        methods: &[method(Operation::Read, Run::Read(read_detailed), "Read its text and its version.")],
        exists: None,
    },
    Route {
        pattern: "policies/acl/{name..}",
        summary: "A policy.",
        access: Access::Token,
        fields: WRITE_FIELDS,
        methods: &[
            method(
                Operation::Read,
                Run::Read(read_policy),
                "Read its text; `detailed` shows its version too.",
            ),
            method(Operation::Write, Run::Write(write), "Replace its text."),
            method(Operation::Delete, Run::Write(delete), "Remove it."),
        ],
        exists: None,
    },
    Route {
        pattern: "capabilities",
        summary: "What a token may do on paths.",
        access: Access::Token,
        fields: CAPABILITIES_FIELDS,
        methods: &[method(Operation::Write, Run::Read(capabilities), "Ask about a token.")],
        exists: None,
    },
    Route {
        pattern: "capabilities-self",
        summary: "What the caller may do on paths.",
        access: Access::Token,
        fields: CAPABILITIES_FIELDS,
        methods: &[method(
            Operation::Write,
            Run::Read(capabilities_self),
            "Ask about the caller's own token.",
        )],
        exists: None,
    },
    Route {
        pattern: "capabilities-accessor",
        summary: "What the token of an accessor may do on paths.",
        access: Access::Token,
        fields: CAPABILITIES_FIELDS,
        methods: &[method(
            Operation::Write,
            Run::Read(capabilities_accessor),
            "Ask about an accessor's token.",
        )],
        exists: None,
    },
];

fn names(call: &mut Call<'_>) -> Result<Vec<String>, Error> {
    let mut names = policies::list(&mut call.tx, call.namespace.id())?;
    names.retain(|name| name != "response-wrapping");
    // The root policy is not stored, and stands last as in Vault.
    if call.namespace.id() == ROOT_NAMESPACE {
        names.push("root".to_owned());
    }
    Ok(names)
}

fn list_all(call: &mut Call<'_>) -> Result<Response, Error> {
    let names = json!(names(call)?);
    let map = Map::from_iter([("keys".to_owned(), names.clone()), ("policies".to_owned(), names)]);
    Ok(Response::data(map).flattened())
}

fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    Response::keys(names(call)?)
}

fn list_detailed(call: &mut Call<'_>) -> Result<Response, Error> {
    let names = names(call)?;
    let mut key_info = Map::new();
    for name in &names {
        let name = PolicyName::parse(name)?;
        key_info.insert(name.to_string(), described(call, &name, "policy", Detail::Full)?.into());
    }
    let keys = json!(names);
    Ok(Response::data(Map::from_iter([("keys".to_owned(), keys), ("key_info".to_owned(), key_info.into())])))
}

fn name(call: &Call<'_>) -> Result<PolicyName, Error> {
    Ok(PolicyName::parse(call.capture("name").trim_end_matches('/'))?)
}

fn read_rules(call: &mut Call<'_>) -> Result<Response, Error> {
    Ok(Response::data(read(call, "rules")?).flattened())
}

fn read_detailed(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = name(call)?;
    Ok(Response::data(described(call, &name, "policy", Detail::Full)?))
}

fn read_policy(call: &mut Call<'_>) -> Result<Response, Error> {
    Ok(Response::data(read(call, "policy")?))
}

/// The policy with its text under the given name. What Vault does not know is shown only where it is used, or asked for.
fn read(call: &mut Call<'_>, text_name: &str) -> Result<Map<String, Value>, Error> {
    let name = name(call)?;
    let detail = match call.fields().boolean("detailed")?.unwrap_or_default() {
        true => Detail::Full,
        false => Detail::WhereUsed,
    };
    described(call, &name, text_name, detail)
}

/// How much of a policy is shown that Vault does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Full,
    WhereUsed,
}

fn described(
    call: &mut Call<'_>,
    name: &PolicyName,
    text_name: &str,
    detail: Detail,
) -> Result<Map<String, Value>, Error> {
    let mut map = Map::from_iter([("name".to_owned(), json!(name))]);
    if name.is_root() && call.namespace.id() == ROOT_NAMESPACE {
        map.insert(text_name.to_owned(), "".into());
        return Ok(map);
    }
    let record = policies::read(&mut call.tx, call.namespace.id(), name)?.ok_or_else(Error::not_found)?;
    if detail == Detail::Full || record.cas_required || record.expires.is_some() {
        map.insert("version".to_owned(), record.version.into());
        map.insert("modified".to_owned(), record.modified.rfc3339().into());
        map.insert("cas_required".to_owned(), record.cas_required.into());
    }
    if let Some(expires) = record.expires {
        map.insert("expiration".to_owned(), expires.rfc3339().into());
    }
    map.insert(text_name.to_owned(), record.text.into());
    Ok(map)
}

/// Names whose policies the server relies on.
fn refuse_fixed(name: &PolicyName, verb: &str) -> Result<(), Error> {
    match name.as_str() {
        "root" | "response-wrapping" | "control-group" => {
            Err(Error::invalid(format!("cannot {verb} {:?} policy", name.as_str())))
        }
        _ => Ok(()),
    }
}

fn text(call: &Call<'_>) -> Result<String, Error> {
    let fields = call.fields();
    let text = match fields.text("policy")? {
        Some(text) => Some(text),
        None => fields.text("rules")?,
    };
    let text = text
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| Error::invalid("'policy' parameter not supplied or empty"))?;
    let decoded = decode_base64(&text).and_then(|bytes| String::from_utf8(bytes.expose().to_vec()).ok());
    Ok(decoded.unwrap_or(text))
}

fn expires(call: &Call<'_>) -> Result<Option<Timestamp>, Error> {
    let fields = call.fields();
    let ttl = fields.duration("ttl")?.filter(|ttl| !ttl.is_zero());
    let expires = match (fields.time("expiration")?, ttl) {
        (Some(_), Some(_)) => return Err(Error::invalid("give either expiration or ttl, not both")),
        (time, None) => time,
        (None, Some(ttl)) => Some(call.now.plus(ttl)),
    };
    match expires {
        Some(time) if time <= call.now => Err(Error::invalid("expiration is in the past")),
        expires => Ok(expires),
    }
}

/// Refuses a write over another version than the one that the caller knows.
fn check_version(call: &Call<'_>, current: Option<&PolicyRecord>) -> Result<(), Error> {
    let version = current.map(|record| i64::try_from(record.version).unwrap_or(i64::MAX));
    match call.fields().integer("cas")? {
        None if current.is_some_and(|record| record.cas_required) => {
            Err(Error::invalid("check-and-set parameter required for this call"))
        }
        None => Ok(()),
        Some(-1) if version.is_none_or(|version| version == 0) => Ok(()),
        Some(cas) if version.unwrap_or_default() == cas => Ok(()),
        Some(_) => Err(Error::invalid("check-and-set parameter did not match the current version")),
    }
}

fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = name(call)?;
    refuse_fixed(&name, "update")?;
    let text = text(call)?;
    let expires = expires(call)?;
    if name == PolicyName::default_policy() && expires.is_some() {
        return Err(Error::invalid("the default policy cannot expire"));
    }
    let parsed = Policy::parse(name.clone(), &text).map_err(|error| Error::invalid(error.to_string()))?;
    let current = policies::read(&mut call.tx, call.namespace.id(), &name)?;
    check_version(call, current.as_ref())?;
    let cas_required = call.fields().boolean("cas_required")?;
    let record = PolicyRecord {
        name: name.to_string(),
        text,
        version: current.as_ref().map_or(0, |record| record.version) + 1,
        modified: call.now,
        expires,
        cas_required: cas_required.unwrap_or_else(|| current.is_some_and(|record| record.cas_required)),
    };
    policies::write(&mut call.tx, call.namespace.id(), &record)?;
    let warnings = parsed.warnings().iter().map(ToString::to_string).collect();
    Ok(Response { warnings, ..Response::default() })
}

fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = name(call)?;
    refuse_fixed(&name, "delete")?;
    if name == PolicyName::default_policy() {
        return Err(Error::invalid("cannot delete default policy"));
    }
    policies::delete(&mut call.tx, call.namespace.id(), &name)?;
    Ok(Response::default())
}

fn capabilities(call: &mut Call<'_>) -> Result<Response, Error> {
    let token = call.fields().required_text("token")?;
    let caller = by_token(call, &token)?;
    answer(call, &caller)
}

fn capabilities_self(call: &mut Call<'_>) -> Result<Response, Error> {
    let caller = call.require_caller()?;
    answer(call, &caller)
}

fn capabilities_accessor(call: &mut Call<'_>) -> Result<Response, Error> {
    let accessor = call.fields().required_text("accessor")?;
    let caller = by_accessor(call, &accessor)?;
    answer(call, &caller)
}

/// Somebody else's token, to be asked about.
pub(super) fn by_token(call: &mut Call<'_>, token: &str) -> Result<Arc<Caller>, Error> {
    let found = caller::look_up(call.kernel, &mut call.tx, call.topology, token, call.now);
    match found {
        Ok(caller) if !caller.token.is_expired(call.now) => Ok(caller),
        Ok(_) => Err(Error::invalid("invalid token")),
        Err(error) if error.kind == ErrorKind::Denied => {
            call.note_presented(token, "token");
            Err(Error::invalid("invalid token"))
        }
        Err(error) => Err(error),
    }
}

/// The token of an accessor, in this namespace or below it.
pub(super) fn by_accessor(call: &mut Call<'_>, accessor: &str) -> Result<Arc<Caller>, Error> {
    let invalid = || Error::invalid("invalid accessor");
    let topology = call.topology.clone();
    let home = match tokens::namespace_suffix(accessor) {
        Some(text_id) => topology.namespace_by_text_id(text_id),
        None => topology.root(),
    };
    let home = home.filter(|home| home.path().is_within(call.namespace.path())).ok_or_else(invalid)?;
    let (row, entry) = tokens::by_accessor(&mut call.tx, home.id(), accessor)?.ok_or_else(invalid)?;
    if entry.is_expired(call.now) {
        return Err(invalid());
    }
    caller::build(call.kernel, &mut call.tx, &topology, entry, Some(row), call.now).map(Arc::new)
}

fn answer(call: &Call<'_>, caller: &Caller) -> Result<Response, Error> {
    let fields = call.fields();
    let paths = match fields.list("paths")? {
        Some(paths) if !paths.is_empty() => paths,
        _ => fields.list("path")?.unwrap_or_default(),
    };
    if paths.is_empty() {
        return Err(Error::invalid("paths must be supplied"));
    }
    let mut map = Map::new();
    for path in &paths {
        let asked = path.trim_start_matches('/');
        let capabilities = json!(caller.acl.capabilities(call.namespace.path(), asked, call.now));
        if paths.len() == 1 {
            map.insert("capabilities".to_owned(), capabilities.clone());
        }
        map.insert(path.clone(), capabilities);
    }
    Ok(Response::data(map).flattened())
}
