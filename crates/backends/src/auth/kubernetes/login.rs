//! Logging in: the cluster says whose token it is, and whether it still holds.

use super::config::{self, Config};
use super::role::{AliasSource, Role};
use crate::auth::glob;
use crate::auth::jws::{Token, seconds};
use crate::auth::roles;
use crate::auth::token_parameters::is_within;
use crate::auth::web::{Authorities, Peer};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use strongroom_kernel::tokens::TokenEntry;
use strongroom_kernel::{Call, Error, ErrorKind, LoginGrant, Response};
use strongroom_secret::SecretString;

/// Where a pod has the authority of its cluster.
const LOCAL_CA_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
const SKEW_SECONDS: i64 = 60;
const USER_PREFIX: &str = "system:serviceaccount:";

/// A service account, as its token says and the cluster confirms.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    namespace: String,
    name: String,
    uid: String,
    secret_name: String,
}

/// The part of a TokenReview that matters.
#[derive(Deserialize)]
struct Review {
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    user: User,
    audiences: Vec<String>,
    error: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    uid: String,
}

fn refused(why: impl Into<String>) -> Error {
    Error::denied().with_detail(why)
}

pub(super) fn login(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.fields().required_text("role")?;
    let jwt = SecretString::new(call.fields().required_text("jwt")?);
    let role = roles::load::<Role>(call, &name)?
        .ok_or_else(|| Error::invalid(format!("invalid role name {name:?}")))?;
    if !is_within(call, &role.parameters.settings.bound_cidrs) {
        return Err(refused("the client's address is outside the role's bound CIDRs"));
    }
    let config = config::load(call)?;
    let claimed = claimed(call, &config, &role, jwt.expose())?;
    let account = review(call, &config, &role, &jwt, claimed)?;
    Ok(Response { login: Some(Box::new(grant(call, &role, &name, &account))), ..Response::default() })
}

/// Whom the token speaks of. What can be refused without the cluster is.
fn claimed(call: &Call<'_>, config: &Config, role: &Role, jwt: &str) -> Result<Account, Error> {
    let token = Token::parse(jwt.trim()).map_err(refused)?;
    let keys = config.keys();
    if !keys.is_empty() && token.verified(&keys).is_none() {
        return Err(refused("none of pem_keys made the token's signature"));
    }
    let claims = token.unverified();
    let now = call.now.seconds();
    let time = |name: &str| seconds(claims, name).map_err(refused);
    if time("exp")?.is_some_and(|end| now.saturating_sub(SKEW_SECONDS) > end) {
        return Err(refused("the token is expired"));
    }
    if time("nbf")?.is_some_and(|begin| now.saturating_add(SKEW_SECONDS) < begin) {
        return Err(refused("the token is not yet valid"));
    }
    if !config.disable_iss_validation {
        let expected = if config.issuer.is_empty() { "kubernetes/serviceaccount" } else { &config.issuer };
        if claims.get("iss").and_then(Value::as_str) != Some(expected) {
            return Err(refused("invalid issuer (iss) claim"));
        }
    }
    if !role.audience.is_empty() {
        let is_named = match claims.get("aud") {
            Some(Value::String(audience)) => *audience == role.audience,
            Some(Value::Array(audiences)) => audiences.iter().any(|audience| *audience == role.audience),
            _ => false,
        };
        if !is_named {
            return Err(refused("invalid audience (aud) claim"));
        }
    }
    let account = Account::of_claims(claims).ok_or_else(|| refused("the token is no service account's"))?;
    if !role.namespaces.iter().any(|bound| glob::matches(bound, &account.namespace)) {
        return Err(Error::new(ErrorKind::Denied, "namespace not authorized"));
    }
    if !role.names.iter().any(|bound| glob::matches(bound, &account.name)) {
        return Err(Error::new(ErrorKind::Denied, "service account name not authorized"));
    }
    Ok(account)
}

impl Account {
    /// Tokens of pods have an object in their claims, those of secrets claims with long names.
    fn of_claims(claims: &Map<String, Value>) -> Option<Self> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        if let Some(bound) = claims.get("kubernetes.io") {
            let account = bound.get("serviceaccount")?;
            return Some(Self {
                namespace: text(bound.get("namespace"))?,
                name: text(account.get("name"))?,
                uid: text(account.get("uid"))?,
                secret_name: String::new(),
            });
        }
        let legacy = |name: &str| text(claims.get(&format!("kubernetes.io/serviceaccount/{name}")));
        Some(Self {
            namespace: legacy("namespace")?,
            name: legacy("service-account.name")?,
            uid: legacy("service-account.uid")?,
            secret_name: legacy("secret.name").unwrap_or_default(),
        })
    }
}

/// Asks the cluster. The account must be the one that the token claims to be.
fn review(
    call: &Call<'_>,
    config: &Config,
    role: &Role,
    jwt: &SecretString,
    claimed: Account,
) -> Result<Account, Error> {
    let local = (!config.disable_local_ca_jwt).then(|| call.kernel.service_account_token()).flatten();
    let reviewer = match config.token_reviewer_jwt.as_str() {
        "" => local.unwrap_or_else(|| jwt.duplicate()),
        reviewer => SecretString::from(reviewer),
    };
    let spec = match role.audience.as_str() {
        "" => json!({ "token": jwt.expose().trim() }),
        audience => json!({ "token": jwt.expose().trim(), "audiences": [audience] }),
    };
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
    let body = SecretString::new(body.to_string());
    let headers = vec![
        ("Content-Type".to_owned(), "application/json".into()),
        ("Authorization".to_owned(), SecretString::new(format!("Bearer {}", reviewer.expose().trim()))),
    ];
    let host = config.kubernetes_host.trim_end_matches('/');
    let url = format!("{host}/apis/authentication.k8s.io/v1/tokenreviews");
    let authorities = match config.kubernetes_ca_cert.as_str() {
        "" if config.disable_local_ca_jwt || !host.starts_with("https://") => Authorities::System,
        "" => Authorities::File(LOCAL_CA_FILE),
        pem => Authorities::Text(pem),
    };
    let answer = Peer { authorities }.post::<Review>(call, &url, headers, body.expose().as_bytes()).map_err(
        |reason| Error::new(ErrorKind::Unavailable, format!("the cluster cannot be asked: {reason}")),
    )?;
    let status = match (answer.status, answer.body) {
        (200 | 201, Some(review)) => review.status,
        (401 | 403, _) => {
            return Err(refused(
                "the cluster does not let the reviewer's token review others (auth-delegator)",
            ));
        }
        (status, _) => {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("the cluster answered a TokenReview with status {status}"),
            ));
        }
    };
    if !status.error.is_empty() || !status.authenticated {
        return Err(refused("lookup failed: the cluster does not know the token, or it has ended"));
    }
    // A cluster that knows nothing of audiences leaves them out: then the token was not checked for it.
    if !role.audience.is_empty() && !status.audiences.contains(&role.audience) {
        return Err(refused("the cluster did not confirm the audience"));
    }
    let account = status.user.username.strip_prefix(USER_PREFIX).and_then(|rest| rest.split_once(':'));
    if account != Some((&claimed.namespace, &claimed.name)) || status.user.uid != claimed.uid {
        return Err(refused("the cluster knows the token as another account's"));
    }
    Ok(claimed)
}

fn grant(call: &Call<'_>, role: &Role, role_name: &str, account: &Account) -> LoginGrant {
    let full_name = format!("{}/{}", account.namespace, account.name);
    let metadata = Map::from_iter([
        ("service_account_uid".to_owned(), json!(account.uid)),
        ("service_account_name".to_owned(), json!(account.name)),
        ("service_account_namespace".to_owned(), json!(account.namespace)),
        ("service_account_secret_name".to_owned(), json!(account.secret_name)),
    ]);
    let mut token_metadata = metadata.clone();
    token_metadata.insert("role".to_owned(), json!(role_name));
    LoginGrant {
        display_name: format!("{}-{}", account.namespace, account.name),
        alias: match role.alias_source {
            AliasSource::Uid => account.uid.clone(),
            AliasSource::Name => full_name,
        },
        alias_metadata: metadata,
        metadata: token_metadata,
        token: role.parameters.for_login(call),
        renewable: true,
        internal: json!({ "role": role_name }),
        role: Some(role_name.to_owned()),
        ..LoginGrant::default()
    }
}

/// The role must still be there.
pub(super) fn renew(call: &mut Call<'_>, entry: &TokenEntry) -> Result<LoginGrant, Error> {
    let name = entry.internal.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    let role = roles::load::<Role>(call, &name)?
        .ok_or_else(|| Error::invalid(format!("role {name:?} does not exist during renewal")))?;
    Ok(LoginGrant {
        token: role.parameters.for_login(call),
        metadata: entry.metadata.clone(),
        renewable: true,
        internal: entry.internal.clone(),
        ..LoginGrant::default()
    })
}

/// What a cluster answers, read as from the network.
pub(crate) fn hear(bytes: &[u8]) {
    drop(serde_json::from_slice::<Review>(bytes));
}

/// The account that a token's claims speak of, if any.
pub(crate) fn hear_claims(claims: &Map<String, Value>) {
    drop(Account::of_claims(claims));
}
