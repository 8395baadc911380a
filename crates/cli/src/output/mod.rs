//! What commands print: data to standard output, talk to standard error.

mod table;
mod yaml;

pub use table::{columns, pairs, show};

use crate::arguments::Format;
use crate::failure::{Failure, Kind, did_you_mean};
use crate::persona::Face;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use strongroom_api::{Auth, Response};

/// How to print, decided once.
pub struct Output {
    pub face: Face,
    pub format: Format,
    pub field: Option<String>,
    pub stdout_is_terminal: bool,
}

impl Output {
    pub fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// A whole answer, or the one field of it that was asked for.
    pub fn response(&self, response: &Response) -> Result<ExitCode, Failure> {
        if let Some(field) = &self.field {
            return self.field_of(response, field);
        }
        match self.format {
            Format::Table | Format::Raw => {
                self.warnings(response);
                let rows = table::response_rows(response);
                if rows.is_empty() { Ok(ExitCode::SUCCESS) } else { self.table(&["Key", "Value"], &rows) }
            }
            Format::Json | Format::Yaml => self.structured(response),
        }
    }

    /// The names of a list: an array, or a column.
    pub fn keys(&self, response: &Response) -> Result<ExitCode, Failure> {
        match self.format {
            Format::Table | Format::Raw => {
                let mut rows: Vec<Vec<String>> =
                    response.keys().into_iter().map(|key| vec![key.to_owned()]).collect();
                rows.sort();
                self.table(&["Keys"], &rows)
            }
            Format::Json | Format::Yaml => self.structured(&response.keys()),
        }
    }

    /// A map of values, as rows sorted by name.
    pub fn map(&self, map: &Map<String, Value>) -> Result<ExitCode, Failure> {
        if let Some(field) = &self.field {
            let value = map.get(field).ok_or_else(|| self.no_field(field, map.keys().map(String::as_str)))?;
            return self.bare(value);
        }
        match self.format {
            Format::Table | Format::Raw => {
                let rows: Vec<_> =
                    map.iter().map(|(key, value)| vec![key.clone(), show(key, value)]).collect();
                if rows.is_empty() { Ok(ExitCode::SUCCESS) } else { self.table(&["Key", "Value"], &rows) }
            }
            Format::Json | Format::Yaml => self.structured(map),
        }
    }

    /// JSON or YAML of anything that can be written so.
    pub fn structured(&self, value: &impl Serialize) -> Result<ExitCode, Failure> {
        let text = if self.format == Format::Yaml {
            serde_json::to_value(value).map(|value| yaml::render(&value))
        } else {
            serde_json::to_string_pretty(value).map(|text| text + "\n")
        };
        self.text(&text.map_err(|error| Failure::other(error.to_string()))?)
    }

    pub fn table(&self, header: &[&str], rows: &[Vec<String>]) -> Result<ExitCode, Failure> {
        self.text(&columns(header, rows))
    }

    /// A line of `vault`'s "Success! …": in table form alone, as nobody parses it.
    pub fn success(&self, message: &str) -> Result<ExitCode, Failure> {
        if self.is_table() { self.text(&format!("Success! {message}\n")) } else { Ok(ExitCode::SUCCESS) }
    }

    /// One value, as it is: text without quotes; a line break after it only for people.
    pub fn bare(&self, value: &Value) -> Result<ExitCode, Failure> {
        let text = match (self.format, self.face, value) {
            (Format::Json, ..) => {
                serde_json::to_string_pretty(value).map_err(|error| Failure::other(error.to_string()))?
            }
            (Format::Yaml, ..) => yaml::render(value),
            (_, _, Value::String(text)) => text.clone(),
            (_, Face::Vault, value) => show("", value),
            (_, Face::Native, value) => value.to_string(),
        };
        self.bare_text(&text)
    }

    pub fn bare_text(&self, text: &str) -> Result<ExitCode, Failure> {
        self.text(text)?;
        if self.stdout_is_terminal { self.text("\n") } else { Ok(ExitCode::SUCCESS) }
    }

    /// Text to standard output, with nothing added.
    pub fn text(&self, text: &str) -> Result<ExitCode, Failure> {
        self.bytes(text.as_bytes())
    }

    pub fn bytes(&self, bytes: &[u8]) -> Result<ExitCode, Failure> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::new(Kind::Quiet, "")),
            Err(error) => Err(Failure::other(format!("cannot write to standard output: {error}"))),
        }
    }

    /// Talk. A closed standard error is no reason to fail.
    pub fn note(&self, message: &str) {
        let _ = writeln!(std::io::stderr(), "{message}");
    }

    pub fn warnings(&self, response: &Response) {
        for warning in response.warnings.iter().flatten() {
            match self.face {
                Face::Native => self.note(&format!("warning: {warning}")),
                Face::Vault => {
                    self.note(&format!(
                        "WARNING! The following warnings were returned from Vault:\n\n  * {warning}\n"
                    ));
                }
            }
        }
    }

    fn field_of(&self, response: &Response, field: &str) -> Result<ExitCode, Failure> {
        if self.is_table() {
            self.warnings(response);
        }
        match envelope_field(response, field).or_else(|| response.field(field).cloned()) {
            Some(value) if !value.is_null() => self.bare(&value),
            _ => Err(self.no_field(field, response.data.iter().flat_map(Map::keys).map(String::as_str))),
        }
    }

    pub fn no_field<'a>(&self, field: &str, known: impl Iterator<Item = &'a str>) -> Failure {
        match self.face {
            Face::Vault => Failure::usage(format!("Field {field:?} not present in secret")),
            Face::Native => {
                let known: Vec<&str> = known.collect();
                if known.contains(&field) {
                    return Failure::missing(format!("the field {field:?} is null"));
                }
                let failure = Failure::missing(format!("there is no field {field:?}"));
                match did_you_mean(field, known.iter().copied()) {
                    Some(near) => failure.hint(format!("did you mean {near:?}?")),
                    None => failure.hint(format!("the fields are: {}", known.join(", "))),
                }
            }
        }
    }
}

/// The names under which `--field` finds what is not in `data`.
fn envelope_field(response: &Response, field: &str) -> Option<Value> {
    if let Some(auth) = &response.auth
        && let Some(value) = auth_field(auth, field)
    {
        return Some(value);
    }
    let wrap = response.wrap_info.as_ref();
    match field {
        "wrapping_token" => wrap.map(|wrap| wrap.token.expose().into()),
        "wrapping_accessor" => wrap.map(|wrap| wrap.accessor.as_str().into()),
        "wrapping_token_ttl" => wrap.map(|wrap| wrap.ttl.into()),
        "wrapping_token_creation_time" => wrap.map(|wrap| wrap.creation_time.as_str().into()),
        "wrapping_token_creation_path" => wrap.map(|wrap| wrap.creation_path.as_str().into()),
        "wrapped_accessor" => wrap.map(|wrap| wrap.wrapped_accessor.as_str().into()),
        "refresh_interval" => Some(response.lease_duration.into()),
        "lease_id" => Some(response.lease_id.as_str().into()).filter(|_| !response.lease_id.is_empty()),
        "lease_duration" => Some(response.lease_duration.into()).filter(|_| response.field(field).is_none()),
        "lease_renewable" => Some(response.renewable.into()),
        _ => None,
    }
}

fn auth_field(auth: &Auth, field: &str) -> Option<Value> {
    Some(match field {
        "token" => auth.client_token.expose().into(),
        "token_accessor" => auth.accessor.as_str().into(),
        "token_duration" => auth.lease_duration.into(),
        "token_renewable" => auth.renewable.into(),
        "token_policies" => auth.token_policies.clone().into(),
        "identity_policies" => auth.identity_policies.clone().into(),
        "policies" => auth.policies.clone().into(),
        _ => auth.metadata.get(field.strip_prefix("token_meta_")?)?.clone(),
    })
}
