//! What a door hands to the kernel, and what it gets back.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::time::Duration;
use strongroom_secret::{NamespacePath, RequestPath, SecretString, Timestamp};
use zeroize::Zeroize;

/// What a caller wants to do with a path. `Write` is Vault's create-or-update: which of the two it is, the engine's
/// existence check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Read,
    Write,
    Patch,
    Delete,
    List,
    /// A recursive list.
    Scan,
    /// `?help=1`
    Help,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Help => "help",
        }
    }
}

/// One request, parsed once by a door.
#[derive(Debug)]
pub struct Request {
    /// A UUID, in the audit record and in the answer.
    pub id: String,
    pub operation: Operation,
    /// From the header; the path may go deeper.
    pub namespace: NamespacePath,
    /// Below `/v1/`, percent-decoded, including namespace segments and the mount.
    pub path: RequestPath,
    /// The body's object, or the query parameters where there is no body.
    pub fields: Fields,
    /// The body as it was sent, for what must be kept exactly. Empty where there was none.
    pub body: Body,
    pub token: Option<SecretString>,
    /// `Authorization: Basic`, by which OAuth's clients say who they are.
    pub basic: Option<BasicCredentials>,
    pub wrap_ttl: Option<Duration>,
    pub client: Client,
    /// Headers that audit may be configured to record, by lower-case name.
    pub headers: Vec<(String, String)>,
}

/// A name and its secret (RFC 7617).
#[derive(Debug)]
pub struct BasicCredentials {
    pub user: String,
    pub password: SecretString,
}

/// Who is on the other end of the connection.
#[derive(Debug, Clone, Default)]
pub struct Client {
    pub address: Option<IpAddr>,
    pub port: u16,
    /// The verified client certificate chain in DER, leaf first; empty without one.
    pub certificates: Vec<Vec<u8>>,
}

/// The named parameters of a request. Wiped when dropped; prints its size alone.
#[derive(Default)]
pub struct Fields(pub Map<String, Value>);

/// The bytes of a body. Wiped when dropped; prints its length alone.
#[derive(Default)]
pub struct Body(pub Vec<u8>);

impl Drop for Fields {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Overwrites every text in a JSON value.
pub(crate) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} fields, redacted]", self.0.len())
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes, redacted]", self.0.len())
    }
}

/// What a request comes to. `Default` is an empty success (HTTP 204).
#[derive(Default)]
pub struct Response {
    pub data: Data,
    /// Set by an engine that hands out something with a lifetime; the kernel makes the lease.
    pub lease: Option<LeaseGrant>,
    /// Set by an auth method on login; the kernel makes the token.
    pub login: Option<Box<LoginGrant>>,
    pub warnings: Vec<String>,
    /// Overrides the status that follows from the content.
    pub status: Option<u16>,
    /// HTTP headers beside the usual ones, for protocols that speak through them (ACME). Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The data's fields stand at the top level of the answer as well (`sys/mounts` and its kin).
    pub flatten: bool,
    /// The engine asks for wrapping, whatever the caller said.
    pub wrap_ttl: Option<Duration>,

    /// Filled by the kernel.
    pub lease_id: String,
    pub renewable: bool,
    pub lease_duration: Duration,
    pub auth: Option<Box<Auth>>,
    pub wrap: Option<Box<WrapInfo>>,
    pub mount_type: String,
}

/// The content of an answer.
#[derive(Default)]
pub enum Data {
    #[default]
    None,
    Map(Map<String, Value>),
    /// A JSON object, ready as text: a payload that is passed on exactly as it was written.
    Json(Box<RawValue>),
    /// The whole answer, outside the usual envelope.
    Bytes {
        content_type: &'static str,
        body: Vec<u8>,
    },
    /// The whole answer as JSON, outside the usual envelope (`sys/health`, `sys/seal-status`).
    Plain(Value),
}

/// A lifetime that an engine asks for. `internal` comes back to the engine when the lease is renewed or revoked.
#[derive(Debug)]
pub struct LeaseGrant {
    pub ttl: Option<Duration>,
    pub ttl_max: Option<Duration>,
    pub renewable: bool,
    pub internal: Value,
}

/// What an auth method says of somebody who proved who they are.
#[derive(Debug, Default)]
pub struct LoginGrant {
    pub display_name: String,
    /// The name under which identity knows the caller at this mount; empty for none.
    pub alias: String,
    pub alias_metadata: Map<String, Value>,
    /// External groups of identity, by their alias at this mount.
    pub group_aliases: Vec<String>,
    pub metadata: Map<String, Value>,
    /// With the policies of the token.
    pub token: crate::tokens::TokenSettings,
    pub renewable: bool,
    /// Comes back to the auth method on renewal.
    pub internal: Value,
    pub role: Option<String>,
}

/// The `auth` part of an answer.
pub struct Auth {
    pub client_token: SecretString,
    pub accessor: String,
    pub policies: Vec<String>,
    pub token_policies: Vec<String>,
    pub identity_policies: Vec<String>,
    pub metadata: Map<String, Value>,
    pub lease_duration: Duration,
    pub renewable: bool,
    pub entity_id: String,
    pub token_type: &'static str,
    pub orphan: bool,
    pub num_uses: u64,
    /// There is no token yet: what the login must show first.
    pub mfa_requirement: Option<Value>,
}

/// The `wrap_info` part of an answer.
pub struct WrapInfo {
    pub token: SecretString,
    pub accessor: String,
    pub ttl: Duration,
    pub creation_time: Timestamp,
    pub creation_path: String,
    pub wrapped_accessor: String,
}

impl Response {
    pub fn data(map: Map<String, Value>) -> Self {
        Self { data: Data::Map(map), ..Self::default() }
    }

    /// `{"keys": […]}`, or not found where there are none.
    pub fn keys(keys: Vec<String>) -> Result<Self, crate::Error> {
        if keys.is_empty() {
            return Err(crate::Error::not_found());
        }
        Ok(Self::data(Map::from_iter([("keys".to_owned(), Value::from(keys))])))
    }

    pub fn plain(value: Value) -> Self {
        Self { data: Data::Plain(value), ..Self::default() }
    }

    #[must_use]
    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    #[must_use]
    pub fn flattened(mut self) -> Self {
        self.flatten = true;
        self
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        match self {
            Self::Map(map) => map.values_mut().for_each(wipe),
            Self::Bytes { body, .. } => body.zeroize(),
            Self::Json(text) => {
                let text: Box<str> = std::mem::replace(text, RawValue::NULL.to_owned()).into();
                text.into_string().zeroize();
            }
            Self::None | Self::Plain(_) => {}
        }
    }
}
