//! Matches as a table for people.

use super::search::Match;
use std::io::{self, Write};

const HEADINGS: [&str; 6] = ["TIME", "OPERATION", "PATH", "WHO", "FROM", "RESULT"];

/// Writes a table with a line for each match. Columns are as wide as their widest text; control characters, which a
/// client may have sent, are escaped.
pub fn write_table(out: &mut impl Write, matches: &[Match]) -> io::Result<()> {
    let rows: Vec<[String; 6]> =
        std::iter::once(HEADINGS.map(str::to_owned)).chain(matches.iter().map(row)).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = text.chars().count().max(*width);
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(text, width)| format!("{text:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn row(found: &Match) -> [String; 6] {
    let name = [&found.display_name, &found.entity_id].into_iter().find(|text| !text.is_empty());
    // Many tokens share a display name; the start of the accessor's hash tells them apart.
    let accessor = found.accessor.strip_prefix("hmac-sha256:").and_then(|hash| hash.get(..8));
    let who = match (name, accessor) {
        (Some(name), Some(accessor)) => format!("{name} ({accessor})"),
        (Some(name), None) => name.clone(),
        (None, _) => "-".to_owned(),
    };
    [
        found.time.rfc3339(),
        found.operation.clone(),
        format!("{}{}", found.namespace, found.path),
        who,
        found.remote_address.clone(),
        if found.error.is_empty() { "ok".to_owned() } else { found.error.clone() },
    ]
    .map(|text| text.chars().flat_map(printable).collect())
}

/// A control character as its escape.
fn printable(character: char) -> Vec<char> {
    match character.is_control() {
        true => character.escape_default().collect(),
        false => vec![character],
    }
}
