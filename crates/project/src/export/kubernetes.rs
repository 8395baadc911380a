//! A `Secret`, and an `ExternalSecret` of the External Secrets Operator, which fetches the values itself.

use super::quoting::json_string;
use super::{Entry, Options, Text, in_base64};
use std::fmt::Write as _;
use strongroom_secret::SecretBytes;

pub(super) fn secret(entries: &[Entry<'_>], options: &Options<'_>) -> SecretBytes {
    let mut out = Text::default();
    out.all(&["apiVersion: v1\nkind: Secret\n", &metadata(options), "type: Opaque\ndata:"]);
    for entry in entries {
        out.all(&["\n  ", &entry.secret.name, ": \"", &in_base64(entry.value), "\""]);
    }
    out.push(if entries.is_empty() { " {}\n" } else { "\n" });
    out.into_secret()
}

/// Where the operator finds one value.
pub struct RemoteReference {
    pub name: String,
    pub path: String,
    pub key: Option<String>,
    pub version: Option<String>,
}

/// <https://external-secrets.io/latest/api/externalsecret/>
pub fn external_secret(references: &[RemoteReference], store: &str, options: &Options<'_>) -> String {
    let mut out = String::from("apiVersion: external-secrets.io/v1\nkind: ExternalSecret\n");
    out.push_str(&metadata(options));
    let _ = write!(
        out,
        "spec:\n  refreshInterval: 1h\n  secretStoreRef:\n    name: {}\n    kind: ClusterSecretStore\n  target:\n    name: {}\n  data:",
        yaml(store),
        yaml(options.name)
    );
    for reference in references {
        let _ = write!(
            out,
            "\n    - secretKey: {}\n      remoteRef:\n        key: {}",
            reference.name,
            yaml(&reference.path)
        );
        for (name, value) in [("property", &reference.key), ("version", &reference.version)] {
            if let Some(value) = value {
                let _ = write!(out, "\n        {name}: {}", yaml(value));
            }
        }
    }
    out.push_str(if references.is_empty() { " []\n" } else { "\n" });
    out
}

fn metadata(options: &Options<'_>) -> String {
    let mut text = format!("metadata:\n  name: {}\n", yaml(options.name));
    if let Some(namespace) = options.namespace {
        let _ = writeln!(text, "  namespace: {}", yaml(namespace));
    }
    text
}

fn yaml(text: &str) -> String {
    json_string(text).to_string()
}
