//! What a device is: its kind and options, parsed once, and what of it the server's own configuration allows.

use crate::error::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use strongroom_secret::{SecretString, Timestamp, parse_duration};
use thiserror::Error;

const PREFIX_BYTES_MAX: usize = 64;
const WRITE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
const WRITE_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Why a device is not enabled, or a record is not written. The texts are for the client and hold no values.
#[derive(Debug, Error)]
pub enum AuditError {
    #[error("unknown backend type: {0:?}")]
    UnknownKind(String),
    #[error("unknown audit backend {0:?}")]
    UnknownDevice(String),
    #[error("path already in use")]
    PathInUse,
    #[error("{0}")]
    Option(String),
    /// The server's own configuration does not allow it.
    #[error("{0}")]
    NotAllowed(String),
    #[error("too many audit devices: at most {max} can be enabled")]
    TooMany { max: usize },
    /// The device was tried and does not work.
    #[error("audit backend failed test message: {0}")]
    Test(String),
    /// No device took the record. `devices` are paths; `causes` say what is wrong with each, for the log.
    #[error("no audit device took the record of this request: {}", devices.join(", "))]
    Unavailable { devices: Vec<String>, causes: String },
}

impl From<AuditError> for Error {
    fn from(error: AuditError) -> Self {
        let kind = match &error {
            AuditError::Unavailable { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Invalid,
        };
        let client = Self::new(kind, error.to_string());
        match error {
            AuditError::Unavailable { causes, .. } => client.with_detail(causes),
            _ => client,
        }
    }
}

/// One enabled device, as it is stored. Its path ends with a slash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditTableEntry {
    /// Of this record's form; 1.
    pub version: u16,
    pub path: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    #[serde(default)]
    pub local: bool,
    pub created: Timestamp,
}

/// What the server's own configuration allows devices to be. The default allows files anywhere and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    /// Files may lie in and below these directories; None for everywhere.
    pub directories: Option<Vec<PathBuf>>,
    /// Devices of the kinds `socket` and `http`.
    pub network: bool,
    /// Values in clear.
    pub log_raw: bool,
    /// Text before each line.
    pub prefix: bool,
}

/// How a device wants its lines. Devices that want the same share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatOptions {
    /// Values, tokens and accessors in clear.
    pub raw: bool,
    pub hmac_accessor: bool,
    pub elide_list_responses: bool,
    /// Before each line.
    pub prefix: String,
}

impl Default for FormatOptions {
    fn default() -> Self {
        Self { raw: false, hmac_accessor: true, elide_list_responses: false, prefix: String::new() }
    }
}

/// A device, ready to be made.
pub struct DeviceConfig {
    pub format: FormatOptions,
    pub target: Target,
    /// Enable it without writing a test record.
    pub skip_test: bool,
}

/// Where a device writes to.
pub enum Target {
    Stdout,
    /// Nowhere; every record counts as written.
    Discard,
    /// `mode` None leaves the permissions of a file that exists.
    File {
        path: PathBuf,
        mode: Option<u32>,
    },
    /// The local `/dev/log`. `facility` is the number of RFC 5424, section 6.2.1.
    Syslog {
        facility: u8,
        tag: String,
    },
    Socket {
        address: String,
        transport: SocketTransport,
        write_timeout: Duration,
    },
    Http(HttpTarget),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketTransport {
    Tcp,
    Udp,
    Unix,
}

/// Where batches of lines are posted to. Address and headers may hold credentials.
pub struct HttpTarget {
    pub uri: SecretString,
    pub headers: Vec<(String, SecretString)>,
    /// For the whole exchange.
    pub write_timeout: Duration,
    /// The authorities to trust, in place of the system's.
    pub ca_file: Option<PathBuf>,
}

impl DeviceConfig {
    /// Reads a device's kind and options, all of them texts, as `sys/audit/PATH` takes them.
    pub fn parse(kind: &str, options: &BTreeMap<String, String>) -> Result<Self, AuditError> {
        let options = Options(options);
        let target = match kind {
            "file" => file_target(&options)?,
            "syslog" => syslog_target(&options)?,
            "socket" => socket_target(&options)?,
            "http" => http_target(&options)?,
            _ => return Err(AuditError::UnknownKind(kind.to_owned())),
        };
        Ok(Self { format: format_options(&options)?, target, skip_test: options.flag("skip_test", false)? })
    }

    /// The kind as `sys/audit` names it.
    pub fn kind(&self) -> &'static str {
        match self.target {
            Target::Stdout | Target::Discard | Target::File { .. } => "file",
            Target::Syslog { .. } => "syslog",
            Target::Socket { .. } => "socket",
            Target::Http(_) => "http",
        }
    }

    pub(super) fn check(&self, permissions: &Permissions) -> Result<(), AuditError> {
        let refuse = |text: &str| Err(AuditError::NotAllowed(text.to_owned()));
        if self.format.raw && !permissions.log_raw {
            return refuse("log_raw is not allowed by the server's configuration");
        }
        if !self.format.prefix.is_empty() && !permissions.prefix {
            return refuse("audit log prefixing is not allowed");
        }
        match &self.target {
            Target::Socket { .. } | Target::Http(_) if !permissions.network => {
                refuse("audit devices on the network are not allowed by the server's configuration")
            }
            Target::File { path, .. } => permissions.check_file(path),
            _ => Ok(()),
        }
    }
}

impl Permissions {
    /// A file's real place has to be in an allowed directory: links on the way count as what they point to.
    fn check_file(&self, path: &Path) -> Result<(), AuditError> {
        let directory = path.parent().filter(|_| path.is_absolute() && path.file_name().is_some());
        let Some(directory) = directory else {
            return Err(AuditError::Option("file_path must be absolute and name a file".to_owned()));
        };
        let real = directory.canonicalize().map_err(|error| {
            AuditError::Option(format!("the directory of file_path cannot be used: {}", error.kind()))
        })?;
        let Some(allowed) = &self.directories else { return Ok(()) };
        let is_allowed =
            allowed.iter().filter_map(|root| root.canonicalize().ok()).any(|root| real.starts_with(root));
        match is_allowed {
            true => Ok(()),
            false => Err(AuditError::NotAllowed(
                "file_path is outside the directories that the server's configuration allows".to_owned(),
            )),
        }
    }
}

struct Options<'a>(&'a BTreeMap<String, String>);

impl Options<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Go's `strconv.ParseBool`, with its error text.
    fn flag(&self, name: &str, default: bool) -> Result<bool, AuditError> {
        match self.text(name) {
            None => Ok(default),
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(true),
            Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Ok(false),
            Some(text) => Err(AuditError::Option(format!(
                "{name}: strconv.ParseBool: parsing {text:?}: invalid syntax"
            ))),
        }
    }

    fn write_timeout(&self) -> Result<Duration, AuditError> {
        let Some(text) = self.text("write_timeout").or_else(|| self.text("timeout")) else {
            return Ok(WRITE_TIMEOUT_DEFAULT);
        };
        let timeout =
            parse_duration(text).map_err(|error| AuditError::Option(format!("timeout: {error}")))?;
        match timeout.is_zero() || timeout > WRITE_TIMEOUT_MAX {
            true => Err(AuditError::Option(
                "the timeout must be more than zero and at most one minute".to_owned(),
            )),
            false => Ok(timeout),
        }
    }

    fn required(&self, name: &str) -> Result<&str, AuditError> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| AuditError::Option(format!("{name} is required")))
    }
}

fn format_options(options: &Options<'_>) -> Result<FormatOptions, AuditError> {
    match options.text("format") {
        None | Some("json") => {}
        Some("jsonx") => {
            return Err(AuditError::Option(
                "jsonx formatting has been removed, consider switching to json by omitting \"format\" or setting it \
                 to \"json\""
                    .to_owned(),
            ));
        }
        Some(format) => return Err(AuditError::Option(format!("unknown format type {format:?}"))),
    }
    let prefix = options.text("prefix").unwrap_or_default();
    // A line must not become two, nor a script's first line, and its JSON must be found again.
    let is_harmless = !prefix.contains(|c: char| c.is_control() || c == '{') && !prefix.starts_with("#!");
    if prefix.len() > PREFIX_BYTES_MAX || !is_harmless {
        return Err(AuditError::Option(format!(
            "prefix must be at most {PREFIX_BYTES_MAX} bytes, without control characters and braces"
        )));
    }
    Ok(FormatOptions {
        raw: options.flag("log_raw", false)?,
        hmac_accessor: options.flag("hmac_accessor", true)?,
        elide_list_responses: options.flag("elide_list_responses", false)?,
        prefix: prefix.to_owned(),
    })
}

fn file_target(options: &Options<'_>) -> Result<Target, AuditError> {
    let path = options.text("file_path").or_else(|| options.text("path")).filter(|path| !path.is_empty());
    let Some(path) = path else {
        return Err(AuditError::Option("file_path is required".to_owned()));
    };
    if path.eq_ignore_ascii_case("stdout") || path == "/dev/stdout" {
        return Ok(Target::Stdout);
    }
    if path.eq_ignore_ascii_case("discard") || path == "/dev/null" {
        return Ok(Target::Discard);
    }
    Ok(Target::File { path: PathBuf::from(path), mode: file_mode(options)? })
}

/// Octal. A file of records is never executable, and neither set-user-id nor the like.
fn file_mode(options: &Options<'_>) -> Result<Option<u32>, AuditError> {
    let Some(text) = options.text("mode") else { return Ok(Some(0o600)) };
    let mode = u32::from_str_radix(text, 8).map_err(|_| {
        AuditError::Option(format!("mode: strconv.ParseUint: parsing {text:?}: invalid syntax"))
    })?;
    if mode > 0o777 {
        return Err(AuditError::Option("file mode does not represent a regular file".to_owned()));
    }
    Ok(Some(mode & !0o111).filter(|_| mode != 0))
}

fn syslog_target(options: &Options<'_>) -> Result<Target, AuditError> {
    let facility = options.text("facility").unwrap_or("AUTH");
    let number = facility_number(facility)
        .ok_or_else(|| AuditError::Option(format!("invalid syslog facility: {facility}")))?;
    let tag = options.text("tag").unwrap_or("vault");
    let is_plain = tag.len() <= 32 && tag.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if tag.is_empty() || !is_plain {
        return Err(AuditError::Option(
            "tag must be up to 32 letters, digits, hyphens, dots and underscores".to_owned(),
        ));
    }
    Ok(Target::Syslog { facility: number, tag: tag.to_owned() })
}

fn facility_number(name: &str) -> Option<u8> {
    const NAMES: [&str; 12] = [
        "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP",
    ];
    let name = name.to_ascii_uppercase();
    if let Some(local) = name.strip_prefix("LOCAL").and_then(|digit| digit.parse::<u8>().ok()) {
        return Some(16 + local).filter(|_| local < 8);
    }
    NAMES.iter().position(|known| *known == name).and_then(|position| u8::try_from(position).ok())
}

fn socket_target(options: &Options<'_>) -> Result<Target, AuditError> {
    let address = options.required("address")?.to_owned();
    let transport = match options.text("socket_type").unwrap_or("tcp") {
        "tcp" => SocketTransport::Tcp,
        "udp" => SocketTransport::Udp,
        "unix" => SocketTransport::Unix,
        other => {
            return Err(AuditError::Option(format!("unknown socket_type {other:?}: it is tcp, udp or unix")));
        }
    };
    Ok(Target::Socket { address, transport, write_timeout: options.write_timeout()? })
}

fn http_target(options: &Options<'_>) -> Result<Target, AuditError> {
    let uri = options.required("uri")?;
    if !uri.starts_with("https://") && !uri.starts_with("http://") {
        return Err(AuditError::Option("uri must begin with https:// or http://".to_owned()));
    }
    let headers: BTreeMap<String, Vec<String>> = match options.text("headers") {
        None => BTreeMap::new(),
        Some(text) => serde_json::from_str(text).map_err(|_| {
            AuditError::Option("failed to parse headers: expected a JSON object of lists of texts".to_owned())
        })?,
    };
    let headers = headers
        .into_iter()
        .flat_map(|(name, values)| {
            values.into_iter().map(move |value| (name.clone(), SecretString::new(value)))
        })
        .collect();
    let ca_file = options.text("tls_ca_cert").filter(|path| !path.is_empty()).map(PathBuf::from);
    if ca_file.as_ref().is_some_and(|path| !path.is_absolute()) {
        return Err(AuditError::Option("tls_ca_cert must be an absolute path".to_owned()));
    }
    Ok(Target::Http(HttpTarget {
        uri: uri.into(),
        headers,
        write_timeout: options.write_timeout()?,
        ca_file,
    }))
}
