//! Token roles: templates by which somebody may make tokens that their own policies would not allow.

use super::entry::{TokenKind, TokenSettings};
use super::routes::field;
use super::settings::{cidr_text, policy_names};
use crate::call::Call;
use crate::error::Error;
use crate::namespaces::kernel_space;
use crate::request::{Operation, Response};
use crate::route::{Access, FieldKind, Method, Route, Run};
use crate::transaction::{Key, Record, Table, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const ROLES: Table = Table(11);

/// A role as it is stored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TokenRole {
    pub name: String,
    pub allowed_policies: Vec<String>,
    pub disallowed_policies: Vec<String>,
    pub allowed_policies_glob: Vec<String>,
    pub disallowed_policies_glob: Vec<String>,
    pub allowed_entity_aliases: Vec<String>,
    pub is_orphan: bool,
    pub is_renewable: bool,
    pub path_suffix: String,
    pub settings: TokenSettings,
}

impl Record for TokenRole {}

impl TokenRole {
    /// Whether it says anything of policies; then its own rules stand in place of the parent's.
    pub(super) fn rules_policies(&self) -> bool {
        self.rules_allowed() || self.rules_disallowed()
    }

    pub(super) fn rules_allowed(&self) -> bool {
        !self.allowed_policies.is_empty() || !self.allowed_policies_glob.is_empty()
    }

    fn rules_disallowed(&self) -> bool {
        !self.disallowed_policies.is_empty() || !self.disallowed_policies_glob.is_empty()
    }

    pub(super) fn allows(&self, policy: &str) -> bool {
        self.allowed_policies.iter().any(|allowed| allowed == policy)
            || matches_any(&self.allowed_policies_glob, policy)
    }

    pub(super) fn disallows(&self, policy: &str) -> bool {
        self.disallowed_policies.iter().any(|disallowed| disallowed == policy)
            || matches_any(&self.disallowed_policies_glob, policy)
    }

    pub(super) fn allows_alias(&self, alias: &str) -> bool {
        matches_any(&self.allowed_entity_aliases, alias)
    }
}

fn matches_any(globs: &[String], text: &str) -> bool {
    globs.iter().any(|glob| glob_matches(glob, text))
}

/// `*` stands for any text, as often as it occurs.
fn glob_matches(glob: &str, text: &str) -> bool {
    let Some((start, rest)) = glob.split_once('*') else { return glob == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    text.ends_with(end)
}

const FIELDS: &[crate::route::Field] = &[
    field("role_name", FieldKind::Text, "The name of the role."),
    field("allowed_policies", FieldKind::List, "Policies that its tokens may have."),
    field("disallowed_policies", FieldKind::List, "Policies that its tokens may not have."),
    field("allowed_policies_glob", FieldKind::List, "As allowed_policies, with `*` for any text."),
    field("disallowed_policies_glob", FieldKind::List, "As disallowed_policies, with `*` for any text."),
    field("orphan", FieldKind::Boolean, "Whether its tokens have no parent."),
    field("renewable", FieldKind::Boolean, "Whether its tokens can be renewed; true unless said."),
    field(
        "path_suffix",
        FieldKind::Text,
        "Stands at the end of its tokens' paths, for revocation by prefix.",
    ),
    field("allowed_entity_aliases", FieldKind::List, "Aliases for which its tokens may be made."),
    field("token_type", FieldKind::Text, "service, batch, default-service or default-batch."),
    field("token_bound_cidrs", FieldKind::List, "Addresses from which its tokens may be used."),
    field("token_explicit_max_ttl", FieldKind::Duration, "The longest life of its tokens, renewals and all."),
    field("token_no_default_policy", FieldKind::Boolean, "Leave out the policy `default`."),
    field("token_num_uses", FieldKind::Integer, "How often its tokens may be used; zero is without a limit."),
    field("token_period", FieldKind::Duration, "Makes its tokens periodic."),
];

pub(crate) const ROUTES: &[Route] = &[
    Route {
        pattern: "roles/?",
        summary: "List the token roles.",
        access: Access::Token,
        fields: &[],
        methods: &[Method { operation: Operation::List, run: Run::Read(list), summary: "List the names." }],
        exists: None,
    },
    Route {
        pattern: "roles/{role_name}",
        summary: "A template for tokens.",
        access: Access::Token,
        fields: FIELDS,
        methods: &[
            Method { operation: Operation::Read, run: Run::Read(read_role), summary: "Read the role." },
            Method { operation: Operation::Write, run: Run::Write(write), summary: "Write the role." },
            Method { operation: Operation::Delete, run: Run::Write(delete), summary: "Remove the role." },
        ],
        exists: Some(exists),
    },
];

fn role_key(tx: &Tx<'_>, namespace: u64, name: &str) -> Key {
    let table = tx.table(kernel_space(namespace), ROLES);
    tx.name_key(&table, name)
}

pub(super) fn find(tx: &mut Tx<'_>, namespace: u64, name: &str) -> Result<Option<TokenRole>, Error> {
    let key = role_key(tx, namespace, name);
    tx.record(&key)
}

fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let key = role_key(&call.tx, call.namespace.id(), call.capture("role_name"));
    Ok(call.tx.get(&key)?.is_some())
}

fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.tx.table(call.namespace.space(), ROLES);
    let names = call.tx.children(&table)?;
    Response::keys(super::routes::page(call.fields(), names)?)
}

fn read_role(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("role_name").to_owned();
    let role = find(&mut call.tx, call.namespace.id(), &name)?.ok_or_else(Error::not_found)?;
    let mut map = Map::new();
    role.settings.describe(&mut map);
    // What a role of this kind does not have.
    for name in ["token_policies", "token_ttl", "token_max_ttl"] {
        map.remove(name);
    }
    let nets: Vec<String> = role.settings.bound_cidrs.iter().map(|net| cidr_text(*net)).collect();
    for (name, value) in [
        ("allowed_entity_aliases", json!(role.allowed_entity_aliases)),
        ("allowed_policies", json!(role.allowed_policies)),
        ("allowed_policies_glob", json!(role.allowed_policies_glob)),
        ("bound_cidrs", json!(nets)),
        ("disallowed_policies", json!(role.disallowed_policies)),
        ("disallowed_policies_glob", json!(role.disallowed_policies_glob)),
        ("explicit_max_ttl", json!(role.settings.explicit_ttl_max.as_secs())),
        ("name", json!(role.name)),
        ("orphan", json!(role.is_orphan)),
        ("path_suffix", json!(role.path_suffix)),
        ("period", json!(role.settings.period.as_secs())),
        ("renewable", json!(role.is_renewable)),
    ] {
        map.insert(name.to_owned(), value);
    }
    if role.settings.kind == TokenKind::Default {
        map.insert("token_type".to_owned(), Value::from("default-service"));
    }
    Ok(Response::data(map))
}

fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("role_name").to_owned();
    let stored = find(&mut call.tx, call.namespace.id(), &name)?;
    let mut role = stored.unwrap_or_else(|| TokenRole {
        name: name.clone(),
        is_renewable: true,
        ..TokenRole::default()
    });
    let fields = &call.request.fields;
    for (name, list) in [
        ("allowed_policies", &mut role.allowed_policies),
        ("disallowed_policies", &mut role.disallowed_policies),
    ] {
        if let Some(names) = fields.list(name)? {
            *list = policy_names(&names)?;
        }
    }
    for (name, list) in [
        ("allowed_policies_glob", &mut role.allowed_policies_glob),
        ("disallowed_policies_glob", &mut role.disallowed_policies_glob),
        ("allowed_entity_aliases", &mut role.allowed_entity_aliases),
    ] {
        if let Some(globs) = fields.list(name)? {
            *list = globs.iter().map(|glob| glob.to_lowercase()).collect();
        }
    }
    if let Some(is_orphan) = fields.boolean("orphan")? {
        role.is_orphan = is_orphan;
    }
    if let Some(is_renewable) = fields.boolean("renewable")? {
        role.is_renewable = is_renewable;
    }
    if let Some(suffix) = fields.text("path_suffix")? {
        role.path_suffix = path_suffix(&suffix)?;
    }
    role.settings.update(fields)?;
    if let Some(ttl) = fields.duration("explicit_max_ttl")?.filter(|_| !fields.has("token_explicit_max_ttl"))
    {
        role.settings.explicit_ttl_max = ttl;
    }
    let key = role_key(&call.tx, call.namespace.id(), &name);
    call.tx.put_record(&key, &role)?;
    Ok(Response::default())
}

fn path_suffix(text: &str) -> Result<String, Error> {
    let fits = text.len() <= 256
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    if !fits || text.split('/').any(|segment| segment == "..") {
        return Err(Error::invalid(
            "given role path suffix contains invalid characters; must match a-z, A-Z, 0-9, -, _, . and /",
        ));
    }
    Ok(text.trim_matches('/').to_owned())
}

fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = role_key(&call.tx, call.namespace.id(), call.capture("role_name"));
    call.tx.delete(&key)?;
    Ok(Response::default())
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    #[test]
    fn stars_stand_for_any_text() {
        for (glob, text, expected) in [
            ("app-*", "app-web", true),
            ("app-*", "app", false),
            ("*", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXc", false),
            ("aa*aa", "aaa", false),
            ("web", "web", true),
            ("web", "web2", false),
        ] {
            assert_eq!(glob_matches(glob, text), expected, "{glob} {text}");
        }
    }
}
