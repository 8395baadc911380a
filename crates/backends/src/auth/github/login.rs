//! Logging in: the token's owner must be a member of the organization; their teams and their name give policies.

use super::api::{Api, Team, User};
use super::config::{self, Config};
use super::mapping::{self, Kind};
use crate::auth::token_parameters::is_within;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use strongroom_kernel::tokens::{TokenEntry, TokenSettings};
use strongroom_kernel::{Call, Error, ErrorKind, LoginGrant, Response};
use strongroom_secret::SecretString;

/// Somebody whom GitHub knows, and what they get.
struct Member {
    name: String,
    teams: Vec<String>,
    policies: Vec<String>,
}

pub(super) fn login(call: &mut Call<'_>) -> Result<Response, Error> {
    let token = call.fields().value("token").and_then(Value::as_str).unwrap_or_default().trim();
    if token.is_empty() {
        return Err(Error::invalid("missing token"));
    }
    let token = SecretString::from(token);
    let config = config::load(call)?;
    if !is_within(call, &config.parameters.settings.bound_cidrs) {
        return Err(Error::denied().with_detail("the client's address is outside the bound CIDRs"));
    }
    let member = member(call, &config, &token)?;
    Ok(Response { login: Some(Box::new(grant(call, &config, member, &token))), ..Response::default() })
}

/// Asks GitHub who it is. Everything is asked anew at each login and renewal: memberships end.
fn member(call: &mut Call<'_>, config: &Config, token: &SecretString) -> Result<Member, Error> {
    let api = Api { base_url: config.api_url(), token: Some(token) };
    let User { login } = api.user(call)?;
    let is_member =
        api.organizations(call)?.iter().any(|organization| organization.id == config.organization_id);
    if !is_member {
        // 500 as in Vault, whose clients know it by that.
        return Err(Error::new(ErrorKind::Internal, "user is not part of required org"));
    }
    let own = |team: &Team| team.organization.id == config.organization_id;
    let mut teams = BTreeSet::new();
    for team in api.teams(call)?.into_iter().filter(own) {
        teams.extend([team.name, team.slug].into_iter().filter(|name| !name.is_empty()));
    }
    let mut policies: BTreeSet<String> = config.parameters.settings.policies.iter().cloned().collect();
    for team in teams.iter().map(String::as_str).chain(["default"]) {
        policies.extend(mapping::policies(call, Kind::Teams, team)?);
    }
    policies.extend(mapping::policies(call, Kind::Users, &login)?);
    policies.remove("root");
    Ok(Member { name: login, teams: teams.into_iter().collect(), policies: policies.into_iter().collect() })
}

fn grant(call: &Call<'_>, config: &Config, member: Member, token: &SecretString) -> LoginGrant {
    LoginGrant {
        display_name: member.name.clone(),
        alias: member.name.clone(),
        group_aliases: member.teams,
        metadata: Map::from_iter([
            ("username".to_owned(), json!(member.name)),
            ("org".to_owned(), json!(config.organization)),
        ]),
        token: TokenSettings { policies: member.policies, ..config.parameters.for_login(call) },
        renewable: true,
        // To ask GitHub again at a renewal; stored encrypted, with the token that it was exchanged for.
        internal: json!({ "token": token.expose() }),
        ..LoginGrant::default()
    }
}

/// They must still be a member, with the same policies.
pub(super) fn renew(call: &mut Call<'_>, entry: &TokenEntry) -> Result<LoginGrant, Error> {
    let token = entry.internal.get("token").and_then(Value::as_str).map(SecretString::from);
    let token = token.ok_or_else(|| Error::internal("a GitHub login without its token"))?;
    let config = config::load(call)?;
    let member = member(call, &config, &token)?;
    let without_default = |policies: &[String]| -> BTreeSet<String> {
        policies.iter().filter(|policy| *policy != "default").cloned().collect()
    };
    if without_default(&entry.policies) != without_default(&member.policies) {
        return Err(Error::invalid("policies do not match"));
    }
    Ok(grant(call, &config, member, &token))
}
