//! Single parameters of a role under paths of their own. Each path changes its own parameter and no other.

use super::roles;
use serde_json::{Map, Value, json};
use strongroom_kernel::{Call, Error, Fields, Response};

/// A parameter.
struct Part {
    /// The last segment of its path.
    segment: &'static str,
    /// Under which a role is read.
    name: &'static str,
    /// Under which it may come in beside its name.
    old_name: &'static str,
    unset: Unset,
}

/// What a parameter is set back to.
enum Unset {
    True,
    Zero,
    Empty,
}

const fn part(segment: &'static str, name: &'static str, old_name: &'static str, unset: Unset) -> Part {
    Part { segment, name, old_name, unset }
}

const PARTS: &[Part] = &[
    part("policies", "token_policies", "policies", Unset::Empty),
    part("bind-secret-id", "bind_secret_id", "", Unset::True),
    part("secret-id-bound-cidrs", "secret_id_bound_cidrs", "bound_cidr_list", Unset::Empty),
    part("bound-cidr-list", "secret_id_bound_cidrs", "bound_cidr_list", Unset::Empty),
    part("token-bound-cidrs", "token_bound_cidrs", "", Unset::Empty),
    part("secret-id-num-uses", "secret_id_num_uses", "", Unset::Zero),
    part("secret-id-ttl", "secret_id_ttl", "", Unset::Zero),
    part("token-ttl", "token_ttl", "", Unset::Zero),
    part("token-max-ttl", "token_max_ttl", "", Unset::Zero),
    part("token-num-uses", "token_num_uses", "", Unset::Zero),
    part("token-period", "token_period", "period", Unset::Zero),
    part("period", "token_period", "period", Unset::Zero),
    part("local-secret-ids", "local_secret_ids", "", Unset::Zero),
];

fn named(call: &Call<'_>) -> Result<&'static Part, Error> {
    let segment = call.path.as_str().rsplit('/').next().unwrap_or_default();
    PARTS.iter().find(|part| part.segment == segment).ok_or_else(Error::not_found)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let part = named(call)?;
    let role = roles::load(call)?.ok_or_else(Error::not_found)?;
    let value = role.describe().remove(part.name).unwrap_or_default();
    let mut data = Map::from_iter([(part.name.to_owned(), value.clone())]);
    if part.segment.replace('-', "_") == part.old_name {
        data.insert(part.old_name.to_owned(), value);
    }
    Ok(Response::data(data))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let part = named(call)?;
    let value = [part.name, part.old_name]
        .into_iter()
        .find_map(|name| call.fields().value(name).cloned())
        .ok_or_else(|| Error::invalid(format!("missing {}", part.name)))?;
    set(call, part, value)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let part = named(call)?;
    let value = match part.unset {
        Unset::True => json!(true),
        Unset::Zero => json!(0),
        Unset::Empty => json!([]),
    };
    set(call, part, value)
}

fn set(call: &mut Call<'_>, part: &Part, value: Value) -> Result<Response, Error> {
    let mut role = roles::load(call)?.ok_or_else(Error::not_found)?;
    role.update(&Fields(Map::from_iter([(part.name.to_owned(), value)])))?;
    let warnings = role.parameters.warnings(call);
    roles::save(call, &role)?;
    Ok(Response { warnings, ..Response::default() })
}
