//! The keys that tokens are verified with: those of the settings, or those that an issuer publishes. What was asked is
//! kept in memory; a token of an unknown key has it asked again, but not at every token.

use super::config::{Config, JwksPair};
use crate::auth::jws::Token;
use crate::auth::web::{Authorities, Peer};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use strongroom_crypto::hash::sha256;
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_crypto::keypair::PublicKey;
use strongroom_kernel::{Call, Error, ErrorKind};
use strongroom_secret::Timestamp;

/// How long published keys are good without being asked for again.
const KEPT: Duration = Duration::from_secs(3600);
/// How often an unknown key, or a failure, has them asked for again.
const PAUSE: Duration = Duration::from_secs(5);
const KEYS_MAX: usize = 200;

/// What a mount remembers of its issuers.
#[derive(Default)]
pub(super) struct Memory {
    kept: Mutex<HashMap<[u8; 32], Kept>>,
    pub exchanges: super::exchange::Exchanges,
}

/// What an address gave, or that it gave nothing.
#[derive(Clone)]
struct Kept {
    asked: Timestamp,
    found: Result<Found, String>,
}

#[derive(Clone)]
enum Found {
    Keys(Arc<Vec<PublishedKey>>),
    Provider(Arc<Provider>),
}

/// A key of a JSON Web Key Set (RFC 7517).
pub(super) struct PublishedKey {
    id: Option<String>,
    algorithm: Option<JwsAlgorithm>,
    public: PublicKey,
}

/// What discovery says of an issuer (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
pub(super) struct Provider {
    pub issuer: String,
    pub jwks_uri: String,
    #[serde(default)]
    pub authorization_endpoint: String,
    #[serde(default)]
    pub token_endpoint: String,
    #[serde(default)]
    pub userinfo_endpoint: String,
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Deserialize)]
struct JsonWebKeySet {
    keys: Vec<Value>,
}

pub(super) fn memory() -> Arc<dyn Any + Send + Sync> {
    Arc::new(Memory::default())
}

pub(super) fn memory_of<'m>(call: &'m Call<'_>) -> Result<&'m Memory, Error> {
    call.mount.memory.downcast_ref().ok_or_else(|| Error::internal("a JWT mount without its memory"))
}

/// Whether what new settings name answers as it should.
pub(super) fn probe(call: &Call<'_>, config: &Config) -> Result<(), Error> {
    if !config.oidc_discovery_url.is_empty() {
        let provider = discover(call, config)
            .map_err(|reason| Error::invalid(format!("error checking oidc discovery URL: {reason}")))?;
        remember(call, &discovery_place(config), Ok(Found::Provider(Arc::new(provider))))?;
    }
    for pair in config.key_sets() {
        let keys = fetch(call, &pair)
            .map_err(|reason| Error::invalid(format!("error checking jwks URL: {reason}")))?;
        remember(call, &place(&pair), Ok(Found::Keys(Arc::new(keys))))?;
    }
    Ok(())
}

/// The claims of a token that one of the issuer's keys signed, by an algorithm of the settings or else of `default`.
pub(super) fn verify(
    call: &Call<'_>,
    config: &Config,
    text: &str,
    default: &[JwsAlgorithm],
) -> Result<Map<String, Value>, Error> {
    let refused = |reason: &str| Error::invalid(format!("error validating token: {reason}"));
    let token = Token::parse(text).map_err(|reason| refused(&reason))?;
    if !config.accepts(token.algorithm, default) {
        let name = token.algorithm.as_str();
        return Err(refused(&format!("it is signed with {name}, which jwt_supported_algs does not list")));
    }
    if let Some(claims) = token.verified(&config.validation_keys()) {
        return Ok(claims.clone());
    }
    let sets = match config.oidc_discovery_url.as_str() {
        "" => config.key_sets(),
        _ => vec![JwksPair {
            jwks_url: provider(call, config)?.jwks_uri.clone(),
            jwks_ca_pem: config.oidc_discovery_ca_pem.clone(),
        }],
    };
    let mut failure = None;
    for pair in &sets {
        let mut asked_now = false;
        for attempt in [Attempt::Kept, Attempt::Again] {
            let keys = match published(call, pair, attempt, &mut asked_now) {
                Ok(keys) => keys,
                Err(reason) => {
                    failure = Some(reason);
                    break;
                }
            };
            let candidates = keys.iter().filter(|key| key.may_have_signed(&token)).map(|key| &key.public);
            if let Some(claims) = token.verified(candidates) {
                return Ok(claims.clone());
            }
            // A key that is known and did not sign will not do so after another look.
            let is_known = token.key_id.is_some() && keys.iter().any(|key| key.id == token.key_id);
            if asked_now || is_known {
                break;
            }
        }
    }
    match failure {
        Some(reason) => {
            Err(Error::new(ErrorKind::Unavailable, format!("the issuer's keys cannot be had: {reason}")))
        }
        None => Err(refused("no known key successfully validated the token signature")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Kept,
    Again,
}

/// What discovery says of the issuer.
pub(super) fn provider(call: &Call<'_>, config: &Config) -> Result<Arc<Provider>, Error> {
    let failed =
        |reason| Error::new(ErrorKind::Unavailable, format!("the OIDC provider cannot be asked: {reason}"));
    let place = discovery_place(config);
    if let Some(kept) = kept(call, &place, KEPT)? {
        return match kept {
            Ok(Found::Provider(provider)) => Ok(provider),
            Ok(Found::Keys(_)) => Err(Error::internal("keys in the place of a provider")),
            Err(reason) => Err(failed(reason)),
        };
    }
    let found = discover(call, config).map(Arc::new);
    remember(call, &place, found.clone().map(Found::Provider))?;
    found.map_err(failed)
}

fn published(
    call: &Call<'_>,
    pair: &JwksPair,
    attempt: Attempt,
    asked_now: &mut bool,
) -> Result<Arc<Vec<PublishedKey>>, String> {
    let place = place(pair);
    let age = if attempt == Attempt::Kept { KEPT } else { PAUSE };
    match kept(call, &place, age).map_err(|_| "internal error".to_owned())? {
        Some(Ok(Found::Keys(keys))) => {
            // Asked a moment ago: a second look would be the same.
            *asked_now = attempt == Attempt::Again;
            return Ok(keys);
        }
        Some(Err(reason)) => return Err(reason),
        Some(Ok(Found::Provider(_))) | None => {}
    }
    *asked_now = true;
    let found = fetch(call, pair).map(Arc::new);
    remember(call, &place, found.clone().map(Found::Keys)).map_err(|_| "internal error".to_owned())?;
    found
}

/// What is remembered, if it is not older than this. A failure is remembered for a moment alone.
fn kept(call: &Call<'_>, place: &[u8; 32], age: Duration) -> Result<Option<Result<Found, String>>, Error> {
    let kept = memory_of(call)?.kept.lock().get(place).cloned();
    Ok(kept.and_then(|kept| {
        let age = if kept.found.is_err() { age.min(PAUSE) } else { age };
        let is_fresh = kept.asked <= call.now && call.now.since(kept.asked) < age;
        is_fresh.then_some(kept.found)
    }))
}

fn remember(call: &Call<'_>, place: &[u8; 32], found: Result<Found, String>) -> Result<(), Error> {
    let mut kept = memory_of(call)?.kept.lock();
    // Few addresses are named at a time; those of former settings need not stay.
    if kept.len() >= 64 {
        kept.clear();
    }
    kept.insert(*place, Kept { asked: call.now, found });
    Ok(())
}

fn place(pair: &JwksPair) -> [u8; 32] {
    sha256(format!("keys\n{}\n{}", pair.jwks_url, pair.jwks_ca_pem).as_bytes())
}

fn discovery_place(config: &Config) -> [u8; 32] {
    sha256(format!("discovery\n{}\n{}", config.oidc_discovery_url, config.oidc_discovery_ca_pem).as_bytes())
}

/// A server that is trusted by these authorities; empty for the system's.
pub(super) fn peer(ca_pem: &str) -> Peer<'_> {
    Peer { authorities: Authorities::of_setting(ca_pem) }
}

fn discover(call: &Call<'_>, config: &Config) -> Result<Provider, String> {
    let base = config.oidc_discovery_url.trim_end_matches('/');
    let url = format!("{base}/.well-known/openid-configuration");
    let answer = peer(&config.oidc_discovery_ca_pem).get::<Provider>(call, &url, Vec::new())?;
    match answer.body {
        Some(provider) if answer.status == 200 => {
            if provider.issuer != config.oidc_discovery_url && provider.issuer.trim_end_matches('/') != base {
                return Err("the issuer that it names is another than the one asked".to_owned());
            }
            Ok(provider)
        }
        _ => Err(format!("{url} answered with status {} and no discovery document", answer.status)),
    }
}

fn fetch(call: &Call<'_>, pair: &JwksPair) -> Result<Vec<PublishedKey>, String> {
    let answer = peer(&pair.jwks_ca_pem).get::<JsonWebKeySet>(call, &pair.jwks_url, Vec::new())?;
    match answer.body {
        Some(set) if answer.status == 200 => {
            Ok(set.keys.iter().take(KEYS_MAX).filter_map(PublishedKey::parse).collect())
        }
        _ => Err(format!("{} answered with status {} and no key set", pair.jwks_url, answer.status)),
    }
}

impl PublishedKey {
    /// None for keys that verify no signatures, or are of kinds that are not supported.
    fn parse(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let public = PublicKey::from_jwk(text).ok()?;
        let algorithm = match text("alg") {
            Some(name) => Some(JwsAlgorithm::parse(name)?),
            None => None,
        };
        Some(Self { id: text("kid").map(str::to_owned), algorithm, public })
    }

    fn may_have_signed(&self, token: &Token<'_>) -> bool {
        (token.key_id.is_none() || self.id.is_none() || self.id == token.key_id)
            && self.algorithm.is_none_or(|algorithm| algorithm == token.algorithm)
    }
}

/// What an issuer answers, read as from the network.
pub(crate) fn hear(bytes: &[u8]) {
    if let Ok(set) = serde_json::from_slice::<JsonWebKeySet>(bytes) {
        drop(set.keys.iter().take(KEYS_MAX).filter_map(PublishedKey::parse).collect::<Vec<_>>());
    }
    drop(serde_json::from_slice::<Provider>(bytes));
}
