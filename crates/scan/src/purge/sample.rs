//! A few changed lines for people to look at before anything is changed. What is replaced is not shown.

use super::replacements::Replacements;
use gix_hash::ObjectId;

/// A line that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Where it is, with what is replaced covered up.
    pub path: String,
    pub blob: String,
    pub line: usize,
    /// The line as it was, with what is replaced covered up.
    pub before: String,
    pub after: String,
}

pub(super) const SAMPLES_MAX: usize = 10;
const LINES_EACH: usize = 2;
/// So much of a line is shown.
const LINE_CHARACTERS_MAX: usize = 160;

impl Sample {
    /// The first lines of a text that change by themselves.
    pub(super) fn of(path: &[u8], id: &ObjectId, content: &[u8], replacements: &Replacements) -> Vec<Self> {
        let mut counts = vec![0; replacements.sources().len()];
        let lines = content.split(|byte| *byte == b'\n').enumerate();
        let changed = lines.filter_map(|(index, line)| {
            let after = replacements.replace(line, &mut counts)?;
            Some(Self {
                path: shown(&replacements.covered(path)),
                blob: id.to_string(),
                line: index + 1,
                before: shown(&replacements.covered(line)),
                after: shown(&after),
            })
        });
        changed.take(LINES_EACH).collect()
    }
}

fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut shown: String = text
        .chars()
        .take(LINE_CHARACTERS_MAX)
        .map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(LINE_CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
