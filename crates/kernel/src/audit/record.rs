//! Vault's audit record, field by field: what is not named here is not recorded.
//!
//! Source: the types `AuditRequestEntry` and `AuditResponseEntry` of Vault and OpenBao (`audit/format.go`), whose order
//! and omissions these are.

use super::config::FormatOptions;
use super::mask::{Mask, write_hashed, write_plain, write_text};
use crate::error::Error;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::io::Write;
use std::ops::Range;
use std::time::Duration;
use strongroom_crypto::mac::MacKey;
use strongroom_secret::Timestamp;

/// Of a longer list the count is recorded: the hashes of a million names would be a line that no device takes.
const NAMES_HASHED_MAX: usize = 10_000;

/// What is recorded of a request, before it is served, or of its response.
#[derive(Clone, Default)]
pub struct Record<'a> {
    pub time: Timestamp,
    pub caller: CallerFacts<'a>,
    pub request: RequestFacts<'a>,
    pub mount: MountFacts<'a>,
    /// Makes it a record of a response.
    pub response: Option<ResponseFacts<'a>>,
    /// Only the messages for the client are recorded.
    pub error: Option<&'a Error>,
}

/// Who asks.
#[derive(Clone, Default)]
pub struct CallerFacts<'a> {
    pub auth: AuthFacts<'a>,
    /// Whether policy allows it; absent where no policy was asked.
    pub allowed: Option<bool>,
    pub granting_policies: &'a [GrantingPolicy<'a>],
    /// How often the token may still be used; zero for without limit.
    pub remaining_uses: u64,
}

/// A token and what it carries: the caller's, or the one that a login made. Empty texts are left out.
#[derive(Clone, Default)]
pub struct AuthFacts<'a> {
    pub client_token: &'a str,
    pub accessor: &'a str,
    pub display_name: &'a str,
    pub policies: &'a [String],
    pub token_policies: &'a [String],
    pub identity_policies: &'a [String],
    pub no_default_policy: bool,
    pub metadata: Option<&'a Map<String, Value>>,
    /// How often a new token may be used; zero for without limit.
    pub num_uses: u64,
    pub entity_id: &'a str,
    /// `service` or `batch`; empty counts as Vault's `default`.
    pub token_type: &'a str,
    pub token_ttl: Duration,
    pub token_issue_time: Option<Timestamp>,
}

/// A policy that allows the request.
#[derive(Clone, Default)]
pub struct GrantingPolicy<'a> {
    pub name: &'a str,
    pub namespace_id: &'a str,
    pub namespace_path: &'a str,
}

/// What is asked.
#[derive(Clone, Default)]
pub struct RequestFacts<'a> {
    pub id: &'a str,
    pub client_id: &'a str,
    /// `create`, `read`, `update`, `patch`, `delete`, `list`, `scan` or `help`.
    pub operation: &'a str,
    pub client_token: &'a str,
    pub client_token_accessor: &'a str,
    pub namespace_id: &'a str,
    /// Empty for the root namespace.
    pub namespace_path: &'a str,
    pub path: &'a str,
    pub data: DataFacts<'a>,
    pub headers: &'a [HeaderFacts<'a>],
    pub remote_address: Option<std::net::IpAddr>,
    pub remote_port: u16,
    pub wrap_ttl: Duration,
    pub client_certificate_serial_number: &'a str,
}

/// The mount that serves the request.
#[derive(Clone, Default)]
pub struct MountFacts<'a> {
    pub point: &'a str,
    pub kind: &'a str,
    pub accessor: &'a str,
    pub running_version: &'a str,
    /// `secret` or `auth`.
    pub class: &'a str,
    /// `audit_non_hmac_request_keys`
    pub clear_request_keys: &'a [String],
    /// `audit_non_hmac_response_keys`
    pub clear_response_keys: &'a [String],
}

/// What is answered.
#[derive(Clone, Default)]
pub struct ResponseFacts<'a> {
    pub auth: Option<AuthFacts<'a>>,
    pub lease_id: &'a str,
    pub data: DataFacts<'a>,
    pub warnings: &'a [String],
    pub wrap: Option<WrapFacts<'a>>,
}

/// The content of a request or a response.
#[derive(Clone, Copy, Default)]
pub enum DataFacts<'a> {
    #[default]
    None,
    Map(&'a Map<String, Value>),
    Value(&'a Value),
    Json(&'a RawValue),
    Bytes {
        content_type: &'a str,
        body: &'a [u8],
    },
}

impl DataFacts<'_> {
    /// How many names a list has.
    fn names(&self) -> usize {
        let keys = match self {
            Self::Map(map) => map.get("keys"),
            _ => None,
        };
        keys.and_then(Value::as_array).map_or(0, Vec::len)
    }
}

/// A header that the server was told to audit. Several values of one name stand next to each other.
#[derive(Clone, Default)]
pub struct HeaderFacts<'a> {
    pub name: &'a str,
    pub value: &'a str,
    pub hmac: bool,
}

/// A wrapping token.
#[derive(Clone, Default)]
pub struct WrapFacts<'a> {
    pub ttl: Duration,
    pub token: &'a str,
    pub accessor: &'a str,
    pub creation_time: Timestamp,
    pub creation_path: &'a str,
    pub wrapped_accessor: &'a str,
}

/// How every record begins, after its device's prefix.
pub(super) const TIME_MEMBER: &str = "{\"time\":\"";

impl<'a> Record<'a> {
    /// Appends the record as one line, with its line feed. Values are hashed with `mac`, unless `options` say otherwise.
    pub fn format(&self, out: &mut Vec<u8>, options: &FormatOptions, mac: &MacKey) {
        self.format_about(&mut Vec::new(), out, options, mac);
    }

    /// As [`Self::format`]. Who asks what is taken from `about`, unless it is empty: then it is left there for the other
    /// record of the same request and the same format.
    pub(super) fn format_about(
        &self,
        about: &mut Vec<u8>,
        out: &mut Vec<u8>,
        options: &FormatOptions,
        mac: &MacKey,
    ) {
        out.extend_from_slice(options.prefix.as_bytes());
        let mut writer = Writer { out, options, mac, masked_last: None };
        writer.open();
        writer.shown("time", self.time);
        writer.text("type", if self.response.is_some() { "response" } else { "request" });
        if about.is_empty() {
            let start = writer.out.len();
            writer.caller(&self.caller);
            writer.request(&self.request, &self.mount);
            about.extend_from_slice(writer.out.get(start..).unwrap_or_default());
        } else {
            writer.out.extend_from_slice(about);
        }
        if let Some(response) = &self.response {
            let is_list = matches!(self.request.operation, "list" | "scan");
            let elide = is_list && (options.elide_list_responses || response.data.names() > NAMES_HASHED_MAX);
            writer.response(response, &self.mount, elide);
        }
        if let Some(error) = self.error.filter(|error| !error.messages.is_empty()) {
            writer.text("error", &error.messages.join("; "));
        }
        writer.close();
        out.push(b'\n');
    }
}

/// Writes objects member by member. A comma goes before every member but an object's first.
struct Writer<'w, 'a> {
    out: &'w mut Vec<u8>,
    options: &'w FormatOptions,
    mac: &'w MacKey,
    /// The token that was hashed last, and where its hash stands: a record names the caller's twice.
    masked_last: Option<(&'a str, Range<usize>)>,
}

impl<'a> Writer<'_, 'a> {
    fn open(&mut self) {
        self.out.push(b'{');
    }

    fn close(&mut self) {
        self.out.push(b'}');
    }

    fn key(&mut self, name: &str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A text, unless empty.
    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.key(name);
            write_text(self.out, text);
        }
    }

    /// What prints without characters that JSON escapes.
    fn shown(&mut self, name: &str, value: impl Display) {
        self.key(name);
        write!(self.out, "\"{value}\"").unwrap_or_default();
    }

    fn number(&mut self, name: &str, number: u64) {
        if number != 0 {
            self.key(name);
            write_plain(self.out, &number);
        }
    }

    fn flag(&mut self, name: &str, flag: bool) {
        if flag {
            self.key(name);
            self.out.extend_from_slice(b"true");
        }
    }

    fn texts(&mut self, name: &str, texts: &[String]) {
        if texts.is_empty() {
            return;
        }
        self.key(name);
        self.out.push(b'[');
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write_text(self.out, text);
        }
        self.out.push(b']');
    }

    /// A token or a value: never in clear, unless the device is raw.
    fn secret(&mut self, name: &str, text: &'a str) {
        if text.is_empty() {
            return;
        }
        self.key(name);
        let start = self.out.len();
        match self.masked_last.take() {
            Some((last, range)) if std::ptr::eq(last, text) => self.out.extend_from_within(range),
            _ => self.masked(text.as_bytes()),
        }
        self.masked_last = Some((text, start..self.out.len()));
    }

    fn accessor(&mut self, name: &str, text: &'a str) {
        match self.options.hmac_accessor {
            true => self.secret(name, text),
            false => self.text(name, text),
        }
    }

    fn masked(&mut self, value: &[u8]) {
        match self.options.raw {
            true => write_text(self.out, &String::from_utf8_lossy(value)),
            false => write_hashed(self.out, self.mac, value),
        }
    }

    fn caller(&mut self, caller: &CallerFacts<'a>) {
        self.key("auth");
        self.open();
        self.auth(&caller.auth, caller);
        self.close();
    }

    fn auth(&mut self, auth: &AuthFacts<'a>, caller: &CallerFacts<'a>) {
        self.secret("client_token", auth.client_token);
        self.accessor("accessor", auth.accessor);
        self.text("display_name", auth.display_name);
        self.texts("policies", auth.policies);
        self.texts("token_policies", auth.token_policies);
        self.texts("identity_policies", auth.identity_policies);
        self.flag("no_default_policy", auth.no_default_policy);
        if let Some(allowed) = caller.allowed {
            self.policy_results(allowed, caller.granting_policies);
        }
        if let Some(metadata) = auth.metadata.filter(|metadata| !metadata.is_empty()) {
            self.key("metadata");
            write_plain(self.out, metadata);
        }
        self.number("num_uses", auth.num_uses);
        self.number("remaining_uses", caller.remaining_uses);
        self.text("entity_id", auth.entity_id);
        self.text("token_type", if auth.token_type.is_empty() { "default" } else { auth.token_type });
        self.number("token_ttl", auth.token_ttl.as_secs());
        if let Some(time) = auth.token_issue_time {
            self.shown("token_issue_time", Timestamp::from_seconds(time.seconds()));
        }
    }

    fn policy_results(&mut self, allowed: bool, granting: &[GrantingPolicy<'_>]) {
        self.key("policy_results");
        self.open();
        self.key("allowed");
        write_plain(self.out, &allowed);
        if !granting.is_empty() {
            self.key("granting_policies");
            self.out.push(b'[');
            for (index, policy) in granting.iter().enumerate() {
                if index > 0 {
                    self.out.push(b',');
                }
                self.open();
                self.text("name", policy.name);
                self.text("namespace_id", policy.namespace_id);
                self.text("namespace_path", policy.namespace_path);
                self.text("type", "acl");
                self.close();
            }
            self.out.push(b']');
        }
        self.close();
    }

    fn request(&mut self, request: &RequestFacts<'a>, mount: &MountFacts<'a>) {
        self.key("request");
        self.open();
        self.text("id", request.id);
        self.text("client_id", request.client_id);
        self.text("operation", request.operation);
        self.mount(mount, "mount_running_version");
        self.secret("client_token", request.client_token);
        self.accessor("client_token_accessor", request.client_token_accessor);
        self.key("namespace");
        self.open();
        self.text("id", request.namespace_id);
        self.text("path", request.namespace_path);
        self.close();
        self.text("path", request.path);
        self.data(request.data, mount.clear_request_keys, false);
        if let Some(address) = request.remote_address {
            self.shown("remote_address", address);
        }
        self.number("remote_port", request.remote_port.into());
        self.number("wrap_ttl", request.wrap_ttl.as_secs());
        self.headers(request.headers);
        self.text("client_certificate_serial_number", request.client_certificate_serial_number);
        self.close();
    }

    fn mount(&mut self, mount: &MountFacts<'_>, version_key: &str) {
        self.text("mount_point", mount.point);
        self.text("mount_type", mount.kind);
        self.text("mount_accessor", mount.accessor);
        self.text(version_key, mount.running_version);
        self.text("mount_class", mount.class);
    }

    fn headers(&mut self, headers: &[HeaderFacts<'_>]) {
        if headers.is_empty() {
            return;
        }
        self.key("headers");
        self.open();
        for values in headers.chunk_by(|one, other| one.name == other.name) {
            for (index, header) in values.iter().enumerate() {
                if index == 0 {
                    if self.out.last() != Some(&b'{') {
                        self.out.push(b',');
                    }
                    write_text(self.out, header.name);
                    self.out.extend_from_slice(b":[");
                } else {
                    self.out.push(b',');
                }
                match header.hmac {
                    true => self.masked(header.value.as_bytes()),
                    false => write_text(self.out, header.value),
                }
            }
            self.out.push(b']');
        }
        self.close();
    }

    fn data(&mut self, data: DataFacts<'_>, clear_keys: &[String], elide: bool) {
        let mac = Some(self.mac).filter(|_| !self.options.raw);
        let mask = Mask { mac, clear_keys, elide };
        match data {
            DataFacts::None => {}
            DataFacts::Map(map) if map.is_empty() => {}
            DataFacts::Map(map) => {
                self.key("data");
                mask.write_map(self.out, map);
            }
            DataFacts::Value(value) => {
                self.key("data");
                mask.write_value(self.out, value);
            }
            DataFacts::Json(json) => {
                self.key("data");
                mask.write_raw(self.out, json);
            }
            DataFacts::Bytes { content_type, body } => {
                self.key("data");
                self.open();
                self.text("http_content_type", content_type);
                self.key("http_raw_body");
                self.masked(body);
                self.close();
            }
        }
    }

    fn response(&mut self, response: &ResponseFacts<'a>, mount: &MountFacts<'a>, elide: bool) {
        self.key("response");
        self.open();
        if let Some(auth) = &response.auth {
            self.key("auth");
            self.open();
            self.auth(auth, &CallerFacts::default());
            self.close();
        }
        self.mount(mount, "mount_running_plugin_version");
        if !response.lease_id.is_empty() {
            self.key("secret");
            self.open();
            self.text("lease_id", response.lease_id);
            self.close();
        }
        self.data(response.data, mount.clear_response_keys, elide);
        self.texts("warnings", response.warnings);
        if let Some(wrap) = &response.wrap {
            self.wrap(wrap);
        }
        self.close();
    }

    fn wrap(&mut self, wrap: &WrapFacts<'a>) {
        self.key("wrap_info");
        self.open();
        self.number("ttl", wrap.ttl.as_secs());
        self.secret("token", wrap.token);
        self.accessor("accessor", wrap.accessor);
        self.shown("creation_time", wrap.creation_time);
        self.text("creation_path", wrap.creation_path);
        self.accessor("wrapped_accessor", wrap.wrapped_accessor);
        self.close();
    }
}
