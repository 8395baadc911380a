//! `config/`: URLs, revocation lists, defaults, and how the cluster is reached.

use super::store::{self, SETTINGS};
use crate::answer::object;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use strongroom_crypto::x509::AccessUrls;
use strongroom_kernel::{Call, Error, Key, Record, Response};
use strongroom_secret::parse_duration;

/// Where more is known of an issuer; goes into the certificates that it makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Urls {
    pub issuing_certificates: Vec<String>,
    pub crl_distribution_points: Vec<String>,
    pub delta_crl_distribution_points: Vec<String>,
    pub ocsp_servers: Vec<String>,
    /// `{{issuer_id}}`, `{{cluster_path}}` and `{{cluster_aia_path}}` are filled in.
    pub enable_templating: bool,
}

impl Record for Urls {}

/// How revocation lists and OCSP work. Durations as they were written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CrlSettings {
    pub expiry: String,
    pub disable: bool,
    pub ocsp_disable: bool,
    pub ocsp_expiry: String,
    /// Lists are made when they are about to end, not with every revocation.
    pub auto_rebuild: bool,
    pub auto_rebuild_grace_period: String,
    pub enable_delta: bool,
    pub delta_rebuild_interval: String,
    pub allow_expired_cert_revocation: bool,
}

impl Record for CrlSettings {}

impl Default for CrlSettings {
    fn default() -> Self {
        Self {
            expiry: "72h".to_owned(),
            disable: false,
            ocsp_disable: false,
            ocsp_expiry: "12h".to_owned(),
            auto_rebuild: false,
            auto_rebuild_grace_period: "12h".to_owned(),
            enable_delta: false,
            delta_rebuild_interval: "15m".to_owned(),
            allow_expired_cert_revocation: false,
        }
    }
}

impl CrlSettings {
    pub(super) fn lifetime(&self) -> Duration {
        parse_duration(&self.expiry).unwrap_or(Duration::from_secs(72 * 3600))
    }

    pub(super) fn ocsp_lifetime(&self) -> Duration {
        parse_duration(&self.ocsp_expiry).unwrap_or(Duration::from_secs(12 * 3600))
    }

    pub(super) fn grace(&self) -> Duration {
        parse_duration(&self.auto_rebuild_grace_period).unwrap_or_default()
    }

    pub(super) fn delta_interval(&self) -> Duration {
        parse_duration(&self.delta_rebuild_interval).unwrap_or_default()
    }
}

/// What is meant by "default".
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Defaults {
    pub issuer: String,
    pub key: String,
    /// A new issuer that has its key here becomes the default.
    pub follows_latest: bool,
}

impl Record for Defaults {}

/// How this server is reached from outside.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Cluster {
    path: String,
    aia_path: String,
}

impl Record for Cluster {}

fn key(call: &Call<'_>, what: &str) -> Key {
    call.tx.id_key(&call.table(SETTINGS), what.as_bytes())
}

fn load<T: Record + Default>(call: &mut Call<'_>, what: &str) -> Result<T, Error> {
    let key = key(call, what);
    Ok(call.tx.record(&key)?.unwrap_or_default())
}

fn save<T: Record>(call: &mut Call<'_>, what: &str, value: &T) -> Result<(), Error> {
    let key = key(call, what);
    call.tx.put_record(&key, value)
}

// URLs.

/// The addresses that an issuer's certificates name: its own, or the mount's.
pub(super) fn urls_of(call: &mut Call<'_>, issuer: &store::IssuerRecord) -> Result<AccessUrls, Error> {
    let urls = match &issuer.urls {
        Some(urls) => urls.clone(),
        None => load(call, "urls")?,
    };
    let cluster: Cluster = if urls.enable_templating { load(call, "cluster")? } else { Cluster::default() };
    let filled = |texts: &[String]| {
        texts
            .iter()
            .map(|text| match urls.enable_templating {
                true => text
                    .replace("{{issuer_id}}", &issuer.id)
                    .replace("{{cluster_path}}", &cluster.path)
                    .replace("{{cluster_aia_path}}", &cluster.aia_path),
                false => text.clone(),
            })
            .collect()
    };
    Ok(AccessUrls {
        issuing_certificates: filled(&urls.issuing_certificates),
        crl_distribution_points: filled(&urls.crl_distribution_points),
        delta_crl_distribution_points: filled(&urls.delta_crl_distribution_points),
        ocsp_servers: filled(&urls.ocsp_servers),
    })
}

pub(super) fn has_urls(call: &mut Call<'_>) -> Result<bool, Error> {
    Ok(load::<Urls>(call, "urls")? != Urls::default())
}

impl Urls {
    /// Takes over what a request names; absent lists stay.
    pub(super) fn change(&mut self, call: &Call<'_>) -> Result<(), Error> {
        let fields = call.fields();
        let lists = [
            ("issuing_certificates", &mut self.issuing_certificates),
            ("crl_distribution_points", &mut self.crl_distribution_points),
            ("delta_crl_distribution_points", &mut self.delta_crl_distribution_points),
            ("ocsp_servers", &mut self.ocsp_servers),
        ];
        let is_templated = fields.boolean("enable_templating")?.unwrap_or(self.enable_templating);
        for (name, list) in lists {
            let Some(urls) = fields.list(name)? else { continue };
            for url in &urls {
                let is_url =
                    url.starts_with("http://") || url.starts_with("https://") || url.starts_with("ldap://");
                if !url.is_ascii() || !(is_url || (is_templated && url.starts_with("{{"))) {
                    return Err(Error::invalid(format!(
                        "invalid URL found in {name}: it must start with http://"
                    )));
                }
            }
            *list = urls;
        }
        self.enable_templating = is_templated;
        Ok(())
    }
}

pub(super) fn read_urls(call: &mut Call<'_>) -> Result<Response, Error> {
    let urls: Urls = load(call, "urls")?;
    Ok(object(json!(urls)))
}

pub(super) fn write_urls(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut urls: Urls = load(call, "urls")?;
    urls.change(call)?;
    save(call, "urls", &urls)?;
    read_urls(call)
}

// Revocation lists.

pub(super) fn crl(call: &mut Call<'_>) -> Result<CrlSettings, Error> {
    load(call, "crl")
}

pub(super) fn read_crl(call: &mut Call<'_>) -> Result<Response, Error> {
    let settings = crl(call)?;
    Ok(object(json!(settings)))
}

pub(super) fn write_crl(call: &mut Call<'_>) -> Result<Response, Error> {
    let before = crl(call)?;
    let mut settings = before.clone();
    let fields = call.fields();
    let durations = [
        ("expiry", &mut settings.expiry),
        ("ocsp_expiry", &mut settings.ocsp_expiry),
        ("auto_rebuild_grace_period", &mut settings.auto_rebuild_grace_period),
        ("delta_rebuild_interval", &mut settings.delta_rebuild_interval),
    ];
    for (name, setting) in durations {
        if fields.duration(name)?.is_some() {
            *setting = fields.text(name)?.unwrap_or_default();
        }
    }
    let flags = [
        ("disable", &mut settings.disable),
        ("ocsp_disable", &mut settings.ocsp_disable),
        ("auto_rebuild", &mut settings.auto_rebuild),
        ("enable_delta", &mut settings.enable_delta),
        ("allow_expired_cert_revocation", &mut settings.allow_expired_cert_revocation),
    ];
    for (name, setting) in flags {
        *setting = fields.boolean(name)?.unwrap_or(*setting);
    }
    check_crl(&settings)?;
    save(call, "crl", &settings)?;
    if before.disable != settings.disable || before.expiry != settings.expiry {
        super::revocation::rebuild_all(call)?;
    }
    read_crl(call)
}

fn check_crl(settings: &CrlSettings) -> Result<(), Error> {
    if settings.lifetime().is_zero() {
        return Err(Error::invalid("expiry must be longer than zero"));
    }
    if settings.auto_rebuild && settings.grace() >= settings.lifetime() {
        return Err(Error::invalid(
            "CRL auto-rebuilding grace period must be strictly shorter than CRL expiry value",
        ));
    }
    if settings.enable_delta && !settings.auto_rebuild {
        return Err(Error::invalid("delta CRLs cannot be enabled when auto rebuilding is disabled"));
    }
    if settings.enable_delta && settings.delta_interval() >= settings.lifetime() {
        return Err(Error::invalid(
            "CRL delta rebuild window must be strictly shorter than CRL expiry value",
        ));
    }
    Ok(())
}

// Defaults.

pub(super) fn defaults(call: &mut Call<'_>) -> Result<Defaults, Error> {
    load(call, "defaults")
}

pub(super) fn set_defaults(call: &mut Call<'_>, defaults: &Defaults) -> Result<(), Error> {
    save(call, "defaults", defaults)
}

pub(super) fn read_default_issuer(call: &mut Call<'_>) -> Result<Response, Error> {
    let defaults = defaults(call)?;
    Ok(object(json!({
        "default": defaults.issuer,
        "default_follows_latest_issuer": defaults.follows_latest,
    })))
}

pub(super) fn write_default_issuer(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut defaults = defaults(call)?;
    let fields = call.fields();
    let reference = fields.text("default")?.filter(|text| !text.is_empty());
    if let Some(follows) = fields.boolean("default_follows_latest_issuer")? {
        defaults.follows_latest = follows;
    } else if reference.is_none() {
        return Err(Error::invalid("invalid issuer specification; must be non-empty and can't be 'default'"));
    }
    let mut warning = None;
    if let Some(reference) = reference {
        let issuer = store::find_issuer(call, &reference).map_err(bad_reference)?;
        if issuer.key_id.is_empty() {
            warning = Some(
                "This selected default issuer has no key associated with it. Some operations like issuing \
                 certificates and signing CRLs will be unavailable with the requested default issuer until a key is \
                 imported or the default issuer is changed.",
            );
        }
        defaults.issuer = issuer.id;
    }
    set_defaults(call, &defaults)?;
    let response = read_default_issuer(call)?;
    Ok(match warning {
        Some(warning) => response.with_warning(warning),
        None => response,
    })
}

fn bad_reference(error: Error) -> Error {
    Error::invalid(error.messages.join("; "))
}

pub(super) fn read_default_key(call: &mut Call<'_>) -> Result<Response, Error> {
    Ok(object(json!({ "default": defaults(call)?.key })))
}

pub(super) fn write_default_key(call: &mut Call<'_>) -> Result<Response, Error> {
    let reference = call.fields().required_text("default")?;
    let key = store::find_key(call, &reference).map_err(bad_reference)?;
    let mut defaults = defaults(call)?;
    defaults.key = key.id;
    set_defaults(call, &defaults)?;
    read_default_key(call)
}

// The cluster.

/// The address of this mount as it is reached from outside; empty where it is not said.
pub(super) fn cluster_path(call: &mut Call<'_>) -> Result<String, Error> {
    Ok(load::<Cluster>(call, "cluster")?.path)
}

pub(super) fn read_cluster(call: &mut Call<'_>) -> Result<Response, Error> {
    let cluster: Cluster = load(call, "cluster")?;
    Ok(object(json!(cluster)))
}

pub(super) fn write_cluster(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut cluster: Cluster = load(call, "cluster")?;
    let fields = call.fields();
    if let Some(path) = fields.text("path")? {
        cluster.path = path;
    }
    if let Some(path) = fields.text("aia_path")? {
        cluster.aia_path = path;
    }
    save(call, "cluster", &cluster)?;
    read_cluster(call)
}

// Tidying.

pub(super) fn tidy_settings<T: Record + Default>(call: &mut Call<'_>, what: &str) -> Result<T, Error> {
    load(call, what)
}

pub(super) fn set_tidy_settings<T: Record>(call: &mut Call<'_>, what: &str, value: &T) -> Result<(), Error> {
    save(call, what, value)
}
