//! The ENV files of sops 3: `stores/dotenv/store.go`. Lines end at `\n` alone, and nothing is taken off them.

use super::Cursor;
use crate::dotenv::tree::{Assignment, Bad, Kind, Quote, Span, Value};
use strongroom_secret::SecretString;

pub(crate) fn statement(cursor: &mut Cursor<'_>) -> (usize, Kind) {
    let start = cursor.at;
    let rest = cursor.rest();
    let line = rest.split('\n').next().unwrap_or_default();
    if line.is_empty() {
        cursor.skip(|c| c == '\n');
        return (start, Kind::Blank);
    }
    cursor.at = (start + line.len() + 1).min(cursor.text.len());
    let kind = match line.find('=') {
        _ if line.starts_with('#') => Kind::Comment,
        None => Kind::Bad(Bad::NoSeparator),
        Some(equals) => {
            let span = Span::new(start + equals + 1, start + line.len());
            let value = Some(Value { span, quote: Quote::None });
            Kind::Assignment(Assignment { export: false, key: Span::new(start, start + equals), value })
        }
    };
    (start, kind)
}

/// `\n` is a line break.
pub(crate) fn decode(raw: &str) -> SecretString {
    SecretString::new(raw.replace("\\n", "\n"))
}

/// The other way. A value that holds a backslash before an `n` does not come back.
pub(crate) fn encode(value: &str) -> String {
    value.replace('\n', "\\n")
}
