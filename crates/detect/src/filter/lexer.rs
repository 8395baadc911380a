use super::FilterError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Text(String),
    Number(f64),
    Name(String),
    /// One or two signs that belong together.
    Sign(&'static str),
}

/// Longer ones first.
const SIGNS: [&str; 26] = [
    "||", "&&", "==", "!=", "<=", ">=", "??", "?.", "(", ")", "[", "]", "{", "}", ",", ".", ":", ";", "?",
    "!", "<", ">", "+", "-", "=", "*",
];

/// The tokens of an expression, each with its line.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>, FilterError> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let fail = |what: String| FilterError { what, line };
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") || first == '#' {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map(|end| end + 2).ok_or_else(|| fail("a comment does not end".into()))?
        } else if matches!(first, '"' | '\'' | '`') {
            let (text, length) = text(rest, first)
                .ok_or_else(|| fail("a text does not end, or has an unknown escape".into()))?;
            tokens.push((Token::Text(text), line));
            length
        } else if first.is_ascii_digit() {
            let length = rest
                .find(|digit: char| !digit.is_ascii_digit() && digit != '.' && digit != '_')
                .unwrap_or(rest.len());
            let digits = rest.get(..length).unwrap_or_default().replace('_', "");
            let number = digits.parse().map_err(|_| fail(format!("{digits} is no number")))?;
            tokens.push((Token::Number(number), line));
            length
        } else if first.is_ascii_alphabetic() || matches!(first, '_' | '$') {
            let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$');
            let length = rest.find(|letter: char| !is_part(letter)).unwrap_or(rest.len());
            tokens.push((Token::Name(rest.get(..length).unwrap_or_default().to_owned()), line));
            length
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| fail(format!("{first:?} is not known")))?;
            tokens.push((Token::Sign(sign), line));
            sign.len()
        };
        let (taken, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        line += taken.matches('\n').count();
        rest = after;
    }
    Ok(tokens)
}

/// A text in quotes, and how long it was with them.
fn text(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            return Some((text, at + 1));
        }
        if letter != '\\' || quote == '`' {
            text.push(letter);
            continue;
        }
        match letters.next()?.1 {
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'a' => text.push('\x07'),
            'b' => text.push('\x08'),
            'f' => text.push('\x0c'),
            'v' => text.push('\x0b'),
            'x' => text.push(letters_code(&mut letters, 2)?),
            'u' => text.push(letters_code(&mut letters, 4)?),
            'U' => text.push(letters_code(&mut letters, 8)?),
            same @ ('\\' | '"' | '\'' | '`') => text.push(same),
            _ => return None,
        }
    }
    None
}

fn letters_code(letters: &mut impl Iterator<Item = (usize, char)>, length: usize) -> Option<char> {
    let digits: String = letters.by_ref().take(length).map(|(_, digit)| digit).collect();
    u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
}
