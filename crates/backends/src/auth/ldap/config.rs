//! The settings of a mount.

use crate::auth::token_parameters::TokenParameters;
use crate::pem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use strongroom_crypto::x509::ReadCertificate;
use strongroom_kernel::{Call, Data, Error, Fields, Key, Record, Response, Table};

const CONFIG: Table = Table(1);
const TLS_VERSIONS: [&str; 4] = ["tls10", "tls11", "tls12", "tls13"];
const TIMEOUT_MAX: Duration = Duration::from_secs(120);
const URLS_MAX: usize = 8;

/// As stored: one row.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub url: String,
    pub userdn: String,
    pub groupdn: String,
    pub groupfilter: String,
    pub groupattr: String,
    pub userfilter: String,
    pub userattr: String,
    pub upndomain: String,
    pub binddn: String,
    pub bindpass: String,
    pub certificate: String,
    pub insecure_tls: bool,
    pub starttls: bool,
    pub tls_min_version: String,
    pub tls_max_version: String,
    pub deny_null_bind: bool,
    pub discoverdn: bool,
    pub case_sensitive_names: bool,
    pub use_token_groups: bool,
    pub anonymous_group_search: bool,
    pub username_as_alias: bool,
    pub dereference_aliases: String,
    pub max_page_size: i64,
    pub request_timeout: Duration,
    pub connection_timeout: Duration,
    pub parameters: TokenParameters,
}

impl Record for Config {}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "ldap://127.0.0.1".to_owned(),
            userdn: String::new(),
            groupdn: String::new(),
            groupfilter: "(|(memberUid={{.Username}})(member={{.UserDN}})(uniqueMember={{.UserDN}}))"
                .to_owned(),
            groupattr: "cn".to_owned(),
            userfilter: "({{.UserAttr}}={{.Username}})".to_owned(),
            userattr: "cn".to_owned(),
            upndomain: String::new(),
            binddn: String::new(),
            bindpass: String::new(),
            certificate: String::new(),
            insecure_tls: false,
            starttls: false,
            tls_min_version: "tls12".to_owned(),
            tls_max_version: "tls12".to_owned(),
            deny_null_bind: true,
            discoverdn: false,
            case_sensitive_names: false,
            use_token_groups: false,
            anonymous_group_search: false,
            username_as_alias: false,
            dereference_aliases: "never".to_owned(),
            max_page_size: 0,
            request_timeout: Duration::from_secs(90),
            connection_timeout: Duration::from_secs(30),
            parameters: TokenParameters::default(),
        }
    }
}

impl Config {
    /// The one form of a name here.
    pub(super) fn canonical(&self, name: &str) -> String {
        if self.case_sensitive_names { name.to_owned() } else { name.to_lowercase() }
    }
}

fn key(call: &Call<'_>) -> Key {
    call.table(CONFIG)
}

/// The settings, or those of a mount that has none.
pub(super) fn load(call: &mut Call<'_>) -> Result<Config, Error> {
    let key = key(call);
    Ok(call.tx.record(&key)?.unwrap_or_default())
}

/// The settings, if they were made.
pub(super) fn made(call: &mut Call<'_>) -> Result<Option<Config>, Error> {
    let key = key(call);
    call.tx.record(&key)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let config = load(call)?;
    let mut response = crate::answer::object(json!({
        "url": config.url,
        "userdn": config.userdn,
        "groupdn": config.groupdn,
        "groupfilter": config.groupfilter,
        "groupattr": config.groupattr,
        "userfilter": config.userfilter,
        "userattr": config.userattr,
        "upndomain": config.upndomain,
        "binddn": config.binddn,
        "certificate": config.certificate,
        "insecure_tls": config.insecure_tls,
        "starttls": config.starttls,
        "tls_min_version": config.tls_min_version,
        "tls_max_version": config.tls_max_version,
        "deny_null_bind": config.deny_null_bind,
        "discoverdn": config.discoverdn,
        "case_sensitive_names": config.case_sensitive_names,
        "use_token_groups": config.use_token_groups,
        "anonymous_group_search": config.anonymous_group_search,
        "username_as_alias": config.username_as_alias,
        "dereference_aliases": config.dereference_aliases,
        "max_page_size": config.max_page_size,
        "request_timeout": config.request_timeout.as_secs(),
        "connection_timeout": config.connection_timeout.as_secs(),
    }));
    if let Data::Map(data) = &mut response.data {
        config.parameters.describe(data);
    }
    Ok(response)
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut config = load(call)?;
    update(&mut config, call.fields())?;
    config.parameters.update(call.fields())?;
    check(&config, call.fields())?;
    let warnings = config.parameters.warnings(call);
    let key = key(call);
    call.tx.put_record(&key, &config)?;
    Ok(Response { warnings, ..Response::default() })
}

fn update(config: &mut Config, fields: &Fields) -> Result<(), Error> {
    for (name, value) in [
        ("url", &mut config.url),
        ("userdn", &mut config.userdn),
        ("groupdn", &mut config.groupdn),
        ("groupfilter", &mut config.groupfilter),
        ("groupattr", &mut config.groupattr),
        ("userfilter", &mut config.userfilter),
        ("userattr", &mut config.userattr),
        ("upndomain", &mut config.upndomain),
        ("binddn", &mut config.binddn),
        ("bindpass", &mut config.bindpass),
        ("certificate", &mut config.certificate),
        ("tls_min_version", &mut config.tls_min_version),
        ("tls_max_version", &mut config.tls_max_version),
        ("dereference_aliases", &mut config.dereference_aliases),
    ] {
        if let Some(given) = fields.text(name)? {
            *value = given;
        }
    }
    for (name, value) in [
        ("insecure_tls", &mut config.insecure_tls),
        ("starttls", &mut config.starttls),
        ("deny_null_bind", &mut config.deny_null_bind),
        ("discoverdn", &mut config.discoverdn),
        ("case_sensitive_names", &mut config.case_sensitive_names),
        ("use_token_groups", &mut config.use_token_groups),
        ("anonymous_group_search", &mut config.anonymous_group_search),
        ("username_as_alias", &mut config.username_as_alias),
    ] {
        if let Some(given) = fields.boolean(name)? {
            *value = given;
        }
    }
    for (name, value) in [
        ("request_timeout", &mut config.request_timeout),
        ("connection_timeout", &mut config.connection_timeout),
    ] {
        if let Some(given) = fields.duration(name)? {
            *value = given;
        }
    }
    if let Some(size) = fields.integer("max_page_size")? {
        config.max_page_size = size;
    }
    Ok(())
}

fn check(config: &Config, fields: &Fields) -> Result<(), Error> {
    let given = |name: &str| fields.text(name).map(|text| text.is_some_and(|text| !text.is_empty()));
    match (given("client_tls_cert")?, given("client_tls_key")?) {
        (true, false) | (false, true) => {
            return Err(Error::invalid("both client_tls_cert and client_tls_key must be set"));
        }
        (true, true) => {
            return Err(Error::invalid(
                "client certificates are not supported here: use binddn and bindpass",
            ));
        }
        (false, false) => {}
    }
    for (name, version) in
        [("tls_min_version", &config.tls_min_version), ("tls_max_version", &config.tls_max_version)]
    {
        if !TLS_VERSIONS.contains(&version.as_str()) {
            return Err(Error::invalid(format!("invalid '{name}'")));
        }
    }
    if config.tls_max_version < config.tls_min_version {
        return Err(Error::invalid("'tls_max_version' must be greater than or equal to 'tls_min_version'"));
    }
    let urls: Vec<_> = config.url.split(',').map(str::trim).collect();
    if urls.len() > URLS_MAX || urls.iter().any(|url| super::directory::address(url).is_none()) {
        return Err(Error::invalid(
            "url must be ldap://HOST[:PORT] or ldaps://HOST[:PORT], or several with commas",
        ));
    }
    if !config.certificate.is_empty() {
        let blocks = pem::decode_all(&config.certificate).unwrap_or_default();
        let is_good = !blocks.is_empty()
            && blocks
                .iter()
                .all(|(label, der)| label == "CERTIFICATE" && ReadCertificate::from_der(der).is_ok());
        if !is_good {
            return Err(Error::invalid("failed to parse certificate: it must be in PEM"));
        }
    }
    if !super::filter::is_attribute(&config.userattr) || !super::filter::is_attribute(&config.groupattr) {
        return Err(Error::invalid("userattr and groupattr must be names of attributes"));
    }
    if !["never", "finding", "searching", "always"].contains(&config.dereference_aliases.as_str()) {
        return Err(Error::invalid("dereference_aliases must be never, finding, searching or always"));
    }
    let timeouts = [config.request_timeout, config.connection_timeout];
    if timeouts.iter().any(|timeout| timeout.is_zero() || *timeout > TIMEOUT_MAX) {
        return Err(Error::invalid("request_timeout and connection_timeout must be from 1s to 120s"));
    }
    Ok(())
}
