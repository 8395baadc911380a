//! IAM Identity Center: the token that `aws sso login` left, turned into a role's keys. A token that can be refreshed is.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/understanding-sso.html>

use super::credentials::Credentials;
use super::profile::{FILE_BYTES_MAX, ProfileFiles, Section, read_small};
use super::{endpoint_of_variables, suffix};
use crate::files::{self, Links};
use crate::provider::ProviderError;
use crate::web::{Repeat, Request, Web, form_body, set};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use strongroom_crypto::hash::sha1;
use strongroom_secret::{SecretString, Timestamp};

struct Settings<'a> {
    /// What the cache file is named after: the session's name, or the start URL of the older form.
    cache_name: &'a str,
    region: &'a str,
    account: &'a str,
    role: &'a str,
}

pub(crate) fn credentials(
    web: &Web,
    profiles: &ProfileFiles,
    profile: &str,
    section: &Section,
) -> Result<Credentials, ProviderError> {
    let settings = settings(profiles, profile, section)?;
    let file = cache_file(web, settings.cache_name)?;
    let token = token(web, &settings, &file)?;
    let host = endpoint_of_variables(&web.surroundings().variables, "SSO")
        .unwrap_or_else(|| format!("https://portal.sso.{}.{}", settings.region, suffix(settings.region)));
    let query = form_body(&[("role_name", settings.role), ("account_id", settings.account)]);
    let request = Request::get(format!("{host}/federation/credentials?{query}"))
        .header("x-amz-sso_bearer_token", token);
    let answer = web.send(&request)?;
    if !answer.is_success() {
        let message =
            answer.refused(format!("the role {} of account {} is refused", settings.role, settings.account));
        return Err(ProviderError::authentication(message)
            .looked(&answer.request)
            .hint(format!("aws sso login --profile {profile}")));
    }
    let body = answer.json()?;
    let keys = body.get("roleCredentials").unwrap_or(&Value::Null);
    let text = |name: &str| keys.get(name).and_then(Value::as_str);
    let found = || {
        Some(Credentials {
            access_key_id: text("accessKeyId")?.to_owned(),
            secret_access_key: text("secretAccessKey")?.into(),
            session_token: text("sessionToken").map(SecretString::from),
            expires: keys
                .get("expiration")
                .and_then(Value::as_i64)
                .map(|ms| Timestamp::from_seconds(ms / 1000)),
            source: format!("single sign-on of the AWS profile {profile:?}"),
        })
    };
    found()
        .ok_or_else(|| ProviderError::malformed("the portal answered without keys").looked(&answer.request))
}

fn settings<'a>(
    profiles: &'a ProfileFiles,
    profile: &str,
    section: &'a Section,
) -> Result<Settings<'a>, ProviderError> {
    let session_name = section.text("sso_session");
    let session = match session_name {
        Some(name) => profiles.sso_sessions.get(name).ok_or_else(|| {
            ProviderError::settings(format!(
                "the AWS profile {profile:?} names the sso-session {name:?}, which is not there"
            ))
        })?,
        None => section,
    };
    let need = |from: &'a Section, name: &str| {
        let message = format!("the AWS profile {profile:?} uses single sign-on without {name}");
        from.text(name).ok_or_else(|| ProviderError::settings(message))
    };
    Ok(Settings {
        cache_name: session_name.map_or_else(|| need(session, "sso_start_url"), Ok)?,
        region: need(session, "sso_region")?,
        account: need(section, "sso_account_id")?,
        role: need(section, "sso_role_name")?,
    })
}

fn cache_file(web: &Web, cache_name: &str) -> Result<PathBuf, ProviderError> {
    let name = format!(".aws/sso/cache/{}.json", hex::encode(sha1(cache_name.as_bytes())));
    web.surroundings().in_home(&name).ok_or_else(|| ProviderError::settings("there is no home folder (HOME)"))
}

fn token(web: &Web, settings: &Settings<'_>, file: &Path) -> Result<SecretString, ProviderError> {
    let expired = |message: &str| {
        let name = settings.cache_name;
        ProviderError::authentication(format!("single sign-on {name:?}: {message}"))
            .looked(file.display())
            .hint("aws sso login")
    };
    let text = read_small(file)?.ok_or_else(|| expired("nobody has logged in"))?;
    let cached: Value =
        serde_json::from_str(text.expose()).map_err(|_| expired("the cached token is not JSON"))?;
    let text = |name: &str| cached.get(name).and_then(Value::as_str);
    let token = text("accessToken").ok_or_else(|| expired("the cached token is not complete"))?;
    let end = text("expiresAt").and_then(|text| Timestamp::parse_rfc3339(&text.replace("UTC", "Z")));
    if end.is_some_and(|end| end > web.surroundings().clock.now()) {
        return Ok(token.into());
    }
    let (Some(id), Some(secret), Some(refresh)) =
        (text("clientId"), text("clientSecret"), text("refreshToken"))
    else {
        return Err(expired("the login has expired"));
    };
    let answer = refreshed(web, settings, [id, secret, refresh]);
    let answer = answer.ok_or_else(|| expired("the login has expired"))?;
    let token = answer.get("accessToken").and_then(Value::as_str).map(SecretString::from);
    keep(web, cached, &answer, file);
    token.ok_or_else(|| expired("the login has expired"))
}

/// Writes the new token back, as the `aws` command does: a refresh token may be good for one use. Failing to is no error,
/// the token at hand is good.
fn keep(web: &Web, mut cached: Value, answer: &Value, file: &Path) {
    for name in ["accessToken", "refreshToken"] {
        if let Some(new) = answer.get(name).filter(|new| new.is_string()) {
            set(&mut cached, name, new.clone());
        }
    }
    let seconds = answer.get("expiresIn").and_then(Value::as_u64).unwrap_or(0);
    let end = web.surroundings().clock.now().plus(Duration::from_secs(seconds));
    set(&mut cached, "expiresAt", Timestamp::from_seconds(end.seconds()).rfc3339());
    let text = SecretString::new(cached.to_string());
    if let Ok(change) = files::change(file, Links::Follow, FILE_BYTES_MAX) {
        let _ = change.replace(text.expose().as_bytes());
    }
}

/// `CreateToken` with a refresh token.
fn refreshed(web: &Web, settings: &Settings<'_>, [id, secret, refresh]: [&str; 3]) -> Option<Value> {
    let host = endpoint_of_variables(&web.surroundings().variables, "SSO_OIDC")
        .unwrap_or_else(|| format!("https://oidc.{}.{}", settings.region, suffix(settings.region)));
    let body = json!({
        "clientId": id, "clientSecret": secret, "refreshToken": refresh, "grantType": "refresh_token",
    });
    let answer = web.send(&Request::json("POST", format!("{host}/token"), &body, Repeat::Unsafe)).ok()?;
    answer.is_success().then(|| answer.json().ok())?
}
