//! The settings of a mount, as clients read and write them.

use crate::backend::Class;
use crate::error::Error;
use crate::mounts::{MountRecord, UserLockoutConfig};
use crate::request::Fields;
use crate::tokens::TokenKind;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The settings that are set, for lists: lifetimes of zero are the server's.
pub(super) fn shown(mount: &MountRecord) -> Value {
    let lifetimes = (mount.config.default_lease_ttl, mount.config.max_lease_ttl);
    Value::Object(common(mount, lifetimes))
}

/// The answer of `tune`: lifetimes as they are in effect.
pub(super) fn tuning(mount: &MountRecord, (default_ttl, ttl_max): (Duration, Duration)) -> Value {
    let mut map = common(mount, (default_ttl, ttl_max));
    map.insert("description".to_owned(), mount.description.clone().into());
    if !mount.options.is_empty() {
        map.insert("options".to_owned(), mount.options.clone().into());
    }
    Value::Object(map)
}

fn common(mount: &MountRecord, (default_ttl, ttl_max): (Duration, Duration)) -> Map<String, Value> {
    let config = &mount.config;
    let mut map = Map::new();
    map.insert("default_lease_ttl".to_owned(), default_ttl.as_secs().into());
    map.insert("max_lease_ttl".to_owned(), ttl_max.as_secs().into());
    map.insert("force_no_cache".to_owned(), config.force_no_cache.into());
    let lists = [
        ("audit_non_hmac_request_keys", &config.audit_non_hmac_request_keys),
        ("audit_non_hmac_response_keys", &config.audit_non_hmac_response_keys),
        ("passthrough_request_headers", &config.passthrough_request_headers),
        ("allowed_response_headers", &config.allowed_response_headers),
    ];
    for (name, list) in lists {
        if !list.is_empty() {
            map.insert(name.to_owned(), json!(list));
        }
    }
    if config.no_fingerprints {
        map.insert("fingerprints".to_owned(), false.into());
    }
    if !config.fingerprints_kept_for.is_zero() {
        map.insert("fingerprints_kept_for".to_owned(), config.fingerprints_kept_for.as_secs().into());
    }
    if config.fingerprints_versions > 0 {
        map.insert("fingerprints_versions".to_owned(), config.fingerprints_versions.into());
    }
    if !config.listing_visibility.is_empty() {
        map.insert("listing_visibility".to_owned(), config.listing_visibility.clone().into());
    }
    if mount.class == Class::Auth {
        let kind = match config.token_type {
            TokenKind::Default => TokenKind::DefaultService,
            kind => kind,
        };
        map.insert("token_type".to_owned(), kind.as_str().into());
    }
    if let Some(lockout) = config.user_lockout {
        let shown = json!({
            "lockout_threshold": lockout.threshold,
            "lockout_duration": lockout.duration.as_secs(),
            "lockout_counter_reset_duration": lockout.counter_reset.as_secs(),
            "lockout_disable": lockout.is_disabled,
        });
        map.insert("user_lockout_config".to_owned(), shown);
    }
    map
}

/// Sets what the fields name and leaves the rest.
pub(super) fn apply(mount: &mut MountRecord, fields: &Fields) -> Result<(), Error> {
    let lifetime = |name: &str| match fields.text(name) {
        // What Vault's command line sends to go back to the server's lifetime.
        Ok(Some(text)) if text == "system" => Ok(Some(Duration::ZERO)),
        _ => fields.duration(name),
    };
    let config = &mut mount.config;
    set(&mut config.default_lease_ttl, lifetime("default_lease_ttl")?);
    set(&mut config.max_lease_ttl, lifetime("max_lease_ttl")?);
    if !config.max_lease_ttl.is_zero() && config.default_lease_ttl > config.max_lease_ttl {
        return Err(Error::invalid("given default lease TTL greater than given max lease TTL"));
    }
    set(&mut config.force_no_cache, fields.boolean("force_no_cache")?);
    set(&mut config.audit_non_hmac_request_keys, fields.list("audit_non_hmac_request_keys")?);
    set(&mut config.audit_non_hmac_response_keys, fields.list("audit_non_hmac_response_keys")?);
    set(&mut config.passthrough_request_headers, fields.list("passthrough_request_headers")?);
    set(&mut config.allowed_response_headers, fields.list("allowed_response_headers")?);
    if let Some(keeps) = fields.boolean("fingerprints")? {
        config.no_fingerprints = !keeps;
    }
    set(&mut config.fingerprints_kept_for, lifetime("fingerprints_kept_for")?);
    set(&mut config.fingerprints_versions, fields.count("fingerprints_versions")?);
    if let Some(visibility) = fields.text("listing_visibility")? {
        if !["", "hidden", "unauth"].contains(&visibility.as_str()) {
            return Err(Error::invalid("listing_visibility must be \"unauth\", \"hidden\" or empty"));
        }
        config.listing_visibility = visibility;
    }
    if fields.text("plugin_version")?.is_some_and(|version| !version.is_empty()) {
        return Err(Error::invalid("plugin_version cannot be chosen: every type is built in"));
    }
    if let Some(lockout) = fields.map("user_lockout_config")? {
        config.user_lockout = Some(user_lockout(config.user_lockout, &Fields(lockout))?);
    }
    match fields.text("token_type")? {
        Some(kind) => set_token_type(mount, &kind),
        None => Ok(()),
    }
}

fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

fn set_token_type(mount: &mut MountRecord, kind: &str) -> Result<(), Error> {
    if kind.is_empty() {
        return Ok(());
    }
    if mount.class == Class::Secret || mount.kind == "token" {
        return Err(Error::invalid(
            "token_type can be set for auth methods alone, and not for the token method",
        ));
    }
    mount.config.token_type = TokenKind::parse(kind)
        .filter(|kind| *kind != TokenKind::Default)
        .ok_or_else(|| Error::invalid(format!("invalid value for token_type: {kind:?}")))?;
    Ok(())
}

fn user_lockout(before: Option<UserLockoutConfig>, fields: &Fields) -> Result<UserLockoutConfig, Error> {
    let mut config = before.unwrap_or_default();
    set(&mut config.threshold, fields.count("lockout_threshold")?);
    set(&mut config.duration, fields.duration("lockout_duration")?);
    set(&mut config.counter_reset, fields.duration("lockout_counter_reset_duration")?);
    set(&mut config.counter_reset, fields.duration("lockout_counter_reset")?);
    set(&mut config.is_disabled, fields.boolean("lockout_disable")?);
    Ok(config)
}
