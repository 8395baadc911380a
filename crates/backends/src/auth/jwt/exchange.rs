//! A code of the provider is exchanged for tokens, once. The handler that does it may run again when its transaction
//! loses against another: what the provider said is then taken from memory, for it does not say it twice.

use super::config::Config;
use super::keys::{Provider, memory_of, peer};
use crate::auth::web::Peer;
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::time::Duration;
use strongroom_crypto::token::encode_base64;
use strongroom_kernel::{Call, Error, ErrorKind};
use strongroom_secret::{SecretString, Timestamp};

/// How long an exchange is remembered: for as long as a request may run.
const REMEMBERED: Duration = Duration::from_secs(60);
const REMEMBERED_MAX: usize = 4096;
/// What stands as it is in a form (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Exchanges of a moment ago, by the hash of their state and code.
#[derive(Default)]
pub(super) struct Exchanges(Mutex<HashMap<[u8; 32], (Timestamp, Exchanged)>>);

/// What the provider gave for a code.
#[derive(Clone)]
pub(super) struct Exchanged {
    pub id_token: String,
    /// What the provider's userinfo said, where it could be had.
    pub user: Map<String, Value>,
}

/// What goes to the provider.
pub(super) struct Code<'c> {
    pub place: [u8; 32],
    pub code: &'c str,
    pub verifier: &'c str,
    pub redirect_uri: &'c str,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
    access_token: Option<String>,
}

pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// Pairs as a form or a query has them.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.join("&")
}

/// Exchanges a code (RFC 6749, section 4.1.3; RFC 7636, section 4.5).
pub(super) fn exchange(
    call: &Call<'_>,
    config: &Config,
    provider: &Provider,
    code: &Code<'_>,
) -> Result<Exchanged, Error> {
    let exchanges = &memory_of(call)?.exchanges;
    if let Some((_, known)) = exchanges.0.lock().get(&code.place) {
        return Ok(known.clone());
    }
    let exchanged = ask(call, config, provider, code)?;
    let mut kept = exchanges.0.lock();
    kept.retain(|_, (at, _)| *at <= call.now && call.now.since(*at) < REMEMBERED);
    if kept.len() < REMEMBERED_MAX {
        kept.insert(code.place, (call.now, exchanged.clone()));
    }
    Ok(exchanged)
}

fn ask(call: &Call<'_>, config: &Config, provider: &Provider, code: &Code<'_>) -> Result<Exchanged, Error> {
    let unavailable =
        |reason: String| Error::new(ErrorKind::Unavailable, format!("error exchanging oidc code: {reason}"));
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("code", code.code),
        ("redirect_uri", code.redirect_uri),
        ("code_verifier", code.verifier),
    ];
    let mut headers = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".into())];
    let methods = &provider.token_endpoint_auth_methods_supported;
    let in_body = !methods.is_empty() && !methods.iter().any(|method| method == "client_secret_basic");
    if config.oidc_client_secret.is_empty() || in_body {
        pairs.push(("client_id", &config.oidc_client_id));
        if !config.oidc_client_secret.is_empty() {
            pairs.push(("client_secret", &config.oidc_client_secret));
        }
    } else {
        let (id, secret) = (encoded(&config.oidc_client_id), encoded(&config.oidc_client_secret));
        let basic = encode_base64(format!("{id}:{secret}").as_bytes());
        headers.push(("Authorization".to_owned(), SecretString::new(format!("Basic {basic}"))));
    }
    let body = SecretString::new(form(&pairs));
    let peer = peer(&config.oidc_discovery_ca_pem);
    let answer = peer
        .post::<Tokens>(call, &provider.token_endpoint, headers, body.expose().as_bytes())
        .map_err(unavailable)?;
    let tokens = match (answer.status, answer.body) {
        (200, Some(tokens)) => tokens,
        (status @ 400..=499, _) => {
            return Err(Error::invalid(format!(
                "error exchanging oidc code: the provider refused it with status {status}"
            )));
        }
        (status, _) => return Err(unavailable(format!("the provider answered with status {status}"))),
    };
    let id_token = tokens.id_token.ok_or_else(|| Error::invalid("No id_token found in response."))?;
    let user = tokens.access_token.map(|token| user(call, &peer, provider, &token)).unwrap_or_default();
    Ok(Exchanged { id_token, user })
}

/// Further claims (OpenID Connect Core 1.0, section 5.3). That they cannot be had is no reason to refuse somebody.
fn user(call: &Call<'_>, peer: &Peer<'_>, provider: &Provider, access_token: &str) -> Map<String, Value> {
    if provider.userinfo_endpoint.is_empty() {
        return Map::new();
    }
    let headers = vec![("Authorization".to_owned(), SecretString::new(format!("Bearer {access_token}")))];
    match peer.get::<Map<String, Value>>(call, &provider.userinfo_endpoint, headers) {
        Ok(answer) if answer.status == 200 => answer.body.unwrap_or_default(),
        _ => Map::new(),
    }
}
