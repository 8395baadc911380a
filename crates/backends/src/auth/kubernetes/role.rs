//! Roles: which service accounts may log in, and what they get.

use crate::auth::roles;
use crate::auth::token_parameters::TokenParameters;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_kernel::{Call, Data, Error, Record, Response};

/// What identity knows a service account by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) enum AliasSource {
    /// Its number: an account that is made anew under the same name is another.
    #[default]
    #[serde(rename = "serviceaccount_uid")]
    Uid,
    /// `namespace/name`.
    #[serde(rename = "serviceaccount_name")]
    Name,
}

/// A role as stored.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub names: Vec<String>,
    pub namespaces: Vec<String>,
    pub audience: String,
    pub alias_source: AliasSource,
    pub parameters: TokenParameters,
}

impl Record for Role {}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let role: Role = roles::of_path(call)?;
    let mut response = crate::answer::object(json!({
        "bound_service_account_names": role.names,
        "bound_service_account_namespaces": role.namespaces,
        "alias_name_source": role.alias_source,
    }));
    if let Data::Map(data) = &mut response.data {
        if !role.audience.is_empty() {
            data.insert("audience".to_owned(), json!(role.audience));
        }
        role.parameters.describe(data);
    }
    Ok(response)
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = roles::key_of(call, call.capture("name"));
    let mut role: Role = call.tx.record(&key)?.unwrap_or_default();
    let fields = call.fields();
    for (name, list) in [
        ("bound_service_account_names", &mut role.names),
        ("bound_service_account_namespaces", &mut role.namespaces),
    ] {
        if let Some(given) = fields.list(name)? {
            *list = given;
        }
        if list.is_empty() {
            return Err(Error::invalid(format!("{name:?} can not be empty")));
        }
        if list.len() > 1 && list.iter().any(|entry| entry == "*") {
            return Err(Error::invalid(format!("can not mix \"*\" with values in {name:?}")));
        }
    }
    if let Some(audience) = fields.text("audience")? {
        role.audience = audience;
    }
    if let Some(source) = fields.text("alias_name_source")?.filter(|source| !source.is_empty()) {
        role.alias_source = match source.as_str() {
            "serviceaccount_uid" => AliasSource::Uid,
            "serviceaccount_name" => AliasSource::Name,
            _ => {
                return Err(Error::invalid(
                    "invalid alias_name_source: it must be serviceaccount_uid or serviceaccount_name",
                ));
            }
        };
    }
    role.parameters.update(fields)?;
    let warnings = role.parameters.warnings(call);
    call.tx.put_record(&key, &role)?;
    Ok(Response { warnings, ..Response::default() })
}
