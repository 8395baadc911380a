//! Roles: who may log in with a token, and what they get.

use crate::auth::roles;
use crate::auth::token_parameters::TokenParameters;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strongroom_kernel::{Call, Error, Fields, Record, Response};

/// How somebody shows their token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RoleType {
    /// They have it already.
    Jwt,
    /// The provider gives it to us after a login in a browser.
    #[default]
    Oidc,
}

/// How bound claims are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClaimsType {
    #[default]
    String,
    Glob,
}

/// A role as stored.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub role_type: RoleType,
    pub bound_audiences: Vec<String>,
    pub bound_subject: String,
    pub bound_claims_type: ClaimsType,
    pub bound_claims: Map<String, Value>,
    pub claim_mappings: Map<String, Value>,
    pub user_claim: String,
    pub user_claim_json_pointer: bool,
    pub groups_claim: String,
    pub oidc_scopes: Vec<String>,
    pub allowed_redirect_uris: Vec<String>,
    /// Seconds; 0 for the default, negative for none.
    pub expiration_leeway: i64,
    pub not_before_leeway: i64,
    pub clock_skew_leeway: i64,
    /// Seconds since the login at the provider; 0 without a bound.
    pub max_age: u64,
    pub parameters: TokenParameters,
}

impl Record for Role {}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let role: Role = roles::of_path(call)?;
    let mut response = crate::answer::object(json!({
        "role_type": role.role_type,
        "bound_audiences": role.bound_audiences,
        "bound_subject": role.bound_subject,
        "bound_claims_type": role.bound_claims_type,
        "bound_claims": role.bound_claims,
        "claim_mappings": role.claim_mappings,
        "user_claim": role.user_claim,
        "user_claim_json_pointer": role.user_claim_json_pointer,
        "groups_claim": role.groups_claim,
        "oidc_scopes": role.oidc_scopes,
        "allowed_redirect_uris": role.allowed_redirect_uris,
        "expiration_leeway": role.expiration_leeway,
        "not_before_leeway": role.not_before_leeway,
        "clock_skew_leeway": role.clock_skew_leeway,
        "max_age": role.max_age,
        "verbose_oidc_logging": false,
    }));
    if let strongroom_kernel::Data::Map(data) = &mut response.data {
        role.parameters.describe(data);
    }
    Ok(response)
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = roles::key_of(call, call.capture("name"));
    let mut role: Role = call.tx.record(&key)?.unwrap_or_default();
    let fields = call.fields();
    update_bounds(&mut role, fields)?;
    update_names(&mut role, fields)?;
    role.parameters.update(fields)?;
    check(&role)?;
    let mut warnings = role.parameters.warnings(call);
    if fields.boolean("verbose_oidc_logging")? == Some(true) {
        warnings.push(
            "verbose_oidc_logging is taken and has no effect: what a provider answers is never logged"
                .to_owned(),
        );
    }
    call.tx.put_record(&key, &role)?;
    Ok(Response { warnings, ..Response::default() })
}

fn update_bounds(role: &mut Role, fields: &Fields) -> Result<(), Error> {
    if let Some(kind) = fields.text("role_type")?.filter(|kind| !kind.is_empty()) {
        role.role_type = match kind.as_str() {
            "jwt" => RoleType::Jwt,
            "oidc" => RoleType::Oidc,
            _ => return Err(Error::invalid(format!("invalid 'role_type': {kind}"))),
        };
    }
    if let Some(audiences) = fields.list("bound_audiences")? {
        role.bound_audiences = audiences;
    }
    if let Some(subject) = fields.text("bound_subject")? {
        role.bound_subject = subject;
    }
    if let Some(kind) = fields.text("bound_claims_type")?.filter(|kind| !kind.is_empty()) {
        role.bound_claims_type = match kind.as_str() {
            "string" => ClaimsType::String,
            "glob" => ClaimsType::Glob,
            _ => return Err(Error::invalid(format!("invalid 'bound_claims_type': {kind}"))),
        };
    }
    if let Some(claims) = fields.map("bound_claims")? {
        role.bound_claims = claims;
    }
    for (name, leeway) in [
        ("expiration_leeway", &mut role.expiration_leeway),
        ("not_before_leeway", &mut role.not_before_leeway),
        ("clock_skew_leeway", &mut role.clock_skew_leeway),
    ] {
        if let Some(seconds) = leeway_of(fields, name)? {
            *leeway = seconds;
        }
    }
    if let Some(age) = fields.duration("max_age")? {
        role.max_age = age.as_secs();
    }
    Ok(())
}

/// Seconds or a duration; a negative number turns it off.
fn leeway_of(fields: &Fields, name: &str) -> Result<Option<i64>, Error> {
    match fields.value(name) {
        Some(Value::Number(number)) if number.as_i64().is_some_and(|seconds| seconds < 0) => Ok(Some(-1)),
        Some(Value::String(text)) if text.trim().starts_with('-') => Ok(Some(-1)),
        _ => Ok(fields.duration(name)?.map(|leeway| i64::try_from(leeway.as_secs()).unwrap_or(i64::MAX))),
    }
}

fn update_names(role: &mut Role, fields: &Fields) -> Result<(), Error> {
    if let Some(mappings) = fields.text_map("claim_mappings")? {
        role.claim_mappings = mappings;
    }
    if let Some(claim) = fields.text("user_claim")? {
        role.user_claim = claim;
    }
    if let Some(is_pointer) = fields.boolean("user_claim_json_pointer")? {
        role.user_claim_json_pointer = is_pointer;
    }
    if let Some(claim) = fields.text("groups_claim")? {
        role.groups_claim = claim;
    }
    if let Some(scopes) = fields.list("oidc_scopes")? {
        role.oidc_scopes = scopes;
    }
    if let Some(uris) = fields.list("allowed_redirect_uris")? {
        role.allowed_redirect_uris = uris;
    }
    Ok(())
}

fn check(role: &Role) -> Result<(), Error> {
    if role.user_claim.is_empty() {
        return Err(Error::invalid("a user claim must be defined on the role"));
    }
    if role.role_type == RoleType::Oidc && role.allowed_redirect_uris.is_empty() {
        return Err(Error::invalid(
            "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.",
        ));
    }
    let is_bound = !role.bound_audiences.is_empty()
        || !role.bound_subject.is_empty()
        || !role.bound_claims.is_empty()
        || !role.parameters.settings.bound_cidrs.is_empty();
    if role.role_type == RoleType::Jwt && !is_bound {
        return Err(Error::invalid("must have at least one bound constraint when creating/updating a role"));
    }
    let mut values = role.bound_claims.values().flat_map(|value| match value {
        Value::Array(items) => items.iter().collect(),
        value => vec![value],
    });
    match role.bound_claims_type {
        ClaimsType::Glob if values.any(|value| !value.is_string()) => {
            return Err(Error::invalid("bound_claims of type glob must be texts, or lists of texts"));
        }
        ClaimsType::String
            if values.any(|value| value.is_object() || value.is_null() || value.is_array()) =>
        {
            return Err(Error::invalid("bound_claims must be texts, numbers or booleans, or lists of them"));
        }
        _ => {}
    }
    let mut seen = std::collections::BTreeSet::new();
    match role.claim_mappings.values().filter_map(Value::as_str).find(|name| !seen.insert(*name)) {
        Some(name) => Err(Error::invalid(format!("multiple keys are mapped to metadata key {name:?}"))),
        None if role.claim_mappings.values().any(|name| name == "role") => {
            Err(Error::invalid("metadata key \"role\" is reserved and may not be a mapping destination"))
        }
        None => Ok(()),
    }
}
