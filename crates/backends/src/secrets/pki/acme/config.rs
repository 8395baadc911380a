//! `config/acme`: whether there is ACME here, and for whom.

use super::problem::{Kind, Problem};
use crate::answer::object;
use crate::routing::field;
use crate::secret_serde;
use crate::secrets::pki::roles::{self, Role};
use crate::secrets::pki::{settings, store};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use strongroom_kernel::{Call, Error, Field, FieldKind, Record, Response};
use strongroom_secret::SecretBytes;

const NAME: &str = "acme";
const NONCE_KEY_BYTES: usize = 32;
const MONTHS_3: u64 = 90 * 24 * 3600;
const DNS_PORT: u16 = 53;

/// The settings as they are stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct AcmeSettings {
    pub enabled: bool,
    pub default_directory_policy: String,
    pub allowed_roles: Vec<String>,
    pub allowed_issuers: Vec<String>,
    pub allow_role_ext_key_usage: bool,
    pub eab_policy: String,
    pub dns_resolver: String,
    /// In seconds.
    pub max_ttl: u64,
    pub http01_port: u16,
    pub tls_alpn01_port: u16,
    pub challenge_allowed_networks: Vec<String>,
    /// What nonces are made with.
    #[serde(with = "secret_serde")]
    pub nonce_key: SecretBytes,
}

impl Record for AcmeSettings {}

impl Default for AcmeSettings {
    fn default() -> Self {
        let all = || vec!["*".to_owned()];
        Self {
            enabled: false,
            default_directory_policy: "sign-verbatim".to_owned(),
            allowed_roles: all(),
            allowed_issuers: all(),
            allow_role_ext_key_usage: false,
            eab_policy: "always-required".to_owned(),
            dns_resolver: String::new(),
            max_ttl: MONTHS_3,
            http01_port: 80,
            tls_alpn01_port: 443,
            challenge_allowed_networks: Vec::new(),
            nonce_key: SecretBytes::new(Vec::new()),
        }
    }
}

/// What can be set.
pub(super) const FIELDS: &[Field] = &[
    field("enabled", FieldKind::Boolean, "Whether ACME is answered on this mount."),
    field(
        "default_directory_policy",
        FieldKind::Text,
        "For directories without a role: sign-verbatim (default), forbid, or role:NAME.",
    ),
    field("allowed_roles", FieldKind::List, "Roles with a directory of their own; `*` (default) for all."),
    field(
        "allowed_issuers",
        FieldKind::List,
        "Issuers with a directory of their own; `*` (default) for all.",
    ),
    field(
        "allow_role_ext_key_usage",
        FieldKind::Boolean,
        "Certificates have the extended key usages of their role; by default they are for servers alone.",
    ),
    field(
        "eab_policy",
        FieldKind::Text,
        "Who needs a key of acme/new-eab: always-required (default), new-account-required or not-required.",
    ),
    field(
        "dns_resolver",
        FieldKind::Text,
        "The name server for challenges: IP or IP:PORT. The system's by default.",
    ),
    field("max_ttl", FieldKind::Duration, "How long certificates live at the most; 90 days by default."),
    field(
        "http01_port",
        FieldKind::Integer,
        "The port of http-01; 80 by default, as the standard says. Ours.",
    ),
    field(
        "tls_alpn01_port",
        FieldKind::Integer,
        "The port of tls-alpn-01; 443 by default, as the standard says. Ours.",
    ),
    field(
        "challenge_allowed_networks",
        FieldKind::List,
        "Networks that challenges may reach although they are this machine's own, or the link's: 127.0.0.0/8. Ours.",
    ),
];

pub(super) fn load(call: &mut Call<'_>) -> Result<AcmeSettings, Error> {
    settings::tidy_settings(call, NAME)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let settings = load(call)?;
    Ok(shown(&settings))
}

fn shown(settings: &AcmeSettings) -> Response {
    let mut value = json!(settings);
    if let Some(value) = value.as_object_mut() {
        value.remove("nonce_key");
    }
    object(value)
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut settings = load(call)?;
    let fields = call.fields();
    let flags = [
        ("enabled", &mut settings.enabled),
        ("allow_role_ext_key_usage", &mut settings.allow_role_ext_key_usage),
    ];
    for (name, flag) in flags {
        *flag = fields.boolean(name)?.unwrap_or(*flag);
    }
    let texts = [
        ("default_directory_policy", &mut settings.default_directory_policy),
        ("eab_policy", &mut settings.eab_policy),
        ("dns_resolver", &mut settings.dns_resolver),
    ];
    for (name, text) in texts {
        *text = fields.text(name)?.unwrap_or_else(|| text.clone());
    }
    let lists = [
        ("allowed_roles", &mut settings.allowed_roles),
        ("allowed_issuers", &mut settings.allowed_issuers),
        ("challenge_allowed_networks", &mut settings.challenge_allowed_networks),
    ];
    for (name, list) in lists {
        *list = fields.list(name)?.unwrap_or_else(|| list.clone());
    }
    for (name, port) in
        [("http01_port", &mut settings.http01_port), ("tls_alpn01_port", &mut settings.tls_alpn01_port)]
    {
        if let Some(number) = fields.count(name)? {
            *port = u16::try_from(number)
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| Error::invalid(format!("{name} must be a port: 1 to 65535")))?;
        }
    }
    settings.max_ttl = fields.duration("max_ttl")?.map_or(settings.max_ttl, |ttl| ttl.as_secs());
    check(call, &settings)?;
    if settings.nonce_key.expose().is_empty() {
        let mut key = vec![0; NONCE_KEY_BYTES];
        call.entropy().fill(&mut key);
        settings.nonce_key = SecretBytes::new(key);
    }
    settings::set_tidy_settings(call, NAME, &settings)?;
    Ok(shown(&settings))
}

fn check(call: &mut Call<'_>, settings: &AcmeSettings) -> Result<(), Error> {
    match settings.default_directory_policy.as_str() {
        "sign-verbatim" | "forbid" => {}
        policy => {
            let role = policy.strip_prefix("role:").ok_or_else(|| {
                Error::invalid("default_directory_policy must be sign-verbatim, forbid, or role:NAME")
            })?;
            roles::find(call, role)?
                .ok_or_else(|| Error::invalid(format!("default_directory_policy: unknown role {role:?}")))?;
        }
    }
    if !matches!(settings.eab_policy.as_str(), "always-required" | "new-account-required" | "not-required") {
        return Err(Error::invalid(
            "eab_policy must be always-required, new-account-required or not-required",
        ));
    }
    settings.resolver()?;
    settings.networks()?;
    if settings.max_ttl == 0 {
        return Err(Error::invalid("max_ttl must be longer than zero"));
    }
    if settings.enabled {
        base(call)?.ok_or_else(|| {
            Error::invalid(
                "ACME feature requires local cluster 'path' field configuration to be set: write config/cluster \
                 path=https://HOST:8200/v1/MOUNT first",
            )
        })?;
    }
    Ok(())
}

/// The address of this mount, with a slash at its end.
pub(super) fn base(call: &mut Call<'_>) -> Result<Option<String>, Error> {
    let path = settings::cluster_path(call)?;
    let path = path.trim_end_matches('/');
    let is_address = path.starts_with("https://") || path.starts_with("http://");
    Ok(is_address.then(|| format!("{path}/")))
}

impl AcmeSettings {
    pub(super) fn resolver(&self) -> Result<Option<SocketAddr>, Error> {
        if self.dns_resolver.is_empty() {
            return Ok(None);
        }
        let address = self.dns_resolver.parse::<SocketAddr>();
        let bare = || self.dns_resolver.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
        let parsed = address.or_else(|_| bare());
        parsed
            .map(Some)
            .map_err(|_| Error::invalid("dns_resolver must be an IP address, with a port or without"))
    }

    pub(super) fn networks(&self) -> Result<Vec<IpNet>, Error> {
        let parse = |text: &String| {
            text.parse().map_err(|_| {
                Error::invalid(format!("challenge_allowed_networks: {text:?} is no network, as 127.0.0.0/8"))
            })
        };
        self.challenge_allowed_networks.iter().map(parse).collect()
    }

    pub(super) fn eab_for_new_accounts(&self) -> bool {
        self.eab_policy != "not-required"
    }

    pub(super) fn eab_always(&self) -> bool {
        self.eab_policy == "always-required"
    }

    pub(super) fn ttl_max(&self) -> Duration {
        Duration::from_secs(self.max_ttl)
    }

    /// What the directory that the path names may issue.
    pub(super) fn role(&self, call: &mut Call<'_>) -> Result<Role, Problem> {
        self.check_issuer(call)?;
        let named = call.capture("role").to_owned();
        if !named.is_empty() {
            if !self.allowed_roles.iter().any(|role| role == "*" || *role == named) {
                return Err(Kind::Unauthorized.told("this role has no ACME directory"));
            }
            return roles::find(call, &named)?.ok_or_else(|| Kind::NotFound.told("there is no such role"));
        }
        match self.default_directory_policy.as_str() {
            "forbid" => Err(Kind::Unauthorized.told("only directories of roles are open on this mount")),
            "sign-verbatim" => Ok(verbatim()),
            policy => {
                let role = policy.strip_prefix("role:").unwrap_or_default();
                roles::find(call, role)?.ok_or_else(|| Kind::NotFound.told("the directory's role is gone"))
            }
        }
    }

    fn check_issuer(&self, call: &mut Call<'_>) -> Result<(), Problem> {
        let named = call.capture("issuer").to_owned();
        if named.is_empty() || self.allowed_issuers.iter().any(|issuer| issuer == "*") {
            return Ok(());
        }
        let issuer = store::find_issuer(call, &named).ok();
        let is_allowed = issuer.is_some_and(|issuer| {
            self.allowed_issuers.iter().any(|allowed| *allowed == issuer.id || *allowed == issuer.name)
        });
        match is_allowed {
            true => Ok(()),
            false => Err(Kind::Unauthorized.told("this issuer has no ACME directory")),
        }
    }
}

/// Every name that was proven, and any key.
fn verbatim() -> Role {
    Role {
        allow_any_name: true,
        enforce_hostnames: false,
        key_type: "any".to_owned(),
        require_cn: false,
        ..Role::default()
    }
}
