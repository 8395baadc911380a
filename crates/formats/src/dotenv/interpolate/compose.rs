//! Docker Compose: `$NAME`, `${NAME}`, and `${NAME op word}` with `:-`, `-`, `:+`, `+`, `:?`, `?`; `$$` is a dollar
//! (compose-go's `template/template.go`).

use super::{Pieces, Variable};

/// How deep words may lie in words.
const DEPTH_MAX: usize = 32;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `${` and not a reference, or not closed.
    Reference,
    /// `${NAME?message}`; the message as it is written.
    Required {
        name: String,
        message: String,
    },
    TooDeep,
}

pub(crate) fn pieces<'t>(value: &'t str, variable: Variable<'t, '_>) -> Result<Pieces<'t>, Fault> {
    let mut pieces = Vec::new();
    substitute(value, variable, DEPTH_MAX, &mut pieces)?;
    Ok(pieces)
}

fn substitute<'t>(
    value: &'t str,
    variable: Variable<'t, '_>,
    depth: usize,
    pieces: &mut Pieces<'t>,
) -> Result<(), Fault> {
    let mut rest = value;
    while let Some(dollar) = rest.find('$') {
        let (before, from) = rest.split_at(dollar);
        pieces.push(before);
        let behind = from.get(1..).unwrap_or_default();
        rest = if let Some(rest) = behind.strip_prefix('$') {
            pieces.push("$");
            rest
        } else if let Some(inner) = behind.strip_prefix('{') {
            braced(inner, variable, depth, pieces)?
        } else {
            let (name, rest) = split_name(behind);
            pieces.push(if name.is_empty() { "$" } else { variable(name).unwrap_or_default() });
            rest
        };
    }
    pieces.push(rest);
    Ok(())
}

/// What is behind `${`; answers what is behind its `}`.
fn braced<'t>(
    inner: &'t str,
    variable: Variable<'t, '_>,
    depth: usize,
    pieces: &mut Pieces<'t>,
) -> Result<&'t str, Fault> {
    let (name, behind) = split_name(inner);
    if name.is_empty() {
        return Err(Fault::Reference);
    }
    if let Some(rest) = behind.strip_prefix('}') {
        pieces.push(variable(name).unwrap_or_default());
        return Ok(rest);
    }
    let (counts_empty, behind) = match behind.strip_prefix(':') {
        Some(behind) => (true, behind),
        None => (false, behind),
    };
    let operator = behind.chars().next().filter(|c| matches!(c, '-' | '+' | '?')).ok_or(Fault::Reference)?;
    let (word, rest) = split_word(behind.get(1..).unwrap_or_default()).ok_or(Fault::Reference)?;
    let found = variable(name);
    let is_set = found.is_some_and(|value| !(counts_empty && value.is_empty()));
    let takes_word = match operator {
        '-' => !is_set,
        '+' => is_set,
        _ if is_set => false,
        _ => return Err(Fault::Required { name: name.to_owned(), message: word.to_owned() }),
    };
    if takes_word {
        substitute(word, variable, depth.checked_sub(1).ok_or(Fault::TooDeep)?, pieces)?;
    } else {
        pieces.push(found.unwrap_or_default());
    }
    Ok(rest)
}

/// A name: a letter or `_`, then letters, digits and `_`.
fn split_name(text: &str) -> (&str, &str) {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if begins { text.split_at(text.len() - rest.len()) } else { ("", text) }
}

/// A word up to the `}` that closes it, on the same line; or, where braces do not match, up to the line's last one.
fn split_word(text: &str) -> Option<(&str, &str)> {
    let line = text.split('\n').next().unwrap_or_default();
    let mut open = 1_usize;
    let mut skipped = false;
    let mut closes = None;
    for (at, byte) in line.bytes().enumerate() {
        if std::mem::take(&mut skipped) {
            continue;
        }
        match byte {
            b'}' => open -= 1,
            b'{' => {
                open += 1;
                // What stands behind a `{` is not looked at, not even a `}`.
                skipped = true;
            }
            _ => {}
        }
        if open == 0 {
            closes = Some(at);
            break;
        }
    }
    let closes = closes.or_else(|| line.rfind('}'))?;
    Some((text.get(..closes)?, text.get(closes + 1..)?))
}
