//! `auth/token/`: looking up, renewing and revoking tokens, one's own and others'.

use super::creation;
use super::entry::{TokenEntry, TokenRow, TokenType};
use super::expiry::{ExpiryKind, expiry_key};
use super::roles;
use super::settings::cidr_text;
use super::store::{self, Children, Created, namespace_suffix};
use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::grants::{self, TokenLifetime};
use crate::identity;
use crate::namespaces::ROOT_NAMESPACE;
use crate::request::{Fields, LoginGrant, Operation, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use crate::transaction::Tx;
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_secret::SecretString;

/// Accessors that one list answers; more come by pages.
const ACCESSORS_MAX: usize = 100_000;

pub(crate) const fn field(name: &'static str, kind: FieldKind, description: &'static str) -> Field {
    Field { name, kind, description }
}

const TOKEN: Field = field("token", FieldKind::Text, "The token.");
const ACCESSOR: Field = field("accessor", FieldKind::Text, "The accessor of the token.");
const INCREMENT: Field = field("increment", FieldKind::Duration, "The wished lifetime from now on.");

const CREATION: &[Field] = &[
    field("id", FieldKind::Text, "The token itself, chosen by the caller; needs sudo."),
    field("role_name", FieldKind::Text, "The role to make it by."),
    field("policies", FieldKind::List, "Its policies; the caller's own unless said."),
    field("meta", FieldKind::Map, "Shown by look-ups and in the audit log."),
    field("no_parent", FieldKind::Boolean, "Make it an orphan; needs sudo."),
    field("no_default_policy", FieldKind::Boolean, "Leave out the policy `default`."),
    field("renewable", FieldKind::Boolean, "Whether it can be renewed; true unless said."),
    field("ttl", FieldKind::Duration, "How long it lives at first."),
    field("type", FieldKind::Text, "service or batch."),
    field("explicit_max_ttl", FieldKind::Duration, "How long it lives, renewals and all."),
    field("display_name", FieldKind::Text, "What to call it."),
    field("num_uses", FieldKind::Integer, "How often it may be used; zero is without a limit."),
    field("period", FieldKind::Duration, "Make it periodic; needs sudo."),
    field(
        "entity_alias",
        FieldKind::Text,
        "The alias of the entity that it shall belong to; by a role alone.",
    ),
];

const fn write_only(
    pattern: &'static str,
    access: Access,
    fields: &'static [Field],
    methods: &'static [Method],
    summary: &'static str,
) -> Route {
    Route { pattern, summary, access, fields, methods, exists: None }
}

macro_rules! writes {
    ($handler:path, $summary:literal) => {
        &[Method { operation: Operation::Write, run: Run::Write($handler), summary: $summary }]
    };
}

pub(crate) const ROUTES: &[Route] = &[
    write_only(
        "create",
        Access::Token,
        CREATION,
        writes!(creation::create, "Make it."),
        "Make a token under one's own.",
    ),
    write_only(
        "create-orphan",
        Access::Token,
        CREATION,
        writes!(creation::create_orphan, "Make it."),
        "Make a token without a parent.",
    ),
    write_only(
        "create/{role_name}",
        Access::Token,
        CREATION,
        writes!(creation::create_by_role, "Make it."),
        "Make a token by a role.",
    ),
    Route {
        pattern: "lookup",
        summary: "Say what is known of a token.",
        access: Access::Token,
        fields: &[TOKEN],
        methods: &[
            Method { operation: Operation::Write, run: Run::Read(lookup), summary: "Look it up." },
            Method { operation: Operation::Read, run: Run::Read(lookup), summary: "Look it up." },
        ],
        exists: None,
    },
    Route {
        pattern: "lookup-self",
        summary: "Say what is known of the calling token.",
        access: Access::Token,
        fields: &[],
        methods: &[
            Method { operation: Operation::Read, run: Run::Read(lookup_self), summary: "Look it up." },
            Method { operation: Operation::Write, run: Run::Read(lookup_self), summary: "Look it up." },
        ],
        exists: None,
    },
    Route {
        pattern: "lookup-accessor",
        summary: "Say what is known of the token of an accessor.",
        access: Access::Token,
        fields: &[ACCESSOR],
        methods: &[Method {
            operation: Operation::Write,
            run: Run::Read(lookup_accessor),
            summary: "Look it up.",
        }],
        exists: None,
    },
    write_only(
        "renew",
        Access::Token,
        &[TOKEN, INCREMENT],
        writes!(renew, "Renew it."),
        "Extend the life of a token.",
    ),
    write_only(
        "renew-self",
        Access::Token,
        &[INCREMENT],
        writes!(renew_self, "Renew it."),
        "Extend the life of the calling token.",
    ),
    write_only(
        "renew-accessor",
        Access::Token,
        &[ACCESSOR, INCREMENT],
        writes!(renew_accessor, "Renew it."),
        "Extend the life of the token of an accessor.",
    ),
    write_only(
        "revoke",
        Access::Token,
        &[TOKEN],
        writes!(revoke, "Revoke it."),
        "End a token and all that was made under it.",
    ),
    write_only(
        "revoke-self",
        Access::Token,
        &[],
        writes!(revoke_self, "Revoke it."),
        "End the calling token and all that was made under it.",
    ),
    write_only(
        "revoke-accessor",
        Access::Token,
        &[ACCESSOR],
        writes!(revoke_accessor, "Revoke it."),
        "End the token of an accessor and all that was made under it.",
    ),
    write_only(
        "revoke-orphan",
        Access::Sudo,
        &[TOKEN],
        writes!(revoke_orphan, "Revoke it."),
        "End a token; those made under it live on as orphans.",
    ),
    Route {
        pattern: "accessors/?",
        summary: "The accessors of all service tokens.",
        access: Access::Sudo,
        fields: &[],
        methods: &[Method { operation: Operation::List, run: Run::Read(accessors), summary: "List them." }],
        exists: None,
    },
    write_only(
        "tidy",
        Access::Token,
        &[],
        writes!(tidy, "Start."),
        "Look for what no token needs any longer.",
    ),
];

/// A page of sorted names: after the name `after`, at most `limit` of them.
pub(crate) fn page(fields: &Fields, mut names: Vec<String>) -> Result<Vec<String>, Error> {
    if let Some(after) = fields.text("after")?.filter(|after| !after.is_empty()) {
        names.retain(|name| *name > after);
    }
    if let Some(limit) = fields.integer("limit")?.filter(|limit| *limit > 0) {
        names.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    Ok(names)
}

/// A token that a request speaks of.
struct Found {
    row: Option<TokenRow>,
    entry: TokenEntry,
}

/// The namespace that a token or accessor belongs to, if it is the call's or one below.
fn home(call: &Call<'_>, text: &str) -> Option<u64> {
    let home = match namespace_suffix(text) {
        Some(text_id) => call.topology.namespace_by_text_id(text_id)?,
        None => call.topology.namespace_by_id(ROOT_NAMESPACE)?,
    };
    home.path().is_within(call.namespace.path()).then(|| home.id())
}

/// The calling token, as it is now.
fn own(call: &mut Call<'_>) -> Result<Found, Error> {
    let caller = call.require_caller()?;
    let Some(row) = caller.row else { return Ok(Found { row: None, entry: caller.token.clone() }) };
    let entry = store::read(&mut call.tx, caller.token.namespace, row)?.ok_or_else(Error::denied)?;
    Ok(Found { row: Some(row), entry })
}

/// The token that the request names. None if there is none, or it has expired.
fn named(call: &mut Call<'_>) -> Result<Option<Found>, Error> {
    let now = call.now;
    Ok(named_even_if_expired(call)?.filter(|found| !found.entry.is_expired(now)))
}

fn named_even_if_expired(call: &mut Call<'_>) -> Result<Option<Found>, Error> {
    let token = call
        .fields()
        .text("token")?
        .filter(|token| !token.is_empty())
        .map(SecretString::new)
        .ok_or_else(|| Error::invalid("missing token ID"))?;
    if call.request.token.as_ref().is_some_and(|own| own.expose() == token.expose()) {
        return own(call).map(Some);
    }
    if let Some(entry) = store::batch_entry(call.tx.keys(), token.expose()) {
        let is_alive = match entry.parent {
            Some(parent) => store::read(&mut call.tx, parent.namespace, parent.row)?.is_some(),
            None => true,
        };
        return Ok(is_alive.then_some(Found { row: None, entry }));
    }
    let Some(home) = home(call, token.expose()) else { return Ok(None) };
    let found = store::find_row(&mut call.tx, home, token.expose())?;
    Ok(found.map(|(row, entry)| Found { row: Some(row), entry }))
}

/// The token whose accessor the request names.
fn of_accessor(call: &mut Call<'_>) -> Result<Found, Error> {
    let accessor = call
        .fields()
        .text("accessor")?
        .filter(|accessor| !accessor.is_empty())
        .ok_or_else(|| Error::invalid("missing accessor"))?;
    let invalid = || Error::invalid("1 error occurred:\n\t* invalid accessor\n\n");
    let home = home(call, &accessor).ok_or_else(invalid)?;
    store::by_accessor(&mut call.tx, home, &accessor)?
        .filter(|(_, entry)| entry.accessor == accessor && !entry.is_expired(call.now))
        .map(|(row, entry)| Found { row: Some(row), entry })
        .ok_or_else(invalid)
}

fn lookup(call: &mut Call<'_>) -> Result<Response, Error> {
    if !call.fields().has("token") && call.request.operation == Operation::Read {
        return lookup_self(call);
    }
    let found = named(call)?;
    let token = call.fields().text("token")?.unwrap_or_default();
    if found.is_none() {
        call.note_presented(&token, "token");
    }
    let found = found.ok_or_else(|| Error::new(ErrorKind::Denied, "bad token"))?;
    describe(call, found, token)
}

fn lookup_self(call: &mut Call<'_>) -> Result<Response, Error> {
    let found = own(call)?;
    let token = call.request.token.as_ref().map(|token| token.expose().to_owned()).unwrap_or_default();
    describe(call, found, token)
}

fn lookup_accessor(call: &mut Call<'_>) -> Result<Response, Error> {
    let found = of_accessor(call)?;
    describe(call, found, String::new())
}

/// All that is known of a token. Field names: <https://developer.hashicorp.com/vault/api-docs/auth/token>
fn describe(call: &mut Call<'_>, found: Found, id: String) -> Result<Response, Error> {
    let Found { row, entry } = found;
    let caller = call.require_caller()?;
    // This look-up is a use as well, if it is the caller's own.
    let this_use = u64::from(row.is_some() && row == caller.row);
    let Value::Object(mut map) = json!({
        "accessor": entry.accessor,
        "creation_time": entry.created.seconds(),
        "creation_ttl": entry.ttl.as_secs(),
        "display_name": entry.display_name,
        "entity_id": entry.entity_id,
        "expire_time": entry.expires.map(|expires| expires.rfc3339()),
        "explicit_max_ttl": entry.explicit_ttl_max.as_secs(),
        "id": id,
        "meta": if entry.metadata.is_empty() { Value::Null } else { json!(entry.metadata) },
        "num_uses": entry.uses_left.saturating_sub(this_use),
        "orphan": entry.is_orphan(),
        "path": entry.path,
        "policies": entry.policies,
        "ttl": entry.ttl_left(call.now).as_secs(),
        "type": entry.kind.as_str(),
    }) else {
        return Err(Error::internal("an object is an object"));
    };
    let mut add = |name: &str, value: Value| map.insert(name.to_owned(), value);
    if entry.expires.is_some() {
        add("issue_time", json!(entry.created.rfc3339()));
        add("renewable", json!(entry.is_renewable));
    }
    if let Some(renewed) = entry.last_renewal {
        add("last_renewal", json!(renewed.rfc3339()));
        add("last_renewal_time", json!(renewed.seconds()));
    }
    if !entry.period.is_zero() {
        add("period", json!(entry.period.as_secs()));
    }
    if !entry.role.is_empty() {
        add("role", json!(entry.role));
    }
    if !entry.bound_cidrs.is_empty() {
        add("bound_cidrs", json!(entry.bound_cidrs.iter().map(|net| cidr_text(*net)).collect::<Vec<_>>()));
    }
    if entry.namespace != ROOT_NAMESPACE
        && let Some(namespace) = call.topology.namespace_by_id(entry.namespace)
    {
        add("namespace_path", json!(namespace.path().as_str()));
    }
    if !entry.entity_id.is_empty() {
        add_identity(call, &entry, &mut map)?;
    }
    Ok(Response::data(map))
}

fn add_identity(call: &mut Call<'_>, entry: &TokenEntry, map: &mut Map<String, Value>) -> Result<(), Error> {
    let identity = identity::load(&mut call.tx, call.topology, entry.namespace, &entry.entity_id)?;
    let Some(identity) = identity.filter(|_| !entry.no_identity_policies) else { return Ok(()) };
    let policies = identity.policies_in(entry.namespace);
    if !policies.is_empty() {
        map.insert("identity_policies".to_owned(), json!(policies));
    }
    let outside: Map<String, Value> = identity
        .policies
        .iter()
        .filter(|(namespace, _)| *namespace != entry.namespace)
        .filter_map(|(id, policies)| {
            let namespace = call.topology.namespace_by_id(*id)?;
            Some((namespace.path().to_string(), json!(policies)))
        })
        .collect();
    map.insert("external_namespace_policies".to_owned(), Value::Object(outside));
    Ok(())
}

fn renew(call: &mut Call<'_>) -> Result<Response, Error> {
    let found = named(call)?.ok_or_else(|| Error::invalid("token not found"))?;
    let token = call.fields().text("token")?.unwrap_or_default();
    extend(call, found, SecretString::new(token))
}

fn renew_self(call: &mut Call<'_>) -> Result<Response, Error> {
    let found = own(call)?;
    let token =
        call.request.token.as_ref().map(SecretString::duplicate).unwrap_or_else(|| String::new().into());
    extend(call, found, token)
}

fn renew_accessor(call: &mut Call<'_>) -> Result<Response, Error> {
    let found = of_accessor(call)?;
    extend(call, found, String::new().into())
}

/// Renews a token: as its auth method says, within all limits.
fn extend(call: &mut Call<'_>, found: Found, token: SecretString) -> Result<Response, Error> {
    let Found { row: Some(row), mut entry } = found else {
        return Err(Error::invalid("batch tokens cannot be renewed"));
    };
    let Some(old_end) = entry.expires.filter(|_| entry.is_renewable) else {
        return Err(Error::invalid("lease is not renewable"));
    };
    let increment = call.fields().duration("increment")?.unwrap_or_default();
    let (ttls, grant) = auth_method_says(call, &entry)?;
    let mut wish = TokenLifetime {
        ttl: increment,
        period: entry.period,
        ttl_max: entry.ttl_max,
        explicit_ttl_max: entry.explicit_ttl_max,
    };
    if let Some(grant) = &grant {
        (wish.period, wish.ttl_max) = (grant.token.period, grant.token.ttl_max);
        if increment.is_zero() {
            wish.ttl = grant.token.ttl;
        }
        (entry.period, entry.ttl_max) = (wish.period, wish.ttl_max);
    } else if increment.is_zero() && entry.period.is_zero() {
        wish.ttl = entry.ttl;
    }
    let lifetime = wish.bound(ttls, call.now.since(entry.created));
    if lifetime.ttl.is_zero() {
        return Err(Error::invalid("past the max TTL, cannot renew"));
    }
    let new_end = call.now.plus(lifetime.ttl);
    entry.expires = Some(new_end);
    entry.last_renewal = Some(call.now);
    // The index has a row at the old end or before it: one that is too early costs a look, one too late would be wrong.
    if new_end < old_end {
        let key = expiry_key(&call.tx, new_end, ExpiryKind::Token, entry.namespace, &row.0);
        call.tx.put(&key, Vec::new())?;
    }
    store::save(&mut call.tx, row, &entry)?;
    let mut auth = grants::auth_of(call, Created { token, entry, row: Some(row) })?;
    auth.lease_duration = lifetime.ttl;
    Ok(Response { auth: Some(Box::new(auth)), warnings: lifetime.warnings, ..Response::default() })
}

type Ttls = (Duration, Duration);

/// The lifetimes of the mount that a token came from, and what its method says of the renewal, if it cares.
fn auth_method_says(call: &mut Call<'_>, entry: &TokenEntry) -> Result<(Ttls, Option<LoginGrant>), Error> {
    if entry.mount == 0 || entry.path.starts_with("auth/token/") {
        return Ok((grants::mount_ttls(call.kernel, &call.mount), None));
    }
    call.at_mount(entry.namespace, entry.mount, |call| {
        let ttls = grants::mount_ttls(call.kernel, &call.mount);
        let grant = match call.mount.backend.renew_login {
            Some(renew_login) => Some(renew_login(call, entry)?),
            None => None,
        };
        Ok((ttls, grant))
    })
    .unwrap_or_else(|| Err(Error::invalid("the auth method that issued this token is gone")))
}

fn end(call: &mut Call<'_>, found: Found, children: Children) -> Result<Response, Error> {
    let row = found.row.ok_or_else(|| Error::invalid("batch tokens cannot be revoked"))?;
    grants::revoke_token(call.kernel, &mut call.tx, found.entry.namespace, row, children)?;
    Ok(Response::default())
}

/// An expired token is ended as well: those made under it go now, not when the expirer comes to it.
fn revoke(call: &mut Call<'_>) -> Result<Response, Error> {
    match named_even_if_expired(call)? {
        // An expired batch token has no entry to end.
        Some(found) if found.row.is_none() && found.entry.is_expired(call.now) => Ok(Response::default()),
        Some(found) => end(call, found, Children::Revoke),
        None => Ok(Response::default()),
    }
}

fn revoke_self(call: &mut Call<'_>) -> Result<Response, Error> {
    let found = own(call)?;
    end(call, found, Children::Revoke)
}

fn revoke_accessor(call: &mut Call<'_>) -> Result<Response, Error> {
    let found = of_accessor(call)?;
    end(call, found, Children::Revoke)
}

fn revoke_orphan(call: &mut Call<'_>) -> Result<Response, Error> {
    let found = named(call)?.ok_or_else(|| Error::invalid("token to revoke not found"))?;
    end(call, found, Children::Orphan)
}

fn accessors(call: &mut Call<'_>) -> Result<Response, Error> {
    let now = call.now;
    let mut found = Vec::new();
    visit_living(&mut call.tx, call.namespace.id(), now, &mut |entry| found.push(entry.accessor))?;
    found.sort_unstable();
    let mut keys = page(call.fields(), found)?;
    keys.truncate(ACCESSORS_MAX);
    Response::keys(keys)
}

fn visit_living(
    tx: &mut Tx<'_>,
    namespace: u64,
    now: strongroom_secret::Timestamp,
    visit: &mut dyn FnMut(TokenEntry),
) -> Result<(), Error> {
    store::entries_of(tx, namespace, &mut |_, entry| {
        if !entry.is_expired(now) && entry.kind == TokenType::Service {
            visit(entry);
        }
        ControlFlow::Continue(())
    })
}

/// A token's rows change together, so that nothing is ever left over; old clients still ask.
fn tidy(_: &mut Call<'_>) -> Result<Response, Error> {
    let response = Response { status: Some(202), ..Response::default() };
    Ok(response.with_warning(
        "Tidy operation successfully started. Any information from the operation will be printed to the server's log.",
    ))
}

/// The tables of the backend at `auth/token/`.
pub(crate) const TABLES: &[&[Route]] = &[ROUTES, roles::ROUTES];
