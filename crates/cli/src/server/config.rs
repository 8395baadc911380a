//! The server's configuration: TOML, and Vault's HCL and JSON as they are. Raw in, resolved out: nothing else reads raw.

use crate::failure::Failure;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;
use strongroom_http::tls::{ClientCertificates, TlsConfig, TlsVersion};
use strongroom_secret::parse_duration;

/// A configuration file may be this large, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the server is told.
#[derive(Debug)]
pub struct Config {
    pub store: Store,
    pub listeners: Vec<ListenerConfig>,
    pub seal: SealConfig,
    /// The seal before that one, marked `disabled`.
    pub seal_before: Option<SealConfig>,
    pub open_generate_root: bool,
    pub cluster_name: String,
    pub api_address: String,
    pub default_lease_ttl: Option<Duration>,
    pub max_lease_ttl: Option<Duration>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
    pub log_file: Option<PathBuf>,
    pub pid_file: Option<PathBuf>,
    pub audit_directories: Option<Vec<PathBuf>>,
    pub audit_network: bool,
    pub explain_denials: bool,
    /// Executables that rotation may run.
    pub plugin_directory: Option<PathBuf>,
    /// Where rotation may write files that tell of new versions.
    pub notify_directory: Option<PathBuf>,
    /// Snapshots on a schedule.
    pub snapshots: Option<SnapshotConfig>,
    /// What was read and has no effect here, for the log.
    pub warnings: Vec<String>,
}

/// Snapshots on a schedule: `snapshots { path = … interval = "1h" keep = 24 }`.
#[derive(Debug, Clone)]
pub struct SnapshotConfig {
    pub folder: PathBuf,
    pub interval: Duration,
    pub keep: usize,
}

/// Where secrets are kept.
#[derive(Debug)]
pub enum Store {
    Embedded { folder: PathBuf, accept_rollback: bool },
    Memory,
}

/// One address to listen on.
#[derive(Debug)]
pub struct ListenerConfig {
    pub address: strongroom_http::Address,
    pub tls: Option<TlsConfig>,
    pub forwarded_from: Vec<ipnet::IpNet>,
    pub require_request_header: bool,
    pub body_bytes_max: Option<usize>,
    pub request_timeout: Option<Duration>,
}

/// What opens the server.
#[derive(Debug)]
pub enum SealConfig {
    Shamir,
    /// 32 bytes from outside; the first key seals, all of them open.
    Static {
        keys: Vec<KeySource>,
    },
    Transit(TransitConfig),
}

/// Where key material comes from.
#[derive(Debug)]
pub enum KeySource {
    File(PathBuf),
    Environment(String),
    Command(String),
}

#[derive(Debug)]
pub struct TransitConfig {
    pub address: String,
    pub token: KeySource,
    pub mount_path: String,
    pub key_name: String,
    pub namespace: Option<String>,
    pub ca_cert: Option<PathBuf>,
    pub skip_verify: bool,
}

/// Names that Vault's configuration has and that mean nothing here.
const IGNORED: [&str; 19] = [
    "disable_mlock",
    "ui",
    "cluster_addr",
    "disable_cache",
    "cache_size",
    "telemetry",
    "service_registration",
    "disable_clustering",
    "disable_sealwrap",
    "disable_printable_check",
    "log_requests_level",
    "log_rotate_duration",
    "log_rotate_bytes",
    "log_rotate_max_files",
    "disable_performance_standby",
    "imprecise_lease_role_tracking",
    "unsafe_allow_api_audit_creation",
    "disable_unauthed_rekey_endpoints",
    "allow_audit_log_prefixing",
];

/// Names that ask for something that this server does not have: silence would be wrong.
const UNSUPPORTED: [(&str, &str); 7] = [
    ("ha_storage", "this server keeps everything in its one store"),
    ("entropy", "randomness comes from the operating system"),
    ("license_path", "there is nothing to license"),
    ("raw_storage_endpoint", "the store is not served in the raw"),
    ("enable_raw_endpoint", "the store is not served in the raw"),
    ("hcp_link", "this server reports to nobody"),
    ("initialize", "initialise with `operator init`"),
];

/// Reads files, and the `.hcl`, `.json` and `.toml` files of folders, in the order of their names. Later ones add and
/// override.
pub fn load(places: &[PathBuf]) -> Result<Config, Failure> {
    let mut merged = Map::new();
    for place in places {
        for file in files_of(place)? {
            merge(&mut merged, parse(&file)?);
        }
    }
    resolve(merged).map_err(|problems| {
        let failure =
            Failure::usage(format!("the configuration is not usable:\n  {}", problems.join("\n  ")));
        places.iter().fold(failure, |failure, place| failure.looked(place.display().to_string()))
    })
}

fn files_of(place: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("cannot read the configuration {}: {error}", place.display()))
    };
    if !std::fs::metadata(place).map_err(failed)?.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(place).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|kind| ["hcl", "json", "toml"].iter().any(|known| kind == *known)) {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(Failure::usage(format!("{} holds no .hcl, .json or .toml file", place.display()))),
        false => Ok(files),
    }
}

fn parse(file: &Path) -> Result<Map<String, Value>, Failure> {
    let shown = file.display();
    let failed = |error: &dyn std::fmt::Display| Failure::usage(format!("{shown}: {error}"));
    let size = std::fs::metadata(file).map_err(|error| failed(&error))?.len();
    if size > FILE_BYTES_MAX {
        return Err(failed(&format!(
            "{size} bytes are too many for a configuration: the limit is {FILE_BYTES_MAX}"
        )));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    check_depth(&text).map_err(|error| failed(&error))?;
    let is_of = |kind: &str| file.extension().is_some_and(|found| found == kind);
    let value: Value = if is_of("toml") {
        toml::from_str(&text).map_err(|error| failed(&error))?
    } else if is_of("json") || text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| failed(&error))?
    } else {
        hcl::from_str(&text).map_err(|error| failed(&error))?
    };
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(failed(&"the top level is not a set of settings: storage, listener, …")),
    }
}

/// Brackets nested beyond reason would exhaust the parsers' stack.
fn check_depth(text: &str) -> Result<(), String> {
    let mut depth = 0_i32;
    for character in text.chars() {
        match character {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            _ => {}
        }
        if depth > 64 {
            return Err("nested too deeply".to_owned());
        }
    }
    Ok(())
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (Some(Value::Array(old)), Value::Array(new)) => old.extend(new),
            (_, value) => drop(into.insert(name, value)),
        }
    }
}

/// A block with its labels: `listener "tcp" { … }`.
struct Block {
    kind: String,
    settings: Settings,
}

/// The blocks of a name, in whichever of the shapes that HCL, JSON and TOML give them.
fn blocks(value: Option<Value>, name: &str, problems: &mut Vec<String>) -> Vec<Block> {
    let mut found = Vec::new();
    let mut waiting: Vec<Value> = value.into_iter().collect();
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(items) => waiting.extend(items.into_iter().rev()),
            Value::Object(map) => {
                for (kind, inner) in map {
                    let bodies = match inner {
                        Value::Array(items) => items,
                        one => vec![one],
                    };
                    for body in bodies {
                        match body {
                            Value::Object(map) => {
                                let place = format!("{name} {kind:?}");
                                found.push(Block { kind: kind.clone(), settings: Settings { map, place } });
                            }
                            _ => problems.push(format!(
                                "{name} {kind:?}: is not a block: write {name} \"TYPE\" {{ … }}, in TOML [{name}.TYPE]"
                            )),
                        }
                    }
                }
            }
            _ => problems.push(format!("{name}: is not a block: write {name} \"type\" {{ … }}")),
        }
    }
    found
}

/// Settings that are taken one by one; what is left over at the end is not known.
struct Settings {
    map: Map<String, Value>,
    place: String,
}

impl Settings {
    fn text(&mut self, name: &str) -> Option<String> {
        match self.map.remove(name)? {
            Value::String(text) if !text.is_empty() => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    fn flag(&mut self, name: &str, problems: &mut Vec<String>) -> bool {
        match self.text(name).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(other) => {
                problems.push(format!("{}: {name} must be true or false, not {other:?}", self.place));
                false
            }
        }
    }

    fn duration(&mut self, name: &str, problems: &mut Vec<String>) -> Option<Duration> {
        let text = self.text(name)?;
        parse_duration(&text).map_err(|error| problems.push(format!("{}: {name}: {error}", self.place))).ok()
    }

    fn list(&mut self, name: &str) -> Vec<String> {
        match self.map.remove(name) {
            Some(Value::String(text)) => text.split(',').map(|item| item.trim().to_owned()).collect(),
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }

    fn number(&mut self, name: &str, problems: &mut Vec<String>) -> Option<usize> {
        let text = self.text(name)?;
        text.parse().map_err(|_| problems.push(format!("{}: {name} must be a whole number", self.place))).ok()
    }

    fn finish(self, known: &[&str], problems: &mut Vec<String>) {
        for name in self.map.keys() {
            let closest = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
            let hint = match closest {
                Some((distance, known)) if distance <= 3 => format!(": did you mean {known:?}?"),
                _ => format!(": known are {}", known.join(", ")),
            };
            problems.push(format!("{}: unknown setting {name:?}{hint}", self.place));
        }
    }
}

/// `false` opens the making of root tokens to callers without a token.
const OPEN_GENERATE_ROOT: &str = "disable_unauthed_generate_root_endpoints";

const TOP: [&str; 17] = [
    OPEN_GENERATE_ROOT,
    "snapshots",
    "storage",
    "listener",
    "seal",
    "cluster_name",
    "api_addr",
    "default_lease_ttl",
    "max_lease_ttl",
    "log_level",
    "log_format",
    "log_file",
    "pid_file",
    "plugin_directory",
    "notify_directory",
    "audit_permissions",
    "explain_denials",
];

fn resolve(mut map: Map<String, Value>) -> Result<Config, Vec<String>> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    for (name, why) in UNSUPPORTED {
        if map.remove(name).is_some() {
            problems.push(format!("{name} is not supported: {why}"));
        }
    }
    for name in IGNORED {
        if map.remove(name).is_some() {
            warnings.push(format!("{name} has no effect here"));
        }
    }
    // The older name of the same block.
    let storage = map.remove("storage").or_else(|| map.remove("backend"));
    let store = store(blocks(storage, "storage", &mut problems), &mut problems);
    let mut listener_blocks = blocks(map.remove("listener"), "listener", &mut problems);
    // OpenBao has it in each listener; it opens the whole server.
    let opened_by_listener =
        listener_blocks.iter_mut().any(|block| opens_generate_root(&mut block.settings, &mut problems));
    let listeners = listener_blocks.into_iter().filter_map(|block| listener(block, &mut problems)).collect();
    let (seal, seal_before) = seals(blocks(map.remove("seal"), "seal", &mut problems), &mut problems);
    let mut audit = match map.remove("audit_permissions") {
        Some(Value::Object(map)) => Settings { map, place: "audit_permissions".to_owned() },
        Some(Value::Array(mut items)) if items.len() == 1 => match items.pop() {
            Some(Value::Object(map)) => Settings { map, place: "audit_permissions".to_owned() },
            _ => Settings { map: Map::new(), place: String::new() },
        },
        _ => Settings { map: Map::new(), place: String::new() },
    };
    let directories = audit.list("directories");
    let audit_network = audit.flag("network", &mut problems);
    audit.finish(&["directories", "network"], &mut problems);
    let snapshots = map.remove("snapshots").and_then(|value| snapshots(value, &mut problems));
    let mut top = Settings { map, place: "configuration".to_owned() };
    let open_generate_root = opens_generate_root(&mut top, &mut problems) || opened_by_listener;
    let explain_denials = match top.map.contains_key("explain_denials") {
        true => top.flag("explain_denials", &mut problems),
        false => true,
    };
    let config = Config {
        store,
        listeners,
        seal,
        seal_before,
        open_generate_root,
        cluster_name: top.text("cluster_name").unwrap_or_else(|| "strongroom".to_owned()),
        api_address: top.text("api_addr").unwrap_or_default(),
        default_lease_ttl: top.duration("default_lease_ttl", &mut problems),
        max_lease_ttl: top.duration("max_lease_ttl", &mut problems),
        log_level: top.text("log_level"),
        log_format: top.text("log_format"),
        log_file: top.path("log_file"),
        pid_file: top.path("pid_file"),
        plugin_directory: folder(&mut top, "plugin_directory", &mut problems),
        notify_directory: folder(&mut top, "notify_directory", &mut problems),
        audit_directories: (!directories.is_empty())
            .then(|| directories.into_iter().map(PathBuf::from).collect()),
        audit_network,
        explain_denials,
        snapshots,
        warnings,
    };
    top.finish(&TOP, &mut problems);
    if config.listeners.is_empty() {
        problems.push("no listener: write listener \"tcp\" { address = \"127.0.0.1:8200\" … }".to_owned());
    }
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

/// A folder by its absolute path.
fn folder(settings: &mut Settings, name: &str, problems: &mut Vec<String>) -> Option<PathBuf> {
    let folder = settings.path(name)?;
    if !folder.is_absolute() {
        problems.push(format!("{name} must be an absolute path, not {}", folder.display()));
    }
    Some(folder)
}

/// Whether the making of root tokens is open to callers without a token. Without the setting it is not.
fn opens_generate_root(settings: &mut Settings, problems: &mut Vec<String>) -> bool {
    settings.map.contains_key(OPEN_GENERATE_ROOT) && !settings.flag(OPEN_GENERATE_ROOT, problems)
}

fn snapshots(value: Value, problems: &mut Vec<String>) -> Option<SnapshotConfig> {
    let value = match value {
        Value::Array(mut items) if items.len() == 1 => items.pop(),
        other => Some(other),
    };
    let Some(Value::Object(map)) = value else {
        problems
            .push("snapshots: is not a block: write snapshots { path = … interval = … keep = … }".to_owned());
        return None;
    };
    let mut settings = Settings { map, place: "snapshots".to_owned() };
    let folder = settings.path("path");
    let interval = settings.duration("interval", problems).unwrap_or(Duration::from_secs(3600));
    let keep = settings.number("keep", problems).unwrap_or(24);
    settings.finish(&["path", "interval", "keep"], problems);
    if folder.is_none() || interval.is_zero() || keep == 0 {
        problems.push("snapshots: path is needed, and interval and keep must be above zero".to_owned());
    }
    folder.map(|folder| SnapshotConfig { folder, interval, keep })
}

fn store(blocks: Vec<Block>, problems: &mut Vec<String>) -> Store {
    let mut blocks = blocks.into_iter();
    let (Some(Block { kind, mut settings }), None) = (blocks.next(), blocks.next()) else {
        problems.push(
            "exactly one storage block is needed: storage \"embedded\" { path = \"/var/lib/strongroom\" }"
                .into(),
        );
        return Store::Memory;
    };
    match kind.as_str() {
        "embedded" | "file" | "raft" => {
            let folder = settings.path("path");
            let accept_rollback = settings.flag("accept_rollback", problems);
            if kind == "raft" {
                // A single node's raft folder names; this store needs none of them.
                for name in
                    ["node_id", "retry_join", "performance_multiplier", "autopilot_reconcile_interval"]
                {
                    settings.map.remove(name);
                }
            }
            if folder.is_none() {
                problems.push(format!("storage {kind:?}: path is missing: the folder to keep everything in"));
            }
            settings.finish(&["path", "accept_rollback"], problems);
            Store::Embedded { folder: folder.unwrap_or_default(), accept_rollback }
        }
        "inmem" | "memory" => Store::Memory,
        other => {
            problems.push(format!(
                "storage {other:?} is not supported: write storage \"embedded\" {{ path = … }} (or \"inmem\" for trials)"
            ));
            Store::Memory
        }
    }
}

const LISTENER: [&str; 16] = [
    "address",
    "socket_mode",
    "tls_disable",
    "tls_cert_file",
    "tls_key_file",
    "tls_min_version",
    "tls_client_ca_file",
    "tls_require_and_verify_client_cert",
    "tls_disable_client_certs",
    "x_forwarded_for_authorized_addrs",
    "require_request_header",
    "max_request_size",
    "max_request_duration",
    "cluster_address",
    "telemetry",
    "http_read_timeout",
];

fn listener(block: Block, problems: &mut Vec<String>) -> Option<ListenerConfig> {
    let Block { kind, mut settings } = block;
    for ignored in [
        "cluster_address",
        "telemetry",
        "http_read_timeout",
        "http_read_header_timeout",
        "http_idle_timeout",
        "x_forwarded_for_hop_skips",
        "x_forwarded_for_reject_not_present",
        "x_forwarded_for_reject_not_authorized",
        "proxy_protocol_behavior",
        "proxy_protocol_authorized_addrs",
        "custom_response_headers",
        "profiling",
    ] {
        settings.map.remove(ignored);
    }
    let address = match kind.as_str() {
        "tcp" => strongroom_http::Address::Tcp(
            settings.text("address").unwrap_or_else(|| "127.0.0.1:8200".to_owned()),
        ),
        "unix" => strongroom_http::Address::Unix {
            path: settings.path("address").unwrap_or_default(),
            mode: settings
                .text("socket_mode")
                .and_then(|mode| u32::from_str_radix(&mode, 8).ok())
                .unwrap_or(0o600),
        },
        other => {
            problems.push(format!("listener {other:?} is not known: tcp or unix"));
            return None;
        }
    };
    let is_plain = settings.flag("tls_disable", problems) || kind == "unix";
    let tls = tls(&mut settings, problems);
    if !is_plain && tls.is_none() {
        problems.push(format!(
            "{}: tls_cert_file and tls_key_file are missing; say tls_disable = true to serve without TLS",
            settings.place
        ));
    }
    let forwarded_from = settings
        .list("x_forwarded_for_authorized_addrs")
        .iter()
        .filter_map(|text| {
            match text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from)) {
                Ok(net) => Some(net),
                Err(_) => {
                    problems.push(format!("{}: {text:?} is not an address or a CIDR block", settings.place));
                    None
                }
            }
        })
        .collect();
    let config = ListenerConfig {
        address,
        tls: if is_plain { None } else { tls },
        forwarded_from,
        require_request_header: settings.flag("require_request_header", problems),
        body_bytes_max: settings.number("max_request_size", problems),
        request_timeout: settings.duration("max_request_duration", problems),
    };
    settings.finish(&LISTENER, problems);
    Some(config)
}

fn tls(settings: &mut Settings, problems: &mut Vec<String>) -> Option<TlsConfig> {
    let certificate_file = settings.path("tls_cert_file");
    let key_file = settings.path("tls_key_file");
    let version_min = match settings.text("tls_min_version").as_deref() {
        Some("tls13") => TlsVersion::Tls13,
        None | Some("tls12") => TlsVersion::Tls12,
        Some(other) => {
            problems
                .push(format!("{}: tls_min_version {other:?}: tls12 and tls13 are spoken", settings.place));
            TlsVersion::Tls12
        }
    };
    let authorities_file = settings.path("tls_client_ca_file");
    let is_required = settings.flag("tls_require_and_verify_client_cert", problems);
    let is_ignored = settings.flag("tls_disable_client_certs", problems);
    let client_certificates = match (is_required, is_ignored, authorities_file) {
        (true, _, Some(authorities_file)) => ClientCertificates::Require { authorities_file },
        (true, _, None) => {
            problems.push(format!("{}: tls_client_ca_file is missing", settings.place));
            ClientCertificates::Request
        }
        (false, true, _) => ClientCertificates::Ignore,
        (false, false, _) => ClientCertificates::Request,
    };
    for ignored in ["tls_cipher_suites", "tls_prefer_server_cipher_suites", "tls_max_version"] {
        settings.map.remove(ignored);
    }
    Some(TlsConfig {
        certificate_file: certificate_file?,
        key_file: key_file?,
        version_min,
        client_certificates,
    })
}

/// The seal in force, and the one before it: a block with `disabled = true`, while a store is migrated.
fn seals(blocks: Vec<Block>, problems: &mut Vec<String>) -> (SealConfig, Option<SealConfig>) {
    let (mut enabled, mut disabled) = (Vec::new(), Vec::new());
    for mut block in blocks {
        let is_disabled = block.settings.flag("disabled", problems);
        let list = if is_disabled { &mut disabled } else { &mut enabled };
        list.push(seal(block, problems));
    }
    if enabled.len() > 1 || disabled.len() > 1 {
        problems.push(
            "seal: one block is in force, and one more may be there with disabled = true, to migrate from it"
                .into(),
        );
    }
    (enabled.pop().unwrap_or(SealConfig::Shamir), disabled.pop())
}

fn seal(block: Block, problems: &mut Vec<String>) -> SealConfig {
    let Block { kind, mut settings } = block;
    match kind.as_str() {
        "shamir" => SealConfig::Shamir,
        "static" => {
            let texts = [settings.text("current_key"), settings.text("previous_key")];
            let keys: Vec<_> = texts
                .into_iter()
                .flatten()
                .filter_map(|text| key_source(&text, &settings.place, problems))
                .collect();
            settings.map.remove("current_key_id");
            settings.map.remove("previous_key_id");
            if keys.is_empty() {
                problems.push(
                    "seal \"static\": current_key is missing: file://…, env://NAME or command://…".into(),
                );
            }
            settings.finish(&["current_key", "previous_key"], problems);
            SealConfig::Static { keys }
        }
        "transit" => {
            let place = settings.place.clone();
            let token = settings.text("token").unwrap_or_else(|| "env://VAULT_TOKEN".to_owned());
            let config = TransitConfig {
                address: settings.text("address").unwrap_or_default(),
                token: key_source(&token, &place, problems)
                    .unwrap_or_else(|| KeySource::Environment("VAULT_TOKEN".to_owned())),
                mount_path: settings.text("mount_path").unwrap_or_else(|| "transit/".to_owned()),
                key_name: settings.text("key_name").unwrap_or_default(),
                namespace: settings.text("namespace"),
                ca_cert: settings.path("tls_ca_cert"),
                skip_verify: settings.flag("tls_skip_verify", problems),
            };
            settings.map.remove("disable_renewal");
            if config.address.is_empty() || config.key_name.is_empty() {
                problems.push("seal \"transit\": address and key_name are needed".into());
            }
            settings.finish(
                &["address", "token", "mount_path", "key_name", "namespace", "tls_ca_cert"],
                problems,
            );
            SealConfig::Transit(config)
        }
        other => {
            problems.push(format!("seal {other:?} is not supported yet: shamir, static and transit are"));
            SealConfig::Shamir
        }
    }
}

/// Key material is named, never written into the configuration.
fn key_source(text: &str, place: &str, problems: &mut Vec<String>) -> Option<KeySource> {
    let source = match text.split_once("://") {
        Some(("file", path)) => KeySource::File(path.into()),
        Some(("env", name)) => KeySource::Environment(name.to_owned()),
        Some(("command", command)) => KeySource::Command(command.to_owned()),
        _ => {
            problems.push(format!(
                "{place}: keys and tokens are given as file://PATH, env://NAME or command://COMMAND"
            ));
            return None;
        }
    };
    Some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let map = parse(&file).map_err(|failure| format!("{failure:?}"))?;
        resolve(map).map_err(|problems| problems.join("\n"))
    }

    #[test]
    fn vaults_hcl_and_json_and_our_toml_say_the_same() {
        let hcl = r#"
            storage "file" { path = "/data" }
            listener "tcp" {
              address = "127.0.0.1:8200"
              tls_disable = 1
            }
            listener "unix" { address = "/run/s.sock" }
            disable_mlock = true
            max_lease_ttl = "768h"
        "#;
        let json = r#"{"backend": {"file": {"path": "/data"}}, "max_lease_ttl": "768h", "disable_mlock": true,
            "listener": [{"tcp": {"address": "127.0.0.1:8200", "tls_disable": true}}, {"unix": {"address": "/run/s.sock"}}]}"#;
        let toml = "max_lease_ttl = '768h'\n[storage.embedded]\npath = '/data'\n[[listener.tcp]]\n\
            address = '127.0.0.1:8200'\ntls_disable = true\n[[listener.unix]]\naddress = '/run/s.sock'\n";
        for (name, text) in [("a.hcl", hcl), ("a.json", json), ("a.toml", toml)] {
            let config = check(name, text).unwrap_or_else(|problems| panic!("{name}: {problems}"));
            assert_eq!(config.listeners.len(), 2, "{name}");
            assert!(
                matches!(&config.store, Store::Embedded { folder, .. } if folder == Path::new("/data")),
                "{name}"
            );
            assert_eq!(config.max_lease_ttl, Some(Duration::from_secs(768 * 3600)), "{name}");
        }
    }

    /// Mutated configurations are read or refused, and a refusal says something.
    #[test]
    fn hostile_files_are_read_or_refused() {
        use strongroom_testkit::{SeededEntropy, hostile::mutated};
        let hcl = "storage \"file\" { path = \"/data\" }\nlistener \"tcp\" {\n address = \"127.0.0.1:8200\"\n tls_disable = 1\n}\n\
            seal \"static\" { current_key = \"env://STRONGROOM_K\" }\nmax_lease_ttl = \"768h\"\n";
        let json = r#"{"backend": {"file": {"path": "/d"}}, "listener": [{"tcp": {"address": "127.0.0.1:1", "tls_disable": true}}]}"#;
        let toml = "[storage.embedded]\npath = '/d'\n[[listener.tcp]]\naddress = '127.0.0.1:1'\ntls_disable = true\n";
        let random = SeededEntropy::new(12);
        let folder = tempfile::tempdir().unwrap();
        let rounds = option_env!("HOSTILE_ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(500);
        for (name, text) in [("a.hcl", hcl), ("a.json", json), ("a.toml", toml)] {
            let file = folder.path().join(name);
            for _ in 0..rounds {
                std::fs::write(&file, mutated(&random, text.as_bytes())).unwrap();
                match parse(&file) {
                    Ok(map) => drop(resolve(map).map_err(|problems| assert!(!problems.is_empty()))),
                    Err(failure) => assert!(!failure.native_text().is_empty()),
                }
            }
        }
    }

    #[test]
    fn a_disabled_seal_is_the_one_before() {
        let with = |seals: &str| {
            check(
                "a.hcl",
                &format!("storage \"inmem\" {{}}\nlistener \"unix\" {{ address = \"/run/s\" }}\n{seals}"),
            )
        };
        let before =
            "seal \"transit\" {\n disabled = \"true\"\n address = \"http://a\"\n key_name = \"k\"\n }\n";
        let config = with(before).unwrap();
        assert!(matches!(config.seal, SealConfig::Shamir), "{config:?}");
        assert!(matches!(config.seal_before, Some(SealConfig::Transit(_))), "{config:?}");
        let both = format!("{before} seal \"static\" {{ current_key = \"env://STRONGROOM_K\" }}");
        let config = with(&both).unwrap();
        assert!(matches!(config.seal, SealConfig::Static { .. }), "{config:?}");
        assert!(config.seal_before.is_some());
        let problems = with(&both.replace("disabled = \"true\"", "")).unwrap_err();
        assert!(problems.contains("one block is in force"), "{problems}");
    }

    #[test]
    fn root_tokens_without_a_token_are_for_those_who_ask() {
        let with = |top: &str, inside: &str| {
            let text = format!(
                "{top}\nstorage \"inmem\" {{}}\nlistener \"unix\" {{\n address = \"/run/s\"\n {inside}\n }}"
            );
            check("a.hcl", &text).unwrap().open_generate_root
        };
        assert!(!with("", ""));
        assert!(!with("disable_unauthed_generate_root_endpoints = true", ""));
        assert!(with("disable_unauthed_generate_root_endpoints = false", ""));
        assert!(with("", "disable_unauthed_generate_root_endpoints = false"));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = r#"
            storage "consul" { address = "x" }
            listener "tcp" { adress = "127.0.0.1:1" }
            seal "static" { current_key = "c2VjcmV0" }
            max_leas_ttl = "1h"
        "#;
        let problems = check("a.hcl", text).unwrap_err();
        for part in [
            "consul",
            "did you mean \"address\"",
            "tls_cert_file",
            "file://PATH",
            "did you mean \"max_lease_ttl\"",
        ] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
        assert!(!problems.contains("c2VjcmV0"), "{problems}");
    }
}
