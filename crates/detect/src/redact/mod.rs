//! Takes secrets out of a stream: known values in all their forms, and what the text itself shows to be a secret.
//!
//! A [`Redactor`] is made once and shared; a [`Stream`] redacts one text, however it is cut. What may be the beginning of a
//! value is held back until more of the text shows it, or until [`Stream::flush`] is called because somebody waits.
//!
//! ```
//! use std::sync::Arc;
//! use strongroom_detect::redact::{Redactor, Stream, Style, Values};
//! use strongroom_secret::SecretBytes;
//!
//! let mut values = Values::telling();
//! values.add("DB_PASSWORD", &SecretBytes::new(b"not-a-real-password".to_vec())).unwrap();
//! let mut stream = Stream::new(Arc::new(Redactor::new(values, Style::Name)));
//! let mut shown = Vec::new();
//! stream.push(b"connecting with not-a-real-", &mut shown);
//! assert_eq!(shown, b"connecting with ");
//! stream.push(b"password ...\n", &mut shown);
//! stream.finish(&mut shown);
//! assert_eq!(shown, b"connecting with [DB_PASSWORD] ...\n");
//! ```

mod encodings;
mod json;
mod known;
mod names;
mod patterns;
mod span;
mod stream;
mod style;
#[cfg(test)]
mod tests;
mod values;
mod writer;

pub use json::Json;
pub use patterns::Patterns;
pub use stream::{Replaced, Stream};
pub use style::{HashKey, ShortKey, Style};
pub use values::{LeftOut, Values};
pub use writer::Redacting;
#[cfg(feature = "tracing")]
pub use writer::{EventWriter, RedactingEvents};

use known::Known;
use span::{Label, Span};
use std::time::Duration;
use style::Tally;

/// Whoever shows a stream's output as it comes flushes it when the same byte was held for so long: nobody waits longer than
/// 50 ms then.
pub const HELD_MAX: Duration = Duration::from_millis(40);

/// What is taken out of texts, and what is written instead. Shared by all streams.
pub struct Redactor {
    known: Known,
    names: Vec<String>,
    /// For each known value, what is written instead.
    replacements: Vec<Box<[u8]>>,
    patterns: Option<Patterns>,
    json: Json,
    style: Style,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.names.len())
    }
}

impl Redactor {
    pub fn new(values: Values, style: Style) -> Self {
        let known = Known::new(&values);
        let replacements = values.list.iter().map(|(name, value)| style.of_known(name, value)).collect();
        let names = values.list.into_iter().map(|(name, _)| name).collect();
        Self { known, names, replacements, patterns: None, json: Json::Never, style }
    }

    /// Takes out what the text itself shows to be a secret as well. Lines are looked at whole then: one that is not yet
    /// complete is held back.
    #[must_use]
    pub fn with_patterns(self, patterns: Patterns) -> Self {
        Self { patterns: Some(patterns), ..self }
    }

    /// Keeps JSON valid. Lines are looked at whole, as with patterns.
    #[must_use]
    pub fn with_json(self, json: Json) -> Self {
        Self { json, ..self }
    }

    fn is_by_line(&self) -> bool {
        self.patterns.is_some() || self.json != Json::Never
    }

    /// How many values are known.
    pub fn value_count(&self) -> usize {
        self.names.len()
    }

    fn name(&self, label: Label) -> &str {
        match label {
            Label::Secret(number) => self.names.get(number as usize).map_or("", String::as_str),
            Label::Rule(rule) => self.patterns.as_ref().map_or("", |patterns| patterns.rule_id(rule)),
            Label::Name(kind) => kind.word(),
        }
    }

    fn write_replacement(&self, span: &Span, value: &[u8], out: &mut Vec<u8>) {
        let quote: &[u8] = if span.is_quoted { b"\"" } else { b"" };
        out.extend_from_slice(quote);
        match span.label {
            Label::Secret(number) => {
                out.extend_from_slice(self.replacements.get(number as usize).map_or(b"***", |text| text));
            }
            Label::Rule(_) | Label::Name(_) => {
                out.extend_from_slice(self.style.of(self.name(span.label), value).as_bytes());
            }
        }
        out.extend_from_slice(quote);
    }

    /// By name, most first.
    fn replaced(&self, tally: &Tally) -> Vec<Replaced> {
        let mut all: Vec<Replaced> = tally
            .iter()
            .map(|(label, count)| Replaced {
                name: self.name(label).to_owned(),
                is_known: matches!(label, Label::Secret(_)),
                count,
            })
            .collect();
        all.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.name.cmp(&other.name)));
        all
    }
}
