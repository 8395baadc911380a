//! Ruby's dotenv: `$NAME` and `${NAME}`; `\$` is a dollar. Where it would run `$(command)`, the text stays as it is.

use super::{Pieces, Variable};

pub(crate) fn pieces<'t>(value: &'t str, variable: Variable<'t, '_>) -> Pieces<'t> {
    let mut pieces = Vec::new();
    let commands = Commands::new(value);
    let mut from = 0;
    while let Some(offset) = value.get(from..).and_then(|rest| rest.find('$')) {
        let dollar = from + offset;
        let before = value.get(from..dollar).unwrap_or_default();
        let end = commands.end(dollar + 1).unwrap_or_else(|| reference_end(value, dollar));
        let reference = value.get(dollar..end).unwrap_or_default();
        if let Some(before) = before.strip_suffix('\\') {
            pieces.extend([before, reference]);
        } else {
            pieces.push(before);
            let name = reference.trim_start_matches(['$', '{']).trim_end_matches('}');
            let is_text = name.is_empty() || reference.starts_with("$(");
            pieces.push(if is_text { reference } else { variable(name).unwrap_or_default() });
        }
        from = end;
    }
    pieces.push(value.get(from..).unwrap_or_default());
    pieces
}

/// Whether Ruby's dotenv would run a part of the value.
pub(crate) fn runs_command(value: &str) -> bool {
    let commands = Commands::new(value);
    let is_open =
        |at: usize| commands.end(at + 1).is_some() && !value.get(..at).unwrap_or_default().ends_with('\\');
    value.match_indices('$').any(|(at, _)| is_open(at))
}

/// Behind `$`, at most one `{`, a name and at most one `}`, each if it is there. `$(` is never a reference.
fn reference_end(value: &str, dollar: usize) -> usize {
    let behind = value.get(dollar + 1..).unwrap_or_default();
    if behind.starts_with('(') {
        return dollar + 1;
    }
    let inner = behind.strip_prefix('{').unwrap_or(behind);
    let rest = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let rest = rest.strip_prefix('}').unwrap_or(rest);
    value.len() - rest.len()
}

/// Where the parentheses of a value close.
struct Commands {
    /// By the position of an opening one, in order: the position behind its closing one.
    pairs: Vec<(usize, usize)>,
}

impl Commands {
    fn new(value: &str) -> Self {
        let (mut open, mut pairs) = (Vec::new(), Vec::new());
        if value.contains("$(") {
            for (at, byte) in value.bytes().enumerate() {
                match byte {
                    b'(' => open.push(at),
                    b')' => pairs.extend(open.pop().map(|start| (start, at + 1))),
                    _ => {}
                }
            }
        }
        // A command is not empty.
        pairs.retain(|(start, end)| end - start > 2);
        pairs.sort_unstable();
        Self { pairs }
    }

    fn end(&self, open: usize) -> Option<usize> {
        let found = self.pairs.binary_search_by_key(&open, |(start, _)| *start).ok()?;
        self.pairs.get(found).map(|(_, end)| *end)
    }
}
