//! Resolved values in the words of other tools. Every format either carries a value exactly or refuses it by name.

mod kubernetes;
mod quoting;
#[cfg(test)]
mod tests;

pub use kubernetes::{RemoteReference, external_secret};
pub use quoting::shell_word;

use crate::manifest::{Delivery, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quoting::{github_command, json_string, systemd_text, terraform_string, toml_string};
use strongroom_formats::dotenv::{Dialect, Document, FinalNewline, SetOptions};
use strongroom_secret::{SecretBytes, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

/// The formats by name. `ExternalSecret` of Kubernetes is apart: it holds references, no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Dotenv,
    Json,
    Yaml,
    Toml,
    Shell,
    Fish,
    PowerShell,
    /// What is appended to the file that `GITHUB_ENV` names.
    GithubEnv,
    /// Workflow commands that make the log hide the values.
    GithubMasks,
    /// The list that GitLab's API for variables takes.
    Gitlab,
    /// The body for Heroku's config-vars.
    Heroku,
    /// Docker's `--env-file`, which has no quoting.
    Docker,
    Kubernetes,
    /// A drop-in for a service with `SetCredential=`.
    Systemd,
    Terraform,
}

/// A value with its declaration.
pub struct Entry<'a> {
    pub secret: &'a Secret,
    pub value: &'a SecretBytes,
}

/// What surrounds the values.
pub struct Options<'a> {
    /// The name of what is made, where it needs one.
    pub name: &'a str,
    pub namespace: Option<&'a str>,
    pub environment: &'a str,
    pub protected: bool,
    /// A word that no value holds, for formats that mark where a value ends.
    pub delimiter: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExportError {
    #[error("{0} is not UTF-8 text, and this format holds text alone")]
    NotText(String),
    #[error("{0} has several lines, and this format has no way to say so")]
    SeveralLines(String),
    #[error("{0} holds a NUL byte, which nothing in this format can")]
    Nul(String),
    #[error("{0} has no form that a reader of .env files reads back")]
    Ambiguous(String),
}

/// Writes all entries, or says which of them the format cannot carry.
pub fn export(
    format: Format,
    entries: &[Entry<'_>],
    options: &Options<'_>,
) -> Result<SecretBytes, Vec<ExportError>> {
    let mut errors = Vec::new();
    if format == Format::Kubernetes {
        return Ok(kubernetes::secret(entries, options));
    }
    let mut texts: Vec<(&Entry<'_>, &str)> = Vec::new();
    for entry in entries {
        match text_of(format, entry) {
            Ok(text) => texts.push((entry, text)),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut out = Text::default();
    match format {
        Format::Json | Format::Heroku => json_object(&mut out, &texts),
        Format::Gitlab => gitlab(&mut out, &texts, options),
        Format::Dotenv => return dotenv(&texts),
        Format::Systemd => {
            out.push("[Service]\n");
            lines(&mut out, format, &texts, options);
        }
        _ => lines(&mut out, format, &texts, options),
    }
    Ok(out.into_secret())
}

fn text_of<'a>(format: Format, entry: &Entry<'a>) -> Result<&'a str, ExportError> {
    let name = || entry.secret.name.clone();
    let text = std::str::from_utf8(entry.value.expose()).map_err(|_| ExportError::NotText(name()))?;
    if text.contains('\0') {
        return Err(ExportError::Nul(name()));
    }
    let several_lines = text.contains(['\n', '\r']);
    match format {
        Format::Docker if several_lines => Err(ExportError::SeveralLines(name())),
        _ => Ok(text),
    }
}

/// Formats with a line for each value.
fn lines(out: &mut Text, format: Format, texts: &[(&Entry<'_>, &str)], options: &Options<'_>) {
    for (entry, text) in texts {
        let name = entry.secret.name.as_str();
        match format {
            Format::Yaml => out.all(&[name, ": ", &json_string(text), "\n"]),
            Format::Toml => out.all(&[name, " = ", &toml_string(text), "\n"]),
            Format::Shell => out.all(&["export ", name, "=", &shell_word(text), "\n"]),
            Format::Fish => out.all(&["set -gx ", name, " ", &quoting::fish_word(text), "\n"]),
            Format::PowerShell => {
                let doubled = Zeroizing::new(text.replace('\'', "''"));
                out.all(&["$Env:", name, " = '", &doubled, "'\n"]);
            }
            Format::GithubEnv => {
                let end = options.delimiter;
                out.all(&[name, "<<", end, "\n", text, "\n", end, "\n"]);
            }
            Format::GithubMasks => mask(out, entry, text),
            Format::Docker => out.all(&[name, "=", text, "\n"]),
            Format::Systemd => out.all(&["SetCredential=", name, ":", &systemd_text(text), "\n"]),
            Format::Terraform => out.all(&[name, " = ", &terraform_string(text), "\n"]),
            Format::Dotenv | Format::Json | Format::Heroku | Format::Gitlab | Format::Kubernetes => {}
        }
    }
}

/// Each value in a form that python-dotenv, Node, Compose and Ruby read alike; what has no such form, as python-dotenv
/// reads it.
fn dotenv(texts: &[(&Entry<'_>, &str)]) -> Result<SecretBytes, Vec<ExportError>> {
    let empty = |_| vec![ExportError::Ambiguous(String::new())];
    let mut document = Document::parse("", Dialect::Python).map_err(empty)?;
    let mut errors = Vec::new();
    for (entry, text) in texts {
        let value = SecretString::from(*text);
        let name = &entry.secret.name;
        let everywhere = SetOptions {
            readers: Dialect::OF_PROGRAMS.to_vec(),
            final_newline: FinalNewline::Always,
            ..SetOptions::default()
        };
        let here = SetOptions { final_newline: FinalNewline::Always, ..SetOptions::default() };
        let edited = document.set(name, &value, &everywhere).or_else(|_| document.set(name, &value, &here));
        match edited.ok().and_then(|edited| Document::parse(edited.text.expose(), Dialect::Python).ok()) {
            Some(longer) => document = longer,
            None => errors.push(ExportError::Ambiguous(name.clone())),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(SecretBytes::new(document.text().as_bytes().to_vec()))
}

/// The runner hides texts line by line, so every line of a value is one. What is not secret stays readable.
fn mask(out: &mut Text, entry: &Entry<'_>, text: &str) {
    if !entry.secret.sensitive {
        return;
    }
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        out.all(&["::add-mask::", &github_command(line), "\n"]);
    }
}

fn json_object(out: &mut Text, texts: &[(&Entry<'_>, &str)]) {
    out.push("{");
    for (index, (entry, text)) in texts.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        out.all(&[comma, "\n  ", &json_string(&entry.secret.name), ": ", &json_string(text)]);
    }
    out.push(if texts.is_empty() { "}\n" } else { "\n}\n" });
}

/// <https://docs.gitlab.com/api/project_level_variables/>. GitLab hides only values of eight characters and more, without
/// white space, so others are not marked.
fn gitlab(out: &mut Text, texts: &[(&Entry<'_>, &str)], options: &Options<'_>) {
    out.push("[");
    for (index, (entry, text)) in texts.iter().enumerate() {
        let maskable = text.len() >= 8 && !text.contains(char::is_whitespace);
        let masked = if entry.secret.sensitive && maskable { "true" } else { "false" };
        let kind = if entry.secret.delivery == Delivery::File { "file" } else { "env_var" };
        let protected = if options.protected { "true" } else { "false" };
        out.all(&[if index > 0 { "," } else { "" }, "\n  {\"key\": ", &json_string(&entry.secret.name)]);
        out.all(&[
            ", \"value\": ",
            &json_string(text),
            ", \"variable_type\": \"",
            kind,
            "\", \"masked\": ",
            masked,
        ]);
        out.all(&[", \"protected\": ", protected, ", \"raw\": true, \"environment_scope\": "]);
        out.all(&[&json_string(options.environment), "}"]);
    }
    out.push(if texts.is_empty() { "]\n" } else { "\n]\n" });
}

/// Text that grows without leaving unwiped copies behind.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn push(&mut self, text: &str) {
        if self.0.capacity() - self.0.len() < text.len() {
            let mut larger = Vec::with_capacity((self.0.len() + text.len()) * 2 + 256);
            larger.extend_from_slice(&self.0);
            drop(Zeroizing::new(std::mem::replace(&mut self.0, larger)));
        }
        self.0.extend_from_slice(text.as_bytes());
    }

    fn all(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.push(part));
    }

    fn into_secret(self) -> SecretBytes {
        SecretBytes::new(self.0)
    }
}

fn in_base64(value: &SecretBytes) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(value.expose()))
}
