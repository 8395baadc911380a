//! kingfisher's baseline: YAML that it writes itself, read by lines. An entry's fingerprint is a hash over the value, the
//! path or commit, and byte offsets in a file as it was then, so that it says no more than path, line and rule do; these
//! are compared.

use super::BaselineError;
use crate::located::Located;

/// One entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) path: String,
    pub(super) rule_id: String,
    pub(super) line: u64,
    /// Where the entry stands in the file.
    pub(super) number: usize,
}

#[derive(Debug, Default)]
pub(super) struct Kingfisher {
    pub(super) known: Vec<Known>,
}

impl Kingfisher {
    /// The first keys of such a file.
    pub(super) fn is_one(text: &str) -> bool {
        text.contains("fingerprint_algorithm: kingfisher")
    }

    pub(super) fn parse(text: &str, name: &str) -> Result<Self, BaselineError> {
        let mut baseline = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let Some((key, value)) = line.strip_prefix("- ").unwrap_or(line).split_once(':') else {
                continue;
            };
            if key == "path" {
                baseline.known.push(Known { path: scalar(value), number: index + 1, ..Known::default() });
            }
            let Some(entry) = baseline.known.last_mut() else { continue };
            match key {
                "rule_id" => entry.rule_id = scalar(value),
                "line" => {
                    entry.line = scalar(value).parse().map_err(|_| BaselineError::Malformed {
                        file: name.to_owned(),
                        line: index + 1,
                        message: "a line's number is not a number".to_owned(),
                        advice: "make it anew with kingfisher's --manage-baseline",
                    })?;
                }
                _ => {}
            }
        }
        Ok(baseline)
    }

    /// The rules' ids have their origin before them: `betterleaks.github-pat`.
    pub(super) fn position(&self, located: &Located, rule_id: &str) -> Option<usize> {
        self.known.iter().position(|known| {
            let (_, id) = known.rule_id.split_once('.').unwrap_or(("", &known.rule_id));
            known.path == located.path
                && known.line == located.finding.place.start_line
                && (id == rule_id || known.rule_id == rule_id)
        })
    }
}

/// A plain scalar, or one in quotes.
fn scalar(text: &str) -> String {
    let text = text.trim();
    let inner = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if let Some(inner) = inner('\'') {
        return inner.replace("''", "'");
    }
    if text.starts_with('"') {
        return serde_json::from_str(text).unwrap_or_else(|_| text.to_owned());
    }
    text.to_owned()
}
