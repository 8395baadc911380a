//! `auth/token/create` and its kin: a token made by the holder of another.

use super::entry::{Parent, TokenEntry, TokenKind, TokenType};
use super::roles::{self, TokenRole};
use super::settings::policy_names;
use super::store::{self, NewToken, namespace_suffix};
use crate::call::Call;
use crate::caller::Caller;
use crate::error::Error;
use crate::grants::{self, TokenLifetime};
use crate::identity;
use crate::policy::{AccessRequest, Operation as PolicyOperation};
use crate::request::Response;
use serde_json::{Map, Value};
use std::time::Duration;
use strongroom_secret::{PolicyName, SecretString, Timestamp};

/// Policies that are given by the server alone.
const NOT_ASSIGNABLE: [&str; 2] = ["response-wrapping", "control-group"];
const METADATA_ENTRIES_MAX: usize = 64;
const METADATA_BYTES_MAX: usize = 512;

/// Under what a token is to be made, as the path says it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Child,
    Orphan,
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Response, Error> {
    make(call, Family::Child, None)
}

pub(super) fn create_orphan(call: &mut Call<'_>) -> Result<Response, Error> {
    make(call, Family::Orphan, None)
}

pub(super) fn create_by_role(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("role_name").to_owned();
    let role = roles::find(&mut call.tx, call.namespace.id(), &name)?
        .ok_or_else(|| Error::invalid(format!("unknown role {name}")))?;
    make(call, Family::Child, Some(role))
}

fn make(call: &mut Call<'_>, family: Family, role: Option<TokenRole>) -> Result<Response, Error> {
    let caller = call.require_caller()?;
    let parent = &caller.token;
    if parent.kind != TokenType::Service {
        return Err(Error::invalid("batch tokens cannot create more tokens"));
    }
    if parent.num_uses > 0 {
        return Err(Error::invalid("restricted use token cannot generate child tokens"));
    }
    let is_sudo = call.has_sudo();
    let role = role.as_ref();
    let mut warnings = Vec::new();
    let kind = kind(call, role)?;
    let policies = policies(call, &caller, role, is_sudo)?;
    let mut entry = TokenEntry {
        kind,
        policies,
        path: path(call, role),
        display_name: display_name(call)?,
        metadata: metadata(call)?,
        role: role.map(|role| role.name.clone()).unwrap_or_default(),
        mount: call.mount.record.id,
        ..store::blank(call.namespace.id(), "", call.now)
    };
    check_root(&entry, parent)?;
    entry.num_uses =
        least(call.fields().count("num_uses")?.unwrap_or(0), role.map_or(0, |r| r.settings.num_uses));
    entry.uses_left = entry.num_uses;
    let orphan = is_orphan(call, family, role, is_sudo)?;
    if !orphan {
        entry.parent = caller.row.map(|row| Parent { namespace: parent.namespace, row });
        entry.entity_id.clone_from(&parent.entity_id);
    }
    entry.bound_cidrs = match role {
        Some(role) => role.settings.bound_cidrs.clone(),
        None => parent.bound_cidrs.clone(),
    };
    if let Some(entity_id) = entity_of_alias(call, role)? {
        entry.entity_id = entity_id;
    }
    live(call, &mut entry, role, is_sudo, &mut warnings)?;
    if entry.expires.is_none() {
        if parent.expires.is_some() {
            return Err(Error::invalid("expiring root tokens cannot create non-expiring root tokens"));
        }
        entry.bound_cidrs.clear();
    }
    let id = chosen_id(call, is_sudo)?;
    warn_of_missing_policies(call, &entry.policies, &mut warnings)?;
    let created = grants::make_token(call, NewToken { entry, id })?;
    let auth = grants::auth_of(call, created)?;
    Ok(Response { auth: Some(Box::new(auth)), warnings, ..Response::default() })
}

/// The smaller of two limits, where zero is none.
fn least<T: Ord + Default>(a: T, b: T) -> T {
    let none = T::default();
    match (a > none, b > none) {
        (true, true) => a.min(b),
        (true, false) => a,
        _ => b,
    }
}

fn kind(call: &Call<'_>, role: Option<&TokenRole>) -> Result<TokenType, Error> {
    let fields = call.fields();
    let asked = fields.text("type")?.unwrap_or_default();
    let asked = match (asked.as_str(), role.map_or(TokenKind::Default, |role| role.settings.kind)) {
        (_, TokenKind::Batch) | ("", TokenKind::DefaultBatch) => "batch",
        (_, TokenKind::Service) => "service",
        (asked, _) => asked,
    };
    match asked {
        "" | "service" => Ok(TokenType::Service),
        "batch" => {
            let zero = Duration::ZERO;
            let refused = [
                ("explicit_max_ttl", fields.duration("explicit_max_ttl")?.unwrap_or(zero) > zero),
                ("num_uses", fields.count("num_uses")?.unwrap_or(0) > 0),
                ("period", fields.duration("period")?.unwrap_or(zero) > zero),
            ];
            match refused.into_iter().find(|(_, is_set)| *is_set) {
                Some((name, _)) => Err(Error::invalid(format!("batch token cannot have {name:?} set"))),
                None => Ok(TokenType::Batch),
            }
        }
        _ => Err(Error::invalid("invalid 'type' value")),
    }
}

/// The policies of the new token: asked for, those of the role, or the parent's; and whether the caller may give them.
fn policies(
    call: &Call<'_>,
    caller: &Caller,
    role: Option<&TokenRole>,
    is_sudo: bool,
) -> Result<Vec<String>, Error> {
    let fields = call.fields();
    let asked = policy_names(&fields.list("policies")?.unwrap_or_default())?;
    let no_default = fields.boolean("no_default_policy")?.unwrap_or(false);
    let parent = &caller.token;
    let (mut names, add_default) = match role {
        Some(role) if role.rules_policies() => {
            return role_policies(role, asked, &parent.policies, no_default);
        }
        // A token of an outer namespace: its policies mean nothing here.
        _ if parent.namespace != call.namespace.id() => (asked, !no_default),
        _ if asked.is_empty() => (parent.policies.clone(), false),
        _ if is_sudo => (asked, !no_default),
        _ => {
            if let Some(policy) = asked.iter().find(|policy| !parent.policies.contains(policy)) {
                return Err(Error::invalid("child policies must be subset of parent")
                    .with_detail(format!("the parent has no policy {policy:?}")));
            }
            let parent_has_default = parent.policies.iter().any(|policy| policy == "default");
            (asked, !no_default && parent_has_default)
        }
    };
    if add_default {
        add_default_policy(&mut names);
    }
    Ok(names)
}

/// Root needs no other policy.
fn add_default_policy(names: &mut Vec<String>) {
    if !names.iter().any(|name| name == "default" || name == "root") {
        names.push("default".to_owned());
        names.sort_unstable();
    }
}

fn role_policies(
    role: &TokenRole,
    asked: Vec<String>,
    parent: &[String],
    no_default: bool,
) -> Result<Vec<String>, Error> {
    let add_default = !no_default && !role.settings.no_default_policy && !role.disallows("default");
    let was_asked = !asked.is_empty();
    let mut names = match (was_asked, role.rules_allowed()) {
        (true, _) => asked,
        (false, true) => role.allowed_policies.clone(),
        (false, false) => parent.to_vec(),
    };
    if add_default {
        add_default_policy(&mut names);
    }
    if was_asked && role.rules_allowed() {
        let is_allowed = |name: &String| role.allows(name) || (add_default && name == "default");
        if !names.iter().all(is_allowed) {
            return Err(Error::invalid(format!(
                "token policies ({names:?}) must be subset of the role's allowed policies ({:?}) or glob policies ({:?})",
                role.allowed_policies, role.allowed_policies_glob
            )));
        }
    }
    if let Some(name) = names.iter().find(|name| role.disallows(name)) {
        return Err(Error::invalid(format!("token policy {name:?} is disallowed by this role")));
    }
    Ok(names)
}

fn check_root(entry: &TokenEntry, parent: &TokenEntry) -> Result<(), Error> {
    if let Some(policy) = entry.policies.iter().find(|policy| NOT_ASSIGNABLE.contains(&policy.as_str())) {
        return Err(Error::invalid(format!("cannot assign policy {policy:?}")));
    }
    if !entry.is_root() {
        return Ok(());
    }
    if !parent.is_root() || parent.namespace != entry.namespace {
        return Err(Error::invalid("root tokens may not be created without parent token being root"));
    }
    if entry.kind == TokenType::Batch {
        return Err(Error::invalid("batch tokens cannot be root tokens"));
    }
    Ok(())
}

fn path(call: &Call<'_>, role: Option<&TokenRole>) -> String {
    let path = call.path.as_str().trim_end_matches('/');
    match role.map(|role| role.path_suffix.as_str()).filter(|suffix| !suffix.is_empty()) {
        Some(suffix) => format!("{path}/{suffix}"),
        None => path.to_owned(),
    }
}

/// `token`, and what the caller calls it, in letters that are safe everywhere.
fn display_name(call: &Call<'_>) -> Result<String, Error> {
    let Some(name) = call.fields().text("display_name")?.filter(|name| !name.is_empty()) else {
        return Ok("token".to_owned());
    };
    let mut full = "token-".to_owned();
    for character in name.chars().take(METADATA_BYTES_MAX) {
        match character {
            c if c.is_ascii_alphanumeric() => full.push(c),
            _ if full.ends_with('-') => {}
            _ => full.push('-'),
        }
    }
    Ok(full.strip_suffix('-').unwrap_or(&full).to_owned())
}

fn metadata(call: &Call<'_>) -> Result<Map<String, Value>, Error> {
    let fields = call.fields();
    let name = if fields.has("meta") { "meta" } else { "metadata" };
    let metadata = fields.text_map(name)?.unwrap_or_default();
    let is_long = |value: &Value| value.as_str().is_some_and(|text| text.len() > METADATA_BYTES_MAX);
    if metadata.len() > METADATA_ENTRIES_MAX || metadata.values().any(is_long) {
        return Err(Error::invalid(format!(
            "a token has at most {METADATA_ENTRIES_MAX} metadata entries of {METADATA_BYTES_MAX} bytes"
        )));
    }
    Ok(metadata)
}

fn is_orphan(
    call: &Call<'_>,
    family: Family,
    role: Option<&TokenRole>,
    is_sudo: bool,
) -> Result<bool, Error> {
    if let Some(role) = role {
        return Ok(role.is_orphan);
    }
    if call.fields().boolean("no_parent")?.unwrap_or(false) {
        if !is_sudo {
            return Err(Error::invalid("root or sudo privileges required to create orphan token"));
        }
        return Ok(true);
    }
    Ok(family == Family::Orphan)
}

/// The entity of the alias that the request names, where its role allows that.
fn entity_of_alias(call: &mut Call<'_>, role: Option<&TokenRole>) -> Result<Option<String>, Error> {
    let Some(alias) = call.fields().text("entity_alias")?.filter(|alias| !alias.is_empty()) else {
        return Ok(None);
    };
    let Some(role) = role else {
        return Err(Error::invalid("'entity_alias' is only allowed in combination with token role"));
    };
    let alias = alias.to_lowercase();
    if !role.allows_alias(&alias) {
        return Err(Error::invalid("invalid 'entity_alias' value"));
    }
    let grant = crate::request::LoginGrant { alias, ..Default::default() };
    identity::on_login(&mut call.tx, call.kernel.entropy(), &call.mount, &grant, call.now).map(Some)
}

/// How long it lives, and whether it can be renewed.
fn live(
    call: &Call<'_>,
    entry: &mut TokenEntry,
    role: Option<&TokenRole>,
    is_sudo: bool,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let fields = call.fields();
    let mut explicit = fields.duration("explicit_max_ttl")?.unwrap_or_default();
    let mut period = fields.duration("period")?.unwrap_or_default();
    let ttl = match fields.duration("ttl")? {
        Some(ttl) => ttl,
        None => fields.duration("lease")?.unwrap_or_default(),
    };
    if !period.is_zero() && !is_sudo {
        return Err(Error::invalid("root or sudo privileges required to create periodic token"));
    }
    if let Some(role) = role.filter(|_| entry.kind == TokenType::Service) {
        for (asked, own, name) in [
            (&mut explicit, role.settings.explicit_ttl_max, "Explicit max TTL"),
            (&mut period, role.settings.period, "Period"),
        ] {
            let lesser = least(*asked, own);
            if !asked.is_zero() && !own.is_zero() {
                warnings.push(format!(
                    "{name} specified both during creation call and in role; using the lesser value of {} seconds",
                    lesser.as_secs()
                ));
            }
            *asked = lesser;
        }
    }
    entry.period = period;
    entry.explicit_ttl_max = explicit;
    let renewable = fields.boolean("renewable")?.unwrap_or(true) && role.is_none_or(|role| role.is_renewable);
    let has_end = !period.is_zero() || !ttl.is_zero() || !explicit.is_zero() || !entry.is_root();
    if has_end {
        let ttls = grants::mount_ttls(call.kernel, &call.mount);
        let wish = TokenLifetime { ttl, period, ttl_max: Duration::ZERO, explicit_ttl_max: explicit };
        let lifetime = wish.bound(ttls, Duration::ZERO);
        entry.ttl = lifetime.ttl;
        entry.expires = Some(call.now.plus(lifetime.ttl));
        entry.is_renewable = renewable && entry.kind == TokenType::Service;
        warnings.extend(lifetime.warnings);
    }
    Ok(())
}

/// A token chosen by the caller.
fn chosen_id(call: &Call<'_>, is_sudo: bool) -> Result<Option<SecretString>, Error> {
    let Some(id) = call.fields().text("id")?.filter(|id| !id.is_empty()) else { return Ok(None) };
    let id = SecretString::new(id);
    if !is_sudo {
        return Err(Error::invalid("root or sudo privileges required to specify token id"));
    }
    if !call.namespace.path().is_root() {
        return Err(Error::invalid("token IDs can only be manually specified in the root namespace"));
    }
    let text = id.expose();
    if text.starts_with("hvb.") || namespace_suffix(text).is_some() || text.contains(char::is_whitespace) {
        return Err(Error::invalid(
            "a chosen token must not look like a batch token or one of a namespace, nor contain blanks",
        ));
    }
    Ok(Some(id))
}

fn warn_of_missing_policies(
    call: &mut Call<'_>,
    policies: &[String],
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    for policy in policies.iter().filter(|policy| *policy != "root") {
        let name = PolicyName::parse(policy)?;
        if !call.kernel.policies.exists(&mut call.tx, call.namespace.id(), name)? {
            warnings.push(format!("Policy {policy:?} does not exist"));
        }
    }
    Ok(())
}

impl Call<'_> {
    /// Whether the caller's policies grant `sudo` on this call's path.
    pub(crate) fn has_sudo(&self) -> bool {
        let wanted = |now: Timestamp| {
            AccessRequest::new(self.namespace.path(), self.path.as_str(), PolicyOperation::Update, now)
        };
        self.caller.as_ref().is_some_and(|caller| caller.acl.has_sudo(&wanted(self.now)))
    }
}
